"""Mandates read back: all that can be declared is said, and no two mandates read the same."""

from __future__ import annotations

import dataclasses
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import bailiwick.core.conditions.base as base
from bailiwick.core.call import CallKind
from bailiwick.core.canonical import Digest, Json
from bailiwick.core.identical import identical
from bailiwick.core.mandate import Mandate, MandateState
from bailiwick.core.reading import read
from bailiwick.core.reading.conditions import _PHRASES
from bailiwick.core.reading.quoting import quote, value
from bailiwick.declared import (
    DeclarationError,
    compile_agent,
    compile_calendar,
    compile_mandate,
    compile_person,
    load_text,
)
from bailiwick.declared.alternatives import AnyValueOrArgument, ByForm, Named
from bailiwick.declared.readings import TARGET_KINDS
from bailiwick.declared.schema import MANDATE
from bailiwick.declared.shapes import ListOf, MapOf, Record, Shape
from tests.unit.core.mandates import allow, mandate

Spec = dict[str, Any]

SURROUNDINGS: Spec = {
    "servers": {"bank": {"url": "https://bank.example/mcp"}, "x": {"url": "https://x.example/mcp"}},
    "models": {"gpt": {"url": "https://models.example", "dialects": ["chat"]}},
    "people": {
        "ada": {"name": "Ada", "roles": ["treasurer"]},
        "ben": {"name": "Ben", "roles": ["treasurer"]},
        "cyd": {"name": "Cyd", "roles": ["treasurer"]},
    },
    "agents": {"clerk": {"owner": "ben"}, "bot": {"owner": "ada"}},
    "calendars": {"ch": {"days": {"2026-12-25": "Christmas"}}, "no": {"days": {"2026-05-17": "x"}}},
    "zones": {"office": {"networks": ["10.0.0.0/8"]}, "home": {"networks": ["11.0.0.0/8"]}},
}

ONLY: Spec = {
    "hours": [
        {
            "days": ["mon-fri"],
            "from": "8:00",
            "to": "18:00",
            "zone": "Europe/Zurich",
            "except": [f"2026-12-{day}" for day in range(10, 20)],
            "calendar": ["ch"],
        },
        {"days": "sat", "zone": "UTC"},
    ],
    "outside_hours": {"from": "22:00", "to": "6:00", "zone": "Asia/Tokyo"},
    "run_labels": ["month-end", "audit", *(f"label{n}" for n in range(8))],
    "purpose": ["Pay *", "Close *"],
    "end_users": ["*@example.com", *(f"user{n}" for n in range(9))],
    "zones": ["office", "home"],
    "started_by": "person",
    "asked_by_model": ["matched", "altered"],
    "agent_may_say": ["run_labels", "purpose", "end_users"],
}

RULE_ONLY: Spec = {key: asked for key, asked in ONLY.items() if key != "asked_by_model"}
"""In a rule about models too, of which no model asks."""

MODEL_CALL: Spec = {
    "asked_as": ["assistant", *(f"a{n}" for n in range(9))],
    "substitute": False,
    "max_output": 4_000,
    "more_output_than": 100,
    "tools": ["read", *(f"t{n}" for n in range(9))],
    "hosted_tools": ["web_search", "mcp"],
    "any_tool": ["shell", *(f"s{n}" for n in range(9))],
}

