"""`run export`: write the record of a run to a file."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from enum import StrEnum
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from bailiwick.cli import show
from bailiwick.cli.api import Api, segment
from bailiwick.cli.exits import CliError, Exit
from bailiwick.cli.files import ForceOption, whole_file
from bailiwick.cli.reach import Reach, reaching
from bailiwick.core.canonical import JsonObject

_PAGE = 100
_ENDINGS = {"jsonl": "jsonl", "otlp": "otlp.json"}


class Form(StrEnum):
    """What is written."""

    JSONL = "jsonl"
    INSPECT = "inspect"
    OTLP = "otlp"


@reaching
def export_run(
    reach: Reach,
    run_id: Annotated[str, typer.Argument(metavar="ID", help="The run's id.")],
    form: Annotated[
        Form,
        typer.Option(
            "--format",
            help="jsonl: everything, to check and to replay; inspect: a log for Inspect AI's"
            " viewer; otlp: spans as OTLP's JSON.",
        ),
    ] = Form.JSONL,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Where to; stdout by default. In a folder the file gets a name of its own, by"
            " which Inspect's viewer finds it.",
        ),
    ] = None,
    force: ForceOption = False,
) -> int:
    """Write all of a run: what was thought, asked, decided, stamped and done.

    The file has the payloads in clear, as far as they were not erased. Only you can read it: keep
    it as carefully as what is in it asks for.
    """
    lines = _lines(reach.api(), run_id)
    if output is not None and output.is_dir():
        first = next(lines)
        lines, output = chain([first], lines), output / _name(form, first)
    with _target(output, force) as target:
        if form is Form.JSONL:
            for line in lines:
                target.write(_ascii(line) + b"\n")
        else:
            target.write(json.dumps(_whole(form, lines), indent=1).encode() + b"\n")
    if output is not None:
        show.note(f"wrote {show.visible(str(output))}")
    return Exit.OK


def _ascii(line: bytes) -> bytes:
    """The same JSON without what a terminal obeys, or what some readers take for a line's end."""
    if line.isascii() and b"\x7f" not in line:
        return line
    return _ODD.sub(lambda odd: json.dumps(odd[0])[1:-1], line.decode()).encode()


_ODD = re.compile("[^\\x00-\\x7e]+")
"""In a JSON text these stand inside of strings only."""


def _name(form: Form, first: bytes) -> str:
    """What a file in a folder is called. Inspect lists `TIME_TASK_ID.json` only."""
    run = json.loads(first)
    ident = "".join(c for c in str(run.get("id")) if c.isalnum())
    if form is not Form.INSPECT:
        return f"run-{ident}.{_ENDINGS[form]}"
    at_ms = run.get("at_ms")
    at = datetime.fromtimestamp(at_ms / 1000 if isinstance(at_ms, int) else 0, UTC)
    return f"{at:%Y-%m-%dT%H-%M-%S}+00-00_bailiwick_{ident}.json"


def _whole(form: Form, lines: Iterator[bytes]) -> JsonObject:
    from bailiwick.cli.export.view import read_lines

    exported = read_lines(lines)
    if form is Form.INSPECT:
        from bailiwick.cli.export.inspect_log import inspect_log

        return inspect_log(exported, version("bailiwick"))
    from bailiwick.cli.export.spans import otlp_json

    return otlp_json(exported, version("bailiwick"))


def _lines(api: Api, run_id: str) -> Iterator[bytes]:
    """The lines of a run, page by page."""
    after = ""
    while True:
        page = api.lines(f"runs/{segment(run_id)}/record", limit=_PAGE, after=after)
        *lines, last = page
        yield from lines
        end = json.loads(last)
        if end.get("record") != "page":
            raise CliError(Exit.OURS, "record_cut", "the gateway's answer is not whole")
        following = end.get("next")
        if not isinstance(following, str) or following == after:
            return
        after = following


def _target(path: Path | None, force: bool) -> AbstractContextManager[BinaryIO]:
    """Where to write: stdout, or a file that only its owner can read, all of it or nothing."""
    return nullcontext(sys.stdout.buffer) if path is None else whole_file(path, force)
