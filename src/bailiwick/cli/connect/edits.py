"""Changes to settings files: shown before they are made, and made with a copy of what was there."""

from __future__ import annotations

import difflib
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bailiwick.cli.connect.files import read_settings, remove_token, write_settings
from bailiwick.cli.connect.kept import Record
from bailiwick.cli.connect.model_side import Kept, Part, apply_part, undo_part


@dataclass(frozen=True, slots=True)
class Edit:
    """One settings file, before and after.

    Attributes:
        ours: all of it is ours, so that without us there is no such file.
    """

    path: Path
    before: str
    after: str
    ours: bool = False

    @property
    def difference(self) -> str:
        """A unified diff, "" when nothing changes."""
        lines = difflib.unified_diff(
            self.before.splitlines(),
            self.after.splitlines(),
            str(self.path),
            str(self.path),
            n=2,
            lineterm="",
        )
        return "\n".join(lines)

    def write(self) -> Path | None:
        """Make the change, if it is one; returns the copy of what was there.

        Raises:
            CliError: the file cannot be written.
        """
        if not self.difference:
            return None
        if self.ours and not self.after:
            remove_token(self.path)
            return None
        return write_settings(self.path, self.after, time.time())


class Edits:
    """The edits of one command; parts of one file become one edit."""

    def __init__(self) -> None:
        self._edits: dict[Path, Edit] = {}

    def change(self, path: Path, after: str, *, ours: bool = False) -> None:
        """`path` is to hold `after`. Raises CliError when it cannot be read."""
        self._edits[path] = Edit(path, self.before(path), after, ours)

    def text(self, path: Path) -> str:
        """What `path` holds with the edits so far. Raises CliError when it cannot be read."""
        edit = self._edits.get(path)
        return read_settings(path) if edit is None else edit.after

    def before(self, path: Path) -> str:
        """What `path` holds now. Raises CliError when it cannot be read."""
        edit = self._edits.get(path)
        return read_settings(path) if edit is None else edit.before

    def all(self) -> Sequence[Edit]:
        """One for each file, the first one first."""
        return tuple(self._edits.values())

    def apply(self, parts: Iterable[Part], model: str, record: Record | None) -> Record:
        """Put the model side in; returns what it took the place of.

        Raises:
            CliError: a file cannot be read or changed safely.
        """
        earlier = record.kept if record is not None else ()
        took: list[Kept] = []
        for part in parts:
            after, more = apply_part(self.text(part.path), part, earlier)
            self.change(part.path, after, ours=bool(part.whole))
            took += more
        return Record(model, took)

    def undo(self, parts: Iterable[Part], record: Record) -> None:
        """Take the model side out. Raises CliError as `apply`."""
        for part in parts:
            text = self.text(part.path)
            after = "" if part.whole else undo_part(text, part, record.kept)
            self.change(part.path, after, ours=bool(part.whole))
