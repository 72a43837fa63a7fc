"""`bailiwick stdio`, as a client meets it: a child process that speaks MCP on its pipes."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from mcp import Client, StdioServerParameters, stdio_client

from tests.gateway.upstreams.site import Answer, Got, Wire, site, soon
from tests.gateway.upstreams.test_real_servers import running_http

RUN = """
import asyncio, sys
from pathlib import Path
from bailiwick.cli.stdio import run
token = (lambda: Path(sys.argv[2]).read_text()) if len(sys.argv) > 2 else (lambda: "agent-token")
sys.exit(asyncio.run(run(sys.argv[1], token)))
"""


class Piped:
    """The bridge as a child of ours."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        self.process = process
        self.stdin, self.stdout, self.stderr = process.stdin, process.stdout, process.stderr

    def say(self, value: Any) -> None:
        self.raw(json.dumps(value).encode())

    def raw(self, line: bytes) -> None:
        self.stdin.write(line + b"\n")

    async def hear(self) -> Any:
        line = await soon(self.stdout.readline())
        assert line, (await self.stderr.read()).decode()
        return json.loads(line)

    async def end(self) -> tuple[bytes, str]:
        """Close stdin; the rest of stdout, and stderr. The exit code must be 0."""
        self.stdin.close()
        out, err = await soon(asyncio.gather(self.stdout.read(), self.stderr.read()))
        assert await soon(self.process.wait()) == 0, err
        return out, err.decode()


