"""Limits in what a model call takes: what is charged, where, and what is refused."""

from __future__ import annotations

import dataclasses

import pytest

from bailiwick.core.call import Call, CallKind, ModelUse, Target
from bailiwick.core.canonical import JsonObject
from bailiwick.core.limits.charging import charges, exceeded
from bailiwick.core.limits.limit import SUM_SCALE, Charge, Limit, Measure, Window, holder_of
from bailiwick.core.mandate import Mandate
from bailiwick.core.verdict import Deny
from tests.unit.core.mandates import NOW, allow, at, mandate, pattern

MODEL = Target(CallKind.MODEL, "hosted", "gpt")
BOUNDS = {"input_tokens": 90, "output_tokens": 10, "tokens": 95, "cost:USD": 700}


def limit(measure: Measure, id_: str = "pay@1/limit/x", **more: object) -> Limit:
    units = {Measure.COST: {"USD": 5 * SUM_SCALE}, Measure.COUNT: {"calls": 3}}
    return Limit(
        **{  # type: ignore[arg-type]  # defaults, some of them replaced
            "id": id_,
            "name": id_.rpartition("/")[2],
            "targets": (pattern("hosted/*", CallKind.MODEL),),
            "conditions": (),
            "measure": measure,
            "window": Window("lifetime"),
            "ceilings": units.get(measure, {measure.value: 1_000}),
            **more,
        }
    )


def under(*limits: Limit, hers: tuple[Limit, ...] = (), name: str = "pay") -> Mandate:
    found = mandate(allow("hosted/*"), name=name)
    return dataclasses.replace(found, limits=limits, principal_limits=hers)


def asked(use: ModelUse | None, arguments: JsonObject | None = None) -> Call:
    return Call.of("0" * 26, MODEL, arguments or {"model": "gpt"}, use=use)


def taken(use: ModelUse | None, *chain: Mandate, **arguments: object) -> tuple[Charge, ...] | Deny:
    return charges(asked(use, arguments), chain, "run-1", NOW)  # type: ignore[arg-type]  # JSON


def one(found: tuple[Charge, ...] | Deny) -> Charge:
    assert not isinstance(found, Deny), found
    (charge,) = found
    return charge


@pytest.mark.parametrize(
    ("measure", "amount", "takes", "unit"),
    [
        (Measure.TOKENS, 95, "tokens", "tokens"),
        (Measure.INPUT_TOKENS, 90, "input_tokens", "input_tokens"),
        (Measure.OUTPUT_TOKENS, 10, "output_tokens", "output_tokens"),
        (Measure.COST, 700, "cost:USD", "USD"),
    ],
)
def test_a_call_is_charged_what_it_can_take_at_most(
    measure: Measure, amount: int, takes: str, unit: str
) -> None:
    charge = one(taken(ModelUse(BOUNDS, "gpt"), under(limit(measure))))
    assert (charge.amount, charge.takes, charge.unit) == (amount, takes, unit)
    assert charge.account.startswith(f"pay:x:{measure.value}:lifetime:::{unit}:")


@pytest.mark.parametrize(
    ("use", "measure", "code", "because"),
    [
        (None, Measure.TOKENS, "tokens_unbounded", "does not say what it may take"),
        (ModelUse({}, "gpt"), Measure.TOKENS, "tokens_unbounded", "nothing bounds"),
        (
            ModelUse({"input_tokens": 9}, "gpt", unbounded={"output_tokens": "state one"}),
            Measure.OUTPUT_TOKENS,
            "tokens_unbounded",
            "`hosted/gpt` is refused: state one (limit `x`)",
        ),
        (
            ModelUse({"tokens": 9}, "gpt", unbounded={"price": "declare one"}),
            Measure.COST,
            "price_unknown",
            "declare one (limit `x`)",
        ),
        (
            ModelUse({"output_tokens": 9}, "gpt", unbounded={"input_tokens": "a picture"}),
            Measure.COST,
            "cost_unbounded",
            "a picture (limit `x`)",
        ),
        (
            ModelUse({"tokens": 9, "cost:EUR": 9}, "gpt"),
            Measure.COST,
            "currency_not_allowed",
            "it is priced in `EUR` (limit `x`)",
        ),
        (
            ModelUse({"tokens": 10**19}, "gpt"),
            Measure.TOKENS,
            "amount_too_large",
            "more than can be counted",
        ),
    ],
)
def test_what_is_not_bounded_has_no_room(
    use: ModelUse | None, measure: Measure, code: str, because: str
) -> None:
    found = taken(use, under(limit(measure)))
    assert isinstance(found, Deny)
    assert found.code == code
    assert because in found.because
    assert found.rules == ("pay@1/limit/x",)


