"""What the benchmark gives the gateway, and how it starts targets."""

import sys
from pathlib import Path

import pytest

from bailiwick.declared.load import load_text
from bench.processes import NotRunning
from bench.targets import DECLARED, LIMITS, Launch, Site, launch
from bench.wire import SERVER, TOOL, Endpoint


def test_the_declarations_are_valid_and_hold_calls_to_every_kind_of_rule() -> None:
    text = DECLARED.format(server=SERVER, tool=TOOL, url="http://127.0.0.1:1/mcp")
    assert load_text(text) is not None
    limited = (DECLARED.rstrip("\n") + LIMITS).format(server=SERVER, tool=TOOL, url="http://x/mcp")
    (mandate,) = [each for each in load_text(limited).objects.values() if each.kind == "mandate"]
    assert mandate.document.count('"id"') == 4
    assert all(f"\n    {kind}:\n" in text for kind in ("allow", "deny", "stamp"))


def test_a_target_that_ends_at_once_is_reported_with_its_last_words(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "raise SystemExit('no such luck')"]
    with pytest.raises(NotRunning, match="no such luck"):
        launch(Site(tmp_path, 1), Launch(command, Endpoint(1), seconds=20))
