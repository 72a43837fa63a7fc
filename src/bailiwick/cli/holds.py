"""`holds`, `stamp` and `revoke`: what a person decides."""

from __future__ import annotations

import hashlib
from typing import Annotated

import typer

from bailiwick.cli import show
from bailiwick.cli.api import Api, segment
from bailiwick.cli.calls import listed, mapping, print_hold, target
from bailiwick.cli.exits import CliError, Exit
from bailiwick.cli.reach import Reach, at_terminal, reaching
from bailiwick.core.canonical import JsonObject


@reaching
def holds(
    reach: Reach,
    every: Annotated[bool, typer.Option("--all", help="Also those already decided.")] = False,
) -> int:
    """List what waits for a stamp."""
    answer = reach.api().get("holds", state="all" if every else "waiting")
    if reach.json:
        show.out_json(answer)
        return Exit.OK
    rows = listed(answer, "holds")
    if not rows:
        show.note("nothing waits for a stamp")
        return Exit.OK
    show.table(
        ("hold", "until", "agent", "target", "state", "because"),
        [
            (
                show.word(row, "id"),
                show.when(row.get("expires_ms")),
                show.word(row, "agent"),
                target(row),
                show.word(row, "state"),
                show.word(row, "because"),
            )
            for row in rows
        ],
        states=4,
    )
    return Exit.OK


@reaching
def stamp(
    reach: Reach,
    asked_id: Annotated[str, typer.Argument(metavar="ID", help="The hold's id, or its call's.")],
    approve: Annotated[bool, typer.Option("--approve", help="Let it run, once.")] = False,
    refuse: Annotated[bool, typer.Option("--refuse", help="Do not let it run.")] = False,
    reason: Annotated[str, typer.Option("--reason", help="Why; at most 1,000 letters.")] = "",
) -> int:
    """Approve or refuse one held call.

    Shows it first; without --approve or --refuse it asks.
    """
    if approve and refuse:
        raise CliError(Exit.USAGE, "both", "--approve and --refuse exclude each other")
    api = reach.api()
    hold = _find_hold(api, asked_id)
    hold_id = show.word(hold, "id")
    if not reach.json:
        show.out(target(hold))
        print_hold(hold)
        show.out()
    if not (approve or refuse):
        if reach.json or not at_terminal():
            raise CliError(Exit.USAGE, "no_decision", "give --approve or --refuse")
        said = input("approve, refuse or leave it? [a/r/L] ").strip().lower()
        if said not in ("a", "approve", "r", "refuse"):
            show.out("left as it is")
            return Exit.NO
        approve = said.startswith("a")
    # The stamp binds the text that was shown: if it is another by now, nothing is stamped.
    shown = hashlib.sha256(show.word(hold, "rendering").encode()).hexdigest()
    answer = api.post(
        f"holds/{segment(hold_id)}/stamp",
        {
            "decision": "approve" if approve else "refuse",
            "reason": reason,
            "rendering_sha256": shown,
        },
    )
    if reach.json:
        show.out_json(answer)
    else:
        state = show.word(mapping(answer, "hold"), "state")
        more = " for more stamps" if state == "waiting" else ""
        show.out(f"stamped: now {show.state(state)}{more}")
    return Exit.OK


def _find_hold(api: Api, asked_id: str) -> JsonObject:
    """The hold of that id, or the waiting one of the call of that id."""
    try:
        return mapping(api.get(f"holds/{segment(asked_id)}"), "hold")
    except CliError as error:
        if error.code != "hold_unknown":
            raise
        for row in listed(api.get("holds", state="waiting"), "holds"):
            if row.get("call") == asked_id:
                return mapping(api.get(f"holds/{segment(show.word(row, 'id'))}"), "hold")
        raise


@reaching
def revoke(
    reach: Reach,
    mandate: Annotated[str, typer.Argument(help="The mandate's name.")],
    reason: Annotated[str, typer.Option("--reason", help="Why; recorded.")] = "",
) -> int:
    """Revoke a mandate and its children.

    When it returns, nothing new runs under them; what is in flight is listed.
    """
    answer = reach.api().post(f"mandates/{segment(mandate)}/revoke", {"reason": reason})
    if reach.json:
        show.out_json(answer)
        return Exit.OK
    in_flight = listed(answer, "in_flight")
    show.out(f"revoked `{show.visible(mandate)}`; nothing new runs under it")
    for row in in_flight:
        show.out(f"  still in flight: {show.visible(show.word(row, 'id'))} {target(row)}")
    return Exit.OK


def ask(question: str) -> bool:
    """Ask the person at the terminal; anything but a clear yes is no."""
    return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")