WHEN: Spec = {
    "a": {"present": True, "optional": True},
    "b": {"one_of": ["CH", "NO", 3, True, None, *(f"v{n}" for n in range(12))]},
    "c": {"equals": {"x": ["a", 1, True, None]}},
    "d": {"equals": {"argument": "e"}, "at_least": 1_000, "at_most": 20_000},
    "d2": {"at_least": {"argument": "d"}, "at_most": {"argument": "e"}},
    "e": {"matches": ["inv-*", *(f"m{n}*" for n in range(9))], "length": {"at_most": 10}},
    "f": {"under": ["/work", *(f"/w{n}" for n in range(9))]},
    "g": {
        "url": {
            "schemes": ["https", "http"],
            "hosts": ["api.example.com", *(f"h{n}.example" for n in range(9))],
            "ports": [443, *range(8000, 8009)],
            "paths": ["/v1/*"],
            "address": "public",
        }
    },
    "h": {"email": {"domains": ["example.com"], "addresses": ["ada@example.org"]}},
    "i": {
        "command": [
            {
                "program": "git",
                "subcommand": ["log", "show"],
                "options": ["--stat", "-n*"],
                "words": ["main"],
                "under": ["/repo"],
            },
            *({"program": f"p{n}"} for n in range(9)),
        ]
    },
    "j": {
        "sql": {
            "dialect": "postgres",
            "statements": ["select", "insert"],
            "tables": ["sales.*", *(f"t{n}" for n in range(9))],
            "functions": ["now", "f"],
        }
    },
    "k": {
        "money": {
            "at_least": "0.50",
            "at_most": "5000.00",
            "currency": "CHF",
            "minor_units": True,
        }
    },
    "l": {
        "money": {
            "at_least": {"CHF": 1, "EUR": 1},
            "at_most": {"CHF": 5000, "EUR": 4000},
            "currency": {"argument": "currency"},
        }
    },
    "m": {"date": {"at_least": "2026-01-01", "at_most": "2026-12-31"}},
    "m2": {"date": {"at_least": {"argument": "m"}, "at_most": {"argument": "m3"}}},
    "n": {"time": {"at_least": "2026-01-01T00:00:00Z", "at_most": "2026-12-31T00:00:00Z"}},
    "n2": {"time": {"at_most": {"argument": "m"}}},
    "o": {"duration": {"at_least": "PT1H", "at_most": "P1D"}},
    "p": {"prefix": ["a", "b"], "suffix": ["y", "z"], "regex": "[a-z]+"},
    "q": {"length": {"at_least": 1, "at_most": 140}},
    "r": {"count": {"at_least": 1, "at_most": 10}},
    "s": {"vouched": True},
    "u[]": {"at_most": 5},
    "v": {"any": True},
    "w": {"present": False},
}
ON_ITEM: Spec = {
    key: asked
    for each in WHEN.values()
    for key, asked in each.items()
    if key not in ("any", "vouched", "optional", "sql")
}
WHEN["t[].amount"] = {"all": {"at_least": 1, "at_most": 7}, "any": ON_ITEM, "none": {"equals": 9}}

_NAMES: Spec = {"tools": ["bank/pay_*", *(f"bank/t{n}" for n in range(9))], "client": "bank/roots"}
TARGETS: Spec = {
    key: _NAMES.get(key, f"{'gpt' if kind is CallKind.MODEL else 'bank'}/{key}")
    for key, kind in TARGET_KINDS.items()
}

FULL: Spec = {
    "from": "ada",
    "to": "clerk",
    "purpose": "Pay `suppliers` " + "in words that go on " * 10,
    "valid": {"from": "2026-01-01T00:00:00Z", "until": "2027-01-01T00:00:01.500Z"},
    "only": {**ONLY, "model_call": MODEL_CALL},
    "allow": [
        {**TARGETS, "id": "most", "when": WHEN, "only": RULE_ONLY, "other_arguments": "allow"},
        {"tool": "bank/list", "other_arguments": "refuse"},
        {"tool": "bank/look", "other_arguments": "allow"},
        {"tool": "bank/see", "when": {"x": {"any": True}}},
    ],
    "deny": [
        {
            **TARGETS,
            "id": "sanctions",
            "when": {key: asked for key, asked in WHEN.items() if key != "s"},
            "only": RULE_ONLY,
            "because": "Sanctions",
        },
        {"tool": "bank/close"},
    ],
    "stamp": [
        {
            **TARGETS,
            "id": "large",
            "when": {"d": {"at_least": 1_000}},
            "only": {"zones": ["office"]},
            "because": "Large",
            "role": "treasurer",
            "not": ["requester", "ben"],
            "people": 2,
            "expires": "1h",
        },
        {"tool": "bank/list"},
    ],
    "delegation": {"to": ["bot", "b*"], "depth": 2, "children": 7},
    "instruction_from": "first_message",
    "offered_tools": {"hosted": ["web_search", "mcp"], "others": "remove"},
    "limits": [
        {
            **TARGETS,
            "id": "daily",
            "when": {"d": {"at_least": 1}},
            "sum": "amount",
            "at_most": {"CHF": 20000, "EUR": "20000.50"},
            "currency": {"argument": "currency"},
            "minor_units": True,
            "per": ["payee.iban", "kind"],
            "each": "day",
            "zone": "Europe/Zurich",
            "actual": "spent.total",
            "failed": "released",
            "unknown": {"after": "2h", "counts_as": "released"},
        },
        {"tool": "bank/list", "id": "calls", "calls": 5, "within": "90s"},
        {"tool": "bank/list", "id": "hourly", "calls": 1, "each": "hour"},
        {"tool": "bank/transfer", "id": "payees", "distinct": "payee", "at_most": 3, "each": "run"},
        {"tool": "bank/transfer", "id": "at-once", "at_once": 2},
        {"tool": "bank/transfer", "id": "one", "sum": "n", "at_most": 2, "each": "call"},
        {
            "tool": "bank/transfer",
            "id": "all",
            "sum": "n",
            "at_most": 2,
            "currency": "CHF",
            "each": "lifetime",
        },
        {"model": "gpt/*", "id": "tokens", "tokens": 2000, "each": "run"},
        {"model": "gpt/*", "id": "given", "input_tokens": 1, "within": "1h"},
        {"model": "gpt/*", "id": "answered", "output_tokens": 30, "each": "call"},
        {"model": "gpt/*", "id": "spent", "cost": {"EUR": "4.50", "USD": 5}, "each": "lifetime"},
    ],
    "flow": {
        "results": [
            {
                **TARGETS,
                "trusted": True,
                "fields": ["contacts[].iban", "[].name"],
                "confidential": ["staff", "health"],
            },
            {"tool": "bank/list", "trusted": False},
            {"tool": "bank/list", "confidential": []},
        ],
        "accepts": [
            {
                **TARGETS,
                "id": "out",
                "untrusted": False,
                "confidential": ["staff"],
                "otherwise": "hold",
                "role": "treasurer",
            },
            {"tool": "bank/list", "confidential": [], "otherwise": "refuse"},
            {"tool": "bank/list", "untrusted": True},
        ],
        "vouch": {"role": "treasurer", "instruction": "person"},
    },
}

