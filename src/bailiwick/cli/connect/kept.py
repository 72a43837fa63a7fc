"""What stood in an agent's settings before its model was put behind the gateway."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bailiwick.cli.connect.files import read_settings, remove_token, write_token
from bailiwick.cli.connect.model_side import Kept
from bailiwick.cli.exits import CliError, Exit


@dataclass(frozen=True, slots=True)
class Record:
    """The model an agent was given, and what its settings said before."""

    model: str
    kept: Sequence[Kept]


def read_record(path: Path) -> Record | None:
    """The record in this file; None when there is none.

    Raises:
        CliError: it is there and is none.
    """
    text = read_settings(path)
    if not text:
        return None
    try:
        value = json.loads(text)
        kept = [Kept(str(e["path"]), tuple(e["at"]), e["was"], e["now"]) for e in value["kept"]]
        return Record(str(value["model"]), kept)
    except (ValueError, TypeError, KeyError) as error:
        raise CliError(
            Exit.USAGE, "settings_unusable", f"`{path}` is not what I wrote", "delete it"
        ) from error


def write_record(path: Path, record: Record) -> None:
    """Write it, for its owner only: what stood there may have been a key.

    Raises:
        CliError: it cannot be written.
    """
    kept = [{"path": k.path, "at": k.at, "was": k.was, "now": k.now} for k in record.kept]
    write_token(path, json.dumps({"model": record.model, "kept": kept}, indent=1))


def remove_record(path: Path) -> None:
    """Delete it. Raises CliError when that cannot be."""
    remove_token(path)
