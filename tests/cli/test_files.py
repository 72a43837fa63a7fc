"""What a person names is replaced where they said so only, and is written whole or not at all."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from bailiwick.cli import files
from bailiwick.cli.exits import CliError
from bailiwick.cli.files import whole_file
from bailiwick.cli.ledger_source import Folder


def write(path: Path, force: bool = False) -> None:
    with whole_file(path, force) as file:
        file.write(b"new")


def come_last(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    """Let somebody write `path` once nobody looks any more."""
    looked, looks = files.may_write, []

    def may_write(at: Path, force: bool) -> None:
        looked(at, force)
        looks.append(at)
        if len(looks) == 2:
            path.write_bytes(b"theirs")

    monkeypatch.setattr(files, "may_write", may_write)


def test_a_file_that_comes_at_the_last_moment_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "out"
    come_last(monkeypatch, path)
    with pytest.raises(CliError) as caught:
        write(path)
    assert caught.value.code == "file_in_the_way"
    assert path.read_bytes() == b"theirs"
    assert os.listdir(tmp_path) == ["out"]


def test_a_file_that_comes_at_the_last_moment_is_replaced_by_force(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "out"
    come_last(monkeypatch, path)
    write(path, force=True)
    assert path.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["out"]


def test_a_disk_without_links_is_written_to_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def link(_part: str, _path: Path) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)
    write(tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["out"]


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("kind", ["folder", "pipe", "link to a pipe", "link to a folder"])
def test_what_is_no_plain_file_is_never_written_to(tmp_path: Path, kind: str, force: bool) -> None:
    path, there = tmp_path / "out", tmp_path / "there"
    place = there if kind.startswith("link") else path
    if kind.endswith("folder"):
        place.mkdir()
    else:
        os.mkfifo(place)
    if place is there:
        path.symlink_to(there)
    with pytest.raises(CliError) as caught:
        write(path, force)
    assert caught.value.code == "file_in_the_way"


def test_a_link_is_replaced_and_not_what_it_leads_to(tmp_path: Path) -> None:
    path, there = tmp_path / "out", tmp_path / "there"
    for to in (there, tmp_path / "nothing"):
        there.write_bytes(b"theirs")
        path.unlink(missing_ok=True)
        path.symlink_to(to)
        with pytest.raises(CliError):
            write(path)
        assert path.is_symlink()
        write(path, force=True)
        assert not path.is_symlink()
        assert there.read_bytes() == b"theirs"


def test_what_fails_half_way_leaves_all_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_bytes(b"old")

    def write_half() -> None:
        with whole_file(path, force=True) as file:
            file.write(b"half" * 100_000)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_half()
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["out"]


def test_a_file_is_its_owners_unless_it_is_for_others_to_read(tmp_path: Path) -> None:
    write(tmp_path / "own")
    with whole_file(tmp_path / "open", mode=0o644) as file:
        file.write(b"new")
    modes = [(tmp_path / name).stat().st_mode & 0o777 for name in ("own", "open")]
    assert modes == [0o600, 0o644]


@pytest.mark.parametrize("kind", ["folder", "pipe", "link"])
def test_what_is_no_plain_file_is_no_file_of_a_ledger_nor_missing(
    tmp_path: Path, kind: str
) -> None:
    path = tmp_path / "checkpoint"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to(tmp_path / "nothing")
    with pytest.raises(CliError) as caught:
        Folder(tmp_path).fetch("checkpoint")
    assert caught.value.code == "ledger_unreadable"
    assert Folder(tmp_path).fetch("tile/0/000") is None
