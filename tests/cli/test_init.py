"""The first file: sound as written, for the person at the keyboard, and never over another."""

from __future__ import annotations

from pathlib import Path

import pytest

from bailiwick.cli.exits import Exit
from bailiwick.cli.init import person_of
from bailiwick.declared.load import load
from tests.cli.fakes import Command

TOOLS = ["list_directory", "read_text_file", "search_files", "write_file"]


def test_the_first_file_can_be_used_as_it_is(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGNAME", "ada")
    folder = tmp_path / "my 'office'"
    answer = command("init", str(folder), "--json").json
    assert answer["file"] == str(folder / "office.yaml")
    assert (folder / "desk").is_dir()
    declared = load([folder / "office.yaml"], environment={}, tools={"files": TOOLS})
    assert declared.warnings == ()
    assert set(declared.of("person")) == {"ada"}
    assert set(declared.of("mandate")) == {"desk-work"}


def test_a_file_that_is_there_is_left_alone(command: Command, tmp_path: Path) -> None:
    (tmp_path / "office.yaml").write_text("mine")
    ended = command("init", str(tmp_path))
    assert ended.code == Exit.USAGE
    assert "is already there; name another folder" in ended.err
    assert (tmp_path / "office.yaml").read_text() == "mine"


@pytest.mark.parametrize(
    ("user", "person"),
    [("ada", "ada"), ("a.b-c", "a.b-c"), ("Ada", "me"), ("", "me"), ("owner", "me"), ("a_", "me")],
)
def test_a_user_is_a_person_where_the_name_can_be_one(user: str, person: str) -> None:
    assert person_of(user) == person
