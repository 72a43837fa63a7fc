"""A result that is passed on unread is the one that reading it would have passed on."""

from __future__ import annotations

from typing import Any

import pytest

from bailiwick.gateway.mcp.exchange import Exchange
from bailiwick.gateway.mcp.legacy import LegacyExchange
from bailiwick.gateway.mcp.modern import ModernExchange
from bailiwick.ports import RequestPeer, UpstreamReply, UpstreamRequest
from bailiwick.testing.mcp.fakes import FakeUpstream
from bailiwick.testing.mcp.house import make_house
from bailiwick.testing.mcp.wire import Client, legacy, modern, tool

RESULTS = (
    b'{"content":[]}',
    b'{ "resultType" : "complete","content":[],"x":1.0}',
    b'{"resultType":"complete","contents":[],"ttlMs":5,"cacheScope":"public"}',
    b'{"content":[{"type":"text","text":"\\"input_required\\" \\"taskId\\""}]}',
    b'{"resultType":"input_required","inputRequests":{"a":{"method":"nonsense"}}}',
    b'{"resultType":"task","taskId":"t1"}',
    b'{"task":{"taskId":"t1"}}',
)


async def answers(result: bytes, server_version: str, era: str) -> list[Any]:
    async def answer(_: UpstreamRequest, __: RequestPeer) -> UpstreamReply:
        return UpstreamReply(result=result)

    upstream = FakeUpstream(
        "fs",
        tools=[tool("read")],
        resources=[{"uri": "file:///a", "name": "a"}],
        version=server_version,
        handlers={"tools/call": answer, "resources/read": answer},
    )
    house = make_house(upstream)
    if era == "modern":
        wire = house.wire()
        call = await wire.post(modern("tools/call", name="fs/read", arguments={}))
        read = await wire.post(modern("resources/read", uri="fs+file:///a"))
    else:
        client = await Client.connect(house.wire(), capabilities={})
        call = await client.post(legacy("tools/call", name="fs/read", arguments={}))
        read = await client.post(legacy("resources/read", uri="fs+file:///a"))
    await house.edge.aclose()
    return [(reply.status, reply.body) for reply in (call, read)]


@pytest.mark.parametrize("result", RESULTS)
@pytest.mark.parametrize("server_version", ["2026-07-28", "2025-11-25"])
@pytest.mark.parametrize("era", ["modern", "legacy"])
async def test_unread_or_read_a_result_is_the_same(
    result: bytes, server_version: str, era: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    unread = await answers(result, server_version, era)
    for kind in (ModernExchange, LegacyExchange):
        monkeypatch.setattr(kind, "passes", lambda *_: False)
    assert unread == await answers(result, server_version, era)


async def test_most_results_are_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    async def answered(self: Exchange, *_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(ModernExchange, "answered", answered)
    (status, body), _ = await answers(RESULTS[1], "2026-07-28", "modern")
    assert (status, body) == (200, b'{"jsonrpc":"2.0","id":1,"result":%b}' % RESULTS[1])
