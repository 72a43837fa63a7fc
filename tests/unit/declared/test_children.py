"""Reading children, and writing into them what binds them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bailiwick.core.canonical import Json, JsonObject
from bailiwick.core.errors import TheirError
from bailiwick.core.mandate import Mandate
from bailiwick.core.narrowing import narrower
from bailiwick.declared import (
    Declaration,
    DeclarationError,
    compile_agent,
    compile_mandate,
    compile_person,
)
from bailiwick.declared.children import begun, completed, long_ended, read_child, unnamed
from bailiwick.ports import ObjectRow
from tests.unit.core.mandates import NOW

AROUND = (
    Declaration("server", "bank", {"command": ["bank"]}),
    Declaration("person", "ada", {"name": "Ada"}),
    Declaration("person", "ben", {"name": "Ben"}),
    Declaration("agent", "clerk", {"owner": "ada"}),
    Declaration("agent", "helper", {"owner": "ben"}),
    Declaration("zone", "office", {"networks": ["10.0.0.0/8"]}),
)
EVERYTHING = {(each.kind, each.name): each for each in AROUND}

conditions = st.fixed_dictionaries(
    {},
    optional={
        "amount": st.sampled_from(
            [{"at_most": 5}, {"at_least": 2, "at_most": 9, "optional": True}, {"any": True}]
        ),
        "payee.iban": st.sampled_from(
            [{"one_of": ["CH1", "DE1"]}, {"matches": ["CH*"]}, {"vouched": True}]
        ),
        "note": st.sampled_from([{"regex": "[a-z]+"}, {"length": {"at_most": 9}}]),
        "items[].net": st.sampled_from([{"at_most": {"argument": "items[].gross"}}, {"equals": 1}]),
    },
)
targets = st.sampled_from(["bank/pay", "bank/*", "bank/p*", "bank/Pay", "bank/burn", ["bank/a"]])


def rules(**more: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    rule = st.fixed_dictionaries({"tool": targets, "when": conditions}, optional=more).map(
        lambda rule: {key: value for key, value in rule.items() if value != {}}
    )
    return st.lists(rule, max_size=3)


circumstances = st.sampled_from(
    [
        {"zones": "office"},
        {"started_by": "person"},
        {"hours": {"zone": "UTC", "days": "mon-fri", "from": "8:00", "to": "18:00"}},
    ]
)
optional_keys: dict[str, st.SearchStrategy[Any]] = {
    "deny": rules(because=st.just("No."), only=circumstances),
    "stamp": rules(
        **{"not": st.sampled_from(["owner", ["requester", "owner"], "ben"])},
        role=st.just("boss"),
        people=st.integers(1, 3),
        expires=st.just("1h"),
    ),
    "only": circumstances,
    "valid": st.just({"from": "2026-01-01T00:00:00Z", "until": "2096-01-01T00:00:00Z"}),
    "flow": st.sampled_from(
        [
            {"accepts": [{"tool": "bank/*", "untrusted": False}]},
            {"vouch": {"instruction": "person", "role": "boss"}},
            {"results": [{"tool": "bank/*", "trusted": True}]},
        ]
    ),
    "delegation": st.just({"to": "helper", "depth": 2}),
}
parents = st.fixed_dictionaries(
    {"from": st.just("ada"), "to": st.just("clerk"), "allow": rules(only=circumstances)},
    optional=optional_keys,
).filter(lambda spec: spec["allow"])


def compiled(declaration: Declaration) -> Mandate:
    people = {each.name: compile_person(each) for each in AROUND if each.kind == "person"}
    agents = {each.name: compile_agent(each) for each in AROUND if each.kind == "agent"}
    return compile_mandate(declaration, 1, people, agents)


def made(text: str, above: JsonObject) -> Declaration:
    parent = compiled(Declaration("mandate", "pay", above))
    written = unnamed(read_child(text, EVERYTHING))
    started = begun(written, "pay:helper-1", parent, above)
    return completed(started, compiled(started), parent, above, "agent clerk", "ada")


@settings(max_examples=150, deadline=None)
@given(parents, st.data())
def test_a_child_with_some_of_its_parents_rules_and_nothing_else_is_narrower(
    above: Mapping[str, Json], data: st.DataObject
) -> None:
    allow = above["allow"]
    assert isinstance(allow, list)
    some = data.draw(st.lists(st.sampled_from(allow), min_size=1, max_size=3))
    kept = [rule for rule in allow if rule in some]
    child = made(json.dumps({"to": "helper", "allow": kept}), above)
    own, parent = compiled(child), compiled(Declaration("mandate", "pay", above))
    assert narrower(own, parent, NOW) is None
    assert child.spec["from"] == "ada"
    assert compiled(Declaration("mandate", child.name, json.loads(child.document)["spec"])) == own


@settings(max_examples=200, deadline=None)
@given(
    st.text(max_size=60)
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=6),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    ["to", "allow", "tool", "when", "amount", "name", "deny", "parent", "x"]
                ),
                inner,
                max_size=4,
            )
        ),
        max_leaves=12,
    ).map(json.dumps)
)
def test_whatever_an_agent_sends_is_read_or_refused(text: str) -> None:
    try:
        written = read_child(text, EVERYTHING)
    except (TheirError, DeclarationError):
        return
    assert written.agent == "helper"


def test_what_a_child_says_itself_stands_before_what_its_parent_says() -> None:
    above: JsonObject = {
        "from": "ada",
        "to": "clerk",
        "allow": [{"tool": "bank/*"}],
        "valid": {"from": "2026-01-01T00:00:00Z", "until": "2096-01-01T00:00:00Z"},
        "only": {"zones": "office"},
        "delegation": {"to": "*", "depth": 3, "children": 2},
    }
    child = """
    to: helper
    allow: [{tool: bank/pay}]
    valid: {until: "2027-01-01T00:00:00Z"}
    only: {started_by: person}
    delegation: {to: helper}
    """
    spec = made(child, above).spec
    assert spec["valid"] == {"from": "2026-01-01T00:00:00Z", "until": "2027-01-01T00:00:00Z"}
    assert spec["only"] == {"zones": "office", "started_by": "person"}
    assert spec["delegation"] == {"to": "helper", "children": 2}


@pytest.mark.parametrize(
    ("name", "state", "until", "ended"),
    [
        ("pay:a", "revoked", None, True),
        ("pay:a", "active", None, False),
        ("pay:a", "suspended", "2026-01-01T00:00:00Z", True),
        ("pay:a", "active", "2096-01-01T00:00:00Z", False),
        ("pay", "revoked", None, False),
    ],
)
def test_a_child_is_long_ended_a_day_after_its_end_and_a_declared_mandate_never(
    name: str, state: str, until: str | None, ended: bool
) -> None:
    spec: JsonObject = {"to": "helper", **({"valid": {"until": until}} if until else {})}
    document = Declaration("mandate", name, spec).document
    row = ObjectRow("mandate", name, 1, "0" * 64, document, state, NOW, "")
    assert long_ended(row, NOW + 86_400_001) is ended
    assert not (state == "revoked" and long_ended(row, NOW + 86_399_999))
