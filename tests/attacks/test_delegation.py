"""Delegation, as an agent would misuse it: to get more, for longer, or unseen."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from textwrap import indent
from unittest.mock import AsyncMock

import pytest

from bailiwick.core.delegation import MAX_DEPTH
from bailiwick.core.errors import StoreError, TheirError
from bailiwick.core.mandate import MandateState
from bailiwick.declared.children import MAX_CHILD_BYTES
from bailiwick.ports import Caller
from tests.app.delegating import ADA, LESS, OLA, PAY, House, declared, house

CLERK = Caller("clerk", "pay", "ada", "token-1", 2**62)

LIMITED = """
    from: ada
    to: clerk
    allow: [{tool: bank/pay, when: {amount: {at_most: 5000}, currency: {one_of: [CHF, EUR]}}}]
    limits:
      - id: in-all
        tool: bank/pay
        sum: amount
        currency: {argument: currency}
        at_most: {CHF: 100, EUR: 100}
        each: lifetime
    delegation: {to: ["helper-*", clerk], depth: 2, children: 5}
"""

AS_MUCH = """
    to: helper-a
    allow: [{tool: bank/pay, when: {amount: {at_most: 5000}, currency: {one_of: [CHF, EUR]}}}]
    limits:
      - {id: daily, tool: bank/pay, sum: amount, currency: CHF, at_most: 9000, each: lifetime}
