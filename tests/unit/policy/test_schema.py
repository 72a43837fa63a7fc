"""The schema: one action for each tool, whatever its server calls it."""

from __future__ import annotations

import json

import cedarpy
from hypothesis import given
from hypothesis import strategies as st

from bailiwick.core.call import CallKind
from bailiwick.core.canonical import Json
from bailiwick.policy import schema_text
from bailiwick.policy.schema import all_actions, schema_json, tool_action
from tests.unit.policy.office import DEFINITIONS, definition


def test_the_schema_in_cedars_syntax_is_complete_and_can_be_read_back() -> None:
    text = schema_text(DEFINITIONS)
    cedarpy.Schema.from_str(text)
    for said in (
        'action "bank/transfer" in [Action::"tool"] appliesTo',
        "amount: Long",
        "fee?: decimal",
        "tags?: Set<String>",
        "iban: String",
        'action "resource" appliesTo',
        "entity Person",
        "now: datetime",
        '//   "bank/transfer" context.input.anything: its schema gives it no one type',
        "// context.run.untrusted: Whether it read untrusted text.",
    ):
        assert said in text
    assert "__cedar" not in text


def test_every_kind_of_call_has_an_action() -> None:
    ids = {action.id for action in all_actions({})}
    assert ids == {kind.value for kind in CallKind} - {"tool"}


def test_a_damaged_definition_has_no_arguments() -> None:
    for damaged in ("", "[]", "null", "{", '{"inputSchema": []}', "[" * 100_000):
        action = tool_action("s", "t", damaged)
        assert action.declared == frozenset()
        json.loads(schema_json([action]))


@given(
    st.text(min_size=1, max_size=40),
    st.lists(st.text(max_size=20), max_size=4, unique=True),
)
def test_no_name_of_a_tool_or_argument_breaks_the_schema(tool: str, arguments: list[str]) -> None:
    properties = {name: {"type": "string"} for name in arguments}
    untyped: dict[str, Json] = {f"{name}!": {} for name in arguments}
    shown = {"s": {tool: definition({"properties": {**properties, **untyped}})}}
    text = schema_text(shown)
    again = cedarpy.Schema.from_str(text)
    assert str(again) == text.partition("\n\n")[2]
    lines = text.split("\n")
    assert sum(line.startswith("action ") for line in lines) == len(all_actions(shown)) + 1
    assert sum(line.startswith("entity ") for line in lines) == 3


def test_cedars_own_names_are_shortened_outside_of_quotation_marks_only() -> None:
    shown = {
        "s": {"__cedar::String": definition({"properties": {"__cedar::Long": {"type": "string"}}})}
    }
    text = schema_text(shown)
    assert 'action "s/__cedar::String" in' in text
    assert '"__cedar::Long"?: String' in text
