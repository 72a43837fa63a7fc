"""A judgement explained, at once and from what was recorded of it."""

from __future__ import annotations

import dataclasses
import json

import msgspec
import pytest

from bailiwick.core.argument_path import parse_argument_path
from bailiwick.core.call import Call, CallKind, Target
from bailiwick.core.conditions import Anything, AtLeast, AtMost, Vouched
from bailiwick.core.context import NO_COUNTERS, NO_LABELS, NO_POLICIES, NO_STEP
from bailiwick.core.explaining.whole import Explanation, RuleExplained, why
from bailiwick.core.flow.labels import Accepts, Flow, FreshRun, Source, Vouching
from bailiwick.core.judge import judge
from bailiwick.core.limits.charging import charges
from bailiwick.core.limits.limit import Charge, Limit, Measure, Window
from bailiwick.core.mandate import Mandate
from bailiwick.core.seen import counters_of, recorded, see
from bailiwick.core.verdict import Deny
from tests.unit.core.mandates import NOW, allow, call, deny, mandate, pattern, stamp

at = parse_argument_path
PAY = "bank/pay"


def limit(name: str = "daily", ceiling: int = 5) -> Limit:
    return Limit(
        id=f"pay@1/limit/{name}",
        name=name,
        targets=(pattern(PAY),),
        conditions=(),
        measure=Measure.COUNT,
        window=Window("day"),
        ceilings={"calls": ceiling},
    )


class Used:
    def __init__(self, steps: int) -> None:
        self.steps = steps

    def used(self, charge: Charge) -> int:
        return self.steps


@dataclasses.dataclass(frozen=True)
class Run(FreshRun):
    known: tuple[str, ...] = ()

    def vouching(self, value: object) -> Vouching:
        if value in self.known:
            return Vouching(True, Source("instruction", name="person"))
        return Vouching(False, Source("result", "01J", "mail/read", "body"))


def rules(found: Explanation) -> dict[str, RuleExplained]:
    return {rule.rule: rule for each in found.mandates for rule in each.rules}


def test_each_rule_says_what_it_asks_what_it_found_and_what_decided() -> None:
    pay = mandate(
        allow(PAY, AtMost(at("amount"), 5000), Anything(at("memo")), id_="pay@1/allow/1"),
        stamp(PAY, AtLeast(at("amount"), 1000), role="treasurer", id_="pay@1/stamp/1"),
        deny(PAY, AtLeast(at("amount"), 4000), id_="pay@1/deny/1"),
    )
    found = why(call(PAY, {"amount": 2000}), [pay], NO_POLICIES, NO_COUNTERS, NO_LABELS, NOW)
    assert (found.verdict, found.rules) == ("hold", ("pay@1/stamp/1", "pay@1/allow/1"))
    by_id = rules(found)
    assert by_id["pay@1/deny/1"].does == "does not apply"
    assert not by_id["pay@1/deny/1"].decided
    held = by_id["pay@1/stamp/1"]
    assert (held.does, held.decided) == ("asks for a stamp", True)
    assert held.says.startswith("One person with the role `treasurer` must stamp every use of")
    (compared,) = held.compared
    assert compared.asks == "`amount` is at least 1000"
    assert compared.found == "`amount` is 2000"
    assert by_id["pay@1/allow/1"].does == "lets it through"


def test_an_argument_that_no_condition_names_is_told() -> None:
    pay = mandate(allow(PAY, AtMost(at("amount"), 5), id_="pay@1/allow/1"))
    asked = call(PAY, {"amount": 1, "to": "x"})
    found = why(asked, [pay], NO_POLICIES, NO_COUNTERS, NO_LABELS, NOW)
    assert (found.verdict, found.code) == ("deny", "unknown_argument")
    assert rules(found)["pay@1/allow/1"].compared[-1].found == "`to` is given"


def test_a_limit_tells_what_was_used_and_what_the_call_would_take() -> None:
    pay = dataclasses.replace(mandate(allow(PAY, id_="pay@1/allow/1")), limits=(limit(),))
    asked = call(PAY, {})
    found = why(asked, [pay], NO_POLICIES, Used(5), NO_LABELS, NOW)
    assert (found.verdict, found.code) == ("deny", "limit_exceeded")
    over = rules(found)["pay@1/limit/daily"]
    assert (over.does, over.decided) == ("refuses it", True)
    assert over.compared[0].asks == "there is room for 1 call"
    assert over.compared[0].found.startswith("5 of 5 calls used on 2026-")
    unknown = rules(why(asked, [pay], NO_POLICIES, None, NO_LABELS, NOW))["pay@1/limit/daily"]
    assert unknown.compared[0].found == "how much was used then is not known any more"


def test_vouching_tells_each_value_and_where_it_came_from() -> None:
    pay = mandate(allow(PAY, Vouched(at("iban")), id_="pay@1/allow/1"))
    mail = Run(known=("CH1",))
    good = why(call(PAY, {"iban": "CH1"}), [pay], NO_POLICIES, NO_COUNTERS, mail, NOW)
    (compared,) = rules(good)["pay@1/allow/1"].compared
    assert (good.verdict, compared.counted) == ("allow", True)
    assert compared.found == "`CH1`: known from the instruction (person)"
    bad = why(call(PAY, {"iban": "RU1"}), [pay], NO_POLICIES, NO_COUNTERS, mail, NOW)
    (compared,) = rules(bad)["pay@1/allow/1"].compared
    assert (bad.verdict, compared.counted) == ("hold", False)
    assert "first seen in `body` in the result of `mail/read`" in compared.found
    assert rules(bad)["pay@1/allow/1"].does.startswith("lets it through once a person has stamped")


