"""Modern servers over HTTP: what is sent, and what each kind of answer comes to."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from msgspec.structs import replace as again

from bailiwick.core.errors import OurError, UpstreamBroken, UpstreamDown
from bailiwick.gateway.upstreams import modern
from bailiwick.gateway.upstreams.http import HttpUpstream
from bailiwick.gateway.upstreams.registry import Upstreams
from bailiwick.gateway.upstreams.spec import ServerSpec
from bailiwick.gateway.upstreams.worded import Worded
from bailiwick.ports import Alike, ClientFacts, UpstreamReply, UpstreamRequest, Wants
from tests.gateway.upstreams.peer import LEGACY, MODERN, Peer
from tests.gateway.upstreams.site import Answer, Got, Site, Wire, site, soon

META = "io.modelcontextprotocol/"
CALL = UpstreamRequest("tools/call", {"name": "pay", "arguments": {"to": "x"}}, MODERN)


def upstream_of(here: Site, **more: Any) -> HttpUpstream:
    return HttpUpstream(ServerSpec("bank", url=here.url, **{"protocol": "2026-07-28", **more}))


async def ask(
    answer: Answer, request: UpstreamRequest = CALL, peer: Peer | None = None, **more: Any
) -> tuple[UpstreamReply, Site]:
    async with site(answer) as here:
        upstream = upstream_of(here, **more)
        try:
            return await soon(upstream.request(request, peer or Peer())), here
        finally:
            await upstream.close()


async def failure(answer: Answer, request: UpstreamRequest = CALL, **more: Any) -> OurError:
    with pytest.raises(OurError) as caught:
        await ask(answer, request, **more)
    return caught.value


def result(got: Got, value: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": got.json["id"], "result": value}


async def ok(got: Got, wire: Wire) -> None:
    await wire.json(result(got, {"content": []}))


# --- what is sent --------------------------------------------------------------------------------


async def test_headers_mirror_the_body() -> None:
    _, here = await ask(ok)
    headers, body = here.got[0].headers, here.got[0].json
    assert headers["mcp-protocol-version"] == "2026-07-28"
    assert headers["mcp-method"] == body["method"] == "tools/call"
    assert headers["mcp-name"] == body["params"]["name"] == "pay"
    assert headers["content-type"] == "application/json"
    assert headers["accept"] == "application/json, text/event-stream"
    assert body["params"]["arguments"] == {"to": "x"}


def like(arguments: Any, alike: Alike | None = None, **more: Any) -> UpstreamRequest:
    meta = {"traceparent": "00-1", "io.modelcontextprotocol/logLevel": "error"}
    params = {"_meta": meta, "name": "pay", "arguments": arguments, "x": [1]}
    return UpstreamRequest(
        more.get("method", "tools/call"),
        {**params, **more.get("params", {})},
        more.get("client", MODERN),
        more.get("param_headers", {}),
        alike,
    )


OTHER = ClientFacts("other", MODERN.version, {"sampling": {}}, {"name": "b"})
DECLARED = {
    "type": "object",
    "properties": {"to": {"type": "string", "x-mcp-header": "To"}},
}


@pytest.mark.parametrize(
    "requests",
    [
        [{}, {}, {}],
        [{}, {"client": OTHER}, {}],
        [{}, {"params": {"name": "pay2"}}, {}],
        [{}, {"param_headers": {"Mcp-Param-To": "x"}}, {}],
        [{"params": {"_meta": {"progressToken": 5}}}] * 3,
        [{"params": {"_meta": 5}}] * 3,
        [{"method": "prompts/get"}] * 3,
    ],
)
async def test_requests_that_are_alike_are_sent_as_each_would_be_by_itself(
    requests: list[dict[str, Any]],
) -> None:
    values = [{"to": "x"}, {}, {"to": "größe\x00\x01", "n": [1, 2.5, None, {"a": "%d"}]}]
    async with site(ok) as here:
        first, second = upstream_of(here), upstream_of(here)
        alike = Alike()
        for upstream in (first, second):  # each by itself: what was worded for one is not another's
            for arguments, more in zip(values, requests, strict=True):
                await soon(upstream.request(like(arguments, alike, **more), Peer()))
                await soon(upstream.request(like(arguments, **more), Peer()))
        await first.close()
        await second.close()
    for one, other in _pairs(here.got):
        assert {**one.json, "id": 0, "params": _untold(one)} == {
            **other.json, "id": 0, "params": _untold(other)
        }  # fmt: skip
        assert list(one.json["params"]) == list(other.json["params"])
        assert {**one.headers, "content-length": ""} == {**other.headers, "content-length": ""}
        assert one.json["id"] != other.json["id"]


async def test_what_a_server_tells_of_its_tools_is_heeded_by_the_next_request_that_is_alike() -> (
    None
):
    async def tells(got: Got, wire: Wire) -> None:
        tools = [{"name": "pay", "inputSchema": DECLARED}]
        found = {"tools": tools} if got.json["method"] == "tools/list" else {"content": []}
        await wire.json(result(got, found))

    async with site(tells) as here:
        upstream, alike = upstream_of(here), Alike()
        await soon(upstream.request(like({"to": "x"}, alike), Peer()))
        assert type(alike.worded) is Worded
        await soon(upstream.request(UpstreamRequest("tools/list", {}, MODERN), Peer()))
        await soon(upstream.request(like({"to": "y"}, alike), Peer()))
        await upstream.close()
    assert "mcp-param-to" not in here.got[0].headers
    assert here.got[2].headers["mcp-param-to"] == "y"


async def test_a_log_level_is_heeded_by_the_next_request_that_is_alike() -> None:
    async with site(ok) as here:
        upstream, alike = upstream_of(here), Alike()
        bare: dict[str, Any] = {"params": {"_meta": {}}}
        await soon(upstream.request(like({}, alike, **bare), Peer()))
        level = UpstreamRequest("logging/setLevel", {"level": "debug"}, MODERN)
        await soon(upstream.request(level, Peer()))
        await soon(upstream.request(like({}, alike, **bare), Peer()))
        await upstream.end_session(MODERN.session)
        await soon(upstream.request(like({}, alike, **bare), Peer()))
        await upstream.close()
    levels = [got.json["params"]["_meta"].get(META + "logLevel") for got in here.got]
    assert levels == [None, "debug", None]


async def test_a_server_declared_anew_is_sent_what_is_alike_with_its_own_headers_alone() -> None:
    def spec(here: Site, key: str) -> ServerSpec:
        headers = {"Authorization": key}
        return ServerSpec("bank", url=here.url, protocol="2026-07-28", headers=headers)

    async with site(ok) as here, site(ok) as elsewhere:
        upstreams, alike = Upstreams(""), Alike()
        for place, key in ((here, "Bearer old"), (here, "Bearer new"), (elsewhere, "Bearer new")):
            await upstreams.apply([spec(place, key)])
            for number in range(2):
                request = like({"n": number}, alike)
                await soon(upstreams.current["bank"].request(request, Peer()))
        await upstreams.close()
    keys = [got.headers["authorization"] for got in here.got]
    assert keys == ["Bearer old"] * 2 + ["Bearer new"] * 2
    arguments = [got.json["params"]["arguments"] for got in (*here.got, *elsewhere.got)]
    assert arguments == [{"n": 0}, {"n": 1}] * 3


def _pairs(got: list[Got]) -> list[tuple[Got, Got]]:
    return list(zip(got[::2], got[1::2], strict=True))


def _untold(got: Got) -> dict[str, Any]:
    """The params of a request, but for the token of progress, which is its id."""
    params: dict[str, Any] = got.json["params"]
    meta = params["_meta"]
    if "progressToken" in meta:
        assert meta["progressToken"] == got.json["id"]
    return {**params, "_meta": {**meta, "progressToken": ""}}


@pytest.mark.parametrize(
    ("method", "params", "name"),
    [
        ("tools/call", {"name": "größe"}, "=?base64?Z3LDtsOfZQ==?="),
        ("tools/call", {"name": "a\r\nX-Evil: 1"}, "=?base64?YQ0KWC1FdmlsOiAx?="),
        ("tools/call", {"name": " a"}, "=?base64?IGE=?="),
        ("tools/call", {"name": "=?base64?YQ==?="}, "=?base64?PT9iYXNlNjQ/WVE9PT89?="),
        ("prompts/get", {"name": "p"}, "p"),
        ("resources/read", {"uri": "file:///a b"}, "file:///a b"),
        ("tasks/get", {"taskId": "t1"}, "t1"),
        ("tools/list", {}, None),
    ],
)
async def test_names_travel_safely_in_their_header(
    method: str, params: dict[str, Any], name: str | None
) -> None:
    _, here = await ask(ok, UpstreamRequest(method, params, MODERN))
    assert here.got[0].headers.get("mcp-name") == name
    assert "x-evil" not in here.got[0].headers


async def test_the_clients_meta_is_that_of_its_facts_whatever_it_wrote_there() -> None:
    forged: dict[str, Any] = {
        META + "clientCapabilities": {"sampling": {}},
        META + "protocolVersion": "2025-06-18",
        "traceparent": "00-1",
        "vendor/x": {"y": 1},
    }
    _, here = await ask(ok, again(CALL, params={**CALL.params, "_meta": forged}))
    meta = here.got[0].json["params"]["_meta"]
    assert meta[META + "clientCapabilities"] == dict(MODERN.capabilities)
    assert meta[META + "protocolVersion"] == "2026-07-28"
    assert meta[META + "clientInfo"] == {"name": "c", "version": "1"}
    assert (meta["traceparent"], meta["vendor/x"]) == ("00-1", {"y": 1})


async def test_declared_headers_are_sent_and_nothing_of_the_agents() -> None:
    class Secret:
        def reveal(self) -> str:
            return "Bearer upstream-key"

        def __repr__(self) -> str:
            return "Secret"

    _, here = await ask(ok, headers={"Authorization": Secret()})
    assert here.got[0].headers["authorization"] == "Bearer upstream-key"
    _, here = await ask(ok)
    assert "authorization" not in here.got[0].headers


def test_a_spec_shows_no_secret() -> None:
    spec = ServerSpec("a", url="http://a/", headers={"A": "s3cret"}, env={"B": "s3cret"})
    assert "s3cret" not in repr(spec)


async def test_a_clients_param_headers_are_sent_while_the_schema_is_not_known() -> None:
    sent = {"Mcp-Param-To": "x", "Authorization": "Bearer agent"}
    _, here = await ask(ok, again(CALL, param_headers=sent))
    assert here.got[0].headers["mcp-param-to"] == "x"
    assert "authorization" not in here.got[0].headers


TOOLS = {
    "tools": [
        {
            "name": "pay",
            "inputSchema": {
                "type": "object",
                "properties": {
                    "to": {"type": "string", "x-mcp-header": "To"},
                    "deep": {
                        "type": "object",
                        "properties": {"n": {"type": "integer", "x-mcp-header": "N"}},
                    },
                    "sure": {"type": "boolean", "x-mcp-header": "Sure"},
                    "none": {"type": "string", "x-mcp-header": "None"},
                },
            },
        },
        {"name": "bad", "inputSchema": {"properties": {"a": {"x-mcp-header": "A\r\nB"}}}},
    ]
}


async def test_param_headers_come_from_the_judged_arguments_once_the_schema_is_known() -> None:
    async def answer(got: Got, wire: Wire) -> None:
        await wire.json(result(got, TOOLS if got.json["method"] == "tools/list" else {}))

    arguments: dict[str, Any] = {"to": "gr\nün", "deep": {"n": -7}, "sure": True, "none": None}
    call = again(
        CALL,
        params={"name": "pay", "arguments": arguments},
        param_headers={"Mcp-Param-To": "somebody else"},
    )
    async with site(answer) as here:
        upstream = upstream_of(here)
        await soon(upstream.request(UpstreamRequest("tools/list", {}, MODERN), Peer()))
        await soon(upstream.request(call, Peer()))
        await upstream.close()
    headers = here.got[1].headers
    assert headers["mcp-param-to"] == "=?base64?Z3IKw7xu?="
    assert headers["mcp-param-n"] == "-7"
    assert headers["mcp-param-sure"] == "true"
    assert "mcp-param-none" not in headers


async def test_a_header_mismatch_makes_us_read_the_schemas_and_try_once_more() -> None:
    async def answer(got: Got, wire: Wire) -> None:
        if got.json["method"] == "tools/list":
            await wire.json(result(got, TOOLS))
        elif "mcp-param-to" in got.headers:
            await wire.json(result(got, {"done": True}))
        else:
            error = {"code": -32020, "message": "Header mismatch"}
            await wire.json({"jsonrpc": "2.0", "id": got.json["id"], "error": error}, 400)

    reply, here = await ask(answer)
    assert json.loads(reply.result or b"") == {"done": True}
    assert [got.json["method"] for got in here.got] == ["tools/call", "tools/list", "tools/call"]


async def test_a_header_mismatch_that_stays_is_the_reply() -> None:
    async def answer(got: Got, wire: Wire) -> None:
        if got.json["method"] == "tools/list":
            await wire.json(result(got, TOOLS))
        else:
            error = {"code": -32020, "message": "Header mismatch"}
            await wire.json({"jsonrpc": "2.0", "id": got.json["id"], "error": error}, 400)

    reply, here = await ask(answer)
    assert b"-32020" in (reply.error or b"")
    assert len(here.got) == 3


# --- what comes back -----------------------------------------------------------------------------


async def test_a_result_comes_back_byte_for_byte() -> None:
    raw = (
        b'{ "b":1.0,"a" : [1e5, "\\u00fc", "\xc3\xbc"],\n'
        b' "zz":{"x":1,"x":2}, "big":123456789012345678901}'
    )

    async def answer(got: Got, wire: Wire) -> None:
        await wire.reply(200, b'{"id":%d,"result":%b,"jsonrpc":"2.0"}' % (got.json["id"], raw))

    reply, _ = await ask(answer)
    assert reply == UpstreamReply(result=raw)


@pytest.mark.parametrize("status", [200, 400, 404])
async def test_an_error_comes_back_byte_for_byte(status: int) -> None:
    raw = b'{"code":-32601, "message":"no \\u00fc", "data":{"x":1.0}}'

    async def answer(got: Got, wire: Wire) -> None:
        await wire.reply(status, b'{"jsonrpc":"2.0","id":%d,"error":%b}' % (got.json["id"], raw))

    reply, _ = await ask(answer)
    assert reply == UpstreamReply(error=raw)


def body(template: bytes) -> Answer:
    async def answer(got: Got, wire: Wire) -> None:
        await wire.reply(200, template.replace(b"ID", b"%d" % got.json["id"]))

    return answer


GARBAGE = {
    "nothing": b"",
    "HTML": b"<html>hello</html>",
    "half": b'{"jsonrpc":"2.0","id":ID,"result":{"a":',
    "trailing": b'{"jsonrpc":"2.0","id":ID,"result":{}} {}',
    "wrong id": b'{"jsonrpc":"2.0","id":99999,"result":{}}',
    "id as text": b'{"jsonrpc":"2.0","id":"ID","result":{}}',
    "id as float": b'{"jsonrpc":"2.0","id":ID.0,"result":{}}',
    "no id": b'{"jsonrpc":"2.0","result":{}}',
    "null id": b'{"jsonrpc":"2.0","id":null,"result":{}}',
    "neither": b'{"jsonrpc":"2.0","id":ID}',
    "both": b'{"jsonrpc":"2.0","id":ID,"result":{},"error":{"code":1,"message":"x"}}',
    "null result": b'{"jsonrpc":"2.0","id":ID,"result":null}',
    "text error": b'{"jsonrpc":"2.0","id":ID,"error":"x"}',
    "no version": b'{"id":ID,"result":{}}',
    "version 1": b'{"jsonrpc":"1.0","id":ID,"result":{}}',
    "a request": b'{"jsonrpc":"2.0","id":ID,"method":"ping"}',
    "a notification": b'{"jsonrpc":"2.0","method":"x"}',
    "a list": b'[{"jsonrpc":"2.0","id":ID,"result":{}}]',
    "NaN": b'{"jsonrpc":"2.0","id":ID,"result":{"a":NaN}}',
    "not UTF-8": b'{"jsonrpc":"2.0","id":ID,"result":{"a":"\xff"}}',
    "too deep": b'{"jsonrpc":"2.0","id":ID,"result":{"a":' + b"[" * 9999 + b"]" * 9999 + b"}}",
}


@pytest.mark.parametrize("template", GARBAGE.values(), ids=GARBAGE.keys())
async def test_garbage_is_a_broken_upstream(template: bytes) -> None:
    error = await failure(body(template))
    assert isinstance(error, UpstreamBroken)
    assert error.code == "upstream_garbage"
    assert "`bank`" in error.message
    assert len(error.message) < 200


async def test_another_content_type_is_garbage() -> None:
    async def answer(got: Got, wire: Wire) -> None:
        await wire.reply(200, b'{"jsonrpc":"2.0","id":1,"result":{}}', "text/html; charset=utf-8")

    error = await failure(answer)
    assert "`text/html`" in error.message


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        (202, UpstreamBroken, "upstream_garbage"),
        (204, UpstreamBroken, "upstream_garbage"),
        (302, UpstreamDown, "upstream_refused"),
        (307, UpstreamDown, "upstream_refused"),
        (400, UpstreamDown, "upstream_refused"),
        (401, UpstreamDown, "upstream_unauthorized"),
        (403, UpstreamDown, "upstream_unauthorized"),
        (404, UpstreamDown, "upstream_refused"),
        (408, UpstreamBroken, "upstream_failed"),
        (429, UpstreamDown, "upstream_refused"),
        (500, UpstreamBroken, "upstream_failed"),
        (502, UpstreamBroken, "upstream_failed"),
    ],
)
async def test_a_status_says_whether_the_call_may_have_run(
    status: int, kind: type[OurError], code: str
) -> None:
    async def answer(got: Got, wire: Wire) -> None:
        more = 'WWW-Authenticate: Bearer realm="r"\r\nLocation: http://127.0.0.1:1/\r\n'
        await wire.reply(status, b"" if status == 204 else b"no", "text/plain", more)

    error = await failure(answer)
    assert type(error) is kind
    assert error.code == code
    assert "Bearer" not in error.message


async def test_an_answer_beyond_the_declared_size_is_refused() -> None:
    async def answer(got: Got, wire: Wire) -> None:
        await wire.json(result(got, {"x": "y" * 20_000}))

    error = await failure(answer, max_response_bytes=10_000)
    assert error.code == "upstream_too_large"


async def test_a_server_that_cannot_be_reached_is_down_and_says_so_in_its_status() -> None:
    async with site(ok) as here:
        pass
    upstream = upstream_of(here)
    with pytest.raises(UpstreamDown):
        await soon(upstream.request(CALL, Peer()))
    assert upstream.status().state == "down"
    assert "cannot be reached" in upstream.status().detail
    await upstream.close()


# --- streams -------------------------------------------------------------------------------------


def streamed(play: Callable[[Got, Wire], Awaitable[None]]) -> Answer:
    async def answer(got: Got, wire: Wire) -> None:
        await wire.stream()
        await play(got, wire)

    return answer


WITH_TOKEN = again(CALL, params={**CALL.params, "_meta": {"progressToken": "mine"}})


def progress(token: Any, value: int) -> dict[str, Any]:
    params = {"progressToken": token, "progress": value, "x": 1.5}
    return {"jsonrpc": "2.0", "method": "notifications/progress", "params": params}


async def test_progress_comes_with_the_clients_own_token_before_the_reply() -> None:
    async def play(got: Got, wire: Wire) -> None:
        token = got.json["params"]["_meta"]["progressToken"]
        assert token != "mine"
        await wire.event(progress(token, 1))
        await wire.event(progress("somebody else's", 2))
        await wire.event({"jsonrpc": "2.0", "method": "notifications/message", "params": {"a": 1}})
        await wire.event(result(got, {}))
        await wire.end()

    peer = Peer()
    reply, _ = await ask(streamed(play), WITH_TOKEN, peer)
    assert reply.result == b"{}"
    assert peer.told == [
        ("notifications/progress", {"progressToken": "mine", "progress": 1, "x": 1.5}),
        ("notifications/message", {"a": 1}),
    ]


async def test_two_clients_with_the_same_token_never_hear_of_each_other() -> None:
    async def play(got: Got, wire: Wire) -> None:
        token = got.json["params"]["_meta"]["progressToken"]
        tokens.append(token)
        await both.wait() if len(tokens) < 2 else both.set()
        for each in tokens:
            await wire.event(progress(each, each))
        await wire.event(result(got, {}))
        await wire.end()

    tokens: list[int] = []
    both = asyncio.Event()
    async with site(streamed(play)) as here:
        upstream = upstream_of(here)
        peers = Peer(), Peer()
        await soon(asyncio.gather(*(upstream.request(WITH_TOKEN, peer) for peer in peers)))
        await upstream.close()
    heard = [[params["progress"] for _, params in peer.told] for peer in peers]
    assert sorted(heard) == sorted([[token] for token in tokens])


async def test_only_the_first_reply_counts() -> None:
    async def play(got: Got, wire: Wire) -> None:
        await wire.event(result(got, {"n": 1}))
        await wire.event(result(got, {"n": 2}))
        await wire.end()

    reply, _ = await ask(streamed(play))
    assert reply.result == b'{"n": 1}'


@pytest.mark.parametrize(
    "event",
    [
        {"jsonrpc": "2.0", "id": 424242, "result": {}},
        {"jsonrpc": "2.0", "id": 1, "method": "sampling/createMessage", "params": {}},
        {"hello": 1},
        "text",
    ],
)
async def test_garbage_in_a_stream_is_a_broken_upstream(event: Any) -> None:
    async def play(got: Got, wire: Wire) -> None:
        await wire.event(event)
        await wire.closed()

    error = await failure(streamed(play))
    assert error.code == "upstream_garbage"


async def test_garbage_behind_the_reply_is_not_looked_at() -> None:
    async def play(got: Got, wire: Wire) -> None:
        reply = json.dumps(result(got, {})).encode()
        await wire.chunk(b"data: " + reply + b"\n\ndata: garbage\n\n")
        await wire.closed()

    reply, _ = await ask(streamed(play))
    assert reply.result == b"{}"


async def test_a_stream_that_goes_on_for_ever_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    async def play(got: Got, wire: Wire) -> None:
        token = got.json["params"]["_meta"]["progressToken"]
        for at in itertools.count():
            await wire.event(progress(token, at))

    monkeypatch.setattr(modern, "_MAX_REQUEST_SECONDS", 0.1)
    error = await failure(streamed(play), WITH_TOKEN)
    assert isinstance(error, UpstreamBroken)
    assert error.code == "upstream_timeout"
    assert "too long" in error.message


async def test_a_stream_that_ends_without_a_reply_is_a_broken_upstream() -> None:
    async def play(got: Got, wire: Wire) -> None:
        await wire.event(progress(1, 1))
        await wire.end()

    error = await failure(streamed(play))
    assert isinstance(error, UpstreamBroken)
    assert error.code == "upstream_closed"


async def test_a_single_event_that_is_too_large_is_refused() -> None:
    async def play(got: Got, wire: Wire) -> None:
        for _ in range(1_000):
            await wire.chunk(b"data: " + b"x" * 1_000 + b"\n")

    error = await failure(streamed(play), max_response_bytes=10_000)
    assert error.code == "upstream_garbage"
    assert "larger than 10000 bytes" in error.message


async def test_cancelling_a_call_closes_its_stream() -> None:
    async def play(got: Got, wire: Wire) -> None:
        token = got.json["params"]["_meta"]["progressToken"]
        await wire.event(progress(token, 1))
        await wire.closed()
        closed.set()

    closed = asyncio.Event()
    async with site(streamed(play)) as here:
        upstream = upstream_of(here)
        peer = Peer()
        task = asyncio.ensure_future(upstream.request(WITH_TOKEN, peer))
        await peer.wait_for(lambda p: len(p.told) == 1)
        task.cancel()
        await soon(closed.wait())
        with pytest.raises(asyncio.CancelledError):
            await task
        assert len(here.got) == 1
        await upstream.close()


async def test_keep_alive_comments_are_signs_of_life() -> None:
    async def play(got: Got, wire: Wire) -> None:
        for _ in range(8):
            await wire.chunk(b": alive\n\n")
            await asyncio.sleep(0.1)  # the server takes longer than the limit on silence
        await wire.event(result(got, {}))
        await wire.end()

    reply, _ = await ask(streamed(play), timeout_seconds=0.5)
    assert reply.result == b"{}"


# --- rounds for earlier clients ------------------------------------------------------------------


def asking(got: Got) -> dict[str, Any]:
    question = {"method": "elicitation/create", "params": {"message": "Sure?"}}
    return result(
        got,
        {"resultType": "input_required", "inputRequests": {"q": question}, "requestState": "s"},
    )


async def test_a_modern_client_gets_the_question_itself() -> None:
    async def answer(got: Got, wire: Wire) -> None:
        await wire.json(asking(got))

    peer = Peer()
    reply, _ = await ask(answer, CALL, peer)
    assert b"input_required" in (reply.result or b"")
    assert peer.asked == []


async def test_an_earlier_client_is_asked_and_the_call_sent_again_unchanged() -> None:
    async def answer(got: Got, wire: Wire) -> None:
        params = got.json["params"]
        if "inputResponses" not in params:
            await wire.json(asking(got))
            return
        assert params["requestState"] == "s"
        assert params["arguments"] == {"to": "x"}
        await wire.json(result(got, {"answered": params["inputResponses"]}))

    async def accept(method: str, params: Any) -> UpstreamReply:
        return UpstreamReply(result=b'{"action":"accept"}')

    peer = Peer(accept)
    # What it has in common with others it has without the answers.
    reply, here = await ask(answer, again(CALL, client=LEGACY, alike=Alike()), peer)
    assert json.loads(reply.result or b"") == {"answered": {"q": {"action": "accept"}}}
    assert peer.asked == [("elicitation/create", {"message": "Sure?"})]
    assert here.got[0].json["id"] != here.got[1].json["id"]


async def test_an_earlier_client_that_refuses_ends_the_call() -> None:
    async def answer(got: Got, wire: Wire) -> None:
        await wire.json(asking(got))

    async def refuse(method: str, params: Any) -> UpstreamReply:
        return UpstreamReply(error=b'{"code":-1,"message":"no"}')

    reply, here = await ask(answer, again(CALL, client=LEGACY), Peer(refuse))
    assert reply.error == b'{"code":-1,"message":"no"}'
    assert len(here.got) == 1


async def test_a_server_that_asks_for_ever_is_given_up() -> None:
    async def answer(got: Got, wire: Wire) -> None:
        await wire.json(asking(got))

    error = await failure(answer, again(CALL, client=LEGACY))
    assert error.code == "upstream_rounds"


async def test_what_only_sessions_have_is_kept_here() -> None:
    async with site(ok) as here:
        upstream = upstream_of(here)
        level = UpstreamRequest("logging/setLevel", {"level": "debug"}, LEGACY)
        assert await upstream.request(level, Peer()) == UpstreamReply(result=b"{}")
        assert here.got == []
        await soon(upstream.request(again(CALL, client=LEGACY), Peer()))
        await soon(upstream.request(CALL, Peer()))
        await upstream.end_session(LEGACY.session)
        await soon(upstream.request(again(CALL, client=LEGACY), Peer()))
        await upstream.close()
    levels = [got.json["params"]["_meta"].get(META + "logLevel") for got in here.got]
    assert levels == ["debug", None, None]


# --- listening -----------------------------------------------------------------------------------

CHANGED = "notifications/tools/list_changed"


def note(got: Got, method: str, **params: Any) -> dict[str, Any]:
    meta = {META + "subscriptionId": got.json["id"]}
    return {"jsonrpc": "2.0", "method": method, "params": {**params, "_meta": meta}}


async def test_listening_is_one_stream_with_a_filter() -> None:
    async def play(got: Got, wire: Wire) -> None:
        wanted = got.json["params"]["notifications"]
        assert wanted == {"toolsListChanged": True, "resourceSubscriptions": ["file:///a"]}
        await wire.event(note(got, "notifications/subscriptions/acknowledged"))
        await wire.event(note(got, CHANGED))
        await wire.event(note(got, "notifications/resources/updated", uri="file:///a"))
        await wire.closed()
        closed.set()

    closed = asyncio.Event()
    async with site(streamed(play)) as here:
        upstream = upstream_of(here)
        heard = upstream.listen(MODERN, Wants(tools=True, uris=("file:///a",)))
        assert await soon(anext(heard)) == (CHANGED, {})
        updated = ("notifications/resources/updated", {"uri": "file:///a"})
        assert await soon(anext(heard)) == updated
        await heard.aclose()
        await soon(closed.wait())
        await upstream.close()
    assert here.got[0].headers["mcp-method"] == "subscriptions/listen"


async def test_a_lost_stream_is_opened_again_and_what_may_have_been_missed_is_told() -> None:
    async def play(got: Got, wire: Wire) -> None:
        await wire.event(note(got, "notifications/subscriptions/acknowledged"))
        if len(here.got) == 1:
            wire.close()
        else:
            await wire.closed()

    async with site(streamed(play)) as here:
        upstream = upstream_of(here)
        heard = upstream.listen(MODERN, Wants(tools=True, uris=("file:///a",)))
        assert await soon(anext(heard)) == (CHANGED, {})
        updated = ("notifications/resources/updated", {"uri": "file:///a"})
        assert await soon(anext(heard)) == updated
        await heard.aclose()
        await upstream.close()
    assert len(here.got) == 2


# --- facts ---------------------------------------------------------------------------------------


async def test_a_server_is_asked_once_for_its_facts() -> None:
    async def answer(got: Got, wire: Wire) -> None:
        assert got.json["method"] == "server/discover"
        value = {
            "supportedVersions": ["2026-07-28"],
            "capabilities": {"tools": {}},
            "_meta": {META + "serverInfo": {"name": "b"}},
            "instructions": "Be kind.",
        }
        await wire.json(result(got, value))

    async with site(answer) as here:
        upstream = upstream_of(here)
        for _ in range(2):
            facts = await soon(upstream.facts())
        await upstream.close()
    assert (facts.version, facts.capabilities) == ("2026-07-28", {"tools": {}})
    assert (facts.info, facts.instructions) == ({"name": "b"}, "Be kind.")
    assert len(here.got) == 1