@asynccontextmanager
async def bridge(url: str, *more: str) -> AsyncIterator[Piped]:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", RUN, url, *more), stdin=pipe, stdout=pipe, stderr=pipe
    )
    try:
        yield Piped(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def request(request_id: Any, method: str, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": request_id, "method": method, "params": params}


def result(got: Got, value: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": got.json["id"], "result": value}


INITIALIZE = request(0, "initialize", protocolVersion="2025-06-18", capabilities={}, clientInfo={})
INITIALIZED = {"jsonrpc": "2.0", "method": "notifications/initialized"}


def gateway(play: Answer, get: Answer | None = None) -> Answer:
    """A stateful gateway; `play` answers everything but the handshake."""
    sessions: list[str] = []

    async def answer(got: Got, wire: Wire) -> None:
        known = got.headers.get("mcp-session-id", "") in sessions[-1:]
        if got.method == "DELETE":
            await wire.reply(204, b"")
        elif got.method == "GET":
            await (get(got, wire) if get else wire.reply(405, b""))
        elif got.json.get("method") == "initialize":
            sessions.append(f"s{len(sessions) + 1}")
            value = {"protocolVersion": "2025-06-18", "capabilities": {}}
            await wire.json(result(got, value), more=f"Mcp-Session-Id: {sessions[-1]}\r\n")
        elif not known:
            await wire.json({"jsonrpc": "2.0", "id": None, "error": {}}, 404)
        elif got.json.get("method") == "restart":
            sessions.append("gone")
            await wire.json(result(got, {}))
        elif "id" not in got.json or "method" not in got.json:
            await wire.reply(202, b"")
        else:
            await play(got, wire)

    return answer


async def echo(got: Got, wire: Wire) -> None:
    await wire.json(result(got, {"params": got.json["params"]}))


async def greet(piped: Piped) -> None:
    piped.say(INITIALIZE)
    assert (await piped.hear())["result"]["protocolVersion"] == "2025-06-18"
    piped.say(INITIALIZED)


# --- the official client -------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["legacy", "2026-07-28", "auto"])
async def test_the_official_client_works_through_the_bridge_in_both_eras(mode: Any) -> None:
    async def elicited(context: Any, params: Any) -> Any:
        from mcp import types

        return types.ElicitResult(action="accept", content={"sure": True})

    progress: list[float] = []

    async def on_progress(value: float, *_: Any, **__: Any) -> None:
        progress.append(value)

    watch: Any = on_progress  # the SDK's type is a protocol with other parameter names

    async with running_http() as url:
        parameters = StdioServerParameters(command=sys.executable, args=["-c", RUN, url])
        async with Client(
            stdio_client(parameters), mode=mode, elicitation_callback=elicited
        ) as client:
            listed = await client.list_tools()
            assert "echo" in {tool.name for tool in listed.tools}
            said = await client.call_tool("echo", {"text": "hü"})
            assert said.content[0].text == "hü"  # type: ignore[union-attr]
            await client.call_tool("steps", {"count": 3}, progress_callback=watch)
            assert progress == [1, 2, 3]
            read = await client.read_resource("note://today")
            assert read.contents[0].text == "Sunday"  # type: ignore[union-attr]
            if mode == "legacy":
                sure = await client.call_tool("confirm", {})
                assert sure.content[0].text == "accept"  # type: ignore[union-attr]


# --- the stateful era ----------------------------------------------------------------------------


async def test_lines_pass_as_they_are_with_the_agents_token_and_session() -> None:
    async with site(gateway(echo)) as here, bridge(here.url) as piped:
        await greet(piped)
        line = b'{"id":"x" ,"jsonrpc":"2.0","params":{"a":1.0,"unknown":[]},"method":"tools/call"}'
        piped.raw(line)
        assert await piped.hear() == {
            "jsonrpc": "2.0",
            "id": "x",
            "result": {"params": {"a": 1.0, "unknown": []}},
        }
        assert await piped.end() == (b"", "")
    called = next(got for got in here.got if got.body == line)
    assert called.headers["mcp-session-id"] == "s1"
    assert called.headers["mcp-protocol-version"] == "2025-06-18"
    assert {got.headers["authorization"] for got in here.got} == {"Bearer agent-token"}
    assert here.got[-1].method == "DELETE"


async def test_a_token_that_was_renewed_is_used_at_once(tmp_path: Any) -> None:
    file = tmp_path / "token"
    file.write_text("one\n")
    async with site(gateway(echo)) as here, bridge(here.url, str(file)) as piped:
        await greet(piped)
        file.write_text("two\n")
        piped.say(request(1, "tools/list"))
        await piped.hear()
        await piped.end()
    sent = [got.headers["authorization"] for got in here.got]
    assert sent[0] == "Bearer one"
    assert sent[-1] == "Bearer two"


async def test_requests_run_beside_each_other() -> None:
    async def play(got: Got, wire: Wire) -> None:
        if got.json["id"] == 1:
            await gate.wait()
        else:
            gate.set()
        await wire.json(result(got, {}))

    gate = asyncio.Event()
    async with site(gateway(play)) as here, bridge(here.url) as piped:
        await greet(piped)
        piped.say(request(1, "tools/call"))
        piped.say(request(2, "tools/call"))
        heard = [await piped.hear(), await piped.hear()]
        await piped.end()
    assert {each["id"] for each in heard} == {1, 2}


async def test_what_comes_in_a_stream_becomes_lines_and_answers_go_back() -> None:
    async def play(got: Got, wire: Wire) -> None:
        await wire.stream()
        await wire.event({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"n": 1}})
        await wire.chunk(b'data: {"jsonrpc":"2.0","id":"q","method":\ndata: "roots/list"}\n\n')
        await here.wait_for(lambda s: any(b'"roots"' in each.body for each in s.got))
        await wire.event(result(got, {}))
        await wire.end()

    async with site(gateway(play)) as here, bridge(here.url) as piped:
        await greet(piped)
        piped.say(request(1, "tools/call"))
        assert (await piped.hear())["params"] == {"n": 1}
        assert await piped.hear() == {"jsonrpc": "2.0", "id": "q", "method": "roots/list"}
        piped.say({"jsonrpc": "2.0", "id": "q", "result": {"roots": []}})
        assert (await piped.hear())["id"] == 1
        await piped.end()


async def test_a_broken_stream_is_resumed() -> None:
    async def play(got: Got, wire: Wire) -> None:
        await wire.stream()
        await wire.chunk(b"retry: 1\nid: e1\ndata:\n\n")
        wire.close()

    async def get(got: Got, wire: Wire) -> None:
        if got.headers.get("last-event-id") != "e1":
            await wire.reply(405, b"")
            return
        await wire.stream()
        await wire.event({"jsonrpc": "2.0", "id": 1, "result": {"late": True}}, "e2")
        await wire.end()

    async with site(gateway(play, get)) as here, bridge(here.url) as piped:
        await greet(piped)
        piped.say(request(1, "tools/call"))
        assert (await piped.hear())["result"] == {"late": True}
        await piped.end()


async def test_what_comes_outside_of_requests_is_heard() -> None:
    async def get(got: Got, wire: Wire) -> None:
        await wire.stream()
        await wire.event({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"})
        await wire.closed()

    async with site(gateway(echo, get)) as here, bridge(here.url) as piped:
        await greet(piped)
        assert (await piped.hear())["method"] == "notifications/tools/list_changed"
        await piped.end()


async def test_a_gateway_that_was_restarted_is_greeted_again_unnoticed() -> None:
    async with site(gateway(echo)) as here, bridge(here.url) as piped:
        await greet(piped)
        piped.say(request(1, "restart"))
        await piped.hear()
        piped.say(request(2, "tools/list"))
        assert (await piped.hear())["id"] == 2
        out, err = await piped.end()
    assert out == b""
    assert "forgotten the session" in err
    assert [got.json["method"] for got in here.got if b"initialize" in got.body] == [
        *("initialize", "notifications/initialized") * 2
    ]


async def test_a_cancellation_is_passed_on() -> None:
    async def play(got: Got, wire: Wire) -> None:
        await wire.closed()

    async with site(gateway(play)) as here, bridge(here.url) as piped:
        await greet(piped)
        piped.say(request(1, "tools/call"))
        await here.wait_for(lambda s: any(b"tools/call" in got.body for got in s.got))
        note = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}}
        piped.say(note)
        await here.wait_for(lambda s: any(b"cancelled" in got.body for got in s.got))


# --- the stateless era ---------------------------------------------------------------------------

META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}
SCHEMA = {"type": "object", "properties": {"to": {"type": "string", "x-mcp-header": "To"}}}


def modern(request_id: Any, method: str, **params: Any) -> dict[str, Any]:
    return request(request_id, method, **params, _meta=META)


async def test_a_modern_request_gets_its_headers() -> None:
    async with site(echo) as here, bridge(here.url) as piped:
        piped.say(modern(1, "tools/call", name="größe", arguments={}))
        await piped.hear()
        await piped.end()
    (got,) = here.got
    assert got.headers["mcp-protocol-version"] == "2026-07-28"
    assert got.headers["mcp-method"] == "tools/call"
    assert got.headers["mcp-name"] == "=?base64?Z3LDtsOfZQ==?="
    assert "mcp-session-id" not in got.headers


async def test_headers_for_arguments_are_learnt_from_the_tools_when_they_are_missed() -> None:
    async def answer(got: Got, wire: Wire) -> None:
        if got.json["method"] == "tools/list":
            await wire.json(result(got, {"tools": [{"name": "pay", "inputSchema": SCHEMA}]}))
        elif "mcp-param-to" not in got.headers:
            error = {"code": -32020, "message": "mismatch"}
            await wire.json({"jsonrpc": "2.0", "id": got.json["id"], "error": error}, 400)
        else:
            await wire.json(result(got, {"to": got.headers["mcp-param-to"]}))

    async with site(answer) as here, bridge(here.url) as piped:
        piped.say(modern(1, "tools/call", name="pay", arguments={"to": "x"}))
        assert await piped.hear() == {"jsonrpc": "2.0", "id": 1, "result": {"to": "x"}}
        assert await piped.end() == (b"", "")
    assert len(here.got) == 3


async def test_cancelling_a_modern_request_closes_its_stream_and_nothing_is_answered() -> None:
    async def answer(got: Got, wire: Wire) -> None:
        await wire.stream()
        await wire.event({"jsonrpc": "2.0", "method": "notifications/progress", "params": {}})
        await wire.closed()
        closed.set()

    closed = asyncio.Event()
    async with site(answer) as here, bridge(here.url) as piped:
        piped.say(modern(1, "tools/call", name="x"))
        await piped.hear()
        note = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}}
        piped.say(note)
        await soon(closed.wait())
        assert (await piped.end())[0] == b""
    assert len(here.got) == 1


