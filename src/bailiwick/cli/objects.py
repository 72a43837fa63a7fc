"""`apply`, `pins` and `schema`: what is declared, and what servers declare of themselves."""

from __future__ import annotations

import json
from difflib import SequenceMatcher
from pathlib import Path
from typing import Annotated

import typer

from bailiwick.cli import show
from bailiwick.cli.calls import listed
from bailiwick.cli.exits import CliError, Exit
from bailiwick.cli.files import read_files
from bailiwick.cli.reach import Reach, lists, reaching
from bailiwick.cli.simulate import print_tried, try_changes
from bailiwick.core.canonical import JsonObject

FilesOption = Annotated[
    list[Path],
    typer.Option(
        "--file", "-f", metavar="FILE|DIR", help="YAML or Cedar to read; may be repeated."
    ),
]


@reaching
def apply(
    reach: Reach,
    files: FilesOption,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show the difference.")] = False,
    simulating: Annotated[
        bool,
        typer.Option(
            "--simulate/--no-simulate",
            help="Show what changed mandates would have said of the last 30 days.",
        ),
    ] = True,
) -> int:
    """Declare what is in YAML files.

    Servers, people, agents and mandates: all of it or nothing, the difference first.
    """
    texts = read_files(files)
    api = reach.api()
    report = api.post("apply", {"files": texts, "dry_run": True})
    tried = try_changes(api, texts, report) if simulating and not has_errors(report) else []
    if not dry_run and not has_errors(report):
        if not reach.json:
            print_report(report)
            print_tried(tried)
        report = api.post("apply", {"files": texts, "dry_run": False})
        if not reach.json and not has_errors(report):
            show.out("applied")
            return Exit.OK
    if reach.json:
        show.out_json({**report, "simulations": tried})
    else:
        print_report(report)
        print_tried(tried)
    return Exit.NO if has_errors(report) else Exit.OK


@reaching
def pins_list(context: typer.Context, reach: Reach) -> int:
    """List what changed and waits for people to accept it.

    Definitions of tools are pinned when first seen; a changed one waits for review. So do
    aliases and model servers that ask for it (`changes`), until enough people have accepted.
    """
    if not lists(context):
        return Exit.OK
    answer = reach.api().get("pins")
    if reach.json:
        show.out_json(answer)
        return Exit.OK
    rows = listed(answer, "pins")
    held = [row for row in rows if row.get("state") == "held"]
    if not held:
        show.note(f"{len(rows)} definitions pinned; no change waits")
        return Exit.OK
    for row in held:
        show.heading(pin_name(row))
        if row.get("by"):
            at = show.when(row.get("at_ms"))
            show.out(f"  declared by {show.visible(show.word(row, 'by'))} at {at}")
        accepted = next((old for old in rows if _same(old, row) and old is not row), None)
        if accepted is not None:
            show.out("  accepted:")
            _definition(accepted)
        show.out("  now:")
        _definition(row)
        show.out(f"  accept it: bailiwick pins accept {pin_name(row)} {show.word(row, 'digest')}")
    return Exit.OK


@reaching
def pins_accept(
    reach: Reach,
    pin: Annotated[str, typer.Argument(metavar="SERVER/KIND/NAME", help="As `pins` prints it.")],
    digest: Annotated[str, typer.Argument(help="Of the definition that was reviewed.")],
) -> int:
    """Accept a changed definition, by its digest."""
    upstream, _, rest = pin.partition("/")
    kind, _, name = rest.partition("/")
    if not (upstream and kind and name):
        raise CliError(
            Exit.USAGE, "bad_pin", f"`{pin}` is not SERVER/KIND/NAME", "copy it from `pins`"
        )
    answer = reach.api().post(
        "pins/accept", {"upstream": upstream, "kind": kind, "name": name, "digest": digest}
    )
    if reach.json:
        show.out_json(answer)
    elif _still_held(answer):
        show.out(f"accepted {show.visible(pin)}; it waits for others to accept it too")
    else:
        show.out(f"accepted {show.visible(pin)}")
    return Exit.OK


def _still_held(answer: JsonObject) -> bool:
    """Whether a change that was accepted waits for others to accept it too."""
    pin = answer.get("pin")
    return isinstance(pin, dict) and show.word(pin, "state") == "held"


def schema() -> int:
    """Print the JSON Schema of the YAML.

    Editors complete and check declared objects with it.
    """
    from bailiwick.declared.schema import schema as declared_schema

    show.out_json(declared_schema())
    return Exit.OK


def has_errors(report: JsonObject) -> bool:
    """Whether anything in an apply report stops it."""
    return any(problem.get("severity") == "error" for problem in listed(report, "problems"))


def print_report(report: JsonObject) -> None:
    """Print problems (file:line:column) to stderr and each object's difference to stdout."""
    for problem in listed(report, "problems"):
        place = show.word(problem, "file")
        if problem.get("line"):
            place += f":{show.word(problem, 'line')}:{show.word(problem, 'column')}"
        severity = show.word(problem, "severity")
        show.note(show.visible(f"{place}: {severity}: {show.word(problem, 'message')}"))
    for change in listed(report, "changes"):
        action = show.word(change, "action")
        show.out(
            show.visible(
                f"{action:7} {show.word(change, 'kind')} {show.word(change, 'name')}"
                f" (version {show.word(change, 'version')})"
            )
        )
        for line in show.word(change, "difference").splitlines():
            style = {"+": "green", "-": "red", "~": "yellow"}.get(line[:1])
            text = show.visible(line)
            show.out("    " + (show.styled(text, style) if style else text))
        _print_sentences(change)


def _print_sentences(change: JsonObject) -> None:
    """Print what a mandate will say: all of a new one, and what is other of one that changes."""
    after, before = (_sentences(change, key) for key in ("sentences", "sentences_before"))
    if not after:
        return
    show.out("    in words:")
    for what, old, last, new, end in SequenceMatcher(a=before or after, b=after).get_opcodes():
        if what != "equal":
            for sentence in before[old:last]:
                show.out("    " + show.styled(show.visible(f"- {sentence}"), "red"))
        for sentence in after[new:end]:
            text = show.visible(f"{' ' if what == 'equal' else '+'} {sentence}")
            show.out("    " + (text if what == "equal" else show.styled(text, "green")))


def _sentences(change: JsonObject, key: str) -> list[str]:
    value = change.get(key)
    return [str(each) for each in value] if isinstance(value, list) else []


def pin_name(row: JsonObject) -> str:
    """`SERVER/KIND/NAME` of a pin."""
    return show.visible(
        "/".join((show.word(row, "upstream"), show.word(row, "kind"), show.word(row, "name")))
    )


def _same(one: JsonObject, other: JsonObject) -> bool:
    return all(one.get(key) == other.get(key) for key in ("upstream", "kind", "name"))


def _definition(row: JsonObject) -> None:
    text = json.dumps(row.get("definition"), indent=2, ensure_ascii=False)
    for line in show.visible(text, keep_lines=True).split("\n"):
        show.out("    " + line)
