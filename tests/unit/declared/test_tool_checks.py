"""Conditions held against the tools' own schemas: misspelt and mistyped arguments are found."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailiwick.core.argument_path import parse_argument_path
from bailiwick.core.canonical import Json
from bailiwick.declared import load_text
from bailiwick.declared.tool_checks import Definitions, ToolFindings, check_tools
from bailiwick.declared.tool_schema import TYPES, Known, Open, Unknown, look_up

at = parse_argument_path

SCHEMA: dict[str, Json] = {
    "type": "object",
    "properties": {
        "amount": {"type": "number"},
        "count": {"type": "integer"},
        "urgent": {"type": "boolean"},
        "currency": {"enum": ["CHF", "EUR", "USD"]},
        "payee": {"$ref": "#/$defs/Payee"},
        "memo": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None},
        "items": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"net": {"type": "string"}, "kind": {"const": "gift"}},
                "additionalProperties": False,
            },
        },
        "labels": {"type": "object", "additionalProperties": {"type": "string"}},
        "extra": {"type": "object", "additionalProperties": True},
        "free": {"type": "object"},
        "either": {
            "oneOf": [
                {"type": "object", "properties": {"iban": {"type": "string"}}},
                {"type": "object", "properties": {"card": {"type": "integer"}}},
            ]
        },
        "weird/na~me": {"type": "string"},
        "alias": {"$ref": "#/properties/weird~1na~0me"},
    },
    "required": ["amount", "payee"],
    "$defs": {
        "Payee": {
            "allOf": [
                {"$ref": "#/$defs/Named"},
                {"type": "object", "properties": {"iban": {"type": "string"}}},
            ]
        },
        "Named": {
            "properties": {"name": {"type": "string"}, "boss": {"$ref": "#/$defs/Payee"}}
        },
    },
}  # fmt: skip


def definitions(schema: Json = SCHEMA, *more: str) -> Definitions:
    text = json.dumps({"name": "transfer", "inputSchema": schema})
    return {"bank": {"transfer": text, **dict.fromkeys(more, text)}}


def house(rules: str) -> str:
    return (
        "servers: {bank: {command: [b]}, web: {command: [w]}}\n"
        "people: {ada: {name: Ada}}\n"
        "agents: {clerk: {owner: ada}}\n"
        f"mandates:\n  pay:\n    from: ada\n    to: clerk\n{rules}"
    )


def found(rules: str, known: Definitions | None = None) -> ToolFindings:
    declared = load_text(house(rules), "f.yaml")
    known = definitions() if known is None else known
    return check_tools(declared.objects.values(), known)


def allow(when: str, tool: str = "bank/transfer") -> str:
    return (
        f"    allow:\n      - tool: {tool}\n        other_arguments: allow\n        when: {when}\n"
    )


def problems(when: str, known: Definitions | None = None) -> list[str]:
    return [str(each) for each in found(allow(when), known).problems]


def warnings(when: str, known: Definitions | None = None) -> list[str]:
    return [str(each) for each in found(allow(when), known).warnings]


@pytest.mark.parametrize(
    "when",
    [
        "{amount: {at_most: 5}}",
        "{payee.iban: {matches: 'CH*'}, payee.boss.boss.iban: {any: true}}",
        "{'items[].net': {money: {at_most: 5, currency: CHF}}, items: {count: {at_most: 3}}}",
        "{memo: {equals: null}}",
        "{labels.anything: {equals: x}}",
        "{either.iban: {any: true}, either.card: {at_most: 3}}",
        "{alias: {suffix: x}, 'weird/na~me': {length: {at_most: 3}}}",
        "{currency: {one_of: [CHF, EUR]}}",
        "{count: {at_most: {argument: amount}}}",
        "{'items[].net': {all: {prefix: x}}}",
    ],
)  # fmt: skip
def test_conditions_that_fit_the_schema_are_fine(when: str) -> None:
    assert found(allow(when)) == ToolFindings()


MISTAKES = {
    "a misspelt argument": (
        "{amuont: {at_most: 5}}",
        "f.yaml:11:16: `bank/transfer` has no argument `amuont`, did you mean `amount`?",
    ),
    "a misspelt argument inside an object behind references": (
        "{payee.ibn: {any: true}}",
        "f.yaml:11:16: `payee` of `bank/transfer` has no argument `ibn`, did you mean `iban`?",
    ),
    "a misspelt argument of a list's items": (
        "{'items[].nte': {any: true}}",
        "f.yaml:11:16: `items[]` of `bank/transfer` has no argument `nte`, did you mean `net`?",
    ),
    "a list without its brackets": (
        "{items.net: {any: true}}",
        "f.yaml:11:16: `items` of `bank/transfer` is a list, so there is no `net` in it: "
        "write `items[].net`",
    ),
    "brackets without a list": (
        "{'amount[]': {any: true}}",
        "f.yaml:11:16: `amount` of `bank/transfer` is a number, not a list: leave `[]` out",
    ),
    "something inside a number": (
        "{amount.value: {any: true}}",
        "f.yaml:11:16: `amount` of `bank/transfer` is a number, so there is no `value` in it",
    ),
    "text asked of a number": (
        "{amount: {matches: 'a*'}}",
        "f.yaml:11:25: `amount` of `bank/transfer` is a number, and `matches` is for text",
    ),
    "a number asked of a boolean": (
        "{urgent: {at_least: 1}}",
        "f.yaml:11:25: `urgent` of `bank/transfer` is a boolean, and `at_least` is for a number "
        "or text",
    ),
    "text equal to a boolean": (
        "{urgent: {equals: 'yes'}}",
        "f.yaml:11:25: `urgent` of `bank/transfer` is a boolean, and `equals` is for text",
    ),
    "a count of what is no list": (
        "{payee: {count: {at_most: 3}}}",
        "f.yaml:11:24: `payee` of `bank/transfer` is an object, and `count` is for a list",
    ),
    "a misspelt second argument": (
        "{amount: {at_most: {argument: invoice}}}",
        "f.yaml:11:24: `bank/transfer` has no argument `invoice`",
    ),
    "a misspelt currency argument": (
        "{amount: {money: {at_most: {CHF: 5}, currency: {argument: curency}}}}",
        "f.yaml:11:24: `bank/transfer` has no argument `curency`, did you mean `currency`?",
    ),
    "a mistyped condition on items": (
        "{'items[].net': {all: {count: {at_most: 3}}}}",
        "f.yaml:11:38: `items[].net` of `bank/transfer` is text, and `count` is for a list",
    ),
}


@pytest.mark.parametrize(("when", "message"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_found_with_its_place_and_the_nearest_name(when: str, message: str) -> None:
    assert problems(when) == [message]


def test_what_the_schema_leaves_open_is_a_warning() -> None:
    for path in ("extra.what", "free.what", "free.what.ever"):
        assert problems(f"{{{path}: {{any: true}}}}") == []
        (warning,) = warnings(f"{{{path}: {{any: true}}}}")
        assert f"`{path}` cannot be checked: the schema of `bank/transfer` is open" in warning


@pytest.mark.parametrize(
    "schema",
    [
        {},
        True,
        {"type": "object"},
        {"type": "object", "properties": {}, "additionalProperties": True},
        {"type": "object", "properties": {}, "patternProperties": {"^x": {}}},
        {"$ref": "https://example.com/schema"},
        {"$ref": "#/nowhere"},
        {"$ref": "#/$defs/9", "$defs": []},
        {"anyOf": [{"$ref": "#unknown"}, {"properties": {"b": {}}}]},
    ],
)
def test_a_schema_that_says_nothing_of_an_argument_is_open(schema: Json) -> None:
    assert problems("{amount: {at_most: 5}}", definitions(schema)) == []


def test_a_schema_that_allows_nothing_more_has_no_other_argument() -> None:
    closed: Json = {"type": "object", "additionalProperties": False}
    assert problems("{amount: {at_most: 5}}", definitions(closed)) == [
        "f.yaml:11:16: `bank/transfer` has no argument `amount`"
    ]


def test_a_tool_that_is_not_known_yet_is_one_warning_for_the_whole_mandate() -> None:
    rules = allow("{amount: {at_most: 5}}") + (
        "    stamp:\n      - {tool: web/get, when: {url: {any: true}}}\n      - {tool: web/get}\n"
    )
    assert [str(each) for each in found(rules, {}).warnings] == [
        "f.yaml:9:15: conditions on `bank/transfer` and 1 more are not checked yet: their server "
        "has not shown its tools; look again once an agent has listed them"
    ]
    assert found(rules, {}).problems == ()


def test_of_several_tools_one_must_have_the_argument() -> None:
    schema = json.dumps({"inputSchema": {"properties": {"iban": {"type": "string"}}}})
    known = {"bank": {**definitions()["bank"], "look_up": schema}}
    for when, wrong in (("{iban: {any: true}}", 0), ("{ibn: {any: true}}", 1)):
        rules = allow(when, tool="'bank/*'")
        assert len(found(rules, known).problems) == wrong


def test_a_value_the_tool_never_takes_is_a_warning_with_the_nearest() -> None:
    assert warnings("{currency: {one_of: [CHF, EURO]}}") == [
        "f.yaml:11:41: `bank/transfer` never takes `EURO` for `currency`, did you mean `EUR`?"
    ]


def test_an_allow_rule_that_keeps_a_required_argument_out_is_a_warning() -> None:
    rules = "    allow:\n      - {tool: bank/transfer, when: {amount: {at_most: 5}}}\n"
    assert [str(each) for each in found(rules).warnings] == [
        "f.yaml:9:9: `bank/transfer` needs `payee`, which this rule does not let be given: name it "
        "in `when`, or say `other_arguments: allow`"
    ]


def test_a_required_argument_that_a_condition_names_beside_its_own_is_let_through() -> None:
    rules = (
        "    allow:\n      - {tool: bank/transfer, when: {amount: {at_most: {argument: payee}}}}\n"
    )
    assert [str(each) for each in found(rules).warnings] == []


def test_deny_and_stamp_rules_and_limits_are_held_to_the_schema_too() -> None:
    rules = (
        "    allow:\n      - {tool: bank/transfer, other_arguments: allow}\n"
        "    deny:\n      - {tool: bank/transfer, when: {amuont: {at_least: 5}}}\n"
        "    stamp:\n      - {tool: bank/transfer, when: {amount: {regex: a}}}\n"
        "    limits:\n      - {tool: bank/transfer, id: daily, sum: amont, at_most: 5, each: run}\n"
    )
    assert [str(each).partition(": ")[0] for each in found(rules).problems] == [
        "f.yaml:11:38",
        "f.yaml:13:47",
        "f.yaml:15:47",
    ]


def test_a_definition_that_is_no_json_is_as_good_as_none() -> None:
    for text in ("", "[", "[]", "{}", '{"inputSchema": 5}', "[" * 100_000):
        assert found(allow("{amount: {at_most: 5}}"), {"bank": {"transfer": text}}).problems == ()


# --- schemas that are made to take long ----------------------------------------------------------


def hostile() -> list[dict[str, Json]]:
    def to(name: str) -> Json:
        return {"$ref": f"#/$defs/{name}"}

    circle: dict[str, Json] = {"$ref": "#/$defs/a", "$defs": {"a": to("a")}}
    twins: dict[str, Json] = {
        "$ref": "#/$defs/a",
        "$defs": {"a": {"anyOf": [to("b")] * 50}, "b": {"anyOf": [to("a")] * 50}},
    }
    tree: dict[str, Json] = {
        "$ref": "#/$defs/0",
        "$defs": {str(n): {"allOf": [to(str(n + 1)), to(str(n + 1))]} for n in range(100)},
    }
    wide: dict[str, Json] = {"anyOf": [{"properties": {f"p{n}": {}}} for n in range(50_000)]}
    itself: dict[str, Json] = {"$ref": "#", "enum": [1]}
    return [circle, twins, tree, wide, itself]


@pytest.mark.parametrize("schema", hostile(), ids=["circle", "twins", "tree", "wide", "itself"])
def test_a_hostile_schema_ends_the_search_at_a_bound(schema: dict[str, Json]) -> None:
    started = time.perf_counter()
    assert isinstance(look_up(schema, at("a.b[].c")), Open | Unknown)
    assert time.perf_counter() - started < 1.0


KEYS = ["type", "properties", "items", "anyOf", "oneOf", "allOf", "$ref", "enum", "const", "a",
        "additionalProperties", "required", "then", "$defs"]  # fmt: skip
leaves: st.SearchStrategy[Json] = st.sampled_from(
    [None, True, False, 1, "a", "object", "array", "string", "#", "#/$defs/a", "#/properties/a"]
)
schemas: st.SearchStrategy[Json] = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(st.dictionaries(st.sampled_from(KEYS), schemas), st.sampled_from(["a", "a.a", "a[]", "b.a"]))
def test_looking_up_is_total(schema: dict[str, Json], path: str) -> None:
    result = look_up(schema, at(path))
    assert isinstance(result, Known | Open | Unknown)
    if isinstance(result, Known):
        assert result.types <= TYPES
