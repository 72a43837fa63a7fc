"""`only: {asked_by_model: …}`: whether a model of the run asked for a call."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from bailiwick.core.call import Call, CallKind, Target
from bailiwick.core.circumstances import AskedByModel
from bailiwick.core.context import NO_COUNTERS, NO_POLICIES, NO_STEP
from bailiwick.core.flow.labels import NO_FACTS, Facts, FreshRun
from bailiwick.core.judge import judge
from bailiwick.core.mandate import Mandate
from bailiwick.core.narrowing.circumstances import implied
from bailiwick.core.values import CANNOT_TELL, FAILS, HOLDS, Truth
from bailiwick.core.verdict import Allow, Deny, Hold, Verdict
from tests.unit.core.mandates import NOW, allow, call, deny, mandate, stamp

MATCHED = AskedByModel(frozenset({"matched"}))
OTHERWISE = AskedByModel(frozenset({"altered", "unasked"}))


def facts(match: str, *differences: str) -> Facts:
    return msgspec.structs.replace(NO_FACTS, asked_by_model=match, differences=differences)


@pytest.mark.parametrize(
    ("each", "match", "truth"),
    [
        (MATCHED, "matched", HOLDS),
        (MATCHED, "altered", FAILS),
        (MATCHED, "unasked", FAILS),
        (MATCHED, "unknown", CANNOT_TELL),
        (MATCHED, "shortened", CANNOT_TELL),
        (OTHERWISE, "matched", FAILS),
        (OTHERWISE, "altered", HOLDS),
        (OTHERWISE, "unasked", HOLDS),
        (OTHERWISE, "unknown", CANNOT_TELL),
    ],
)
def test_what_is_not_known_is_neither(each: AskedByModel, match: str, truth: Truth) -> None:
    assert each.of(facts(match), 0) is truth
    assert each.of(NO_FACTS, 0) is CANNOT_TELL


def judged(given: Mandate, asked: Call, known: Facts) -> Verdict:
    labels = FreshRun(known)
    return judge(asked, [given], NO_POLICIES, NO_COUNTERS, labels, NO_STEP, NOW)


def under(given: Mandate, match: str, *differences: str) -> Verdict:
    return judged(given, call("bank/pay", {}), facts(match, *differences))


@pytest.mark.parametrize("match", ["altered", "unasked", "unknown"])
def test_a_mandate_can_let_through_deny_or_hold_what_was_not_asked_for(match: str) -> None:
    only = mandate(replace(allow("bank/pay"), circumstances=(MATCHED,)))
    no_others = mandate(allow("bank/pay"), replace(deny("bank/pay"), circumstances=(OTHERWISE,)))
    held = mandate(allow("bank/pay"), replace(stamp("bank/pay"), circumstances=(OTHERWISE,)))
    for rules, otherwise in ((only, Deny), (no_others, Deny), (held, Hold)):
        assert isinstance(under(rules, "matched"), Allow)
        assert isinstance(under(rules, match), otherwise)


def test_a_refusal_says_what_differs() -> None:
    rules = mandate(replace(allow("bank/pay"), circumstances=(MATCHED,)))
    refused = under(rules, "altered", "iban", "amount")
    assert isinstance(refused, Deny)
    assert refused.because == (
        "`bank/pay` is allowed only when a model asked for exactly this "
        "(the model asked for it with other `iban` or `amount`)"
    )


def test_what_a_person_reads_who_is_to_stamp_says_when() -> None:
    rules = mandate(allow("bank/pay"), replace(stamp("bank/pay"), circumstances=(OTHERWISE,)))
    held = under(rules, "unasked")
    assert isinstance(held, Hold)
    assert held.because.endswith(
        ": when a model asked for it with other arguments or when no model asked for it"
    )


def test_model_calls_themselves_are_asked_for_by_nobody() -> None:
    of_model = msgspec.structs.replace(NO_FACTS, of_model=True)
    assert MATCHED.of(of_model, 0) is HOLDS
    resource = Call.of("1", Target(CallKind.RESOURCE, "files", "file:///x"), {})
    rules = replace(mandate(allow("bank/pay")), circumstances=(MATCHED,))
    assert isinstance(judged(rules, resource, NO_FACTS), Deny)


def test_a_child_may_ask_for_more_but_not_for_less() -> None:
    wide = AskedByModel(frozenset({"matched", "altered"}))
    assert implied((MATCHED,), wide)
    assert not implied((wide,), MATCHED)
    assert not implied((), MATCHED)
