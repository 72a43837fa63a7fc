"""What a tool takes, in Cedar's types; and values in them, exactly or not at all."""

from __future__ import annotations

import json
from decimal import Decimal

import cedarpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailiwick.core.canonical import Json, JsonObject
from bailiwick.policy.expressing import Expression, Inexpressible
from bailiwick.policy.input_types import MAX_ATTRIBUTES, type_of_input
from bailiwick.policy.schema import tool_action
from bailiwick.policy.types import Attribute, RecordOf, SetOf, Simple, in_cedar
from tests.unit.policy.office import TRANSFER


def typed(schema: Json, defs: Json = None) -> object:
    """The type of the one argument `x`, or why it has none."""
    found, left_out = type_of_input({"properties": {"x": schema}, "$defs": defs})
    if "x" in found.attributes:
        return found.attributes["x"].type
    return dict(left_out)["x"]


def express(value: Json, type_: Simple) -> Json:
    return Expression().of(value, type_, "x")


# --- types ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("schema", "type_"),
    [
        ({"type": "string"}, Simple.TEXT),
        ({"type": "integer", "minimum": 0}, Simple.WHOLE),
        ({"type": "number"}, Simple.DECIMAL),
        ({"type": "boolean"}, Simple.FLAG),
        ({"type": ["string", "null"]}, Simple.TEXT),
        ({"type": ["integer", "number"]}, Simple.DECIMAL),
        ({"enum": ["a", "b"]}, Simple.TEXT),
        ({"enum": ["a", None]}, Simple.TEXT),
        ({"enum": [1, 2]}, Simple.WHOLE),
        ({"const": True}, Simple.FLAG),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, Simple.WHOLE),
        ({"oneOf": [{"type": "null"}, {"type": "string"}]}, Simple.TEXT),
        ({"allOf": [{"type": "string"}]}, Simple.TEXT),
        ({"$ref": "#/$defs/Name"}, Simple.TEXT),
        ({"anyOf": [{"$ref": "#/$defs/Name"}, {"type": "null"}]}, Simple.TEXT),
        ({"type": "array", "items": {"type": "integer"}}, SetOf(Simple.WHOLE)),
        ({"type": "array", "items": {"$ref": "#/$defs/Name"}}, SetOf(Simple.TEXT)),
        (
            {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]},
            RecordOf({"a": Attribute(Simple.TEXT, True)}),
        ),
        (
            {"properties": {"a": {"type": "string"}}},
            RecordOf({"a": Attribute(Simple.TEXT, False)}),
        ),
    ],
)
def test_a_schema_has_a_type(schema: Json, type_: object) -> None:
    assert typed(schema, {"Name": {"type": "string"}}) == type_


@pytest.mark.parametrize(
    "schema",
    [
        {},
        True,
        None,
        7,
        "string",
        {"type": "object"},
        {"type": "null"},
        {"type": ["string", "integer"]},
        {"type": [["string"]]},
        {"type": {"a": 1}},
        {"enum": ["a", 1]},
        {"enum": [1.5]},
        {"enum": "abc"},
        {"enum": [[]]},
        {"anyOf": [{"type": "string"}, {"type": "integer"}]},
        {"anyOf": []},
        {"anyOf": {"type": "string"}, "type": 7},
        {"$ref": "#/$defs/Missing"},
        {"$ref": "https://elsewhere.example/schema"},
        {"$ref": "#/$defs/Loop"},
        {"type": "array"},
        {"type": "array", "items": [{"type": "string"}]},
        {"type": "array", "items": {"type": ["string", "null"]}},
        {"type": "object", "properties": [1]},
    ],
)
def test_what_has_no_one_type_is_left_out_with_a_reason(schema: Json) -> None:
    assert isinstance(typed(schema, {"Loop": {"$ref": "#/$defs/Loop"}}), str)


def test_an_argument_that_may_be_null_is_not_required() -> None:
    found, _ = type_of_input(
        {
            "properties": {"a": {"type": ["string", "null"]}, "b": {"type": "string"}},
            "required": ["a", "b"],
        }
    )
    assert not found.attributes["a"].required
    assert found.attributes["b"].required


