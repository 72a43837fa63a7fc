"""docs/servers.md says what the code does."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

from bailiwick.gateway.upstreams.instance import _LAST_PAUSE_SECONDS, _PATIENCE_SECONDS
from bailiwick.gateway.upstreams.rounds import MAX_ROUNDS
from bailiwick.gateway.upstreams.spec import ServerSpec

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/servers.md").read_text()
SOURCES = ("http", "upstreams")

DOWN = re.compile(r'(UpstreamDown|UpstreamBroken)\(\s*"([a-z_]+)"')
BLAMED = re.compile(r'_(?:blame|fail)\("([a-z_]+)"')


def raised() -> dict[str, set[str]]:
    """Code → the classes it is raised with."""
    found: dict[str, set[str]] = {}
    for room in SOURCES:
        for path in (ROOT / "src/bailiwick/gateway" / room).glob("*.py"):
            text = path.read_text()
            for kind, code in DOWN.findall(text):
                found.setdefault(code, set()).add(kind)
            for code in BLAMED.findall(text):
                found.setdefault(code, set()).add("UpstreamBroken")
    return found


def documented() -> dict[str, str]:
    """Code → `yes` or `no`: whether the call may have run."""
    found = {}
    for line in PAGE.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 3 and cells[2] in ("yes", "no"):
            found.update(dict.fromkeys(re.findall(r"`([a-z_]+)`", cells[1]), cells[2]))
    return found


def test_every_code_is_in_the_table_and_every_row_is_raised() -> None:
    assert set(documented()) == set(raised())


def test_the_table_says_rightly_whether_a_call_may_have_run() -> None:
    kinds = raised()
    for code, may_have_run in documented().items():
        expected = "UpstreamBroken" if may_have_run == "yes" else "UpstreamDown"
        # A program that has ended is known not to have got what is written to it afterwards.
        assert expected in kinds[code], code


def test_the_numbers_on_the_page_are_those_of_the_code() -> None:
    defaults = {each.name: each.default for each in fields(ServerSpec)}
    assert f"bounded ({defaults['max_sessions']} for each" in PAGE
    assert defaults["session_idle_seconds"] == 1_800
    assert "unused for half an hour" in PAGE
    assert f"{_LAST_PAUSE_SECONDS:.0f} s apart" in PAGE
    assert f"due within\n  {_PATIENCE_SECONDS:.0f} s" in PAGE
    assert MAX_ROUNDS == 10
    assert "up to ten rounds" in PAGE
