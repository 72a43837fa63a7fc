"""Writing files of the log: durable before named, named before acknowledged."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from bailiwick.core.errors import StoreError
from bailiwick.ledger.tile import BUNDLE, TILE_WIDTH, Resource
from bailiwick.stores import tile_directory
from bailiwick.stores.tile_directory import TileDirectory


@pytest.fixture
def trace(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Path]]:
    """What was synced, renamed and made, in order."""
    seen: list[tuple[str, Path]] = []
    fsync, replace, mkdir = os.fsync, Path.replace, Path.mkdir

    def traced_fsync(descriptor: int) -> None:
        seen.append(("sync", Path(os.readlink(f"/proc/self/fd/{descriptor}"))))
        fsync(descriptor)

    def traced_replace(self: Path, target: Path) -> Path:
        seen.append(("name", target))
        return replace(self, target)

    def traced_mkdir(self: Path, mode: int = 0o777, exist_ok: bool = False) -> None:
        if not self.exists():
            seen.append(("make", self))
        mkdir(self, mode, exist_ok=exist_ok)

    monkeypatch.setattr(os, "fsync", traced_fsync)
    monkeypatch.setattr(Path, "replace", traced_replace)
    monkeypatch.setattr(Path, "mkdir", traced_mkdir)
    return seen


def test_contents_are_durable_before_names_and_names_before_the_return(
    tmp_path: Path, trace: list[tuple[str, Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tile_directory, "_sync_filesystem", lambda _: False)
    root = tmp_path / "data" / "ledger"
    TileDirectory(root).put([("tile/0/000.p/7", b"tile"), ("tile/entries/000.p/7", b"bundle")])

    acts = [act for act, _ in trace]
    named = [path for act, path in trace if act == "name"]
    assert named == [root / "tile/0/000.p/7", root / "tile/entries/000.p/7"]
    first_name, last_name = acts.index("name"), len(acts) - 1 - acts[::-1].index("name")
    before = [path for act, path in trace[:first_name] if act == "sync"]
    assert before == [root / ".staging/0", root / ".staging/1"]
    after = {path for act, path in trace[last_name:] if act == "sync"}
    made = {path for act, path in trace if act == "make"}
    assert {path.parent for path in [*named, *made]} <= after, "every changed listing is synced"


def test_many_files_share_one_sync_of_the_file_system(
    tmp_path: Path, trace: list[tuple[str, Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[Path] = []
    whole: Callable[[Path], bool] = tile_directory._sync_filesystem

    def traced(path: Path) -> bool:
        # The first comes when all contents are written and nothing has its name yet.
        assert bool(synced) == any(act == "name" for act, _ in trace)
        synced.append(path)
        return whole(path)

    monkeypatch.setattr(tile_directory, "_sync_filesystem", traced)
    files = [(Resource(0, number, TILE_WIDTH).path, b"x") for number in range(20)]
    TileDirectory(tmp_path).put(files)
    assert synced[0] == tmp_path / ".staging/0"
    assert len([path for act, path in trace if act == "name"]) == 20
    assert list(TileDirectory(tmp_path).names()) == [name for name, _ in files]


def test_without_syncfs_each_file_is_synced(
    tmp_path: Path, trace: list[tuple[str, Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tile_directory, "_sync_filesystem", lambda _: False)
    TileDirectory(tmp_path).put([(Resource(0, n, TILE_WIDTH).path, b"x") for n in range(20)])
    staged = [path for act, path in trace if act == "sync" and ".staging" in str(path)]
    assert len([path for path in staged if path.name != ".staging"]) == 20


def test_a_failed_write_changes_nothing_and_says_where(tmp_path: Path) -> None:
    directory = TileDirectory(tmp_path / "ledger")
    directory.put([("checkpoint", b"one")])
    (tmp_path / "ledger/tile").write_bytes(b"a file where a folder belongs")
    with pytest.raises(StoreError) as caught:
        directory.put([("checkpoint", b"two"), ("tile/0/000", b"x")])
    assert caught.value.code == "ledger_unwritable"
    assert f"`{tmp_path / 'ledger'}`" in caught.value.message
    assert directory.read("tile/0/000") is None


def test_a_file_that_cannot_be_read_is_an_error_and_not_a_missing_file(tmp_path: Path) -> None:
    (tmp_path / "checkpoint").mkdir()
    with pytest.raises(StoreError) as caught:
        TileDirectory(tmp_path).read("checkpoint")
    assert caught.value.code == "ledger_unreadable"


def test_a_reader_never_sees_a_half_written_file(tmp_path: Path) -> None:
    directory = TileDirectory(tmp_path)
    directory.put([("checkpoint", b"a" * 100_000)])
    with (tmp_path / "checkpoint").open("rb") as reader:
        directory.put([("checkpoint", b"b" * 100_000)])
        assert reader.read() == b"a" * 100_000
    assert directory.read("checkpoint") == b"b" * 100_000


def test_partials_are_dropped_only_for_the_resource_that_filled(tmp_path: Path) -> None:
    directory = TileDirectory(tmp_path)
    kept = Resource(BUNDLE, 1, 3).path
    directory.put([(Resource(BUNDLE, 0, width).path, b"x") for width in (1, 2)])
    directory.put([(kept, b"x"), (Resource(BUNDLE, 0, TILE_WIDTH).path, b"x")])
    directory.drop_partials(Resource(BUNDLE, 0, TILE_WIDTH))
    directory.drop_partials(Resource(BUNDLE, 0, TILE_WIDTH))
    assert list(directory.names()) == ["tile/entries/000", kept]
