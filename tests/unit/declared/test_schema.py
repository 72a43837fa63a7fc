"""The JSON Schema: published as generated, valid, and of one mind with the checks."""

from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest

from bailiwick.core.canonical import Json
from bailiwick.declared import schema
from bailiwick.declared.problems import Problem
from bailiwick.declared.publish import published
from bailiwick.declared.schema import FILE
from bailiwick.declared.shapes import collect
from bailiwick.declared.tree import parse_yaml
from tests.unit.declared.house import HOUSE
from tests.unit.declared.test_load import BROKEN

PUBLISHED = Path(__file__).parents[3] / "docs" / "reference" / "schema" / "bailiwick.schema.json"

validator = jsonschema.Draft202012Validator(schema())


def test_the_published_schema_is_the_generated_one() -> None:
    """`python -m bailiwick.declared.publish > docs/reference/schema/bailiwick.schema.json`."""
    assert PUBLISHED.read_text() == published()


def test_the_schema_is_a_valid_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())


def judged(text: str) -> tuple[bool, list[Problem]]:
    """Whether the schema takes `text`, and what the checks of shape say."""
    (node,) = parse_yaml(text, "f.yaml")
    value, problems = collect(FILE, node)
    return validator.is_valid(value), problems


def test_the_schema_takes_a_sound_house() -> None:
    assert judged(HOUSE) == (True, [])


# What a schema cannot say: it is for editors, and these are left to the checks.
BEYOND_A_SCHEMA = {
    "a malformed path to an argument",
    "a moment that never was",
    "a client rule for what no server can ask",
    "a folder that can be read in two ways",
}


@pytest.mark.parametrize(
    ("name", "text"),
    [(name, text) for name, (text, _) in BROKEN.items() if "key" not in name and "doc" not in name],
)
def test_the_schema_refuses_what_the_checks_of_shape_refuse(name: str, text: str) -> None:
    valid, problems = judged(text)
    if name in BEYOND_A_SCHEMA:
        assert valid
        assert problems
    else:
        assert valid is (problems == [])


SMALL: list[tuple[str, bool]] = [
    ("people: {}", True),
    ("{}", True),
    ("servers: {b: {command: [x], env: {A: '${env:X}'}}}", True),
    ("servers: {b: {command: x}}", False),
    ("servers: {b: {url: 'ftp://a'}}", False),
    ("servers: {b: {url: 'http://a', env: {}}}", False),
    ("servers: {b: {command: [x], max_response_bytes: 1}}", False),
    ("people: {a: {name: A, email: nobody}}", False),
    ("people: {a: {name: A, roles: treasurer}}", False),
    ("people: {a: {name: A, roles: []}}", True),
    ("mandates: {m: {from: a, to: b, allow: []}}", False),
    ("mandates: {m: {from: a, to: b, allow: [{}]}}", False),
    ("mandates: {m: {from: a, to: b, allow: [{tool: s/t}]}}", True),
    ("mandates: {m: {from: a, to: b, allow: [{tool: st}]}}", False),
    ("mandates: {m: {from: a, to: b, allow: [{tool: [s/t, s/u]}]}}", True),
    ("mandates: {m: {from: a, to: b, allow: [{tool: s/t, when: {}}]}}", False),
    ("mandates: {m: {from: a, to: b, allow: [{tool: s/t, when: {x: {at_most: '5'}}}]}}", True),
    ("mandates: {m: {from: a, to: b, allow: [{tool: s/t, when: {x: {at_most: '+5'}}}]}}", False),
    ("mandates: {m: {from: a, to: b, allow: [{tool: s/t, when: {x: {at_most: true}}}]}}", False),
    ("mandates: {m: {from: a, to: b, allow: [{tool: s/t, when: {x: {any: false}}}]}}", False),
    ("mandates: {m: {from: a, to: b, allow: [{tool: s/t, because: no}]}}", False),
    ("mandates: {m: {from: a, to: b, allow: [{tool: s/t}], stamp: [{tool: s/t, people: 0}]}}",
     False),
    ("mandates: {m: {from: a, to: b, allow: [{tool: s/t}], stamp: [{tool: s/t, not: [x]}]}}",
     True),
]  # fmt: skip


@pytest.mark.parametrize(("text", "good"), SMALL)
def test_schema_and_checks_agree_on_small_files(text: str, good: bool) -> None:
    valid, problems = judged(text)
    assert valid is good
    assert (problems == []) is good


def test_every_key_says_what_it_is_for() -> None:
    missing: list[str] = []

    def walk(value: Json, path: str) -> None:
        if isinstance(value, dict):
            for name, inner in value.get("properties", {}).items():
                if not inner.get("description"):
                    missing.append(f"{path}.{name}")
            for name, inner in value.items():
                walk(inner, f"{path}.{name}")
        elif isinstance(value, list):
            for inner in value:
                walk(inner, path)

    walk(schema(), "")
    assert missing == []
