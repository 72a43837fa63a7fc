"""Files as the commands read and write them.

What a person names is never replaced unless they say `--force`, and written whole or not at all.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from bailiwick.cli.exits import CliError, Exit

MAX_FILE_BYTES = 4 << 20

ForceOption = Annotated[bool, typer.Option("--force", help="Replace a file that is there.")]


def read_files(paths: Sequence[Path]) -> dict[str, str]:
    """The text of each file by its name as given; of a folder, its YAML and Cedar files.

    Raises:
        CliError: nothing there, not readable, not UTF-8, or larger than 4 MiB.
    """
    found: dict[str, str] = {}
    for path in paths:
        inside = (
            sorted(p for p in path.iterdir() if p.suffix in (".yaml", ".yml", ".cedar"))
            if (path.is_dir())
            else [path]
        )
        if not inside:
            raise CliError(Exit.USAGE, "no_files", f"`{path}` holds no .yaml or .cedar files")
        for file in inside:
            try:
                if file.stat().st_size > MAX_FILE_BYTES:
                    raise CliError(Exit.USAGE, "file_too_large", f"`{file}` is over 4 MiB")
                found[str(file)] = file.read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as error:
                reason = getattr(error, "strerror", None) or "not UTF-8 text"
                raise CliError(
                    Exit.USAGE, "file_unreadable", f"cannot read `{file}`: {reason}"
                ) from error
    return found


def may_write(path: Path, force: bool) -> None:
    """Let a file be written that is not there yet, or that is to be replaced.

    Raises:
        CliError: something is there, and not asked to be replaced; or it is no plain file.
    """
    if not os.path.lexists(path):
        return
    if path.exists() and not path.is_file():
        raise CliError(
            Exit.USAGE, "file_in_the_way", f"`{path}` is not a plain file", "name another"
        )
    if not force:
        raise CliError(
            Exit.USAGE,
            "file_in_the_way",
            f"`{path}` is already there",
            "name another, or replace it with --force",
        )


@contextmanager
def whole_file(path: Path, force: bool = False, mode: int = 0o600) -> Iterator[BinaryIO]:
    """Write `path` as a whole: while it is written, and if that fails, it is as it was.

    Raises:
        CliError: as `may_write`, or the disk says no.
    """
    may_write(path, force)
    try:
        handle, part = tempfile.mkstemp(prefix=".part-", dir=path.parent)
    except OSError as error:
        raise _not_written(path, error) from error
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            os.fchmod(handle, mode)  # by its handle: others may write in this folder
        may_write(path, force)  # writing may have taken long
        _put(part, path, force)
    except OSError as error:
        raise _not_written(path, error) from error
    finally:
        Path(part).unlink(missing_ok=True)


def _put(part: str, path: Path, force: bool) -> None:
    """Give the file its name; by a link, which is refused where something has come meanwhile."""
    if not force:
        try:
            os.link(part, path)
        except FileExistsError:
            may_write(path, force)
            raise
        except OSError:
            pass  # a disk that knows no links: between the look and the name something may come
        else:
            return
    os.replace(part, path)


def make_folder(path: Path) -> None:
    """Make a folder and those above it.

    Raises:
        CliError: the disk says no.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _not_written(path, error) from error


def _not_written(path: Path, error: OSError) -> CliError:
    return CliError(Exit.USAGE, "not_writable", f"cannot write `{path}`: {error.strerror}")
