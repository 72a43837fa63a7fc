"""`mandates`, `delegate`, `suspend` and `resume`: lines of mandates, and stopping them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer

from bailiwick.cli import show
from bailiwick.cli.api import segment
from bailiwick.cli.calls import listed, mapping, target
from bailiwick.cli.exits import CliError, Exit
from bailiwick.cli.files import read_files
from bailiwick.cli.people import TtlOption, seconds
from bailiwick.cli.reach import Reach, reaching
from bailiwick.core.canonical import JsonObject
from bailiwick.core.delegation import parent_name

MandateArgument = Annotated[str, typer.Argument(help="The mandate's name.")]
ReasonOption = Annotated[str, typer.Option("--reason", help="Why; recorded.")]


@reaching
def mandates(
    reach: Reach,
    every: Annotated[bool, typer.Option("--all", help="Also those that are revoked.")] = False,
) -> int:
    """List mandates, each child below its parent."""
    answer = reach.api().get("objects", kind="mandate")
    if reach.json:
        show.out_json(answer)
        return Exit.OK
    rows = [row for row in listed(answer, "objects") if every or row.get("state") != "revoked"]
    if not rows:
        show.note("no mandate is in force, so every call is denied; `--all` lists revoked ones")
        return Exit.OK
    show.table(
        ("mandate", "state", "agent", "given by", "purpose"),
        [_row(depth, row, stopped) for depth, row, stopped in as_tree(rows)],
        states=1,
    )
    return Exit.OK


@reaching
def delegate(
    reach: Reach,
    parent: Annotated[str, typer.Argument(help="The mandate to pass on a part of.")],
    child: Annotated[
        Path, typer.Argument(metavar="CHILD.yaml", help="The child: a mandate without `from`.")
    ],
    ttl: TtlOption = "1h",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only check that it is narrower.")
    ] = False,
) -> int:
    """Pass on part of a mandate to another agent.

    With --token (or BAILIWICK_TOKEN) of the mandate's own agent, or as its principal, the owner of
    its agent or an operator. The child must be narrower than its parent; if it is not, the error
    shows a call that it would let through and its parent would not. Prints a token for the child's
    agent, once.
    """
    (text,) = read_files([child]).values()
    answer = reach.api().post(
        f"mandates/{segment(parent)}/children",
        {"child": text, "lifetime_seconds": seconds(ttl), "dry_run": dry_run},
    )
    if reach.json:
        show.out_json(answer)
        return Exit.OK
    name, above = show.word(answer, "name"), show.word(answer, "parent")
    if dry_run:
        show.out(show.visible(f"narrower than `{above}`; nothing was made"))
        return Exit.OK
    token = mapping(answer, "token")
    show.out(show.word(token, "token"))
    show.note(
        show.visible(
            f"agent `{show.word(token, 'agent')}` under `{name}`, a part of `{above}`, until"
            f" {show.when(token.get('expires_ms'))}; shown this once\n"
            f"to end it: bailiwick revoke {name}",
            keep_lines=True,
        )
    )
    return Exit.OK


@reaching
def suspend(reach: Reach, mandate: MandateArgument, reason: ReasonOption = "") -> int:
    """Stop a mandate and all below it, until it is resumed.

    When it returns, nothing new runs under them; what is in flight is listed.
    """
    answer = reach.api().post(f"mandates/{segment(mandate)}/suspend", {"reason": reason})
    if reach.json:
        show.out_json(answer)
        return Exit.OK
    show.out(f"suspended `{show.visible(mandate)}`; nothing new runs under it")
    for row in listed(answer, "in_flight"):
        show.out(f"  still in flight: {show.visible(show.word(row, 'id'))} {target(row)}")
    return Exit.OK


@reaching
def resume(reach: Reach, mandate: MandateArgument, reason: ReasonOption = "") -> int:
    """Let a suspended mandate go on.

    What was revoked below it stays revoked.
    """
    answer = reach.api().post(f"mandates/{segment(mandate)}/resume", {"reason": reason})
    if reach.json:
        show.out_json(answer)
    else:
        show.out(f"`{show.visible(mandate)}` goes on")
    return Exit.OK


def as_tree(rows: Sequence[JsonObject]) -> Iterator[tuple[int, JsonObject, str]]:
    """Mandates with how deep each stands, and the state of one above that stops it, if any does.

    A parent first, then its children.

    A child whose parent is not among them stands at the top.
    """
    named = {show.word(row, "name"): row for row in rows}

    def below(parent: str, depth: int, stopped: str) -> Iterator[tuple[int, JsonObject, str]]:
        for name in sorted(named):
            above = parent_name(name)
            if (above if above in named else "") == parent:
                state = show.word(named[name], "state")
                yield depth, named[name], stopped
                yield from below(name, depth + 1, stopped or (state if state != "active" else ""))

    yield from below("", 0, "")


def _row(depth: int, row: JsonObject, stopped: str) -> tuple[str, ...]:
    document = row.get("document")
    if not isinstance(document, dict) or not isinstance(document.get("spec"), dict):
        raise CliError(Exit.OURS, "damaged", f"`{show.word(row, 'name')}` cannot be read")
    spec = document["spec"]
    name = f"{show.word(row, 'name')}@{show.word(row, 'version')}"
    state = show.word(row, "state")
    return (
        "  " * depth + name,
        f"{stopped} above" if state == "active" and stopped else state,
        show.word(spec, "to"),
        show.word(spec, "from"),
        show.word(spec, "purpose"),
    )
