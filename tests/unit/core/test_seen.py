"""What is recorded of a judgement is what its mandates ask about, and no more than that."""

from __future__ import annotations

import dataclasses

from hypothesis import given
from hypothesis import strategies as st

from bailiwick.core.argument_path import reach
from bailiwick.core.call import Call
from bailiwick.core.canonical import JsonObject
from bailiwick.core.context import NO_COUNTERS, NO_POLICIES, NO_STEP
from bailiwick.core.flow.labels import NO_FLOW, Facts
from bailiwick.core.judge import judge
from bailiwick.core.limits.limit import Charge
from bailiwick.core.line import line_of
from bailiwick.core.mandate import Mandate
from bailiwick.core.seen import looked, see
from bailiwick.core.verdict import Allow
from tests.unit.core.chains import TRANSFER, SomeRun, calls, chains, limit, open_chains, runs
from tests.unit.core.mandates import NOW, allow, at, call, mandate


def seen(asked: Call, chain: tuple[Mandate, ...], run: SomeRun, *, policies: bool) -> JsonObject:
    verdict = judge(asked, chain, NO_POLICIES, NO_COUNTERS, run, NO_STEP, NOW)
    return see(asked, chain, verdict, NO_COUNTERS, run, NOW, policies=policies)


@given(chains() | open_chains(), calls, runs, st.booleans())
def test_what_is_recorded_follows_from_every_rule_about_the_call(
    chain: tuple[Mandate, ...], asked: Call, run: SomeRun, policies: bool
) -> None:
    found = seen(asked, chain, run, policies=policies)
    vouched = [
        path for each in chain for rule in each.plan(asked.target).allow for path in rule.vouched
    ]
    asks = policies or bool(vouched) or any(each.flow is not NO_FLOW for each in chain)
    if chain:
        assert ("untrusted" in found) is (asks and run.untrusted is not None)
        assert ("confidential" in found) is (asks and bool(run.confidential))
        assert ("values" in found) is bool(vouched)
    if not looked(chain, asked.target, policies=policies):
        assert found == {}
    given = [each for path in vouched for each in reach(path, asked.arguments)]
    if found.get("values"):
        assert given


class Known:
    """Counters that know of two values more once a call's own is counted."""

    def used(self, charge: Charge) -> int:
        return {"": 7, "-": 1}.get(charge.member, 3)


def test_what_was_used_is_recorded_of_each_limit_that_counts_the_call() -> None:
    plain = mandate(allow("bank/*", other=True))
    counting = dataclasses.replace(
        plain,
        limits=(
            limit("calls", TRANSFER),
            limit("payees", "bank/*", at("payee")),
            limit("mails", "mail/*"),
        ),
    )
    asked = call(TRANSFER, {"payee": "x"})
    for chain in ((counting,), (plain, counting), (counting, plain)):
        verdict = judge(asked, chain, NO_POLICIES, Known(), SomeRun(Facts()), NO_STEP, NOW)
        assert isinstance(verdict, Allow)
        found = see(asked, chain, verdict, Known(), SomeRun(Facts()), NOW, policies=False)
        assert found == {"used": [[7, 7], [3, 1]]}
    elsewhere = call("bank/list", {"payee": "x"})
    verdict = judge(elsewhere, (counting,), NO_POLICIES, Known(), SomeRun(Facts()), NO_STEP, NOW)
    found = see(elsewhere, (counting,), verdict, Known(), SomeRun(Facts()), NOW, policies=False)
    assert found == {"used": [[3, 1]]}


def test_nothing_is_recorded_where_nothing_was_looked_at() -> None:
    plain = mandate(allow(TRANSFER, other=True))
    counting = dataclasses.replace(plain, limits=(limit("mails", "mail/*"),))
    asked = call(TRANSFER, {"payee": "x"})
    for each in (plain, counting):
        verdict = judge(asked, (each,), NO_POLICIES, Known(), SomeRun(Facts()), NO_STEP, NOW)
        assert see(asked, (each,), verdict, Known(), SomeRun(Facts()), NOW, policies=False) == {}
        assert not looked((each,), asked.target, policies=False)
        assert looked((each,), asked.target, policies=True)
    mails = call("mail/send", {"payee": "x"}).target
    assert looked((counting,), mails, policies=False)
    assert looked((), asked.target, policies=True) is None
    assert see(asked, (), verdict, Known(), SomeRun(Facts()), NOW, policies=True) == {}


@given(chains() | open_chains(), calls, runs, st.booleans())
def test_a_line_that_is_known_tells_what_one_that_is_looked_up_does(
    chain: tuple[Mandate, ...], asked: Call, run: SomeRun, policies: bool
) -> None:
    counters = Known()
    verdict = judge(asked, chain, NO_POLICIES, counters, run, NO_STEP, NOW)
    line = looked(chain, asked.target, policies=policies)
    told = see(asked, chain, verdict, counters, run, NOW, policies=policies)
    assert told == see(asked, chain, verdict, counters, run, NOW, policies=policies, line=line)
    assert told == {} or line is line_of(chain, asked.target)