def test_what_takes_nothing_costs_nothing_whatever_the_price() -> None:
    nothing = ModelUse({"input_tokens": 0, "output_tokens": 0, "tokens": 0}, "gpt")
    assert one(taken(nothing, under(limit(Measure.COST)))).amount == 0


def test_each_call_is_held_to_its_own_limit_and_nothing_is_kept() -> None:
    narrow = limit(Measure.OUTPUT_TOKENS, window=Window("call"), ceilings={"output_tokens": 9})
    found = taken(ModelUse(BOUNDS, "gpt"), under(narrow))
    assert isinstance(found, Deny)
    assert found.because == "limit `x`: 10 output tokens in one call"
    assert found.allowed == "What is allowed: at most 9 output tokens in one call"
    roomy = limit(Measure.OUTPUT_TOKENS, window=Window("call"), ceilings={"output_tokens": 10})
    assert taken(ModelUse(BOUNDS, "gpt"), under(roomy)) == ()


def test_of_several_keys_each_takes_all_of_it() -> None:
    apart = limit(Measure.TOKENS, per=(at("tags[]"),))
    found = taken(ModelUse(BOUNDS, "gpt"), under(apart), tags=["a", "b", "A"])
    assert not isinstance(found, Deny)
    assert sorted((each.key, each.amount) for each in found) == [('["a"]', 95), ('["b"]', 95)]
    nobody = taken(ModelUse(BOUNDS, "gpt"), under(apart), tags=[None])
    assert isinstance(nobody, Deny)
    assert nobody.code == "key_unclear"


def test_a_refusal_says_what_is_used_and_left_in_the_limit_s_own_unit() -> None:
    class Used:
        def used(self, charge: Charge) -> int:
            return 950 if charge.unit != "USD" else 4_999_999

    tokens = one(taken(ModelUse(BOUNDS, "gpt"), under(limit(Measure.TOKENS))))
    over = exceeded((tokens,), Used())
    assert over is not None
    assert over.because == (
        "limit `x`: 950 of 1,000 tokens used in all; this would take 95 tokens; 50 tokens left"
    )
    money = one(taken(ModelUse(BOUNDS, "gpt"), under(limit(Measure.COST))))
    over = exceeded((money,), Used())
    assert over is not None
    assert over.because == (
        "limit `x`: USD 4.999999 of USD 5 used in all; this would take USD 0.0007; "
        "USD 0.000001 left"
    )


def test_a_person_s_limit_counts_a_call_once_however_long_the_chain_is() -> None:
    hers = limit(Measure.TOKENS, "@ada/limit/day")
    assert holder_of(hers.id) == "@ada"
    assert hers.account_stem.startswith("@ada:day:tokens:")
    own = limit(Measure.TOKENS)
    root = under(own, hers=(hers,))
    child = under(limit(Measure.TOKENS, "pay:x@1/limit/x"), hers=(hers,), name="pay:x")
    found = taken(ModelUse(BOUNDS, "gpt"), root, child)
    assert not isinstance(found, Deny)
    assert [each.rule for each in found] == ["pay@1/limit/x", "pay:x@1/limit/x", "@ada/limit/day"]
    other = Target(CallKind.MODEL, "local", "gpt")
    elsewhere = charges(Call.of("0" * 26, other, {}), (root, child), "run-1", NOW)
    assert elsewhere == ()


def test_a_mandate_s_name_cannot_be_taken_for_a_person() -> None:
    """The accounts of mandate `ada` and of person `ada` are two."""
    of_mandate, of_person = (
        limit(Measure.COUNT, "ada@1/limit/x"),
        limit(Measure.COUNT, "@ada/limit/x"),
    )
    assert of_mandate.account_stem != of_person.account_stem
