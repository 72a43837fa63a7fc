"""Servers as people run them: the official SDK in both eras and transports, and published ones."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from bailiwick.core.errors import OurError
from bailiwick.gateway.upstreams.registry import Upstreams
from bailiwick.gateway.upstreams.spec import Instances, ServerSpec
from bailiwick.ports import ClientFacts, Upstream, UpstreamReply, UpstreamRequest, Wants
from tests.gateway.upstreams.peer import Peer
from tests.gateway.upstreams.site import soon

SERVER = Path(__file__).with_name("sdk_server.py")
BIN = Path(sys.executable).parent
NODE_MODULES = Path(__file__).parents[3] / "node_modules"
ELICITING: dict[str, Any] = {"elicitation": {"form": {}}}


@asynccontextmanager
async def running_http() -> AsyncIterator[str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(SERVER), "http", stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        port = int(await asyncio.wait_for(process.stdout.readline(), 30))
        yield f"http://127.0.0.1:{port}/mcp"
    finally:
        process.terminate()
        await process.wait()
        # uvloop closes the pipe's transport only with the loop's next turn
        await asyncio.sleep(0)


@asynccontextmanager
async def upstream(transport: str, **more: Any) -> AsyncIterator[Upstream]:
    upstreams = Upstreams(str(BIN))
    try:
        if transport == "http":
            async with running_http() as url:
                await upstreams.apply([ServerSpec("sdk", url=url, **more)])
                yield upstreams.current["sdk"]
                await upstreams.apply(())
        else:
            command = (sys.executable, str(SERVER), "stdio")
            instances = Instances(transport)
            spec = ServerSpec("sdk", command=command, instances=instances, **more)
            await upstreams.apply([spec])
            yield upstreams.current["sdk"]
    finally:
        await upstreams.close()


def facts(version: str, capabilities: Any = None, session: str = "ada|m1") -> ClientFacts:
    return ClientFacts(session, version, capabilities or {}, {"name": "c", "version": "1"})


def call(client: ClientFacts, tool: str, token: Any = None, **arguments: Any) -> UpstreamRequest:
    params: dict[str, Any] = {"name": tool, "arguments": arguments}
    if token is not None:
        params["_meta"] = {"progressToken": token}
    return UpstreamRequest("tools/call", params, client)


def text_of(reply: UpstreamReply) -> str:
    assert reply.result is not None, reply.error
    return str(json.loads(reply.result)["content"][0]["text"])


ERAS = ["2026-07-28", "2025-11-25", "2025-06-18", "2025-03-26", "auto"]


@pytest.mark.parametrize("transport", ["http", "shared", "session"])
@pytest.mark.parametrize("protocol", ERAS)
async def test_the_official_sdks_server_is_served_in_every_revision(
    transport: str, protocol: str
) -> None:
    async with upstream(transport, protocol=protocol) as sdk:
        spoken = "2026-07-28" if protocol == "auto" else protocol
        client = facts(spoken)
        listed = await sdk.request(UpstreamRequest("tools/list", {}, client), Peer())
        assert b'"echo"' in (listed.result or b"")
        assert text_of(await sdk.request(call(client, "echo", text="hü"), Peer())) == "hü"
        failed = await sdk.request(call(client, "fail"), Peer())
        assert json.loads(failed.result or b"")["isError"] is True
        unknown = await sdk.request(UpstreamRequest("no/such", {}, client), Peer())
        assert json.loads(unknown.error or b"")["code"] == -32601
        peer = Peer()
        assert text_of(await sdk.request(call(client, "steps", "mine", count=3), peer)) == "done"
        heard = [(params["progressToken"], params["progress"]) for _, params in peer.told]
        assert heard == [("mine", 1), ("mine", 2), ("mine", 3)]
        found = await sdk.facts()
        assert found.version == spoken
        assert found.info["name"] == "sdk"
        assert found.instructions == "Try me."


@pytest.mark.parametrize("transport", ["http", "session"])
@pytest.mark.parametrize("protocol", ["2025-11-25", "2025-06-18"])
async def test_a_server_of_the_stateful_era_can_ask_its_client(
    transport: str, protocol: str
) -> None:
    async def accept(method: str, params: Any) -> UpstreamReply:
        return UpstreamReply(result=b'{"action":"accept","content":{"sure":true}}')

    async with upstream(transport, protocol=protocol) as sdk:
        peer = Peer(accept)
        reply = await soon(sdk.request(call(facts(protocol, ELICITING), "confirm"), peer))
        assert text_of(reply) == "accept"
        assert [method for method, _ in peer.asked] == ["elicitation/create"]


async def test_a_child_of_its_own_is_met_in_the_era_of_its_client() -> None:
    async def accept(method: str, params: Any) -> UpstreamReply:
        return UpstreamReply(result=b'{"action":"accept","content":{"sure":true}}')

    async with upstream("session") as sdk:
        old, new = facts("2025-11-25", ELICITING, "old"), facts("2026-07-28", session="new")
        reply = await soon(sdk.request(call(old, "confirm"), Peer(accept)))
        assert text_of(reply) == "accept"
        listed = await soon(sdk.request(UpstreamRequest("tools/list", {}, new), Peer()))
        assert b'"resultType"' in (listed.result or b"")
        listed = await soon(sdk.request(UpstreamRequest("tools/list", {}, old), Peer()))
        assert b'"resultType"' not in (listed.result or b"")


async def test_a_shared_child_can_ask_nobody() -> None:
    async with upstream("shared", protocol="2025-11-25") as sdk:
        peer = Peer()
        reply = await soon(sdk.request(call(facts("2025-11-25", ELICITING), "confirm"), peer))
        assert peer.asked == []
        failed = reply.error is not None or json.loads(reply.result or b"")["isError"]
        assert failed


async def test_a_client_that_cannot_be_asked_is_not_asked() -> None:
    async with upstream("http", protocol="2025-11-25") as sdk:
        peer = Peer()
        reply = await soon(sdk.request(call(facts("2025-11-25"), "confirm"), peer))
        assert peer.asked == []
        assert reply.error is not None or json.loads(reply.result or b"")["isError"]


@pytest.mark.parametrize("transport", ["http", "session", "shared"])
@pytest.mark.parametrize("protocol", ["2026-07-28", "2025-11-25"])
async def test_a_changed_list_is_heard_of(transport: str, protocol: str) -> None:
    async with upstream(transport, protocol=protocol) as sdk:
        client = facts(protocol)
        heard = sdk.listen(client, Wants(tools=True))
        first = asyncio.ensure_future(anext(heard))

        async def until_heard() -> Any:
            while not first.done():
                await sdk.request(call(client, "change"), Peer())
                await asyncio.wait({first}, timeout=0.05)
            return first.result()

        method, _ = await soon(until_heard())
        assert method == "notifications/tools/list_changed"
        await heard.aclose()  # type: ignore[attr-defined]


@pytest.mark.parametrize("transport", ["http", "session", "shared"])
@pytest.mark.parametrize("protocol", ["2026-07-28", "2025-11-25"])
async def test_a_cancelled_call_leaves_the_server_in_order(transport: str, protocol: str) -> None:
    async with upstream(transport, protocol=protocol) as sdk:
        client = facts(protocol)
        await sdk.request(call(client, "echo", text="up"), Peer())
        waiting = asyncio.ensure_future(sdk.request(call(client, "wait"), Peer()))
        await sdk.request(call(client, "echo", text="meanwhile"), Peer())
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert text_of(await soon(sdk.request(call(client, "echo", text="x"), Peer()))) == "x"


async def test_two_clients_have_children_of_their_own() -> None:
    async with upstream("session") as sdk:
        one, two = facts("2025-11-25", session="ada"), facts("2025-11-25", session="bob")
        pids = [text_of(await sdk.request(call(each, "pid"), Peer())) for each in (one, two, one)]
        assert pids[0] == pids[2] != pids[1]
        assert sdk.status().detail == "2 children"
        await sdk.end_session("ada")
        assert sdk.status().detail == "1 children"
        assert text_of(await sdk.request(call(one, "pid"), Peer())) != pids[0]


async def test_two_clients_share_a_child_where_declared() -> None:
    async with upstream("shared") as sdk:
        one, two = facts("2025-11-25", session="ada"), facts("2025-11-25", session="bob")
        pids = [text_of(await sdk.request(call(each, "pid"), Peer())) for each in (one, two)]
        assert pids[0] == pids[1]


async def published(*command: str, client: ClientFacts, **more: Any) -> tuple[Upstreams, Upstream]:
    upstreams = Upstreams(str(BIN))
    await upstreams.apply([ServerSpec("it", command=command, **more)])
    return upstreams, upstreams.current["it"]


async def test_the_published_time_server_tells_the_time() -> None:
    client = facts("2026-07-28")
    upstreams, it = await published("mcp-server-time", client=client)
    try:
        reply = await it.request(call(client, "get_current_time", timezone="Europe/Berlin"), Peer())
        assert "Europe/Berlin" in text_of(reply)
    finally:
        await upstreams.close()


async def test_the_published_git_server_reads_a_repository(tmp_path: Path) -> None:
    made = await asyncio.create_subprocess_exec("git", "init", "-q", "-b", "main", str(tmp_path))
    await made.wait()
    client = facts("2025-11-25")
    upstreams, it = await published(
        *("mcp-server-git", "--repository", str(tmp_path)),
        client=client,
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
    )
    try:
        reply = await it.request(call(client, "git_status", repo_path=str(tmp_path)), Peer())
        assert "No commits yet" in text_of(reply)
    finally:
        await upstreams.close()


async def test_the_published_filesystem_server_asks_for_roots_and_reads(tmp_path: Path) -> None:
    script = NODE_MODULES / "@modelcontextprotocol/server-filesystem/dist/index.js"
    (tmp_path / "a.txt").write_text("hello")
    client = facts("2025-11-25", {"roots": {}})
    upstreams, it = await published(
        *("node", str(script), str(tmp_path)), client=client, instances=Instances.SESSION
    )

    async def roots(method: str, params: Any) -> UpstreamReply:
        return UpstreamReply(result=b'{"roots":[]}')

    try:
        peer = Peer(roots)
        reply = await it.request(call(client, "read_text_file", path=str(tmp_path / "a.txt")), peer)
        assert text_of(reply) == "hello"
        outside = await it.request(call(client, "read_text_file", path="/etc/passwd"), peer)
        assert json.loads(outside.result or b"")["isError"] is True
    finally:
        await upstreams.close()


async def test_a_command_that_is_not_there_is_said_to_be_missing() -> None:
    client = facts("2025-11-25")
    upstreams, it = await published("no-such-command", client=client)
    with pytest.raises(OurError) as caught:
        await it.request(call(client, "x"), Peer())
    assert caught.value.code == "upstream_command"
    assert "`no-such-command` was not found" in it.status().detail
    await upstreams.close()
