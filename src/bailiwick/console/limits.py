"""Limits as the API's JSON and as what the page shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from bailiwick.core.canonical import JsonObject
from bailiwick.core.limits.wording import amount_words, part_words
from bailiwick.ports import LimitAudit, LimitRow, LimitsInForce


def limits_json(found: LimitsInForce) -> JsonObject:
    """What is used of limits."""
    return {
        "limits": [limit_json(row) for row in found.limits],
        "unsettled": [asdict(row) for row in found.unsettled],
    }


def limit_json(row: LimitRow) -> JsonObject:
    """One account of a limit, its amounts in steps and once more in words."""
    words: JsonObject = {
        "used": in_words(row, row.used),
        "pending": in_words(row, row.pending) if row.pending else "",
        "unknown": in_words(row, row.unknown) if row.unknown else "",
        "left": in_words(row, row.left),
        "ceiling": in_words(row, row.ceiling),
    }
    return {**asdict(row), "used": row.used, "left": row.left, "in_words": words}


def audit_json(found: LimitAudit) -> JsonObject:
    """What the audit found."""
    differences = [asdict(each) for each in found.differences]
    return {**asdict(found), "agree": not differences, "differences": differences}


def in_words(row: LimitRow, steps: int) -> str:
    """An amount of this limit: "CHF 18,000.50", "3 calls"."""
    return amount_words(steps, row.scale, row.unit)


@dataclass(frozen=True, slots=True)
class LimitView:
    """One account as a line of the page."""

    row: LimitRow
    used: str
    left: str
    ceiling: str
    pending: str
    unknown: str


def view_limits(rows: Sequence[LimitRow]) -> dict[tuple[str, str], list[LimitView]]:
    """Lines by mandate or person, one of which is "", in the order of `rows`."""
    views: dict[tuple[str, str], list[LimitView]] = {}
    for row in rows:
        view = LimitView(
            row=row,
            used=part_words(row.used, row.scale, row.unit),
            left=in_words(row, row.left),
            ceiling=in_words(row, row.ceiling),
            pending=in_words(row, row.pending) if row.pending else "",
            unknown=in_words(row, row.unknown) if row.unknown else "",
        )
        views.setdefault((row.mandate, row.person), []).append(view)
    return views
