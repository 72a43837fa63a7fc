"""`limits:` in mandates: how a limit is written and compiled.

What only shows when several of its keys are looked at together is in `limit_checks.py`.
"""

from __future__ import annotations

from collections.abc import Mapping

from bailiwick.core.argument_path import ArgumentPath, parse_argument_path
from bailiwick.core.canonical import Json, JsonObject
from bailiwick.core.conditions import Condition
from bailiwick.core.limits.countable import steps_of
from bailiwick.core.limits.limit import TAKEN, Limit, Measure, Window
from bailiwick.core.limits.pricing import MAX_TOKENS
from bailiwick.core.target_pattern import TargetPattern
from bailiwick.declared.alternatives import ARGUMENT, ByForm, argument_in
from bailiwick.declared.circumstances import read_zone
from bailiwick.declared.conditions import WHEN
from bailiwick.declared.names import NAME
from bailiwick.declared.objects import texts
from bailiwick.declared.readings import DURATION, read_duration
from bailiwick.declared.shapes import (
    Choice,
    Field,
    Flag,
    ListOf,
    MapOf,
    Quantity,
    Record,
    Text,
    Whole,
)

MAX_COUNT = 1_000_000_000
"""Highest number of calls or values."""

MAX_LIMITS = 100
MAX_KEYS = 8

MEASURES = {
    "calls": Measure.COUNT,
    "sum": Measure.SUM,
    "distinct": Measure.DISTINCT,
    "at_once": Measure.CONCURRENT,
    "tokens": Measure.TOKENS,
    "input_tokens": Measure.INPUT_TOKENS,
    "output_tokens": Measure.OUTPUT_TOKENS,
    "cost": Measure.COST,
}
"""The key of a limit that says what it counts."""

_ARGUMENT_NAME = Text(reads=parse_argument_path, max_length=256)
_DURATION = Text(DURATION, "is not a duration such as `10m`, `24h` or `7d`", read_duration)
_CURRENCY = Text(r"[A-Za-z][A-Za-z0-9]{0,11}", "is not a currency such as `CHF`", max_length=12)
_TOKENS = Whole(1, MAX_TOKENS)
_MONEY = Text(
    r"(?:0|[1-9][0-9]*)(?:\.[0-9]{1,6})? [A-Za-z][A-Za-z0-9]{0,11}",
    "is not an amount with its currency, such as `5 USD` or `0.50 EUR`",
    max_length=64,
)
_COUNTS_AS = Choice(("spent", "released"))


def limit_shape(targets: Mapping[str, Field]) -> Record:
    """One limit of a mandate, about `targets` like a rule."""
    return Record(
        "a limit",
        {
            **targets,
            "id": Field(NAME, "Its name: what is used is kept under it.", required=True),
            "when": WHEN,
            "calls": Field(Whole(1, MAX_COUNT), "How many calls."),
            "sum": Field(_ARGUMENT_NAME, "The argument that is added up, such as `amount`."),
            "distinct": Field(
                _ARGUMENT_NAME, "The argument whose different values are counted: `payee.iban`."
            ),
            "at_once": Field(Whole(1, MAX_COUNT), "How many calls may be under way at a time."),
            "tokens": Field(_TOKENS, "How many tokens model calls may take, input and output."),
            "input_tokens": Field(_TOKENS, "How many tokens model calls may be given."),
            "output_tokens": Field(_TOKENS, "How many tokens models may answer."),
            "cost": Field(
                ByForm(_MONEY, MapOf(_CURRENCY, Quantity(), least=1)),
                "What model calls may cost, by the prices of their servers: `5 USD`, or for each "
                "currency `{USD: 5, EUR: 4.50}`.",
            ),
            "at_most": Field(
                ByForm(Quantity(), MapOf(_CURRENCY, Quantity(), least=1)),
                "The highest sum or number of values; for currencies from an argument one for "
                "each: `{CHF: 20000, EUR: 20000}`.",
            ),
            "currency": Field(
                ByForm(_CURRENCY, ARGUMENT),
                "The currency of the sum: `CHF`, or the argument that names it: "
                "`{argument: currency}`.",
            ),
            "minor_units": Field(
                Flag(), "The argument, and `actual`, count centimes, or what the currency has."
            ),
            "per": Field(
                ListOf(_ARGUMENT_NAME, or_one=True, most=MAX_KEYS),
                "Count apart for each value of this argument, such as each payee.",
            ),
            "each": Field(
                Choice(("call", "run", "hour", "day", "week", "month", "lifetime")),
                "Over what time it counts, by the calendar. `lifetime`: of the mandate.",
            ),
            "zone": Field(
                Text(reads=read_zone, max_length=64),
                "The time zone in which hours to months begin: `Europe/Zurich`.",
            ),
            "within": Field(
                _DURATION, "Over what time it counts, at any moment: `10m`, `24h`, `7d`."
            ),
            "actual": Field(
                _ARGUMENT_NAME,
                "Where the structured content of the result says what was really spent.",
            ),
            "failed": Field(_COUNTS_AS, "What a call counts as that the tool says failed."),
            "unknown": Field(
                Record(
                    "what becomes of the unknown",
                    {
                        "after": Field(_DURATION, "After how long.", required=True),
                        "counts_as": Field(_COUNTS_AS, "As what.", required=True),
                    },
                ),
                "What becomes of a call of which nothing is known. Without it, a person decides.",
            ),
        },
        some_of=tuple(targets),
        one_of=tuple(MEASURES),
        needs={
            "currency": "sum",
            "minor_units": "currency",
            "actual": "sum",
            "zone": "each",
        },
    )