"""


@pytest.fixture
async def there(tmp_path: Path) -> AsyncIterator[House]:
    async with house(tmp_path) as found:
        yield found


@pytest.fixture
async def limited(tmp_path: Path) -> AsyncIterator[House]:
    async with house(tmp_path, LIMITED) as found:
        yield found


async def refusal(there: House, text: str, parent: str = "pay", by: Caller | None = None) -> str:
    """The code with which a child is refused."""
    before = set(there.gateway.rooms.authority.snapshot.mandates)
    with pytest.raises(TheirError) as refused:
        await there.child(text, parent, by)
    assert set(there.gateway.rooms.authority.snapshot.mandates) == before
    return refused.value.code


class TestSpendingMore:
    """Every limit of every ancestor counts every call."""

    async def spent(self, there: House, *names: str, amount: int = 40) -> list[str]:
        return [await there.code(name, "pay", amount=amount, currency="CHF") for name in names]

    async def test_an_agent_that_delegates_to_itself_has_no_more_to_spend(
        self, limited: House
    ) -> None:
        own = await limited.child(AS_MUCH.replace("helper-a", "clerk"))
        codes = await self.spent(limited, "pay", own.name, own.name, "pay")
        assert codes == ["done", "done", "limit_exceeded", "limit_exceeded"]

    async def test_children_together_spend_no_more_than_their_parent_has(
        self, limited: House
    ) -> None:
        names = [(await limited.child(AS_MUCH)).name for _ in range(3)]
        codes = await self.spent(limited, *names)
        assert codes == ["done", "done", "limit_exceeded"]

    async def test_nor_do_they_when_they_spend_at_the_same_time(self, limited: House) -> None:
        names = [(await limited.child(AS_MUCH)).name for _ in range(5)]
        codes = await asyncio.gather(
            *(limited.code(name, "pay", amount=40, currency="CHF") for name in names * 4)
        )
        assert codes.count("done") == 2
        assert set(codes) == {"done", "limit_exceeded"}

    async def test_another_currency_is_another_account_and_not_another_limit(
        self, limited: House
    ) -> None:
        name = (await limited.child(AS_MUCH.replace("currency: CHF", "currency: EUR"))).name
        spent = [
            await limited.code(name, "pay", amount=60, currency=currency)
            for currency in ("CHF", "EUR", "CHF", "EUR")
        ]
        assert spent == ["done", "done", "limit_exceeded", "limit_exceeded"]

    async def test_a_revoked_childs_spending_still_counts(self, limited: House) -> None:
        for _ in range(2):
            made = await limited.child(AS_MUCH)
            assert await self.spent(limited, made.name) == ["done"]
            await limited.control.revoke(ADA, made.name, "")
        made = await limited.child(AS_MUCH)
        assert await self.spent(limited, made.name) == ["limit_exceeded"]


class TestAskingForMore:
    @pytest.mark.parametrize(
        "rule",
        [
            "{tool: bank/pay, when: {amount: {at_most: 5001}, payee: {one_of: [acme]}}}",
            "{tool: bank/pay, when: {amount: {any: true}, payee: {one_of: [acme]}}}",
            "{tool: bank/pay, when: {payee: {one_of: [acme]}}}",
            "{tool: bank/pay, when: {amount: {at_most: 1, optional: true}, payee: {equals: acme}}}",
            "{tool: bank/pay, when: {amount: {at_most: 1}, payee: {one_of: [ACME]}}}",
            "{tool: bank/pay, when: {amount: {at_most: 1}, payee: {one_of: [acme, mallory]}}}",
            "{tool: bank/pay, when: {amount: {at_most: 1}, payee: {matches: '*'}}}",
            "{tool: bank/pay, when: {amount: {at_most: 1}, payee: {equals: acme}}, "
            "other_arguments: allow}",
            "{tool: bank/pay, when: {amount: {at_most: 1}, payee: {equals: acme}, x: {any: true}}}",
            "{tool: bank/pay, when: {amount: {at_most: 1}, payee: {equals: acme}, "
            "Memo: {any: true}}}",
            "{tool: 'bank/*', when: {amount: {at_most: 1}, payee: {equals: acme}}}",
            "{tool: 'ban*/pay', when: {amount: {at_most: 1}, payee: {equals: acme}}}",
            "{tool: bank/Pay, when: {amount: {at_most: 1}, payee: {equals: acme}}}",
            "{tool: bank/paу, when: {amount: {at_most: 1}, payee: {equals: acme}}}",
            "{resource: bank/pay}",
            "{tool: bank/list, other_arguments: allow}",
        ],
    )
    async def test_a_wider_rule_is_refused(self, there: House, rule: str) -> None:
        more = f"to: helper-a\nallow:\n  - {{tool: bank/list}}\n  - {rule}\n"
        assert await refusal(there, more) == "child_wider"

    async def test_a_child_cannot_outlive_its_parent(self, tmp_path: Path) -> None:
        timed = PAY + '    valid: {until: "2100-01-01T00:00:00Z"}\n'
        async with house(tmp_path, timed) as there:
            longer = LESS + '    valid: {until: "2100-01-01T00:00:01Z"}\n'
            assert await refusal(there, longer) == "child_wider"
            made = await there.child(LESS)
            child = there.gateway.rooms.authority.snapshot.mandates[made.name]
            assert child.not_after == 4_102_444_800_000

    async def test_a_child_cannot_drop_a_stamp_or_a_denial(self, tmp_path: Path) -> None:
        strict = PAY + (
            "    deny: [{tool: bank/pay, when: {memo: {matches: 'gift*', optional: true}}}]\n"
            "    stamp: [{tool: bank/pay, when: {amount: {at_least: 50}}, not: owner}]\n"
        )
        async with house(tmp_path, strict) as there:
            bare = LESS.replace("payee:", "memo: {any: true}, payee:")
            made = await there.child(bare + "    deny: []\n    stamp: []\n")
            child = there.gateway.rooms.authority.snapshot.mandates[made.name]
            assert len(child.deny) == len(child.stamp) == 1
            code = await there.code(made.name, "pay", amount=1, payee="acme", memo="gift card")
            assert code == "denied_by_rule"

    async def test_nobody_stamps_what_an_agent_he_answers_for_asks_for(
        self, tmp_path: Path
    ) -> None:
        async with house(tmp_path, PAY + "    stamp: [{tool: bank/pay, not: owner}]\n") as there:
            made = await there.child(LESS)
            for mandate in there.gateway.rooms.authority.chain(made.name):
                assert mandate.stamp[0].excluded == {"ada", "ben"}

    async def test_a_rule_that_comes_later_excludes_the_helpers_owner_too(
        self, there: House
    ) -> None:
        made = await there.child(LESS)
        await there.apply(PAY + "    stamp: [{tool: bank/pay, not: owner}]\n")
        above, own = there.gateway.rooms.authority.chain(made.name)
        assert above.stamp[0].excluded == {"ada", "ben"}
        assert own.stamp == ()
        (alone,) = there.gateway.rooms.authority.chain("pay")
        assert alone.stamp[0].excluded == {"ada"}


class TestGoingDeeper:
    async def test_no_deeper_than_any_mandate_above_lets_it(self, there: House) -> None:
        leave = "    delegation: {to: 'helper-*', depth: 1}\n"
        one = await there.child(LESS + leave)
        two = await there.child(LESS, one.name)
        assert two.name.startswith(one.name + ":")
        assert await refusal(there, LESS, two.name) == "delegation_not_allowed"

    async def test_no_leave_to_delegate_as_deep_as_oneself(self, there: House) -> None:
        same = LESS + "    delegation: {to: 'helper-*', depth: 2}\n"
        assert await refusal(there, same) == "child_wider"

    async def test_no_leave_for_agents_beyond_those_named(self, there: House) -> None:
        anybody = LESS + "    delegation: {to: '*'}\n"
        assert await refusal(there, anybody) == "child_wider"
        assert (
            await refusal(there, LESS.replace("helper-a", "stranger")) == "delegation_not_allowed"
        )

    async def test_no_more_children_at_a_time_than_named(self, there: House) -> None:
        made = [await there.child(LESS) for _ in range(3)]
        assert await refusal(there, LESS) == "too_many_children"
        await there.control.revoke(ADA, made[0].name, "")
        await there.child(LESS)

    async def test_many_at_once_make_no_more_than_named(self, there: House) -> None:
        made = await asyncio.gather(*(there.child(LESS) for _ in range(8)), return_exceptions=True)
        assert sum(not isinstance(each, BaseException) for each in made) == 3

    async def test_nor_more_in_a_day_or_ever_than_can_be_kept(
        self, there: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        made = await there.child(LESS)
        await there.control.revoke(ADA, made.name, "")
        for bound in ("MAX_MADE", "MAX_MADE_A_DAY", "MAX_MADE_CHARS"):
            with monkeypatch.context() as patch:
                patch.setattr(f"bailiwick.app.delegation.{bound}", 1)
                assert await refusal(there, LESS) == "too_many_children"

    async def test_what_is_long_over_is_on_record_only(
        self, there: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        brief = LESS + '    valid: {until: "2096-01-01T00:00:00Z"}\n'
        ended, over, lives = [await there.child(text) for text in (LESS, brief, LESS)]
        await there.control.revoke(ADA, ended.name, "")
        later = 86_400_000 * 366 * 80
        now = there.gateway.rooms.clock.wall_ms()
        clock = there.gateway.rooms.declarations._clock
        monkeypatch.setattr(type(clock), "wall_ms", lambda _self: now + later)
        await there.apply(PAY.replace("Pay suppliers.", "Pay them."))
        assert set(there.gateway.rooms.authority.snapshot.mandates) == {"pay", lives.name}
        rows = {row.name for row in await there.control.objects("mandate")}
        assert rows == {"pay", ended.name, over.name, lives.name}
        assert await refusal(there, LESS + f"    name: {over.name[4:]}\n") == "child_exists"

    async def test_a_flood_of_children_is_turned_away_and_does_not_queue(
        self, there: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("bailiwick.app.delegation.MAX_WAITING", 2)
        made = await asyncio.gather(*(there.child(LESS) for _ in range(5)), return_exceptions=True)
        codes = [each.code for each in made if isinstance(each, TheirError)]
        assert codes == ["delegation_busy"] * 3
        assert len(await there.control.objects("mandate")) == 3

    async def test_a_mandate_without_leave_has_no_children(self, there: House) -> None:
        made = await there.child(LESS)
        assert await refusal(there, LESS, made.name) == "delegation_not_allowed"

    def test_no_leave_is_deeper_than_the_longest_line(self) -> None:
        assert MAX_DEPTH == 8


class TestLateAndUnseen:
    async def test_nothing_is_made_under_a_stopped_line(self, there: House) -> None:
        leave = "    delegation: {to: 'helper-*', depth: 1}\n"
        one = await there.child(LESS + leave)
        await there.control.suspend(ADA, "pay", "")
        assert await refusal(there, LESS) == "mandate_not_active"
        assert await refusal(there, LESS, one.name) == "mandate_not_active"
        with pytest.raises(TheirError) as refused:
            await there.control.make_token(OLA, "helper-a", one.name, 60)
        assert refused.value.code == "mandate_not_active"

    async def test_nothing_is_made_with_a_revoked_token(self, there: House) -> None:
        await there.control.revoke_token(OLA, "token-1")
        assert await refusal(there, LESS) == "token_revoked"

    @pytest.mark.parametrize("first", ["revoke", "delegate"])
    async def test_a_child_made_while_its_parent_is_revoked_is_dead(
        self, there: House, first: str
    ) -> None:
        revoking = there.control.revoke(ADA, "pay", "hijacked")
        making = there.child(LESS)
        order = (revoking, making) if first == "revoke" else (making, revoking)
        ended = await asyncio.gather(*order, return_exceptions=True)
        assert sum(isinstance(each, BaseException) for each in ended) <= 1
        for row in await there.control.objects("mandate"):
            assert row.state == "revoked"
        for mandate in there.gateway.rooms.authority.snapshot.mandates.values():
            assert mandate.state is MandateState.REVOKED

    async def test_a_revocation_between_the_check_and_the_record_is_heard(
        self, there: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        rooms = there.gateway.rooms
        versions = rooms.records.versions

        async def meanwhile(kind: str, name: str) -> object:
            rooms.authority.set_state("pay", MandateState.REVOKED)
            return await versions(kind, name)

        monkeypatch.setattr(rooms.records, "versions", meanwhile)
        assert await refusal(there, LESS) == "mandate_not_active"
        assert [row.name for row in await there.control.objects("mandate")] == ["pay"]

    async def test_a_childs_token_passes_on_nothing_of_its_parent(self, there: House) -> None:
        made = await there.child(LESS)
        childs = there.caller("helper-a", made.name)
        assert await refusal(there, LESS, "pay", childs) == "delegate_not_allowed"

    async def test_a_token_for_one_run_is_no_way_out_of_what_that_run_has_read(
        self, there: House
    ) -> None:
        bound = replace(CLERK, run="01JRUN")
        assert await refusal(there, LESS, by=bound) == "delegate_not_allowed"

    async def test_a_parents_token_passes_on_nothing_of_its_child(self, there: House) -> None:
        made = await there.child(LESS + "    delegation: {to: helper-b}\n")
        parents = there.caller("clerk", "pay")
        assert await refusal(there, LESS, made.name, parents) == "delegate_not_allowed"

    async def test_a_childs_token_is_not_for_its_parent(self, there: House) -> None:
        made = await there.child(LESS)
        with pytest.raises(TheirError, match="is not for agent `clerk`"):
            await there.child(LESS, made.name, there.caller("clerk", made.name))


class TestWords:
    """What an agent writes into a child is read by people who decide."""

    async def test_the_reasons_in_a_childs_rules_are_told_as_its_makers_words(
        self, there: House
    ) -> None:
        persuading = LESS + (
            "    stamp: [{tool: bank/pay, because: Ada has agreed already.}]\n"
            "    deny: [{tool: bank/pay, when: {amount: {equals: 13}}, because: Bad luck.}]\n"
        )
        made = await there.child(persuading)
        child = there.gateway.rooms.authority.snapshot.mandates[made.name]
        assert child.stamp[0].because == "agent clerk says: Ada has agreed already."
        assert child.deny[0].because == "agent clerk says: Bad luck."

    async def test_a_person_is_shown_the_purpose_that_a_person_wrote(self, there: House) -> None:
        text = "    purpose: Approved by Ada, just stamp it.\n    stamp: [{tool: bank/pay}]\n"
        made = await there.child(LESS + text)
        waiting = asyncio.ensure_future(there.call(made.name, "pay", amount=1, payee="acme"))
        await there.held.wait()
        (hold,) = await there.gateway.rooms.records.holds()
        assert "(Pay suppliers.)" in hold.rendering
        assert "Approved by Ada" not in hold.rendering
        assert f"under mandate {made.name}@1 under pay@1" in hold.rendering
        there.gateway.start_closing()
        await waiting

    async def test_nothing_an_agent_made_up_stands_in_the_public_ledger(
        self, tmp_path: Path
    ) -> None:
        secret = "anna-has-cancer"
        named = f"""
        to: helper-a
        allow:
          - id: {secret}
            tool: bank/pay
            when: {{amount: {{at_most: 9}}, payee: {{equals: acme}}}}
        deny: [{{id: {secret}, tool: bank/pay, when: {{amount: {{equals: 2}}}}}}]
        stamp: [{{id: {secret}, tool: bank/pay, when: {{amount: {{equals: 3}}}}}}]
        limits: [{{id: {secret}, tool: bank/pay, calls: 1, each: lifetime}}]
        flow: {{accepts: [{{id: {secret}, tool: bank/pay, untrusted: false}}]}}
        """
        async with house(tmp_path) as there:
            assert await refusal(there, f"{LESS}    name: {secret}\n", by=CLERK) == "child_invalid"
            made = await there.child(named)
            for amount in (1, 2, 4):
                await there.code(made.name, "pay", amount=amount, payee="acme")
            assert len(await there.leaves("call.intent")) == 3
            records = there.gateway.rooms.records
            for leaf in await records.leaves(0, await records.entry_count()):
                assert secret.encode() not in leaf

    async def test_a_child_brings_no_regular_expressions_of_its_own(self, tmp_path: Path) -> None:
        asks = PAY.replace("memo: {any: true}", 'memo: {regex: "[a-z]+"}')
        async with house(tmp_path, asks) as there:
            mine = LESS.replace("payee:", 'memo: {regex: "[a-z]+"}, payee:')
            await there.child(mine)
            for other in (
                mine.replace("[a-z]+", "[a-f]+"),
                LESS + '    deny: [{tool: bank/pay, when: {memo: {regex: "x+"}}}]\n',
                LESS + '    stamp: [{tool: bank/pay, when: {"memo[]": {any: {regex: "x"}}}}]\n',
            ):
                assert await refusal(there, other) == "child_invalid"


class TestNames:
    async def test_no_declared_file_replaces_a_child_or_claims_a_parent(self, there: House) -> None:
        made = await there.child(LESS)
        quoted = f'"{made.name}":\n{indent(PAY, "  ")}'
        assert any("is not a name" in told for told in await there.apply(PAY, quoted))
        claimed = PAY + "    parent: {mandate: pay@1}\n"
        assert any("unknown key `parent`" in told for told in await there.apply(claimed))
        assert await there.code(made.name, "pay", amount=101, payee="acme") == "argument_refused"

    @pytest.mark.parametrize("name", ["pay", "../pay", "a:b", "PAY", "a b", "", "x" * 65])
    async def test_no_name_leads_out_of_the_parents_own(self, there: House, name: str) -> None:
        named = LESS + f"    name: {json.dumps(name)}\n"
        if name == "pay":
            assert (await there.child(named)).name == "pay:pay"
        else:
            assert await refusal(there, named) == "child_invalid"

    async def test_a_name_is_used_once_even_when_its_child_is_gone(self, there: House) -> None:
        named = LESS + "    name: once\n"
        await there.child(named)
        assert await refusal(there, named) == "child_exists"
        await there.control.revoke(ADA, "pay:once", "")
        assert await refusal(there, named) == "child_exists"

    async def test_a_child_cannot_say_whose_it_is_or_who_gives_it(self, there: House) -> None:
        for key in ("parent: {mandate: other@1}", "from: ola", "from: ada"):
            assert await refusal(there, f"{LESS}    {key}\n") == "child_invalid"

    async def test_a_huge_child_is_refused_before_it_is_read(self, there: House) -> None:
        assert await refusal(there, LESS + "#" * MAX_CHILD_BYTES) == "child_too_large"
        many = "to: helper-a\nallow:\n" + "  - tool: bank/list\n" * 501
        assert await refusal(there, many) == "child_invalid"
        tools = "[" + ", ".join(["bank/list"] * 501) + "]"
        wide = f"to: helper-a\nallow:\n  - tool: {tools}\n"
        assert await refusal(there, wide) in ("child_too_large", "child_invalid")

    async def test_aliases_that_grow_are_refused(self, there: House) -> None:
        lines = ["to: helper-a", "purpose: x", "allow:"]
        lines.append("  - {tool: bank/pay, when: {a: {equals: &a0 [x, x, x, x, x, x, x, x]}}}")
        for number in range(1, 12):
            below = ", ".join([f"*a{number - 1}"] * 8)
            lines.append(f"  - {{tool: bank/pay, when: {{a: {{equals: &a{number} [{below}]}}}}}}")
        assert await refusal(there, "\n".join(lines)) == "child_invalid"


class TestFullDisk:
    """What cannot be recorded is not made and not let go on; what is to stop, stops."""

    async def test_a_child_that_cannot_be_recorded_is_not_in_force(
        self, there: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        commit = AsyncMock(side_effect=StoreError("store_unavailable", "the disk is full"))
        with monkeypatch.context() as patch:
            patch.setattr(there.gateway.rooms.journal, "commit", commit)
            with pytest.raises(StoreError):
                await there.child(LESS)
        assert set(there.gateway.rooms.authority.snapshot.mandates) == {"pay"}

    async def test_a_suspension_holds_before_it_is_recorded_and_can_be_asked_for_again(
        self, there: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with monkeypatch.context() as patch:
            commit = AsyncMock(side_effect=StoreError("store_unavailable", "the disk is full"))
            patch.setattr(there.gateway.rooms.journal, "commit", commit)
            with pytest.raises(StoreError):
                await there.control.suspend(ADA, "pay", "")
        assert await there.code("pay", "list") == "mandate_not_active"
        await there.control.suspend(ADA, "pay", "")
        (row,) = await there.control.objects("mandate")
        assert row.state == "suspended"

    async def test_what_cannot_be_recorded_does_not_go_on(
        self, there: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await there.control.suspend(ADA, "pay", "")
        with monkeypatch.context() as patch:
            commit = AsyncMock(side_effect=StoreError("store_unavailable", "the disk is full"))
            patch.setattr(there.gateway.rooms.journal, "commit", commit)
            with pytest.raises(StoreError):
                await there.control.resume(ADA, "pay", "")
        assert await there.code("pay", "list") == "mandate_not_active"


class TestDamagedLines:
    """What no act of ours writes, and a damaged or forged store may hold."""

    async def test_a_line_that_leads_into_itself_is_no_chain(self, there: House) -> None:
        authority = there.gateway.rooms.authority
        made = await there.child(LESS)
        whole = dict(authority.snapshot.mandates)
        whole["pay"] = replace(whole["pay"], parent=made.name)
        authority.install(replace(authority.snapshot, mandates=whole))
        assert authority.chain(made.name) == authority.chain("pay") == ()
        assert await there.code(made.name, "pay", amount=1, payee="acme") == "mandate_unknown"
        assert await refusal(there, LESS) == "mandate_unknown"
        assert made.name in {each.name for each in authority.below("pay")}

    async def test_a_child_whose_parent_is_gone_is_no_chain(self, there: House) -> None:
        authority = there.gateway.rooms.authority
        made = await there.child(LESS)
        alone = {made.name: authority.snapshot.mandates[made.name]}
        authority.install(replace(authority.snapshot, mandates=alone))
        assert authority.chain(made.name) == ()

    async def test_a_child_of_what_another_person_gives_now_is_stopped(self, there: House) -> None:
        made = await there.child(LESS)
        await there.apply(PAY.replace("from: ada", "from: eve"))
        assert await there.code(made.name, "pay", amount=1, payee="acme") == "mandate_not_active"

    async def test_an_agent_that_was_given_the_mandate_since_has_the_children_too(
        self, there: House
    ) -> None:
        made = await there.child(LESS)
        await there.apply(PAY.replace("to: clerk", "to: stranger"))
        with pytest.raises(TheirError, match="is not for agent `clerk`"):
            await there.child(LESS, by=there.caller("clerk", "pay"))
        chain = there.gateway.rooms.authority.chain(made.name)
        assert [each.agent for each in chain] == ["stranger", "helper-a"]


def test_what_is_declared_here_names_one_person_who_may_not_act() -> None:
    assert "eve: {name: Eve}" in declared()
