"""What a caller stands on is made once, and never outlives what it was made of."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from bailiwick.core.mandate import MandateState
from bailiwick.gateway import footing as footing_module
from bailiwick.gateway.footing import Footings
from bailiwick.gateway.held import Waiting
from bailiwick.gateway.memories import Memories
from bailiwick.gateway.recalled import Recalled
from bailiwick.ports import Caller
from bailiwick.testing.clock import StoppedClock
from tests.gateway.house import CLERK, House, mandate, snapshot


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    house = House(tmp_path, Waiting(), StoppedClock())
    await house.open(mandate())
    yield house
    await house.close()


@pytest.fixture
def footings(house: House) -> Footings:
    memories = Memories(Recalled(house.records, house.recorder), house.authority)
    return Footings(house.authority, memories)


def test_a_footing_is_made_once_for_a_token(footings: Footings, house: House) -> None:
    found = footings.of(CLERK)
    assert found is footings.of(CLERK)
    assert found.chain is house.authority.chain("payments")
    assert (found.owner, found.counts_tokens, list(found.offerings)) == ("ada", False, [])


def test_a_mandate_that_is_stopped_is_stood_on_no_more(footings: Footings, house: House) -> None:
    assert footings.of(CLERK).chain[-1].state is MandateState.ACTIVE
    house.authority.set_state("payments", MandateState.REVOKED)
    assert footings.of(CLERK).chain[-1].state is MandateState.REVOKED


def test_a_new_version_is_stood_on_at_once(footings: Footings, house: House) -> None:
    footings.of(CLERK)
    house.authority.install(snapshot(mandate(version=2)))
    assert footings.of(CLERK).chain[-1].ref == "payments@2"


def test_a_mandate_that_is_added_is_found_where_there_was_none(
    footings: Footings, house: House
) -> None:
    caller = Caller("clerk", "invoices", "ada", "token-7", 2**62)
    assert footings.of(caller).chain == ()
    house.authority.add(replace(mandate(), name="invoices"))
    assert [each.name for each in footings.of(caller).chain] == ["invoices"]


def test_an_owner_who_hands_an_agent_over_answers_for_it_no_more(
    footings: Footings, house: House
) -> None:
    assert footings.of(CLERK).owner == "ada"
    now = house.authority.snapshot
    clerk = replace(now.agents["clerk"], owner="ben")
    house.authority.install(replace(now, agents={"clerk": clerk}))
    assert footings.of(CLERK).owner == "ben"


def test_another_caller_gets_its_own_also_under_the_same_token(footings: Footings) -> None:
    footings.of(CLERK)
    other = Caller("clerk", "nothing", "ada", CLERK.token, 2**62)
    assert footings.of(other).chain == ()
    assert footings.of(CLERK).chain[-1].name == "payments"


def test_no_more_callers_are_remembered_than_the_bound(
    footings: Footings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(footing_module, "_MAX_KNOWN", 3)
    for number in range(10):
        footings.of(Caller("clerk", "payments", "ada", f"token-{number}", 2**62))
        assert len(footings._known) <= 3


def test_a_caller_is_keyed_by_agent_mandate_and_run() -> None:
    bound = replace(CLERK, run="R1")
    assert (CLERK.key, bound.key) == ("clerk|payments", "clerk|payments|R1")
    assert replace(bound, run="").key == CLERK.key


def test_whoever_looks_at_revoked_tokens_sees_those_that_are_revoked_later(house: House) -> None:
    refused = house.authority.revoked_tokens.__contains__
    assert not refused("token-1")
    house.authority.revoke_tokens({"token-1"})
    house.authority.revoke_tokens({"token-2"})
    house.authority.install(snapshot(mandate(version=2)))
    assert refused("token-1")
    assert refused("token-2")
    assert not refused("token-3")


def test_whoever_looks_up_the_agent_of_a_mandate_sees_what_is_declared_later(house: House) -> None:
    agent_of = house.authority.agents.get
    assert agent_of("payments") == "clerk"
    house.authority.add(replace(mandate(), name="invoices", agent="reader"))
    assert agent_of("invoices") == "reader"
    house.authority.install(snapshot(replace(mandate(version=2), agent="reader")))
    assert (agent_of("payments"), agent_of("invoices")) == ("reader", None)