# --- what goes wrong -----------------------------------------------------------------------------


async def failing(answer: Answer) -> tuple[Any, str]:
    async with site(answer) as here, bridge(here.url) as piped:
        piped.say(modern(7, "tools/call", name="x"))
        heard = await piped.hear()
        out, err = await piped.end()
    assert out == b""
    assert heard["id"] == 7
    return heard["error"], err


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (401, b"", "bailiwick agents token"),
        (404, b"", "no such server (HTTP 404): see --server"),
        (500, b"<html>", "HTTP 500"),
        (200, b"<html>", "not MCP"),
        (202, b"", "HTTP 202"),
    ],
)
async def test_what_is_no_reply_becomes_an_error_of_the_request(
    status: int, body: bytes, said: str
) -> None:
    async def answer(got: Got, wire: Wire) -> None:
        await wire.reply(status, body, "text/html")

    error, err = await failing(answer)
    assert said in error["message"]
    assert said in err
    assert "agent-token" not in err


async def test_garbage_in_a_stream_never_reaches_stdout() -> None:
    async def answer(got: Got, wire: Wire) -> None:
        await wire.stream()
        await wire.chunk(b"data: hello\n\n")
        await wire.closed()

    error, _ = await failing(answer)
    assert error["code"] == -32603


async def test_a_gateway_that_is_not_there_is_an_error_of_each_request() -> None:
    async with site(echo) as here:
        pass
    async with bridge(here.url) as piped:
        for number in (1, 2):
            piped.say(modern(number, "tools/list"))
            said = (await piped.hear())["error"]["message"]
            assert here.url in said
            assert "start it with `bailiwick up`" in said
        await piped.end()


