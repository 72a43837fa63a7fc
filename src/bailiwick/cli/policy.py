"""`policy`: the organisation's policies, checked against what servers say their tools take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bailiwick.cli import show
from bailiwick.cli.calls import listed
from bailiwick.cli.exits import Exit
from bailiwick.cli.files import read_files
from bailiwick.cli.objects import has_errors, print_report
from bailiwick.cli.reach import Reach, reaching
from bailiwick.core.canonical import JsonObject


@reaching
def policy_check(
    reach: Reach,
    files: Annotated[
        list[Path] | None,
        typer.Option(
            "--file",
            "-f",
            metavar="FILE|DIR",
            help="YAML or Cedar to check with what is in force; may be repeated.",
        ),
    ] = None,
) -> int:
    """Check policies against the tools there are.

    Nothing is changed. Exits with 1 if a policy cannot be used, or does not fit a tool any more.
    """
    answer = _checked(reach, read_files(files or []))
    if reach.json:
        show.out_json({name: value for name, value in answer.items() if name != "schema"})
        return Exit.NO if has_errors(answer) else Exit.OK
    print_report(answer)
    for ref in _texts(answer, "in_force"):
        show.out(f"in force  {show.visible(ref)}")
    if not listed(answer, "problems"):
        show.note("nothing wrong")
    return Exit.NO if has_errors(answer) else Exit.OK


@reaching
def policy_schema(reach: Reach) -> int:
    """Print the Cedar schema that policies are written against.

    Made from the definitions of all tools that servers have shown.
    """
    answer = _checked(reach, {})
    if reach.json:
        show.out_json({"schema": answer.get("schema")})
    else:
        show.out(show.visible(str(answer.get("schema", "")), keep_lines=True).rstrip("\n"))
    return Exit.OK


def _checked(reach: Reach, files: dict[str, str]) -> JsonObject:
    return reach.api().post("policies/check", {"files": files})


def _texts(answer: JsonObject, name: str) -> list[str]:
    found = answer.get(name)
    return [str(each) for each in found] if isinstance(found, list) else []
