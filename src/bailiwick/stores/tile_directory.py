"""The published ledger on disk: a C2SP tlog-tiles directory.

Anyone may copy it, serve it as static files and verify it; nothing in it is secret. Names starting
with a dot are ours and no part of the log.
"""

from __future__ import annotations

import ctypes
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from bailiwick.core.errors import StoreError
from bailiwick.ledger.audit import CHECKPOINT_PATH
from bailiwick.ledger.errors import LedgerError
from bailiwick.ledger.tile import Resource, parse_path

_STAGING: Final = ".staging"

_FEW_FILES: Final = 8
"""Up to this many files are fsynced one by one; beyond, one syncfs is cheaper (each fsync is a
journal commit of its own, and competes with the calls' own commits)."""

_libc = ctypes.CDLL(None, use_errno=True)


class TileDirectory:
    """Reads and durably writes the files of one log. One writer at a time, any number of readers.

    Attributes:
        root: the folder; made when first written to.

    Args:
        fsync: False gives up durability for measurements; never for real work.
    """

    def __init__(self, root: Path, *, fsync: bool = True) -> None:
        self.root = root
        self._fsync = fsync

    def read(self, untrusted_path: str) -> bytes | None:
        """Read a file of the log by its relative path; None when there is none.

        Only names that belong to a log are ever opened.

        Raises:
            StoreError: `ledger_unreadable`.
        """
        if untrusted_path != CHECKPOINT_PATH:
            try:
                parse_path(untrusted_path)
            except LedgerError:
                return None
        try:
            return (self.root / untrusted_path).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            message = f"cannot read `{untrusted_path}` of the ledger: {error.strerror}"
            raise StoreError("ledger_unreadable", message) from error

    def names(self) -> Iterator[str]:
        """Relative paths of all files, but for our own with a dot."""
        for folder, folders, files in os.walk(self.root):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in sorted(files):
                if not name.startswith("."):
                    yield (Path(folder) / name).relative_to(self.root).as_posix()

    def put(self, files: Sequence[tuple[str, bytes]]) -> None:
        """Write files durably, each replacing at once what was there.

        When this returns, all of them survive a crash of the process and of the machine. When it
        raises, any of them may be there, each whole or not at all.

        Raises:
            StoreError: `ledger_unwritable`.
        """
        try:
            self._put(files)
        except OSError as error:
            message = f"cannot write the ledger in `{self.root}`: {error.strerror}"
            raise StoreError("ledger_unwritable", message) from error

    def drop_partials(self, resource: Resource) -> None:
        """Remove the partial files that the full `resource` replaces, if any.

        Raises:
            StoreError: `ledger_unwritable`.
        """
        try:
            shutil.rmtree(self.root / f"{resource.full.path}.p")
        except FileNotFoundError:
            return
        except OSError as error:
            message = f"cannot remove old files in `{self.root}`: {error.strerror}"
            raise StoreError("ledger_unwritable", message) from error

    def _put(self, files: Sequence[tuple[str, bytes]]) -> None:
        staging = self.root / _STAGING
        touched = _make_folder(staging)
        staged = [staging / str(number) for number in range(len(files))]
        try:
            for temporary, (_, data) in zip(staged, files, strict=True):
                temporary.write_bytes(data)
            self._sync(staged)
            for temporary, (name, _) in zip(staged, files, strict=True):
                target = self.root / name
                touched |= _make_folder(target.parent)
                temporary.replace(target)
        except OSError:
            _discard(staged)
            raise
        self._sync(sorted(touched))

    def _sync(self, paths: Sequence[Path]) -> None:
        if self._fsync:
            _sync(paths)


def _make_folder(folder: Path) -> set[Path]:
    """Make `folder`; returns the folders whose listing has to be made durable."""
    touched = {folder}
    while not folder.is_dir():
        folder = folder.parent
        touched.add(folder)
    for missing in sorted(touched):
        missing.mkdir(exist_ok=True)
    return touched


def _sync(paths: Sequence[Path]) -> None:
    if len(paths) > _FEW_FILES and _sync_filesystem(paths[0]):
        return
    for path in paths:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _sync_filesystem(path: Path) -> bool:
    """Make all that was written to the file system of `path` durable; False if it cannot say."""
    if not hasattr(_libc, "syncfs"):
        return False
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return bool(_libc.syncfs(descriptor) == 0)
    finally:
        os.close(descriptor)


def _discard(staged: Sequence[Path]) -> None:
    # Best effort, to give space back on a full disk; the next write replaces what stays.
    for temporary in staged:
        try:
            temporary.unlink(missing_ok=True)
        except OSError:
            return
