"""The CLI reference, written from the code: `python -m bailiwick.cli.reference`.

docs/reference/cli.md is its output; tests/cli/test_reference.py holds the two equal.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from bailiwick.cli.exits import MEANINGS
from bailiwick.cli.main import build

WIDTH = 92

_HEAD = """\
# The command line

Written from the code by `python -m bailiwick.cli.reference`; a test holds it equal.

Every command that prints something takes `--json`: one JSON document on stdout, stable, as the
[API](api.md) gave it. Errors are one line on stderr that says what to do, with `--json` as
`{"error": {"code": …, "message": …}}`. Nothing asks a question unless both stdin and stdout are a
terminal. Colours end with `NO_COLOR`. Shell completion: `bailiwick --install-completion`.

A file that you name to be written is not replaced without `--force`; `connect` keeps a copy of the
settings that it changes, and `ledger export` only ever adds to a copy.

On the gateway's own machine the data folder says where the gateway is, and whoever can read its
keys may act as any person with `--as`: that is the operator, and the ledger says how a stamp was
given. From elsewhere, use `--url` and `BAILIWICK_TOKEN`, which `bailiwick people token NAME` makes.
Plain `http://` is taken for this machine only.

## Exit codes

| code | meaning |
|---|---|
"""


def render() -> str:
    """The whole page."""
    lines = [_HEAD + "\n".join(f"| {code:d} | {what} |" for code, what in MEANINGS.items()), ""]
    root = get_command(build())
    for path, command in _walk("bailiwick", root):
        context = typer.Context(
            command, info_name=path, terminal_width=WIDTH, max_content_width=WIDTH
        )
        lines += [f"## `{path}`", "", "```", command.get_help(context).rstrip(), "```", ""]
    return "\n".join(lines)


def _walk(path: str, command: object) -> Iterator[tuple[str, TyperCommand | TyperGroup]]:
    assert isinstance(command, TyperCommand | TyperGroup)
    yield path, command
    if isinstance(command, TyperGroup):
        for name, child in command.commands.items():
            yield from _walk(f"{path} {name}", child)


if __name__ == "__main__":
    sys.stdout.write(render())
