"""`only:` in mandates and rules, and the calendars, zones and proxies that it leans on."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import date

from bailiwick.core.call import CallKind
from bailiwick.core.canonical import Json, JsonObject
from bailiwick.core.circumstances import (
    AskedByModel,
    Circumstance,
    ForEndUser,
    FromZone,
    RunLabelled,
    RunPurpose,
    StartedByPerson,
)
from bailiwick.core.errors import ConfigError
from bailiwick.core.hours import DAY_MINUTES, EVERY_DAY, Calendar, InHours, Span
from bailiwick.core.network import Networks, read_network
from bailiwick.core.texts.glob import Glob
from bailiwick.core.texts.time_zones import time_zone, zone_names
from bailiwick.core.values import show
from bailiwick.declared.model_calls import MODEL_CALL, of_model_calls
from bailiwick.declared.names import LINE, NAME
from bailiwick.declared.objects import Declaration, texts
from bailiwick.declared.problems import Problem, did_you_mean
from bailiwick.declared.readings import TARGET_KINDS
from bailiwick.declared.shapes import Choice, Field, ListOf, MapOf, Record, Text
from bailiwick.declared.tree import Items, Node, Scalar, Table

Objects = Mapping[tuple[str, str], Declaration]
Calendars = Mapping[str, Calendar]
NO_CALENDARS: Calendars = {}

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY = rf"(?:{'|'.join(_DAYS)})"
_CLOCK = r"(?:[01]?[0-9]|2[0-3]):[0-5][0-9]"
_DATE = r"(?:19|20|21)[0-9]{2}-[0-9]{2}-[0-9]{2}"
MAX_DAYS = 1_000


def read_zone(text: str) -> str:
    """The name of a time zone, as it is."""
    if text not in zone_names():
        raise ValueError(f"is not a time zone{did_you_mean(text, zone_names())}")
    time_zone(text)
    return text


def read_date(text: str) -> date:
    """A day such as `2026-12-25`."""
    if not re.fullmatch(_DATE, text):
        raise ValueError("is not a day such as `2026-12-25`")
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise ValueError("there is no such day") from error


def read_clock(text: str) -> int:
    """Minutes since midnight of `8:00` or `24:00`."""
    hour, _, minute = text.partition(":")
    return int(hour) * 60 + int(minute)


def read_days(text: str) -> frozenset[int]:
    """Days of the week in `mon` or `mon-fri`; `fri-mon` goes over the weekend."""
    first, _, last = text.partition("-")
    start = _DAYS.index(first)
    length = (_DAYS.index(last or first) - start) % 7
    return frozenset((start + each) % 7 for each in range(length + 1))


_ONE_DATE = Text(_DATE, "is not a day such as `2026-12-25`", read_date)
_BEGIN = Text(_CLOCK, "is not a time of day such as `08:00`")
_END = Text(rf"{_CLOCK}|24:00", "is not a time of day such as `18:00`; midnight is `24:00`")
_GLOB = Text(reads=Glob, max_length=500)

HOURS = Record(
    "hours of the week",
    {
        "days": Field(
            ListOf(
                Text(
                    rf"{_DAY}(?:-{_DAY})?", "is not a day such as `mon`, or days such as `mon-fri`"
                ),
                or_one=True,
                most=7,
            ),
            "Days on which they begin, such as `mon-fri`. Without it, every day.",
        ),
        "from": Field(_BEGIN, "When they begin, on the wall clock there. Included."),
        "to": Field(_END, "When they end, not included. Not after `from`: on the next day."),
        "zone": Field(
            Text(reads=read_zone, max_length=64),
            "The time zone, by its IANA name: `Europe/Zurich`.",
            required=True,
        ),
        "except": Field(ListOf(_ONE_DATE, most=MAX_DAYS), "Single days without such hours."),
        "calendar": Field(
            ListOf(NAME, or_one=True, most=10), "Declared calendars, whose days have none either."
        ),
    },
    needs={"from": "to", "to": "from"},
)

_AGENT_MAY_SAY = ("run_labels", "purpose", "end_users")
_ASKED_BY_MODEL = ("matched", "altered", "unasked")

ONLY = Field(
    Record(
        "a list of circumstances",
        {
            "hours": Field(ListOf(HOURS, or_one=True, most=20), "Within these hours, or these."),
            "outside_hours": Field(
                ListOf(HOURS, or_one=True, most=20), "At all other times than these."
            ),
            "run_labels": Field(
                ListOf(NAME, or_one=True, most=50), "In a run that carries one of these labels."
            ),
            "purpose": Field(
                ListOf(_GLOB, or_one=True, most=50),
                "In a run for a purpose like one of these; `*` is any run of characters.",
            ),
            "end_users": Field(
                ListOf(_GLOB, or_one=True, most=500),
                "For an end user like one of these; `*` is any run of characters.",
            ),
            "zones": Field(
                ListOf(NAME, or_one=True, most=50), "From one of these declared network zones."
            ),
            "started_by": Field(Choice(("person",)), "In a run that a person started."),
            "asked_by_model": Field(
                ListOf(Choice(_ASKED_BY_MODEL), or_one=True),
                "Of tool calls: how they stand to what the models of the run asked for through the "
                "gateway. `altered` is the same tool with other arguments.",
            ),
            "model_call": MODEL_CALL,
            "agent_may_say": Field(
                ListOf(Choice(_AGENT_MAY_SAY), or_one=True),
                "Of which of these the agent's own word is taken. Without it, a person's only.",
            ),
        },
        some_of=(
            *("hours", "outside_hours", "run_labels", "purpose", "end_users", "zones"),
            *("started_by", "model_call", "asked_by_model"),
        ),
    ),
    "Circumstances that must all hold, beside what it says of arguments.",
)

CALENDAR = Record(
    "a calendar",
    {
        "description": Field(LINE, "What it is, for people."),
        "days": Field(
            MapOf(_ONE_DATE, LINE, least=1),
            "Days without hours, each with its name. It speaks for the years it has days of.",
            required=True,
        ),
    },
)

_NETWORKS = ListOf(Text(reads=read_network, max_length=64), most=1_000)

ZONE = Record(
    "a network zone",
    {
        "description": Field(LINE, "What it is, for people."),
        "networks": Field(_NETWORKS, "Its networks: `10.0.0.0/8`, `2001:db8::/32`.", required=True),
    },
)

PROXY = Record(
    "a proxy",
    {
        "description": Field(LINE, "What it is, for people."),
        "networks": Field(
            _NETWORKS,
            "Where it stands. From there, and from nowhere else, `X-Forwarded-For` is believed.",
            required=True,
        ),
    },
)


# --- what declarations say of each other ----------------------------------------------------------


def check_only(node: Table, everything: Objects) -> Iterator[Problem]:
    """Problems with the `only:` of a mandate or rule; its shape is sound already."""
    only = node.get("only")
    if not isinstance(only, Table):
        return
    for name in _scalars(only.get("zones")):
        yield from _known(name, "zone", everything)
    for key in ("hours", "outside_hours"):
        for hours in _tables(only.get(key)):
            for name in _scalars(hours.get("calendar")):
                yield from _known(name, "calendar", everything)
            start, end = hours.get("from"), hours.get("to")
            if isinstance(start, Scalar) and isinstance(end, Scalar) and _same(start, end):
                message = "ends when it begins: for whole days leave `from` and `to` out"
                yield Problem(end.place, message)
    asked = only.get("asked_by_model")
    models = [key for key, kind in TARGET_KINDS.items() if kind is CallKind.MODEL]
    if asked is not None and any(node.get(key) is not None for key in models):
        message = "`asked_by_model` is about what a model asks for; this rule is about models"
        yield Problem(asked.place, message)
    for word in _scalars(only.get("agent_may_say")):
        if only.get(str(word.value)) is None:
            yield Problem(word.place, f"{show(word.value)} is not asked for here")


def _same(start: Scalar, end: Scalar) -> bool:
    return read_clock(str(start.value)) == read_clock(str(end.value))


def _known(name: Scalar, kind: str, everything: Objects) -> Iterator[Problem]:
    known: Collection[str] = {each for of, each in everything if of == kind}
    if str(name.value) not in known:
        near = did_you_mean(str(name.value), known)
        yield Problem(name.place, f"there is no {kind} {show(name.value)}{near}")


def _scalars(node: Node | None) -> list[Scalar]:
    found = node.items if isinstance(node, Items) else [node]
    return [each for each in found if isinstance(each, Scalar)]


def _tables(node: Node | None) -> list[Table]:
    found = node.items if isinstance(node, Items) else [node]
    return [each for each in found if isinstance(each, Table)]


# --- compiling ------------------------------------------------------------------------------------


def circumstances(spec: JsonObject, calendars: Calendars) -> tuple[Circumstance, ...]:
    """What the `only:` of a mandate or rule asks for; the cheapest to look at first.

    Raises:
        ConfigError: `mandate_without_calendar`: a calendar it names is gone.
    """
    asked = spec.get("only")
    if not isinstance(asked, Mapping):
        return ()
    trusted = frozenset(texts(asked, "agent_may_say"))
    found: list[Circumstance] = []
    if "started_by" in asked:
        found.append(StartedByPerson())
    if "asked_by_model" in asked:
        found.append(AskedByModel(frozenset(texts(asked, "asked_by_model"))))
    if "zones" in asked:
        found.append(FromZone(frozenset(texts(asked, "zones"))))
    if "run_labels" in asked:
        labels = frozenset(texts(asked, "run_labels"))
        found.append(RunLabelled(labels, "run_labels" in trusted))
    if "purpose" in asked:
        found.append(RunPurpose(_globs(asked, "purpose"), "purpose" in trusted))
    if "end_users" in asked:
        found.append(ForEndUser(_globs(asked, "end_users"), "end_users" in trusted))
    found += of_model_calls(asked.get("model_call"))
    for key in ("hours", "outside_hours"):
        if key in asked:
            spans = tuple(_span(each, calendars) for each in _objects(asked[key]))
            found.append(InHours(spans, outside=key == "outside_hours"))
    return tuple(found)


def compile_calendar(declaration: Declaration) -> Calendar:
    """The calendar of a declaration of kind `calendar`."""
    days = declaration.spec["days"]
    assert isinstance(days, Mapping)
    return Calendar(declaration.name, frozenset(read_date(day) for day in days))


def compile_networks(declarations: Iterable[Declaration]) -> Networks:
    """All declared zones and proxies; other declarations are passed over."""
    found = [
        (each, tuple(read_network(text) for text in texts(each.spec, "networks")))
        for each in declarations
        if each.kind in ("zone", "proxy")
    ]
    zones = {each.name: networks for each, networks in found if each.kind == "zone"}
    trusted = (networks for each, networks in found if each.kind == "proxy")
    return Networks(zones, tuple(network for networks in trusted for network in networks))


def _span(asked: JsonObject, calendars: Calendars) -> Span:
    names = texts(asked, "calendar")
    for name in names:
        if name not in calendars:
            raise ConfigError("mandate_without_calendar", f"there is no calendar `{name}`")
    days = frozenset[int]().union(*(read_days(text) for text in texts(asked, "days")))
    return Span(
        zone=str(asked["zone"]),
        days=days or EVERY_DAY,
        start=read_clock(str(asked["from"])) if "from" in asked else 0,
        end=read_clock(str(asked["to"])) if "to" in asked else DAY_MINUTES,
        without=frozenset(read_date(text) for text in texts(asked, "except")),
        calendars=tuple(calendars[name] for name in names),
    )


def _globs(asked: JsonObject, key: str) -> tuple[Glob, ...]:
    return tuple(Glob(text) for text in texts(asked, key))


def _objects(value: Json) -> list[JsonObject]:
    found = value if isinstance(value, list | tuple) else [value]
    return [each for each in found if isinstance(each, Mapping)]
