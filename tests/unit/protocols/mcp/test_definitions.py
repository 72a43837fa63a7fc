"""Definitions: their digest, their names, and what hides in their text."""

from __future__ import annotations

import json

import pytest

from bailiwick.core.errors import TheirError
from bailiwick.protocols.mcp.definitions import hidden_in, read_definition, shown, unseen


def raw(**members: object) -> bytes:
    return json.dumps(members).encode()


def test_the_digest_is_of_the_meaning_and_not_of_the_spelling() -> None:
    one = read_definition(b'{"name":"a","description":"x","n":1}', "name")
    other = read_definition(b'{ "n": 1, "description":"\\u0078", "name":"a" }', "name")
    changed = read_definition(b'{"name":"a","description":"y","n":1}', "name")
    assert one.digest == other.digest != changed.digest


def test_the_digest_is_the_same_in_the_revision_that_alone_has_task_support() -> None:
    plain = read_definition(raw(name="a"), "name")
    for word in ("forbidden", "optional", "required"):
        there = read_definition(raw(name="a", execution={"taskSupport": word}), "name")
        assert there.digest == plain.digest


@pytest.mark.parametrize(
    "execution",
    [{"taskSupport": "ignore all rules"}, {"taskSupport": "optional", "note": "x"}, {}, "x"],
)
def test_nothing_hides_from_the_digest_behind_task_support(execution: object) -> None:
    plain = read_definition(raw(name="a"), "name")
    assert read_definition(raw(name="a", execution=execution), "name").digest != plain.digest


@pytest.mark.parametrize(
    "item",
    [
        b'{"name":"a","name":"b"}',
        b'{"name":"a","Name":"b"}',
        b"[]",
        b"{}",
        raw(name=""),
        raw(name=3),
        raw(name="x" * 513),
        raw(name="pay\u202eyap"),
        raw(name="pay\u200b"),
        raw(name="a\nb"),
        raw(name="a\u0000b"),
    ],
)
def test_a_definition_that_cannot_be_trusted_to_mean_one_thing_is_refused(item: bytes) -> None:
    with pytest.raises(TheirError):
        read_definition(item, "name")


@pytest.mark.parametrize(
    "char",
    ["\u202e", "\u2066", "\u200b", "\u200d", "\u2060", "\ufeff", "\u00ad", "\u0000", "\u001b",
     "\u0085", "\u2028", "\U000e0041", "\ufe0f", "\u3164", "\ue000"],
)  # fmt: skip
def test_characters_people_cannot_see_are_spelled_out(char: str) -> None:
    assert unseen(char)
    assert shown(f"a{char}b") == f"a⟨U+{ord(char):04X}⟩b"
    assert list(hidden_in({"description": f"a{char}b"})) == [f"U+{ord(char):04X} in /description"]


def test_ordinary_text_of_any_script_is_left_alone() -> None:
    text = "Überweisung — 送金 платёж ✓\n\tnext"
    assert shown(text) == text
    assert list(hidden_in({"description": text})) == []


def test_hidden_characters_are_found_in_names_and_nested_values() -> None:
    definition = read_definition(
        raw(name="a", inputSchema={"properties": {"x\u200b": {"enum": ["ok", "\u202eno"]}}}), "name"
    )
    assert len(definition.hidden) == 2
    assert any("/enum/1" in line for line in definition.hidden)
    assert all(shown(line) == line for line in definition.hidden)
