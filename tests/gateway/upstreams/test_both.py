"""A server that speaks both eras is met in the era of each client."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import pytest

from bailiwick.core.canonical import JsonObject
from bailiwick.core.errors import UpstreamDown
from bailiwick.gateway.upstreams.both import BothEras
from bailiwick.gateway.upstreams.http import HttpUpstream
from bailiwick.gateway.upstreams.legacy import LegacyHttp
from bailiwick.gateway.upstreams.modern import ModernHttp
from bailiwick.gateway.upstreams.own import GATEWAY, Nobody
from bailiwick.gateway.upstreams.spec import ServerSpec
from bailiwick.ports import ClientFacts, ServerFacts, UpstreamReply, UpstreamRequest
from tests.conformance.processes import running_fixture

LEGACY_CLIENT = ClientFacts("one", "2025-11-25", {"elicitation": {}}, {"name": "t", "version": "1"})
MODERN_CLIENT = ClientFacts("two", "2026-07-28")


class FakeEra:
    """Says who it is; `refusals` are raised by `facts`, one after the other."""

    def __init__(self, name: str, *refusals: UpstreamDown) -> None:
        self.name = name
        self.refusals = list(refusals)
        self.asked = 0
        self.ended: list[str] = []

    async def request(self, _request: UpstreamRequest, _peer: object) -> UpstreamReply:
        return UpstreamReply(result=self.name.encode())

    async def facts(self, version: str = "") -> ServerFacts:
        self.asked += 1
        if self.refusals:
            raise self.refusals.pop(0)
        return ServerFacts(self.name, {}, {})

    async def end_session(self, session: str) -> None:
        self.ended.append(session)


def both(legacy: FakeEra) -> BothEras:
    return BothEras(cast(ModernHttp, FakeEra("modern")), cast(LegacyHttp, legacy))


async def who(server: BothEras, client: ClientFacts) -> bytes | None:
    reply = await server.request(UpstreamRequest("tools/call", {}, client), Nobody())
    return reply.result


async def test_each_client_is_served_in_its_own_era() -> None:
    legacy = FakeEra("legacy")
    server = both(legacy)
    assert await who(server, MODERN_CLIENT) == b"modern"
    assert legacy.asked == 0
    assert await who(server, LEGACY_CLIENT) == b"legacy"
    assert await who(server, LEGACY_CLIENT) == b"legacy"
    assert legacy.asked == 1
    assert legacy.ended == [GATEWAY.session]


async def test_each_client_hears_what_the_server_says_to_its_era() -> None:
    server = both(FakeEra("legacy"))
    assert (await server.facts()).version == "modern"
    assert (await server.facts("2026-07-28")).version == "modern"
    assert (await server.facts("2025-06-18")).version == "legacy"


@pytest.mark.parametrize("code", ["upstream_version", "upstream_refused", "upstream_garbage"])
async def test_a_server_of_the_new_era_alone_is_asked_once(code: str) -> None:
    legacy = FakeEra("legacy", UpstreamDown(code, "no"))
    server = both(legacy)
    assert await who(server, LEGACY_CLIENT) == b"modern"
    assert await who(server, LEGACY_CLIENT) == b"modern"
    assert legacy.asked == 1


async def test_a_server_that_is_away_is_asked_again_later() -> None:
    server = both(FakeEra("legacy", UpstreamDown("upstream_down", "away")))
    with pytest.raises(UpstreamDown, match="away"):
        await who(server, LEGACY_CLIENT)
    assert await who(server, LEGACY_CLIENT) == b"legacy"


class Accepting(Nobody):
    """Answers what it is asked, and remembers it."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def ask(self, method: str, params: JsonObject) -> UpstreamReply:
        self.asked.append(method)
        return UpstreamReply(result=b'{"action":"accept","content":{"username":"a","email":"b"}}')


@pytest.fixture(scope="module")
def fixture_url() -> Iterator[str]:
    with running_fixture() as url:
        yield url


async def test_a_real_server_of_both_eras_can_ask_a_stateful_client(fixture_url: str) -> None:
    """In the stateless era the same tool fails: its server has no way back to the client."""
    server = HttpUpstream(ServerSpec("fixture", url=fixture_url))
    params: dict[str, Any] = {"name": "test_elicitation", "arguments": {"message": "m"}}
    peer = Accepting()
    try:
        assert (await server.facts()).version == "2026-07-28"
        assert (await server.facts("2026-07-28")).version == "2026-07-28"
        assert (await server.facts("2025-06-18")).version == "2025-11-25"
        reply = await server.request(UpstreamRequest("tools/call", params, LEGACY_CLIENT), peer)
        listed = await server.request(UpstreamRequest("tools/list", {}, MODERN_CLIENT), peer)
    finally:
        await server.close()
    assert peer.asked == ["elicitation/create"]
    assert reply.result is not None
    assert b"action=accept" in reply.result
    assert listed.result is not None
    assert b'"ttlMs"' in listed.result
