"""Files of declarations, as the commands that take them read them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bailiwick.cli.exits import CliError, Exit

MAX_FILE_BYTES = 4 << 20


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
