"""Which run a stateless client's call belongs to: the session it names, or its token."""

from __future__ import annotations

import pytest

from bailiwick.testing.mcp.fakes import FakeUpstream
from bailiwick.testing.mcp.house import House, make_house
from bailiwick.testing.mcp.wire import modern, tool


async def key_of(house: House, meta: object = None, **headers: str) -> str:
    message = modern("tools/call", name="bank/pay", arguments={}, meta=meta)
    reply = await house.wire().post(message, headers=headers)
    assert reply.status == 200
    return house.gate.seen[-1].run_key


@pytest.fixture
def house() -> House:
    return make_house(FakeUpstream("bank", tools=[tool("pay")]))


async def test_a_session_named_in_meta_is_the_run_as_if_it_stood_in_the_header(
    house: House,
) -> None:
    in_meta = await key_of(house, {"agent-session-id": "20261122_1"})
    in_header = await key_of(house, **{"agent-session-id": "20261122_1"})
    other = await key_of(house, {"agent-session-id": "20261122_2"})
    assert in_meta == in_header
    assert in_meta.startswith("agent-session-id:20261122_1")
    assert other != in_meta


async def test_the_token_stands_beside_a_session_name_that_others_may_have_as_well(
    house: House,
) -> None:
    named = await key_of(house, {"agent-session-id": "20261122_1"})
    unnamed = await key_of(house)
    assert unnamed.startswith("token:")
    assert named.endswith("@" + unnamed.removeprefix("token:"))


@pytest.mark.parametrize("named", [7, "", "a b", "a\n", "é", "x" * 129, {"a": 1}, None])
async def test_a_session_name_that_is_none_is_not_used(house: House, named: object) -> None:
    assert await key_of(house, {"agent-session-id": named}) == await key_of(house)
