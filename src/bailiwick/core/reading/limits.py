"""Limits in words, whole."""

from __future__ import annotations

from bailiwick.core.limits.limit import ZONED, Limit, Measure
from bailiwick.core.limits.windows import duration
from bailiwick.core.limits.wording import amount_words
from bailiwick.core.reading.conditions import where
from bailiwick.core.reading.quoting import all_of, one_of, quote, quote_path
from bailiwick.core.reading.targets import targets


def read_limit(limit: Limit) -> str:
    """One limit: "Up to CHF 20,000 of `amount` a day (Europe/Zurich), …"."""
    counted = where(limit.conditions)
    over = "" if limit.measure is Measure.CONCURRENT else f" {_over(limit)}"
    parts = [
        f"Up to {_most(limit)}{over}",
        f"by every use of {targets(limit.targets)}{' ' + counted if counted else ''}",
    ]
    if limit.per:
        apart = all_of(quote_path(path) for path in limit.per)
        parts.append(f"counted apart for each {apart}")
    if limit.actual:
        parts.append(f"what was really spent being {quote_path(limit.actual)} of the result")
    if limit.failed_frees:
        parts.append("nothing being counted of what its tool says has failed")
    if limit.unknown_after_seconds is not None:
        spent = "nothing" if limit.unknown_as == "voided" else "spent"
        after = duration(limit.unknown_after_seconds)
        parts.append(f"what is still unknown after {after} being counted as {spent}")
    return f"{', '.join(parts)} (limit {quote(limit.name)})."


def _most(limit: Limit) -> str:
    ceilings = [
        amount_words(ceiling, limit.scale, unit) for unit, ceiling in limit.ceilings.items()
    ]
    if limit.measure is Measure.CONCURRENT:
        return f"{one_of(ceilings)} at once"
    if limit.measure is Measure.DISTINCT:
        count = next(iter(limit.ceilings.values()))
        return f"{count:,} different value{'s' if count != 1 else ''} of {_of(limit)}"
    if limit.measure is Measure.COUNT or limit.takes:
        return one_of(ceilings)
    text = f"{one_of(ceilings)} of {_of(limit)}"
    if limit.currency:
        text += f", in the currency that {quote_path(limit.currency)} names and in no other"
    if limit.minor_units:
        text += ", given in its smallest unit"
    return f"{text}," if limit.currency or limit.minor_units else text


def _of(limit: Limit) -> str:
    return quote_path(limit.of)


def _over(limit: Limit) -> str:
    kind = limit.window.kind
    if kind in ZONED:
        return f"{'an' if kind == 'hour' else 'a'} {kind} ({limit.window.zone})"
    if kind == "sliding":
        return f"within any {duration(limit.window.seconds)}"
    return {"call": "in one call", "run": "in one run"}.get(kind, "in all")