def test_a_schema_of_itself_ends() -> None:
    tree: JsonObject = {"properties": {"below": {"$ref": "#"}, "name": {"type": "string"}}}
    found, left_out = type_of_input(tree)
    assert found.attributes["name"].type is Simple.TEXT
    assert any("more than 6 levels" in why for _, why in left_out)


def test_a_schema_that_branches_without_end_is_bounded() -> None:
    wide: JsonObject = {"properties": {f"p{number}": {"$ref": "#"} for number in range(50)}}
    found, left_out = type_of_input(wide)
    assert _count(found) <= MAX_ATTRIBUTES
    assert len(left_out) <= MAX_ATTRIBUTES


def _count(type_: object) -> int:
    if isinstance(type_, RecordOf):
        return sum(1 + _count(one.type) for one in type_.attributes.values())
    return 0


def test_names_that_cedar_reads_as_notation_are_left_out() -> None:
    names = ("__entity", "__extn", "__expr", "fine")
    found, left_out = type_of_input({"properties": {name: {"type": "string"} for name in names}})
    assert set(found.attributes) == {"fine"}
    assert len(left_out) == 3


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    ["type", "properties", "items", "anyOf", "$ref", "enum", "required", "a", "#"]
                ),
                inner,
                max_size=4,
            )
        ),
        max_leaves=20,
    )
)
def test_every_schema_gives_a_type_that_cedar_takes(schema: Json) -> None:
    action = tool_action("s", "t", json.dumps({"inputSchema": schema}))
    shape = in_cedar(action.context)
    actions = {"t": {"appliesTo": _applies(shape)}}
    entities: JsonObject = {"Agent": {}, "Person": {}}
    cedarpy.Schema.from_json_str(json.dumps({"": {"entityTypes": entities, "actions": actions}}))


def _applies(shape: JsonObject) -> JsonObject:
    return {"principalTypes": ["Agent"], "resourceTypes": ["Agent"], "context": shape}


# --- values --------------------------------------------------------------------------------------


@given(st.decimals(min_value=-(10**14), max_value=10**14, places=4, allow_nan=False))
def test_a_decimal_is_expressed_exactly(number: Decimal) -> None:
    value = int(number) if number == int(number) else float(number)
    if Decimal(repr(value)) != number:
        return  # no float states it
    expressed = express(value, Simple.DECIMAL)
    assert isinstance(expressed, dict)
    said = expressed["__extn"]
    assert isinstance(said, dict)
    assert said["fn"] == "decimal"
    assert Decimal(str(said["arg"])) == number


@pytest.mark.parametrize(
    "value", [0.12345, 1e-5, 1e15, -1e300, 10**18, "1.0", True, None, [1], float("inf")]
)
def test_a_number_without_an_exact_decimal_is_refused(value: Json) -> None:
    with pytest.raises(Inexpressible):
        express(value, Simple.DECIMAL)


@pytest.mark.parametrize(
    "value", [2**63, -(2**63) - 1, 10**30, 1.5, 1e300, float("nan"), "1", True, None, {}]
)
def test_a_number_beyond_64_bits_is_refused(value: Json) -> None:
    with pytest.raises(Inexpressible):
        express(value, Simple.WHOLE)


@pytest.mark.parametrize("value", [2**63 - 1, -(2**63), 0, -0.0, 1e15])
def test_a_whole_number_is_expressed_as_it_is(value: Json) -> None:
    expressed = express(value, Simple.WHOLE)
    assert type(expressed) is int
    assert expressed == value


def test_what_is_given_to_look_at_is_bounded_over_a_call() -> None:
    tags = SetOf(Simple.TEXT)
    with pytest.raises(Inexpressible, match="values"):
        Expression().of(["a"] * 3_000, tags, "tags")
    with pytest.raises(Inexpressible, match="characters"):
        Expression().of(["a" * 50_000, "b" * 50_000], tags, "tags")


def test_nothing_is_expressed_by_another_type_than_its_own() -> None:
    found, _ = type_of_input(TRANSFER)
    odd: JsonObject = {"memo": 1, "urgent": "true", "tags": "a", "payee": []}
    for name, value in odd.items():
        with pytest.raises(Inexpressible, match=name):
            Expression().of({"amount": 1, "payee": {"iban": "x"}, name: value}, found, "")
