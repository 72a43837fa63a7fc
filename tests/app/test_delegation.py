"""An agent passes on part of its mandate, and people stop the line again."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bailiwick.core.errors import TheirError
from bailiwick.core.mandate import MandateState
from bailiwick.gateway.gate import Answered, Refused
from bailiwick.identity.tokens import AGENT_TYPE
from bailiwick.ports import ChildAsked
from tests.app.delegating import ADA, BEN, EVE, LESS, OLA, PAY, House, declared, house

DEEP = LESS + "    name: deep\n    delegation: {to: helper-b}\n"
DEEPER = """
    to: helper-b
    name: end
    allow:
      - tool: bank/pay
        when: {amount: {at_most: 10}, payee: {equals: acme}}
"""


@pytest.fixture
async def there(tmp_path: Path) -> AsyncIterator[House]:
    async with house(tmp_path) as found:
        yield found


async def test_a_child_does_what_it_was_given_and_no_more(there: House) -> None:
    made = await there.child(LESS)
    assert made.parent == "pay@1"
    assert made.name.startswith("pay:helper-a-")
    assert await there.code(made.name, "pay", amount=100, payee="acme") == "done"
    assert await there.code(made.name, "pay", amount=101, payee="acme") == "argument_refused"
    assert await there.code(made.name, "pay", amount=1, payee="globex") == "argument_refused"
    assert await there.code(made.name, "list") == "not_in_mandate"
    assert await there.code("pay", "list") == "done"


async def test_what_is_stored_of_a_child_says_all_that_binds_it(tmp_path: Path) -> None:
    bound = """
    from: ada
    to: clerk
    purpose: Pay suppliers.
    valid: {until: "2100-01-01T00:00:00Z"}
    only: {hours: {zone: UTC, days: mon-sun}}
    allow: [{tool: "bank/*", when: {amount: {at_most: 5000}}}]
    deny:
      - {id: never, tool: bank/burn}
      - {id: odd, tool: bank/pay, when: {amount: {equals: 13}}}
    stamp: [{id: large, tool: bank/pay, when: {amount: {at_least: 50}}, not: owner}]
    delegation: {to: helper-a}
    """
    less = """
    to: helper-a
    valid: {from: "2020-01-01T00:00:00Z"}
    allow: [{tool: bank/pay, when: {amount: {at_most: 100}}}]
    stamp: [{id: large, tool: bank/pay, role: boss, when: {amount: {at_least: 90}}}]
    """
    async with house(tmp_path, bound) as there:
        made = await there.child(less)
        spec = json.loads(made.document)["spec"]
        assert spec["from"] == "ada"
        assert spec["valid"] == {"from": "2020-01-01T00:00:00Z", "until": "2100-01-01T00:00:00Z"}
        assert spec["only"] == {"hours": {"zone": "UTC", "days": "mon-sun"}}
        assert [rule["id"] for rule in spec["deny"]] == ["odd"]
        own, kept = spec["stamp"]
        assert own["role"] == "boss"
        assert kept["not"] == ["owner", "ada"]
        assert kept["id"] == "large"
        assert "id" not in own, "an agent's names stand in no ledger"
        named = json.loads((await there.child(less, by=ADA)).document)["spec"]["stamp"]
        assert [rule.get("id") for rule in named] == ["large", None]
        digest = there.gateway.rooms.authority.snapshot.mandates["pay"].digest
        assert spec["parent"] == {"mandate": "pay@1", "digest": digest, "by": "agent clerk"}


async def test_a_wider_child_is_refused_with_a_call_that_shows_it(there: House) -> None:
    wider = LESS.replace("at_most: 100", "at_most: 6000")
    with pytest.raises(TheirError, match="5001") as refused:
        await there.child(wider)
    assert refused.value.code == "child_wider"
    assert "under `pay@1` `bank/pay` is refused: `amount` is 5001, allowed is at most 5000" in str(
        refused.value
    )
    assert set(there.gateway.rooms.authority.snapshot.mandates) == {"pay"}


async def test_making_a_child_is_recorded_with_who_did_and_under_what(there: House) -> None:
    made = await there.child(LESS)
    made_leaf = (await there.leaves("object"))[-1]
    assert made_leaf.id == f"{made.name}@1"
    assert made_leaf.fields["parent"] == "pay@1"
    assert made_leaf.fields["agent"] == "clerk"
    assert made_leaf.fields["token"] == "token-1"
    token = (await there.leaves("token"))[-1]
    assert token.fields["agent"] == "helper-a"
    assert token.fields["mandate"] == f"{made.name}@1"


async def test_the_token_of_a_child_is_for_its_agent_under_it_and_lives_no_longer(
    there: House,
) -> None:
    rooms = there.gateway.rooms
    now = rooms.clock.wall_ms()
    by = there.caller("clerk", "pay")
    short = type(by)(by.agent, by.mandate, by.principal, by.token, now + 60_000)
    made = await there.child(LESS, by=short)
    assert made.token is not None
    assert made.token.expires_ms <= now + 60_000
    claims = rooms.tokens.verify(made.token.token, AGENT_TYPE, now)
    assert (claims["sub"], claims["mandate"]) == ("helper-a", made.name)
    caller = there.gateway.authenticator.authenticate(f"Bearer {made.token.token}")
    assert caller.mandate == made.name


async def test_a_call_is_recorded_with_its_whole_chain(there: House) -> None:
    await there.child(DEEP)
    end = await there.child(DEEPER, "pay:deep")
    answer = await there.call(end.name, "pay", amount=1, payee="acme")
    assert isinstance(answer, Answered)
    (intent,) = await there.leaves("call.intent")
    chain = intent.fields["chain"]
    mandates = there.gateway.rooms.authority.snapshot.mandates
    assert chain == [
        {"mandate": f"{name}@1", "digest": mandates[name].digest}
        for name in ("pay", "pay:deep", "pay:deep:end")
    ]


async def test_a_call_under_a_declared_mandate_has_no_chain_to_record(there: House) -> None:
    await there.call("pay", "list")
    (intent,) = await there.leaves("call.intent")
    assert "chain" not in intent.fields


class TestStopping:
    async def test_revoking_any_link_stops_all_below_for_good(self, there: House) -> None:
        await there.child(DEEP)
        end = await there.child(DEEPER, "pay:deep")
        await there.control.revoke(ADA, "pay:deep", "enough")
        assert await there.code(end.name, "pay", amount=1, payee="acme") == "mandate_revoked"
        assert there.state(end.name) is MandateState.REVOKED
        assert await there.code("pay", "list") == "done"
        rows = {row.name: row.state for row in await there.control.objects("mandate")}
        assert rows == {"pay": "active", "pay:deep": "revoked", end.name: "revoked"}

    async def test_what_is_in_flight_below_is_listed(self, there: House) -> None:
        made = await there.child(LESS)
        under_way, go_on = asyncio.Event(), asyncio.Event()

        async def wait() -> None:
            under_way.set()
            await go_on.wait()

        calling = asyncio.ensure_future(there.call(made.name, "pay", wait, amount=1, payee="acme"))
        await under_way.wait()
        listed = await there.control.revoke(ADA, "pay", "enough")
        assert [row.mandate for row in listed] == [f"{made.name}@1"]
        go_on.set()
        assert isinstance(await calling, Answered)

    async def test_a_suspended_parent_stops_its_children_until_it_is_resumed(
        self, there: House
    ) -> None:
        await there.child(DEEP)
        end = await there.child(DEEPER, "pay:deep")
        await there.control.suspend(ADA, "pay", "holidays")
        for name in ("pay", "pay:deep", end.name):
            assert await there.code(name, "pay", amount=1, payee="acme") == "mandate_not_active"
        assert there.state(end.name) is MandateState.ACTIVE
        await there.control.resume(ADA, "pay", "back")
        assert await there.code(end.name, "pay", amount=1, payee="acme") == "done"
        kinds = [leaf.type for leaf in await there.leaves("suspend", "resume")]
        assert kinds == ["suspend", "resume"]

    async def test_a_resumed_parent_brings_no_revoked_child_back(self, there: House) -> None:
        made = await there.child(LESS)
        await there.control.suspend(ADA, "pay", "")
        await there.control.revoke(ADA, made.name, "")
        await there.control.resume(ADA, "pay", "")
        assert await there.code(made.name, "pay", amount=1, payee="acme") == "mandate_revoked"

    async def test_nor_does_a_new_version_of_a_revoked_parent(self, there: House) -> None:
        made = await there.child(LESS)
        await there.control.revoke(ADA, "pay", "")
        await there.apply(PAY.replace("Pay suppliers.", "Pay them again."))
        assert await there.code("pay", "list") == "done"
        assert await there.code(made.name, "pay", amount=1, payee="acme") == "mandate_revoked"

    async def test_a_change_does_not_let_a_suspended_mandate_go_on(self, there: House) -> None:
        await there.control.suspend(ADA, "pay", "")
        told = await there.apply(PAY.replace("Pay suppliers.", "Pay them again."))
        assert any("stays suspended" in message for message in told)
        assert there.gateway.rooms.authority.snapshot.mandates["pay"].version == 2
        assert await there.code("pay", "list") == "mandate_not_active"

    async def test_who_answers_for_an_agent_may_stop_it_and_not_let_it_go_on(
        self, there: House
    ) -> None:
        made = await there.child(LESS)
        with pytest.raises(TheirError, match="not yours"):
            await there.control.suspend(EVE, made.name, "")
        await there.control.suspend(BEN, made.name, "")
        with pytest.raises(TheirError) as refused:
            await there.control.resume(BEN, made.name, "")
        assert refused.value.code == "resume_not_allowed"
        await there.control.resume(OLA, made.name, "")
        assert there.state(made.name) is MandateState.ACTIVE

    async def test_only_what_is_active_is_suspended_and_only_what_is_suspended_resumed(
        self, there: House
    ) -> None:
        with pytest.raises(TheirError) as refused:
            await there.control.resume(ADA, "pay", "")
        assert refused.value.code == "mandate_not_suspended"
        await there.control.suspend(ADA, "pay", "")
        await there.control.suspend(ADA, "pay", "again: the first record may not have been kept")
        assert len(await there.leaves("suspend")) == 2
        await there.control.revoke(ADA, "pay", "")
        with pytest.raises(TheirError) as refused:
            await there.control.suspend(ADA, "pay", "")
        assert refused.value.code == "mandate_not_active"


async def test_a_token_without_a_mandate_named_is_never_for_a_child(there: House) -> None:
    made = await there.child(LESS)
    with pytest.raises(TheirError, match="has no active mandate"):
        await there.control.make_token(OLA, "helper-a", "", 60)
    assert (await there.control.make_token(OLA, "helper-a", made.name, 60)).mandate == made.name


async def test_a_line_outlives_a_restart_and_so_does_what_was_stopped(tmp_path: Path) -> None:
    async with house(tmp_path) as there:
        await there.child(DEEP)
        end = await there.child(DEEPER, "pay:deep")
        other = await there.child(LESS)
        await there.control.suspend(ADA, other.name, "")
    async with house(tmp_path) as there:
        assert await there.code(end.name, "pay", amount=1, payee="acme") == "done"
        code = await there.code(other.name, "pay", amount=1, payee="acme")
        assert code == "mandate_not_active"


async def test_a_child_is_held_to_the_newest_version_of_its_parent(there: House) -> None:
    made = await there.child(LESS)
    await there.apply(PAY.replace("at_most: 5000", "at_most: 50"))
    assert await there.code(made.name, "pay", amount=50, payee="acme") == "done"
    assert await there.code(made.name, "pay", amount=51, payee="acme") == "argument_refused"
    await there.apply(PAY.replace("at_most: 5000", "at_most: 9000"))
    assert await there.code(made.name, "pay", amount=101, payee="acme") == "argument_refused"


async def test_a_parent_that_lets_nobody_delegate_any_more_stops_its_children(
    there: House,
) -> None:
    made = await there.child(LESS)
    await there.apply(PAY.replace('    delegation: {to: "helper-*", depth: 2, children: 3}\n', ""))
    assert await there.code(made.name, "pay", amount=1, payee="acme") == "mandate_not_active"
    await there.apply(PAY)
    assert await there.code(made.name, "pay", amount=1, payee="acme") == "done"


async def test_a_person_with_standing_makes_children_as_the_agent_would(there: House) -> None:
    made = await there.child(LESS, by=ADA)
    assert json.loads(made.document)["spec"]["parent"]["by"] == "person ada"
    with pytest.raises(TheirError) as refused:
        await there.child(LESS, by=EVE)
    assert refused.value.code == "delegate_not_allowed"


async def test_a_dry_run_makes_nothing(there: House) -> None:
    before = await there.gateway.rooms.records.entry_count()
    asked = ChildAsked("pay", LESS, 600, dry_run=True)
    made = await there.control.delegate(there.caller("clerk", "pay"), asked)
    assert made.token is None
    assert set(there.gateway.rooms.authority.snapshot.mandates) == {"pay"}
    assert await there.gateway.rooms.records.entry_count() == before


async def test_no_token_is_made_if_none_is_asked_for(there: House) -> None:
    made = await there.control.delegate(ADA, ChildAsked("pay", LESS, 0))
    assert made.token is None
    assert await there.leaves("token") == []


async def test_what_is_wrong_with_a_child_is_said_with_its_place(there: House) -> None:
    with pytest.raises(TheirError) as refused:
        await there.child(LESS.replace("at_most", "at_moost"))
    assert refused.value.code == "child_invalid"
    assert "child:" in refused.value.message
    assert "did you mean `at_most`" in refused.value.message


async def test_an_agent_that_is_not_declared_is_given_nothing(there: House) -> None:
    with pytest.raises(TheirError, match="there is no agent `helper-z`"):
        await there.child(LESS.replace("helper-a", "helper-z"))


async def test_calls_under_a_stopped_line_are_recorded_as_denied(there: House) -> None:
    made = await there.child(LESS)
    await there.control.suspend(ADA, "pay", "")
    answer = await there.call(made.name, "pay", amount=1, payee="acme")
    assert isinstance(answer, Refused)
    assert (await there.row(answer.call)).code == "mandate_not_active"


def test_the_file_these_tests_declare_says_what_they_think() -> None:
    assert "delegation" in declared()
