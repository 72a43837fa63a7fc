"""Editing other people's JSON: one member changes, and nothing else does."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailiwick.cli.connect.jsonc import NotJson, get_member, parse, remove_member, set_member

COMMENTED = """\
{
    // my models
    "model": "local/one", /* the small one */
    "mcp": {
        "other": {"type": "local", "command": ["x"]}, // keep
    },
}
"""

names = st.text(min_size=1, max_size=6)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(names, values, max_size=4)


def test_a_member_is_added_and_every_comment_stays() -> None:
    changed = set_member(COMMENTED, ["mcp", "gate"], {"url": "u"})
    assert get_member(changed, ["mcp", "gate"]) == {"url": "u"}
    assert get_member(changed, ["mcp", "other"]) == {"type": "local", "command": ["x"]}
    for kept in COMMENTED.splitlines():
        assert kept in changed.splitlines() or kept.strip() == "}"
    for comment in ("// my models", "/* the small one */", "// keep"):
        assert comment in changed


def test_removing_what_was_added_gives_the_text_back() -> None:
    added = set_member(COMMENTED, ["mcp", "gate"], {"url": "u"})
    assert remove_member(added, ["mcp", "gate"]) == COMMENTED


def test_the_missing_objects_on_the_way_are_made() -> None:
    assert json.loads(set_member("{}", ["mcp", "gate"], 1)) == {"mcp": {"gate": 1}}


def test_a_way_through_something_else_than_an_object_is_refused() -> None:
    with pytest.raises(NotJson, match="`mcp` is not an object"):
        set_member('{"mcp": []}', ["mcp", "gate"], 1)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        '{"a":1,"a":2}',
        "{a:1}",
        '{"a" 1}',
        "[1 2]",
        "{} {}",
        "/* open",
        '{"a":}',
        "[" * 300,
    ],
)
def test_what_is_not_json_is_refused_with_its_line(text: str) -> None:
    with pytest.raises(NotJson, match="line 1"):
        parse(text)


@given(objects, names, values, st.sampled_from([None, 2, 4, "\t"]))
def test_setting_a_member_equals_setting_it_in_the_parsed_object(
    before: dict[str, object], name: str, value: object, indent: int | str | None
) -> None:
    text = json.dumps(before, indent=indent)
    assert json.loads(set_member(text, [name], value)) == {**before, name: value}


@given(objects, st.data(), st.sampled_from([None, 2, 4, "\t"]))
def test_removing_a_member_equals_removing_it_from_the_parsed_object(
    before: dict[str, object], data: st.DataObject, indent: int | str | None
) -> None:
    name = data.draw(st.sampled_from([*before, "absent, surely"]))
    after = {key: value for key, value in before.items() if key != name}
    assert json.loads(remove_member(json.dumps(before, indent=indent), [name])) == after


@given(objects, names.filter(lambda name: name != ""), st.sampled_from([2, 4]))
def test_adding_and_removing_is_no_change_for_files_people_wrote(
    before: dict[str, object], name: str, indent: int
) -> None:
    before.pop(name, None)
    if not before:
        return
    text = json.dumps(before, indent=indent)
    assert remove_member(set_member(text, [name], {"x": 1}), [name]) == text