PLAIN: Spec = {"from": "ada", "to": "clerk", "allow": [{"tool": "bank/list"}]}

AROUND = load_text(json.dumps(SURROUNDINGS))
PEOPLE = {name: compile_person(found) for name, found in AROUND.of("person").items()}
AGENTS = {name: compile_agent(found) for name, found in AROUND.of("agent").items()}
CALENDARS = {name: compile_calendar(found) for name, found in AROUND.of("calendar").items()}


def compiled(spec: Spec) -> Mandate | None:
    """The mandate of a spec; None if it cannot be declared."""
    try:
        declared = load_text(
            json.dumps({"mandates": {"pay": spec}}), stored=AROUND.objects.values()
        )
    except DeclarationError:
        return None
    found = declared.objects["mandate", "pay"]
    made = compile_mandate(found, 1, PEOPLE, AGENTS, MandateState.ACTIVE, CALENDARS)
    # It names the text it was made of, not what it says.
    return dataclasses.replace(made, digest=Digest(""))


# --- every key, and every change to a value ------------------------------------------------------


def keys_of(shape: Shape) -> Iterator[tuple[str, str]]:
    """Every key that may be declared, by the title of its record."""
    match shape:
        case Record():
            for name, known in shape.fields.items():
                yield shape.title, name
                yield from keys_of(known.shape)
        case ListOf():
            yield from keys_of(shape.item)
        case MapOf():
            yield from keys_of(shape.value)
        case ByForm():
            yield from keys_of(shape.plain)
            yield from keys_of(shape.table)
        case Named():
            yield from keys_of(shape.shape)
        case AnyValueOrArgument():
            yield "another argument", "argument"


def keys_in(shape: Shape, spec: Json) -> Iterator[tuple[str, str]]:
    """The keys that a spec uses."""
    match shape, spec:
        case Record(), Mapping():
            for name, inner in spec.items():
                yield shape.title, name
                yield from keys_in(shape.fields[name].shape, inner)
        case ListOf(), list():
            for each in spec:
                yield from keys_in(shape.item, each)
        case ListOf(), _:
            yield from keys_in(shape.item, spec)
        case MapOf(), Mapping():
            for inner in spec.values():
                yield from keys_in(shape.value, inner)
        case ByForm(), _:
            form = shape.table if isinstance(spec, Mapping) else shape.plain
            yield from keys_in(form, spec)
        case Named(), _:
            yield from keys_in(shape.shape, spec)
        case AnyValueOrArgument(), {"argument": _}:
            yield "another argument", "argument"


