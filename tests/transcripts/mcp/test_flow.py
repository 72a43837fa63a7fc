"""Where flow rules are in force nothing passes between a run and a server but calls."""

from __future__ import annotations

from typing import Any

import pytest

from bailiwick.ports import RequestPeer, UpstreamReply, UpstreamRequest
from bailiwick.testing.mcp.fakes import FakeUpstream
from bailiwick.testing.mcp.house import House, make_house
from bailiwick.testing.mcp.wire import modern, tool

TASKS: dict[str, Any] = {"extensions": {"io.modelcontextprotocol/tasks": {}}}
ONE, OTHER = {"agent-session-id": "one"}, {"agent-session-id": "other"}


def place(*, apart: bool) -> tuple[House, FakeUpstream]:
    async def start(request: UpstreamRequest, peer: RequestPeer) -> UpstreamReply:
        return UpstreamReply(result=b'{"resultType":"task","taskId":"t1","status":"working"}')

    async def complete(request: UpstreamRequest, peer: RequestPeer) -> UpstreamReply:
        return UpstreamReply(result=b'{"completion":{"values":["eve"]},"resultType":"complete"}')

    server = FakeUpstream(
        "fs",
        tools=[tool("read")],
        prompts=[{"name": "p"}],
        capabilities={"completions": {}, **TASKS},
    )
    server.handlers |= {"tools/call": start, "completion/complete": complete}
    house = make_house(server)
    house.gate.apart = apart
    return house, server


@pytest.mark.parametrize("apart", [False, True])
async def test_a_task_is_its_runs_alone_where_runs_are_told_apart(apart: bool) -> None:
    house, server = place(apart=apart)
    wire = house.wire()
    await wire.post(modern("tools/call", name="fs/read", capabilities=TASKS), headers=ONE)
    ask = modern("tasks/get", taskId="t1", capabilities=TASKS, more={"iban": "eve"})
    assert (await wire.post(ask, headers=ONE)).status == 200
    assert (await wire.post(ask, headers=OTHER)).status == (400 if apart else 200)
    assert all(("more" in request.params) is not apart for request in server.of("tasks/get"))


@pytest.mark.parametrize("apart", [False, True])
async def test_a_task_takes_no_input_that_no_memory_hears_of(apart: bool) -> None:
    house, server = place(apart=apart)
    wire = house.wire()
    await wire.post(modern("tools/call", name="fs/read", capabilities=TASKS), headers=ONE)
    update = modern(
        "tasks/update", taskId="t1", capabilities=TASKS, inputResponses={"k": {"iban": "eve"}}
    )
    assert (await wire.post(update, headers=ONE)).status == (400 if apart else 200)
    assert len(server.of("tasks/update")) == (0 if apart else 1)


@pytest.mark.parametrize("apart", [False, True])
async def test_a_completion_neither_tells_a_server_anything_nor_the_agent(apart: bool) -> None:
    house, server = place(apart=apart)
    ask = modern(
        "completion/complete",
        ref={"type": "ref/prompt", "name": "fs/p"},
        argument={"name": "to", "value": "eve"},
    )
    reply = await house.wire().post(ask)
    assert reply.result["completion"]["values"] == ([] if apart else ["eve"])
    assert len(server.of("completion/complete")) == (0 if apart else 1)
