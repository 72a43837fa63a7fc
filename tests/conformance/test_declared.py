"""What the conformance gateway is declared with."""

from __future__ import annotations

from bailiwick.declared.load import load_text
from tests.conformance.gateway import DECLARED


def test_the_declarations_are_sound_and_warn_of_nothing() -> None:
    declared = load_text(DECLARED.format(url="http://127.0.0.1:8080/mcp"))
    assert declared.warnings == ()