def changed(spec: Json) -> Iterator[Json]:
    """`spec` with one thing in it changed, left out, or said twice."""
    match spec:
        case dict():
            for key, inner in spec.items():
                yield {name: each for name, each in spec.items() if name != key}
                yield from ({**spec, key: other} for other in changed(inner))
                yield {(f"{key}x" if name == key else name): each for name, each in spec.items()}
        case list():
            for place in {0, len(spec) - 1} & set(range(len(spec))):
                inner = spec[place]
                yield spec[:place] + spec[place + 1 :]
                yield from ([*spec[:place], other, *spec[place + 1 :]] for other in changed(inner))
            yield [*spec, *spec[:1]]
        case bool():
            yield not spec
        case int():
            yield spec + 1
        case str():
            yield from (f"{spec}x", f"x{spec}", f"{spec} ")
            yield from (other for group in _GROUPS if spec in group for other in group)
            if spec[-1:] in "0123456789":
                yield spec[:-1] + "4"
        case None:
            yield "null"


_GROUPS = (
    ("2026-01-01", "2026-12-31", "2026-03-03"),
    ("2026-01-01T00:00:00Z", "2027-01-01T00:00:01.500Z", "2026-12-31T00:00:00Z"),
    ("PT1H", "P1D", "PT7H"),
    ("1h", "2h", "90s", "1d"),
    ("8:00", "18:00", "22:00", "6:00", "7:30", "24:00"),
    ("mon-fri", "sat", "tue-thu", "sun"),
    ("Europe/Zurich", "UTC", "Asia/Tokyo", "Europe/Istanbul", "Asia/Istanbul"),
    ("CHF", "EUR", "JPY"),
    ("ada", "ben", "cyd", "requester", "owner"),
    ("clerk", "bot"),
    ("office", "home"),
    ("ch", "no"),
    ("person", "anyone", "agent"),
    ("hold", "refuse", "allow"),
    ("released", "spent"),
    ("hour", "day", "week", "month", "run", "lifetime", "call"),
    ("select", "insert", "delete"),
    ("postgres", "mysql", "sqlite"),
    ("bank/roots", "bank/sampling"),
    ("/work", "/repo", "/v1/*", "/other"),
    ("--stat", "-n*", "--other"),
    ("run_labels", "purpose", "end_users"),
    ("treasurer", "auditor"),
)
"""Texts of which one can stand in the other's place."""


def test_what_is_read_here_uses_every_key_there_is() -> None:
    missing = set(keys_of(MANDATE)) - set(keys_in(MANDATE, FULL))
    assert missing == {("a condition on items", "sql")}  # it is refused there
    assert compiled(FULL) is not None


def test_mandates_that_say_different_things_read_differently() -> None:
    by_reading: dict[tuple[str, ...], list[Mandate]] = defaultdict(list)
    different = 0
    pieces = (each for piece in _pieces() for each in (piece, *changed(piece)))
    for spec in dict.fromkeys(json.dumps(each) for each in pieces):
        found = compiled(json.loads(spec))
        if found is None:
            continue
        same = by_reading[read(found)]
        different += not same
        for other in same:
            assert identical(found, other), (spec, read(found))
        same.append(found)
    assert different > 1_500


def _pieces() -> Iterator[Spec]:
    """FULL in small pieces: one thing said in each, so that each is quick to read."""
    for section, said in FULL.items():
        if section == "flow":
            for key, rules in said.items():
                each = [[rule] for rule in rules] if isinstance(rules, list) else [rules]
                yield from ({**PLAIN, "flow": {key: rule}} for rule in each)
        elif not isinstance(said, list):
            yield {**PLAIN, section: said}
        for rule in said if isinstance(said, list) else ():
            pieces = _rule_pieces(rule, whole=section == "allow")
            yield from ({**PLAIN, section: [piece]} for piece in pieces)
    for name, asked in ONLY.items():
        yield {**PLAIN, "only": {name: asked, "agent_may_say": name}}
    for name, asked in MODEL_CALL.items():
        yield {**PLAIN, "only": {"model_call": {name: asked}}}
    for name, asked in ONLY.items():
        if name == "hours":
            yield from ({**PLAIN, "only": {name: hours}} for hours in asked)


def _rule_pieces(rule: Spec, *, whole: bool) -> Iterator[Spec]:
    short: Spec = {**rule, "when": {"d": {"at_least": 1}}, "only": {"zones": ["office"]}}
    if not whole:  # targets are read alike in every rule
        short = {key: said for key, said in short.items() if key not in TARGETS or key == "tool"}
    yield {key: short[key] for key in rule if key in short}
    for path, asked in rule.get("when", {}).items():
        if not whole and "[" not in path:  # what is read of one value is the same everywhere
            continue
        yield {"tool": "bank/list", "id": "one", "when": {path: asked}}
        for key, one in asked.items():
            yield {"tool": "bank/list", "id": "one", "when": {path: {key: one}}}


