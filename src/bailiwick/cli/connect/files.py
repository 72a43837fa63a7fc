"""Writing settings that are not ours: never half, never without a copy of what was there."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from pathlib import Path

from bailiwick.cli.exits import CliError, Exit


def read_settings(path: Path) -> str:
    """The text of `path`, "" when there is none yet.

    Raises:
        CliError: it is there and cannot be read as UTF-8 text.
    """
    try:
        return path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise CliError(
            Exit.USAGE, "settings_unreadable", f"cannot read `{path}`: {reason}"
        ) from error


def write_settings(path: Path, text: str, now: float) -> Path | None:
    """Replace `path` by `text` as a whole; returns the copy of what was there, if anything was.

    A link is followed, so that settings kept elsewhere (dotfiles) stay a link. The mode is kept;
    a new file is for its owner only.

    Raises:
        CliError: the folder or file cannot be written; nothing has changed then.
    """
    target = path.resolve()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        backup = _copy(target, now) if target.exists() else None
        handle, part = tempfile.mkstemp(prefix=".bailiwick-", dir=target.parent)
        try:
            with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            if backup is not None:
                shutil.copymode(target, part)
            os.replace(part, target)
        except OSError:
            with contextlib.suppress(OSError):
                os.unlink(part)
            raise
    except OSError as error:
        raise CliError(
            Exit.USAGE, "settings_unwritable", f"cannot write `{path}`: {error.strerror}"
        ) from error
    return backup


def write_token(path: Path, token: str) -> None:
    """Write a token into a file of its own, readable by its owner only.

    The file is made anew: a link or a file with wider rights in its place is never written to.

    Raises:
        CliError: it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, part = tempfile.mkstemp(prefix=".token-", dir=path.parent)  # made 0600
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(token)
        os.replace(part, path)
    except OSError as error:
        raise CliError(
            Exit.USAGE, "token_unwritable", f"cannot write `{path}`: {error.strerror}"
        ) from error


def remove_token(path: Path) -> None:
    """Delete a token's file.

    Raises:
        CliError: it cannot be deleted.
    """
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise CliError(
            Exit.USAGE, "token_unwritable", f"cannot delete `{path}`: {error.strerror}"
        ) from error


def _copy(target: Path, now: float) -> Path:
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(now))
    for number in range(1000):
        suffix = f".{stamp}.bak" if not number else f".{stamp}-{number}.bak"
        backup = target.with_name(target.name + suffix)
        try:
            handle = os.open(backup, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            continue
        with os.fdopen(handle, "wb") as file:
            file.write(target.read_bytes())
        shutil.copystat(target, backup)
        return backup
    raise OSError(17, "too many backups of one second")
