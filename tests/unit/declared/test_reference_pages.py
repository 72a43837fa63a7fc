"""The reference pages say what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bailiwick.declared import load_text
from bailiwick.declared.conditions import CONDITION
from bailiwick.declared.readings import TARGET_KINDS
from bailiwick.declared.schema import (
    AGENT,
    ALLOW,
    DENY,
    MANDATE,
    PERSON,
    SERVER,
    STAMP,
)
from bailiwick.declared.shapes import Record

ROOT = Path(__file__).parents[3]
MANDATES = (ROOT / "docs" / "reference" / "mandates.md").read_text()
VERDICTS = (ROOT / "docs" / "reference" / "verdicts.md").read_text()


@pytest.mark.parametrize("record", [SERVER, PERSON, AGENT, MANDATE, ALLOW, DENY, STAMP, CONDITION])
def test_every_key_is_on_the_page(record: Record) -> None:
    words = set(re.findall(r"[\w]+", " ".join(re.findall(r"`([^`\n]+)`", MANDATES))))
    assert set(record.fields) - words == set()
    assert set(TARGET_KINDS) - words == set()


def test_the_example_of_the_page_is_sound() -> None:
    example, *_parts = re.findall(r"```yaml\n(.*?)```", MANDATES, re.DOTALL)
    declared = load_text(example)
    assert declared.warnings == ()
    assert len(declared.of("mandate")["pay-suppliers"].spec) == 7


def test_every_code_of_a_verdict_is_on_the_page_and_no_other() -> None:
    rooms = ("core", "gateway", "app", "policy", "protocols")
    source = "\n".join(
        path.read_text()
        for room in rooms
        for path in sorted((ROOT / "src" / "bailiwick" / room).rglob("*.py"))
    )
    given = set(re.findall(r"\bDeny\(\s*(?:code=)?\"(\w+)\"", source))
    listed = set(re.findall(r"^\| `(\w+)` \|", VERDICTS, re.MULTILINE))
    assert given - listed == set()
    assert {code for code in listed if f'"{code}"' not in source} == set()