def test_what_a_run_has_read_is_told_where_it_counts() -> None:
    guarded = Accepts("pay@1/accepts/out", (pattern(PAY),), untrusted=False)
    pay = dataclasses.replace(
        mandate(allow(PAY, id_="pay@1/allow/1")), flow=Flow(accepts=(guarded,))
    )
    tainted = FreshRun(untrusted=Source("result", "01J", "web/get"))
    found = why(call(PAY, {}), [pay], NO_POLICIES, NO_COUNTERS, tainted, NOW)
    assert (found.verdict, found.code) == ("deny", "flow_refused")
    rule = rules(found)["pay@1/accepts/out"]
    assert (rule.does, rule.decided) == ("refuses it", True)
    assert rule.compared[0].found == "first seen in the result of `web/get` (call 01J)"
    clean = rules(why(call(PAY, {}), [pay], NO_POLICIES, NO_COUNTERS, NO_LABELS, NOW))
    assert clean["pay@1/accepts/out"].does == "does not stand against it"


def test_a_mandate_that_had_ended_says_so() -> None:
    pay = mandate(allow(PAY), not_after=NOW - 1)
    found = why(call(PAY, {}), [pay], NO_POLICIES, NO_COUNTERS, NO_LABELS, NOW)
    (_, times) = found.mandates[0].stands
    assert (times.counted, times.found) == (False, "it had ended")


# --- recorded and read back ----------------------------------------------------------------------


def recorded_and_back(asked: Call, given: Mandate, used: int, labels: FreshRun) -> Explanation:
    """As the gateway records a judgement, and as it explains it from its record."""
    verdict = judge(asked, [given], NO_POLICIES, Used(used), labels, NO_STEP, NOW)
    said = see(asked, [given], verdict, Used(used), labels, NOW, policies=False)
    back = recorded(labels.facts, asked, [given], json.loads(msgspec.json.encode(said)))
    taken = charges(asked, [given], labels.facts.run, NOW)
    counters = None if isinstance(taken, Deny) else counters_of(back, taken)
    return why(asked, [given], NO_POLICIES, counters, back, NOW)


@pytest.mark.parametrize("used", [0, 4, 5])
@pytest.mark.parametrize("iban", ["CH1", "RU1"])
@pytest.mark.parametrize("untrusted", [None, Source("result", "01J", "web/get")])
def test_what_was_recorded_explains_as_it_was_judged(
    used: int, iban: str, untrusted: Source | None
) -> None:
    guarded = Accepts("pay@1/accepts/out", (pattern(PAY),), untrusted=False, otherwise="hold")
    pay = dataclasses.replace(
        mandate(allow(PAY, Vouched(at("iban")), id_="pay@1/allow/1")),
        flow=Flow(accepts=(guarded,)),
        limits=(limit(), limit("more", 9)),
    )
    labels = Run(untrusted=untrusted, known=("CH1",))
    asked = call(PAY, {"iban": iban})
    then = why(asked, [pay], NO_POLICIES, Used(used), labels, NOW)
    assert recorded_and_back(asked, pay, used, labels) == then


def test_distinct_values_are_recorded_with_and_without_their_own() -> None:
    payees = dataclasses.replace(
        limit(), measure=Measure.DISTINCT, of=at("to[]"), ceilings={"values": 3}
    )
    pay = dataclasses.replace(
        mandate(allow(PAY, Anything(at("to")), id_="pay@1/allow/1")), limits=(payees,)
    )

    class Known:
        def used(self, charge: Charge) -> int:
            return 1 if charge.member == '"a"' else 2

    asked = call(PAY, {"to": ["a", "b", "c"]})
    verdict = judge(asked, [pay], NO_POLICIES, Known(), NO_LABELS, NO_STEP, NOW)
    said = see(asked, [pay], verdict, Known(), NO_LABELS, NOW, policies=False)
    back = recorded(NO_LABELS.facts, asked, [pay], said)
    taken = charges(asked, [pay], "", NOW)
    assert not isinstance(taken, Deny)
    again = why(asked, [pay], NO_POLICIES, counters_of(back, taken), back, NOW)
    assert isinstance(verdict, Deny)
    assert (again.code, again.because) == (verdict.code, verdict.because)


def test_a_mandate_without_limits_and_flow_records_nothing() -> None:
    plain = mandate(allow(PAY))
    verdict = judge(call(PAY, {}), [plain], NO_POLICIES, NO_COUNTERS, NO_LABELS, NO_STEP, NOW)
    seen = see(call(PAY, {}), [plain], verdict, NO_COUNTERS, NO_LABELS, NOW, policies=False)
    assert seen == {}


def test_what_cannot_be_seen_keeps_nothing_from_being_recorded() -> None:
    class Broken:
        def used(self, charge: Charge) -> int:
            raise RuntimeError

    pay = dataclasses.replace(mandate(allow(PAY)), limits=(limit(),))
    verdict = judge(call(PAY, {}), [pay], NO_POLICIES, Broken(), NO_LABELS, NO_STEP, NOW)
    assert isinstance(verdict, Deny)
    assert see(call(PAY, {}), [pay], verdict, Broken(), NO_LABELS, NOW, policies=False) == {}


def test_only_values_of_the_call_explain_it() -> None:
    target = Target(CallKind.TOOL, "bank", "pay")
    asked = Call.of("01JZ0000000000000000000000", target, {"iban": "CH1"})
    pay = mandate(allow(PAY, Vouched(at("iban"))))
    back = recorded(NO_LABELS.facts, asked, [pay], {"values": "damaged", "used": [["x", True]]})
    assert back.used == ()
    assert not back.vouching("CH1").vouched