def test_no_kind_of_condition_is_left_to_be_shortened() -> None:
    kinds, known = [base.Condition.__subclasses__()], set()
    while kinds:
        for kind in kinds.pop():
            kinds.append(kind.__subclasses__())
            if "__dataclass_fields__" in vars(kind) and kind.__module__.startswith("bailiwick."):
                known.add(kind.__qualname__)
    # Made while a call is judged, never declared.
    declared = known - {"Unknown", "_Same", "_Against"}
    assert declared == {kind.__qualname__ for kind in _PHRASES}


@given(st.text(max_size=6), st.text(max_size=6))
def test_texts_that_differ_are_quoted_differently(one: str, other: str) -> None:
    assert (quote(one) == quote(other)) == (one == other)
    assert quote(one)[1:-1].count("`") == 0
    assert quote(one).isprintable()


LEAVES = (
    st.none() | st.booleans() | st.integers(-3, 3) | st.text(alphabet='`1"[]{}a\\u', max_size=4)
)


@given(*[st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=2), max_leaves=3)] * 2)
def test_values_that_differ_are_told_apart(one: Json, other: Json) -> None:
    assert (value(one) == value(other)) == identical(one, other)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "`plain`"),
        ("a`b", r"`a\u{60}b`"),
        ("a\u200bb", r"`a\u{200b}b`"),
        ("e\u0301", r"`e\u{301}`"),
        ("é", "`é`"),
        ("a  b", r"`a\u{20}\u{20}b`"),
        (r"C:\work", r"`C:\work`"),
        (r"\u{60}", r"`\\u{60}`"),
        (
            "evil`). May use the tool `bank/close",
            r"`evil\u{60}). May use the tool \u{60}bank/close`",
        ),
    ],
)
def test_nothing_in_a_text_hides_or_ends_it(text: str, shown: str) -> None:
    assert quote(text) == shown


def test_a_mandate_reads_as_a_person_would_say_it() -> None:
    hours = {"days": "mon-fri", "from": "8:00", "to": "18:00", "zone": "Europe/Zurich"}
    pay = compiled(
        {
            "from": "ada",
            "to": "clerk",
            "purpose": "Pay suppliers",
            "only": {"hours": {**hours, "calendar": "ch"}},
            "allow": [
                {
                    "tool": "bank/transfer",
                    "id": "pay",
                    "when": {
                        "amount": {"money": {"at_most": 5000, "currency": "CHF"}},
                        "iban": {"vouched": True},
                    },
                }
            ],
            "stamp": [
                {
                    "tool": "bank/transfer",
                    "role": "treasurer",
                    "people": 2,
                    "not": "owner",
                    "when": {"amount": {"money": {"at_least": 1000, "currency": "CHF"}}},
                }
            ],
            "limits": [
                {
                    "tool": "bank/transfer",
                    "id": "daily",
                    "sum": "amount",
                    "currency": "CHF",
                    "at_most": 20000,
                    "each": "day",
                    "zone": "Europe/Zurich",
                }
            ],
        }
    )
    assert pay is not None
    assert read(pay)[:7] == (
        "Mandate `pay`, version 1: `ada` gives it to the agent `clerk`.",
        "It is for this: `Pay suppliers`.",
        "It holds from when it is signed until it is revoked.",
        "All of it holds only on working days from 8:00 to 18:00 Zurich time (Europe/Zurich) "
        "except the days of the calendar `ch`.",
        "May use the tool `bank/transfer` with `amount` at most CHF 5,000.00 and `iban` vouched "
        "for, and no other arguments (rule `allow/pay`).",
        "Two different people with the role `treasurer` must stamp every use of the tool "
        "`bank/transfer` where `amount` is at least CHF 1,000.00; not `ben` (rule `stamp/1`).",
        "Up to CHF 20,000 of `amount` a day (Europe/Zurich), by every use of the tool "
        "`bank/transfer` (limit `daily`).",
    )


def test_a_state_other_than_active_is_said() -> None:
    suspended = mandate(allow("bank/list"), state=MandateState.SUSPENDED)
    assert "It is suspended: nothing can be done under it." in read(suspended)
    assert not any("is active" in each for each in read(mandate(allow("bank/list"))))


def test_a_part_says_whose_part_it_is() -> None:
    part = dataclasses.replace(mandate(allow("bank/list")), name="pay:clerk", parent="pay")
    assert any(each.startswith("It is a part of `pay`") for each in read(part))