@pytest.mark.parametrize("line", [b"hello", b"{}", b"[]", b'{"jsonrpc":"2.0","id":null}', b"\xff"])
async def test_a_line_that_is_no_message_is_answered_and_not_forwarded(line: bytes) -> None:
    async with site(echo) as here, bridge(here.url) as piped:
        piped.raw(line)
        heard = await piped.hear()
        assert (heard["id"], heard["error"]["code"]) == (None, -32700)
        piped.say(modern(1, "tools/list"))
        assert (await piped.hear())["id"] == 1
        await piped.end()
    assert len(here.got) == 1


async def test_what_is_in_flight_when_stdin_ends_may_still_be_answered() -> None:
    async def answer(got: Got, wire: Wire) -> None:
        await gate.wait()
        await wire.json(result(got, {}))

    gate = asyncio.Event()
    async with site(answer) as here, bridge(here.url) as piped:
        piped.say(modern(1, "tools/list"))
        await here.wait_for(lambda s: len(s.got) == 1)
        ending = asyncio.ensure_future(piped.end())
        gate.set()
        out, _ = await ending
    assert json.loads(out)["id"] == 1


async def test_sigterm_ends_the_session_cleanly() -> None:
    async with site(gateway(echo)) as here, bridge(here.url) as piped:
        await greet(piped)
        await here.wait_for(lambda s: len(s.got) >= 2)
        piped.process.terminate()
        assert await soon(piped.process.wait()) == 0
    assert here.got[-1].method == "DELETE"


async def test_a_script_may_redirect_files(tmp_path: Any) -> None:
    asked, heard = tmp_path / "in", tmp_path / "out"
    asked.write_text(json.dumps(modern(1, "tools/list")))
    async with site(echo) as here:
        with asked.open() as stdin, heard.open("w") as stdout:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-c", RUN, here.url), stdin=stdin, stdout=stdout
            )
            assert await soon(process.wait()) == 0
    assert json.loads(heard.read_text())["id"] == 1


async def test_a_client_that_says_nothing_and_hears_nothing_ends_it() -> None:
    async with site(echo) as here:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", RUN, here.url),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
        )
        assert await soon(process.wait()) == 0