def compile_limit(
    spec: JsonObject,
    ref: str,
    targets: tuple[TargetPattern, ...],
    conditions: tuple[Condition, ...],
) -> Limit:
    """The limit of a checked declaration.

    Args:
        ref: `MANDATE@VERSION`, or `@PERSON`.

    Raises:
        ValueError: what it counts comes from different lists.
    """
    name = str(spec["id"])
    key = next(each for each in MEASURES if each in spec)
    measure = MEASURES[key]
    unknown = spec.get("unknown")
    after, counts_as = "", "spent"
    if isinstance(unknown, Mapping):
        after, counts_as = str(unknown["after"]), str(unknown["counts_as"])
    return Limit(
        id=f"{ref}/limit/{name}",
        name=name,
        targets=targets,
        conditions=conditions,
        measure=measure,
        window=_window(spec, measure),
        ceilings=_ceilings(spec, measure),
        of=parse_argument_path(str(spec[key])) if key in ("sum", "distinct") else (),
        currency=argument_in(spec.get("currency")) or (),
        per=tuple(parse_argument_path(text) for text in texts(spec, "per")),
        actual=_path(spec.get("actual")),
        minor_units=spec.get("minor_units") is True,
        failed_frees=spec.get("failed") == "released",
        unknown_after_seconds=read_duration(after) if after else None,
        unknown_as="voided" if counts_as == "released" else "posted",
    )


def _window(spec: JsonObject, measure: Measure) -> Window:
    if measure is Measure.CONCURRENT:
        return Window("lifetime")
    if "within" in spec:
        return Window("sliding", seconds=read_duration(str(spec["within"])))
    return Window(str(spec["each"]), str(spec.get("zone", "UTC")))


def _ceilings(spec: JsonObject, measure: Measure) -> dict[str, int]:
    if measure in (Measure.COUNT, Measure.CONCURRENT):
        return {"calls": _whole(spec["calls" if measure is Measure.COUNT else "at_once"])}
    if measure is Measure.COST:
        return money(spec["cost"])
    if measure in TAKEN:
        return {measure.value: _whole(spec[measure.value])}
    most = spec["at_most"]
    if measure is Measure.DISTINCT:
        return {"values": _whole(most)}
    if isinstance(most, Mapping):
        # Sorted, as in the canonical document: a file and a store compile to the same mandate.
        return {unit: _steps(each) for unit, each in sorted(most.items())}
    currency = spec.get("currency")
    return {currency if isinstance(currency, str) else "": _steps(most)}


def money(value: Json) -> dict[str, int]:
    """Steps by currency of `5 USD` or `{USD: 5}`, checked."""
    if isinstance(value, Mapping):
        # Sorted, as in the canonical document: a file and a store compile to the same mandate.
        return {unit: _steps(each) for unit, each in sorted(value.items())}
    amount, _, unit = str(value).partition(" ")
    return {unit: _steps(amount)}


def _steps(value: Json) -> int:
    steps = steps_of(value)
    assert isinstance(steps, int)
    return steps


def _whole(value: Json) -> int:
    assert isinstance(value, int)
    return value


def _path(value: Json) -> ArgumentPath:
    return () if value is None else parse_argument_path(str(value))
