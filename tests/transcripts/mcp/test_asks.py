"""What servers ask of clients: judged, put to the right client only, in every mix of eras."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from bailiwick.core.call import CallKind
from bailiwick.gateway.gate import Answer, Asked, Dispatch, OnTick, Refused
from bailiwick.gateway.mcp.core import Limits
from bailiwick.gateway.mcp.sessions import Session
from bailiwick.ports import RequestPeer, UpstreamReply, UpstreamRequest
from bailiwick.testing.mcp.fakes import FakeUpstream
from bailiwick.testing.mcp.house import House, make_house
from bailiwick.testing.mcp.waiting import eventually
from bailiwick.testing.mcp.wire import Client, Open, Reply, legacy, modern, tool

ELICIT: Any = {"mode": "form", "message": "Who?", "requestedSchema": {"type": "object"}}
SAMPLE = {"messages": [], "maxTokens": 5}
ACCEPTED = {"action": "accept", "content": {"name": "x"}}
ALL: dict[str, Any] = {"elicitation": {}, "sampling": {}, "roots": {}}
CALL = legacy("tools/call", id=5, name="fs/read", arguments={"a": 1})


def asking(version: str, method: str = "elicitation/create", params: Any = None) -> FakeUpstream:
    """A legacy server that asks one thing and returns the answer."""
    server = FakeUpstream("fs", tools=[tool("read")], version=version)

    async def call(request: UpstreamRequest, peer: RequestPeer) -> UpstreamReply:
        reply = await peer.ask(method, ELICIT if params is None else params)
        raw = b'{"structuredContent":%b}' % (reply.result or reply.error or b"{}")
        return UpstreamReply(result=raw)

    server.handlers["tools/call"] = call
    return server


def sessions_of(house: House) -> list[Session]:
    return list(house.edge._legacy._sessions._sessions.values())


def asked_of_client(house: House) -> list[str]:
    return [str(a.target) for a in house.gate.seen if a.target.kind is CallKind.CLIENT]


# --- stateful client, stateful server ---


@pytest.mark.requirement("legacy/server-requests")
@pytest.mark.parametrize(
    ("method", "params", "answer", "target"),
    [
        ("elicitation/create", ELICIT, ACCEPTED, "fs/elicitation"),
        ("sampling/createMessage", SAMPLE, {"role": "assistant", "x": [1]}, "fs/sampling"),
        ("roots/list", {}, {"roots": [{"uri": "file:///r"}]}, "fs/roots"),
    ],
)
async def test_a_servers_request_goes_out_on_its_own_stream_and_comes_back(
    method: str, params: Any, answer: Any, target: str
) -> None:
    house = make_house(asking("2025-11-25", method, params))
    client = await Client.connect(house.wire(), capabilities=ALL)
    other = await Client.connect(house.wire("Bearer clerk"), capabilities=ALL)
    foreign = other.stream(method="GET")
    running = client.stream(CALL)

    question = await running.message()
    accepted = await client.post({"jsonrpc": "2.0", "id": question["id"], "result": answer})
    reply = await running.reply()

    assert (question["method"], question["params"]) == (method, params)
    assert accepted.status == 202
    assert reply.messages[-1]["result"]["structuredContent"] == answer
    assert asked_of_client(house) == [target]
    assert method.encode() not in foreign.body


@pytest.mark.requirement("legacy/server-requests")
async def test_another_session_cannot_answer_for_the_one_that_was_asked() -> None:
    house = make_house(asking("2025-11-25"))
    client = await Client.connect(house.wire("Bearer ada"), capabilities=ALL)
    same_agent = await Client.connect(house.wire("Bearer ada"), capabilities=ALL)
    thief = await Client.connect(house.wire("Bearer clerk"), capabilities=ALL)
    running = client.stream(CALL)
    question = await running.message()

    for other in (thief, same_agent):
        forged = {"jsonrpc": "2.0", "id": question["id"], "result": {"action": "forged"}}
        assert (await other.post(forged)).status == 202
    await client.post({"jsonrpc": "2.0", "id": question["id"], "result": ACCEPTED})

    assert (await running.reply()).messages[-1]["result"]["structuredContent"] == ACCEPTED


@pytest.mark.requirement("legacy/server-requests")
async def test_a_clients_error_is_the_servers_answer() -> None:
    house = make_house(asking("2025-11-25", "sampling/createMessage", SAMPLE))
    client = await Client.connect(house.wire(), capabilities=ALL)
    running = client.stream(CALL)
    question = await running.message()
    error = {"code": -1, "message": "User rejected sampling request"}
    await client.post({"jsonrpc": "2.0", "id": question["id"], "error": error})
    assert (await running.reply()).messages[-1]["result"]["structuredContent"] == error


@pytest.mark.requirement("legacy/server-requests")
@pytest.mark.parametrize("method", ["sampling/createMessage", "vendor/secret"])
async def test_what_the_client_did_not_declare_is_never_asked(method: str) -> None:
    house = make_house(asking("2025-11-25", method, {}))
    client = await Client.connect(house.wire(), capabilities={"elicitation": {}})
    reply = await client.post(CALL)
    assert reply.result["structuredContent"]["code"] == -32601
    assert asked_of_client(house) == []


@pytest.mark.requirement("legacy/server-requests")
@pytest.mark.parametrize("denied", ["fs/sampling", "fs/elicitation"])
async def test_a_refused_request_never_reaches_the_client(denied: str) -> None:
    method = "sampling/createMessage" if denied == "fs/sampling" else "elicitation/create"
    house = make_house(asking("2025-11-25", method))
    client = await Client.connect(house.wire(), capabilities=ALL)

    async def refuse(asked: Asked, dispatch: Dispatch, on_tick: OnTick) -> Answer:
        return Refused("c", "not_in_mandate", "the mandate does not let fs ask")

    house.gate.on[denied] = refuse
    reply = await client.post(CALL)

    answer = reply.result["structuredContent"]
    assert len(reply.messages) == 1
    if denied == "fs/elicitation":
        assert answer == {"action": "decline"}
    else:
        assert answer == {"code": -1, "message": "the mandate does not let fs ask"}


@pytest.mark.requirement("2026-07-28/client-capabilities")
@pytest.mark.parametrize("era", ["modern", "legacy"])
async def test_client_capabilities_reach_servers_unchanged_or_narrowed(era: str) -> None:
    server = FakeUpstream("fs", tools=[tool("read")])
    house = make_house(server)
    capabilities = {"sampling": {"tools": {}}, "roots": {}, "extensions": {"vendor/x": {"y": 1}}}

    async def send() -> dict[str, Any]:
        if era == "modern":
            message = modern("tools/call", name="fs/read", capabilities=capabilities)
            await house.wire().post(message)
        else:
            client = await Client.connect(house.wire(), capabilities=capabilities)
            await client.post(CALL)
        return dict(server.of("tools/call")[-1].client.capabilities)

    assert await send() == capabilities
    house.gate.denied.add("fs/sampling")
    house.clock.forward(10)
    assert await send() == {"roots": {}, "extensions": {"vendor/x": {"y": 1}}}


@pytest.mark.requirement("legacy/cancelled")
async def test_a_question_is_taken_back_when_its_call_is_cancelled() -> None:
    house = make_house(asking("2025-11-25"))
    client = await Client.connect(house.wire(), capabilities=ALL)
    running = client.stream(CALL)
    question = await running.message()
    await client.post(legacy("notifications/cancelled", id=None, requestId=5))
    reply = await running.reply()
    late = {"jsonrpc": "2.0", "id": question["id"], "result": ACCEPTED}
    assert (await client.post(late)).status == 202
    (taken_back,) = [m for m in reply.messages if m["method"] == "notifications/cancelled"]
    assert taken_back["params"]["requestId"] == question["id"]


@pytest.mark.requirement("legacy/cancelled")
async def test_a_question_the_server_takes_back_is_taken_back_from_the_client() -> None:
    server = FakeUpstream("fs", tools=[tool("read")], version="2025-11-25")

    async def serve(request: UpstreamRequest, peer: RequestPeer) -> UpstreamReply:
        asking = asyncio.get_running_loop().create_task(_asked(peer))
        await eventually(lambda: bool(sessions_of(house)[0].asks))
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        return UpstreamReply(result=b'{"content":[]}')

    server.handlers["tools/call"] = serve
    house = make_house(server)
    client = await Client.connect(house.wire(), capabilities=ALL)

    question, taken_back, answer = (await client.post(CALL)).messages

    assert taken_back["method"] == "notifications/cancelled"
    assert taken_back["params"]["requestId"] == question["id"]
    assert answer["result"] == {"content": []}


async def _asked(peer: RequestPeer) -> UpstreamReply:
    return await peer.ask("elicitation/create", ELICIT)


@pytest.mark.requirement("legacy/cancelled")
async def test_a_question_nobody_answers_is_taken_back_in_time() -> None:
    house = make_house(asking("2025-11-25"), limits=Limits(input_seconds=0.01))
    client = await Client.connect(house.wire(), capabilities=ALL)
    reply = await client.post(CALL)
    question, taken_back, answer = reply.messages
    assert taken_back["method"] == "notifications/cancelled"
    assert taken_back["params"]["requestId"] == question["id"]
    assert answer["result"]["structuredContent"]["code"] == -1


# --- stateless client, stateless server ---

INPUT = {
    "resultType": "input_required",
    "inputRequests": {"who": {"method": "elicitation/create", "params": ELICIT}},
    "requestState": "the server's own",
    "x-vendor": [1.50],
}


def mrtr(first: Any = None, done: Any = None) -> FakeUpstream:
    """A stateless server that asks once and completes on the retry."""
    server = FakeUpstream("fs", tools=[tool("read")], prompts=[{"name": "p"}])

    async def call(request: UpstreamRequest, peer: RequestPeer) -> UpstreamReply:
        if "inputResponses" not in request.params:
            return UpstreamReply(result=json.dumps(first or INPUT).encode())
        return UpstreamReply(
            result=json.dumps(done or {"resultType": "complete", "content": []}).encode()
        )

    server.handlers["tools/call"] = server.handlers["prompts/get"] = call
    return server


def call(**params: Any) -> Any:
    arguments = params.pop("arguments", {"a": 1})
    return modern("tools/call", name="fs/read", arguments=arguments, capabilities=ALL, **params)


async def first_round(house: House, authorization: str = "Bearer ada") -> Reply:
    return await house.wire(authorization).post(call())


@pytest.mark.requirement("2026-07-28/input-required")
@pytest.mark.requirement("2026-07-28/request-state")
async def test_input_required_passes_and_the_retry_is_judged_anew() -> None:
    server = mrtr()
    house = make_house(server)

    first = await first_round(house)
    state = first.result["requestState"]
    answers = {"who": ACCEPTED, "unexpected": {"x": 1}}
    second = await house.wire().post(call(inputResponses=answers, requestState=state))

    assert {**first.result, "requestState": ""} == {**INPUT, "requestState": ""}
    assert state != INPUT["requestState"]
    assert second.result == {"resultType": "complete", "content": []}
    targets = [str(asked.target) for asked in house.gate.seen]
    assert targets == ["fs/read", "fs/elicitation", "fs/read"]
    retry = server.of("tools/call")[1]
    assert retry.params["requestState"] == "the server's own"
    assert retry.params["inputResponses"] == answers


@pytest.mark.requirement("2026-07-28/input-required")
async def test_policy_that_changed_between_the_rounds_stops_the_retry() -> None:
    server = mrtr()
    house = make_house(server)
    state = (await first_round(house)).result["requestState"]
    house.gate.denied.add("fs/read")

    reply = await house.wire().post(call(inputResponses={"who": ACCEPTED}, requestState=state))

    assert reply.result["isError"] is True
    assert len(server.of("tools/call")) == 1


@pytest.mark.requirement("2026-07-28/request-state")
async def test_a_state_is_of_use_to_its_owner_for_its_call_in_its_time_only() -> None:
    server = mrtr()
    house = make_house(server)
    state = (await first_round(house)).result["requestState"]
    answers = {"who": ACCEPTED}

    async def attempt(token: Any, who: str = "Bearer ada", **params: Any) -> int:
        message = call(inputResponses=answers, requestState=token, **params)
        reply = await house.wire(who).post(message)
        assert reply.status in (200, 400)
        return int(reply.messages[0].get("error", {}).get("code", 0))

    assert await attempt(state, "Bearer clerk") == -32602
    assert await attempt(state, arguments={"a": 2}) == -32602
    assert await attempt(state[:-8] + "AAAAAAAA") == -32602
    assert await attempt("the server's own") == -32602
    assert await attempt("") == -32602
    assert await attempt(7) == -32602
    assert await attempt(state) == 0
    house.clock.forward(601)
    assert await attempt(state) == -32602
    assert len(server.of("tools/call")) == 2


@pytest.mark.requirement("2026-07-28/input-required")
async def test_input_the_client_did_not_declare_is_a_missing_capability() -> None:
    house = make_house(mrtr())
    reply = await house.wire().post(
        modern("tools/call", name="fs/read", capabilities={"roots": {}})
    )
    assert reply.status == 400
    assert reply.error["code"] == -32021
    assert reply.error["data"] == {"requiredCapabilities": {"elicitation": {}}}
    assert asked_of_client(house) == []


@pytest.mark.requirement("2026-07-28/input-required")
@pytest.mark.parametrize("method", ["tools/call", "prompts/get"])
async def test_refused_input_is_told_and_not_shown(method: str) -> None:
    house = make_house(mrtr())
    house.gate.denied.add("nothing")

    async def refuse(asked: Asked, dispatch: Dispatch, on_tick: OnTick) -> Answer:
        return Refused("c", "not_in_mandate", "fs may not ask people")

    house.gate.on["fs/elicitation"] = refuse
    name = "fs/read" if method == "tools/call" else "fs/p"
    reply = await house.wire().post(modern(method, name=name, arguments={}, capabilities=ALL))

    assert b"Who?" not in reply.body
    assert ("result" in reply.messages[0]) is (method == "tools/call")
    assert b"refused" in reply.body or b"may not ask" in reply.body


@pytest.mark.parametrize(
    "bad",
    [
        {**INPUT, "inputRequests": [1]},
        {**INPUT, "inputRequests": {"a": 1}},
        {**INPUT, "inputRequests": {"a": {"method": "vendor/x", "params": {}}}},
        {**INPUT, "inputRequests": {"a": {"method": "roots/list", "params": [1]}}},
    ],
)
async def test_input_asked_for_in_no_known_way_is_the_servers_fault(bad: Any) -> None:
    house = make_house(mrtr(bad))
    reply = await first_round(house)
    assert reply.error["code"] == -32603


async def test_the_words_alone_do_not_make_a_result_ask_for_input() -> None:
    text = {"resultType": "complete", "content": [{"type": "text", "text": '"input_required"'}]}
    house = make_house(mrtr(text))
    assert (await first_round(house)).result == text


# --- stateful client, stateless server ---


@pytest.mark.requirement("2026-07-28/era-translation")
async def test_a_stateful_client_is_asked_what_a_stateless_server_needs() -> None:
    server = mrtr()
    house = make_house(server)
    client = await Client.connect(house.wire(), capabilities=ALL)
    running = client.stream(CALL)

    question = await running.message()
    await client.post({"jsonrpc": "2.0", "id": question["id"], "result": ACCEPTED})
    reply = await running.reply()

    assert (question["method"], question["params"]) == ("elicitation/create", ELICIT)
    assert reply.messages[-1]["result"]["content"] == []
    assert [str(asked.target) for asked in house.gate.seen] == ["fs/read", "fs/elicitation"]
    retry = server.of("tools/call")[1]
    assert retry.params["inputResponses"] == {"who": ACCEPTED}
    assert retry.params["requestState"] == "the server's own"
    assert retry.params["arguments"] == {"a": 1}


@pytest.mark.requirement("2026-07-28/era-translation")
async def test_a_server_that_asks_again_and_again_is_given_up() -> None:
    server = mrtr(done=INPUT)
    house = make_house(server)
    client = await Client.connect(house.wire(), capabilities={"roots": {}})
    refused = await client.post(CALL)
    able = await Client.connect(house.wire(), capabilities=ALL)

    async def always(asked: Asked, dispatch: Dispatch, on_tick: OnTick) -> Answer:
        from bailiwick.gateway.gate import Answered

        return Answered("c", UpstreamReply(result=json.dumps(ACCEPTED).encode()))

    house.gate.on["fs/elicitation"] = always
    reply = await able.post(CALL)

    assert refused.error["code"] == -32601
    assert "again and again" in reply.error["message"]
    assert len(server.of("tools/call")) <= 12


async def test_a_stateful_client_cannot_slip_a_state_past_the_judge() -> None:
    server = mrtr()
    house = make_house(server)
    client = await Client.connect(house.wire())
    await client.post(
        legacy("tools/call", name="fs/read", inputResponses={"who": ACCEPTED}, requestState="x")
    )
    assert "inputResponses" not in server.of("tools/call")[0].params
    assert "requestState" not in server.of("tools/call")[0].params


# --- stateless client, stateful server ---


@pytest.mark.requirement("2026-07-28/era-translation")
async def test_a_stateful_servers_question_waits_for_the_stateless_clients_retry() -> None:
    server = asking("2025-11-25")
    house = make_house(server)

    first = await first_round(house)
    ((key, question),) = first.result["inputRequests"].items()
    state = first.result["requestState"]
    second = await house.wire().post(call(inputResponses={key: ACCEPTED}, requestState=state))

    assert first.result["resultType"] == "input_required"
    assert question == {"method": "elicitation/create", "params": ELICIT}
    assert second.result == {"resultType": "complete", "structuredContent": ACCEPTED}
    assert len(server.of("tools/call")) == 1
    targets = [str(asked.target) for asked in house.gate.seen]
    assert targets == ["fs/read", "fs/elicitation", "fs/read"]


@pytest.mark.requirement("2026-07-28/era-translation")
async def test_a_parked_request_is_taken_up_once_and_by_its_owner_only() -> None:
    house = make_house(asking("2025-11-25"))
    first = await first_round(house)
    (key,) = first.result["inputRequests"]
    retry = call(inputResponses={key: ACCEPTED}, requestState=first.result["requestState"])

    stolen = await house.wire("Bearer clerk").post(retry)
    mine = await house.wire("Bearer ada").post(retry)
    again = await house.wire("Bearer ada").post(retry)

    assert stolen.error["code"] == -32602
    assert mine.result["structuredContent"] == ACCEPTED
    assert again.error["code"] == -32602


@pytest.mark.requirement("2026-07-28/era-translation")
async def test_a_retry_without_the_answer_is_asked_again() -> None:
    house = make_house(asking("2025-11-25"))
    first = await first_round(house)
    second = await house.wire().post(
        call(inputResponses={"wrong": 1}, requestState=first.result["requestState"])
    )
    assert second.result["inputRequests"] == first.result["inputRequests"]
    (key,) = second.result["inputRequests"]
    third = await house.wire().post(
        call(inputResponses={key: ACCEPTED}, requestState=second.result["requestState"])
    )
    assert third.result["structuredContent"] == ACCEPTED


@pytest.mark.requirement("2026-07-28/era-translation")
async def test_a_client_that_never_comes_back_does_not_keep_the_server_waiting() -> None:
    server = asking("2025-11-25")
    inner = server.handlers["tools/call"]
    over = asyncio.Event()

    async def watched(request: UpstreamRequest, peer: RequestPeer) -> UpstreamReply:
        try:
            return await inner(request, peer)
        finally:
            over.set()

    server.handlers["tools/call"] = watched
    house = make_house(server, limits=Limits(input_seconds=0.01))
    first = await first_round(house)
    assert first.result["resultType"] == "input_required"
    async with asyncio.timeout(5):
        await over.wait()
    await eventually(lambda: not house.edge._core.parking._parked)


@pytest.mark.requirement("2026-07-28/disconnect-is-cancel")
async def test_leaving_during_the_retry_cancels_the_parked_request() -> None:
    server = FakeUpstream("fs", tools=[tool("read")], version="2025-11-25")
    answered, cancelled = asyncio.Event(), asyncio.Event()

    async def serve(request: UpstreamRequest, peer: RequestPeer) -> UpstreamReply:
        await peer.ask("elicitation/create", ELICIT)
        answered.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise
        raise AssertionError

    server.handlers["tools/call"] = serve
    house = make_house(server, limits=Limits(watch_seconds=0.0))
    first = await first_round(house)
    (key,) = first.result["inputRequests"]
    retry: Open = house.wire().stream(
        call(inputResponses={key: ACCEPTED}, requestState=first.result["requestState"])
    )
    await answered.wait()
    await retry.leave()
    await retry.reply()
    async with asyncio.timeout(5):
        await cancelled.wait()


@pytest.mark.requirement("2026-07-28/era-translation")
async def test_codes_of_earlier_revisions_are_not_sent_to_a_stateless_client() -> None:
    server = FakeUpstream(
        "fs", tools=[tool("read")], version="2025-11-25", resources=[{"uri": "a:b", "name": "r"}]
    )
    errors = {"tools/call": -32042, "resources/read": -32002}

    async def fail(request: UpstreamRequest, peer: RequestPeer) -> UpstreamReply:
        code = errors[request.method]
        data = b'{"elicitations":[{"mode":"url","url":"a:b"}],"n":1.0}'
        return UpstreamReply(error=b'{"code":%d,"message":"m","data":%b}' % (code, data))

    server.handlers.update(dict.fromkeys(errors, fail))
    house = make_house(server)
    opens_pages: dict[str, Any] = {"elicitation": {"url": {}}}
    client = await Client.connect(house.wire(), path="/mcp/fs", capabilities=opens_pages)

    called = await house.wire().post(modern("tools/call", name="read"), path="/mcp/fs")
    read = await house.wire().post(modern("resources/read", uri="a:b"), path="/mcp/fs")
    legacy_call = await client.post(legacy("tools/call", name="read"))
    legacy_read = await client.post(legacy("resources/read", uri="a:b"))

    assert (called.error["code"], read.error["code"]) == (-32603, -32602)
    assert b'"data":{"elicitations":[{"mode":"url","url":"a:b"}],"n":1.0}' in read.body
    assert (legacy_call.error["code"], legacy_read.error["code"]) == (-32042, -32002)


@pytest.mark.requirement("2026-07-28/era-translation")
async def test_results_of_stateful_servers_say_their_type_to_a_stateless_client() -> None:
    server = FakeUpstream("fs", tools=[tool("read")], version="2025-11-25")
    raws = [b"{}", b' { "content" : [1.0] }', b'{"resultType":"vendor","content":[]}']

    async def serve(request: UpstreamRequest, peer: RequestPeer) -> UpstreamReply:
        return UpstreamReply(result=raws.pop(0))

    server.handlers["tools/call"] = serve
    house = make_house(server)
    message = modern("tools/call", name="fs/read")
    empty, full, own = [await house.wire().post(message) for _ in range(3)]

    assert empty.result == {"resultType": "complete"}
    assert full.result["resultType"] == "complete"
    assert b'"content" : [1.0]' in full.body
    assert own.result == {"resultType": "vendor", "content": []}
