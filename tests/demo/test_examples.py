"""What people copy works: the examples are read by the same code as any other file."""

from __future__ import annotations

from pathlib import Path

import pytest

from bailiwick.cli.demo.stage import set_stage
from bailiwick.declared.load import load
from bailiwick.examples.bank import TOOLS

ROOT = Path(__file__).resolve().parents[2]
KNOWN = {
    "bank": list(TOOLS),
    "files": ["list_directory", "read_text_file", "write_file"],
    "git": ["git_status", "git_log", "git_add", "git_commit"],
}


@pytest.mark.parametrize("name", [path.name for path in (ROOT / "examples").glob("*.yaml")])
def test_an_example_is_sound_and_names_only_tools_that_are_there(name: str) -> None:
    declared = load([ROOT / "examples" / name], tools=KNOWN)
    assert declared.warnings == ()
    assert set(declared.of("mandate")) == {"bookkeeping"}


def test_the_demos_own_file_is_sound_with_its_secret_in_place(tmp_path: Path) -> None:
    stage = set_stage(tmp_path / "a folder with 'quotes', spaces and a \N{SNOWMAN}")
    declared = load([stage.declared], environment={}, tools=KNOWN)
    assert declared.warnings == ()
    assert set(declared.of("server")) == {"files", "git", "bank"}
