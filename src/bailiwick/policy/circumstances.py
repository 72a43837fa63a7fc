"""What a policy may look at besides the arguments: the mandate, the run, the time.

One table: the type of each attribute for the schema, and how it is found for a call.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from bailiwick.core.call import Call
from bailiwick.core.canonical import Json
from bailiwick.core.flow.labels import Labels
from bailiwick.core.mandate import Mandate
from bailiwick.policy.expressing import Inexpressible
from bailiwick.policy.statements import Wanted
from bailiwick.policy.types import Attribute, RecordOf, SetOf, Simple, Type

_DAY_MS = 86_400_000
_HOUR_MS = 3_600_000
_MAX_NAME_CHARS = 8_192


@dataclass(frozen=True, slots=True)
class Moment:
    """Everything a policy may look at but the arguments."""

    call: Call
    chain: Sequence[Mandate]
    labels: Labels
    now: int


Found = Callable[[Moment], Json]


@dataclass(frozen=True, slots=True)
class _Known:
    type: Type
    of: Found
    doc: str


def _zones(moment: Moment) -> Json:
    zones = moment.labels.facts.zones
    if zones is None:  # not the same as being in no zone
        raise Inexpressible("it is not known where the caller's address lies")
    return sorted(zones)


def _name(moment: Moment) -> Json:
    name = moment.call.target.name
    if len(name) > _MAX_NAME_CHARS:
        raise Inexpressible(f"its name has more than {_MAX_NAME_CHARS} characters")
    return name


_TEXTS = SetOf(Simple.TEXT)

_MANDATE = {
    "name": _Known(Simple.TEXT, lambda m: m.chain[-1].name, "Its name."),
    "version": _Known(Simple.WHOLE, lambda m: m.chain[-1].version, "Its version."),
    "purpose": _Known(Simple.TEXT, lambda m: m.chain[-1].purpose, "What it is for."),
    "principal": _Known(
        Simple.PERSON,
        lambda m: {"__entity": {"type": "Person", "id": m.chain[-1].principal}},
        "Who gave it.",
    ),
    "depth": _Known(
        Simple.WHOLE, lambda m: len(m.chain), "How many mandates the call must pass; 1 for a root."
    ),
    "chain": _Known(_TEXTS, lambda m: [one.name for one in m.chain], "Their names."),
}

_RUN = {
    "id": _Known(Simple.TEXT, lambda m: m.labels.facts.run, "Its id."),
    "purpose": _Known(Simple.TEXT, lambda m: m.labels.facts.purpose, "As its starter said."),
    "labels": _Known(_TEXTS, lambda m: sorted(m.labels.facts.run_labels), "Set by its starter."),
    "started_by": _Known(Simple.TEXT, lambda m: m.labels.facts.started_by, "`person` or `agent`."),
    "end_user": _Known(
        Simple.TEXT, lambda m: m.labels.facts.end_user, "For whom the agent acts; empty if unknown."
    ),
    "end_user_by": _Known(
        Simple.TEXT,
        lambda m: m.labels.facts.end_user_by,
        "Who said so: `person`, `agent`, or empty.",
    ),
    "asked_by_model": _Known(
        Simple.TEXT,
        lambda m: m.labels.facts.asked_by_model,
        "How a tool call stands to what its models asked for: `matched`, `altered`, `unasked` or "
        "`unknown`.",
    ),
    "zones": _Known(_TEXTS, _zones, "Network zones of the caller's address."),
    "untrusted": _Known(
        Simple.FLAG, lambda m: m.labels.untrusted is not None, "Whether it read untrusted text."
    ),
    "confidential": _Known(
        _TEXTS, lambda m: sorted(m.labels.confidential), "Labels of what it has read."
    ),
}

_TIME = {
    "now": _Known(
        Simple.MOMENT, lambda m: {"__extn": {"fn": "datetime", "arg": _iso(m.now)}}, "In UTC."
    ),
    "hour": _Known(Simple.WHOLE, lambda m: m.now // _HOUR_MS % 24, "0 to 23, in UTC."),
    "weekday": _Known(
        # 1 January 1970 was a Thursday.
        Simple.WHOLE,
        lambda m: (m.now // _DAY_MS + 3) % 7 + 1,
        "1 (Monday) to 7 (Sunday), in UTC.",
    ),
}

_RECORDS: dict[str, dict[str, _Known]] = {"mandate": _MANDATE, "run": _RUN, "time": _TIME}

CIRCUMSTANCES: Mapping[str, Attribute] = {
    **{
        name: Attribute(
            RecordOf({each: Attribute(known.type, True) for each, known in inside.items()}), True
        )
        for name, inside in _RECORDS.items()
    },
    "name": Attribute(Simple.TEXT, True),
}
"""What `context` holds for every call. `name` is that of the tool, resource or prompt."""

DOCS: Mapping[str, str] = {
    "name": "Of the tool, resource or prompt, as its server calls it.",
    "input": "The arguments, as far as they have a type.",
    "undeclared": "Names of arguments that the tool's definition does not declare.",
    **{
        f"{name}.{each}": known.doc
        for name, inside in _RECORDS.items()
        for each, known in inside.items()
    },
}
"""What each attribute of `context` is, for people."""


def finders(wanted: Wanted) -> list[tuple[str, Found]]:
    """How to find each of the wanted attributes that are no arguments, by its name in `context`."""
    found: list[tuple[str, Found]] = []
    for name, inside in _RECORDS.items():
        asked = wanted.at(name)
        if asked is not None:
            kept = [(each, inside[each].of) for each in inside if asked.at(each) is not None]
            found.append((name, _record(kept)))
    if wanted.at("name") is not None:
        found.append(("name", _name))
    return found


def _record(kept: Sequence[tuple[str, Found]]) -> Found:
    return lambda moment: {name: of(moment) for name, of in kept}


def _iso(now_ms: int) -> str:
    moment = datetime.fromtimestamp(now_ms // 1000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{now_ms % 1000:03}Z"
