"""`limits`: what mandates allow over time, what is used of it, and whether the books are right."""

from __future__ import annotations

from typing import Annotated

import typer

from bailiwick.cli import show
from bailiwick.cli.api import segment
from bailiwick.cli.calls import listed, mapping, target
from bailiwick.cli.exits import CliError, Exit
from bailiwick.cli.reach import Reach, lists, reaching
from bailiwick.core.canonical import JsonObject

_AMOUNTS = ("used", "pending", "unknown", "left", "ceiling")


@reaching
def limits_list(
    reach: Reach,
    context: typer.Context,
    mandate: Annotated[str, typer.Option("--mandate", help="Only of this mandate.")] = "",
) -> int:
    """What is used of every limit, what is left, and when it frees.

    Calls that nothing is known of count on, until `limits settle` says what became of them.
    """
    if not lists(context):
        return Exit.OK
    answer = reach.api().get("limits", mandate=mandate)
    if reach.json:
        show.out_json(answer)
        return Exit.OK
    rows = listed(answer, "limits")
    if not rows:
        show.note("no mandate has limits" if not mandate else "it has no limits")
        return Exit.OK
    show.table(
        ("mandate", "limit", "for", "used", "under way", "unknown", "left", "of", "frees"),
        [
            (
                show.word(row, "mandate") or f"all from {show.word(row, 'person')}",
                show.word(row, "limit"),
                _apart(row),
                *(show.word(mapping(row, "in_words"), column) for column in _AMOUNTS),
                show.when(row.get("frees_ms")),
            )
            for row in rows
        ],
    )
    unsettled = listed(answer, "unsettled")
    if unsettled:
        show.heading("Nothing is known of how these calls ended; what they reserved counts on")
        for row in unsettled:
            call, since = show.word(row, "call"), show.when(row.get("at_ms"))
            show.out(show.visible(f"  {call} since {since}"))
        show.out("  say what became of one: bailiwick limits settle CALL --happened --reason WHY")
    return Exit.OK


def _apart(row: JsonObject) -> str:
    """What an account is for: a value that is counted by itself, a run."""
    run = show.word(row, "run")
    return ", ".join(filter(None, (show.word(row, "key"), f"run {run}" if run else "")))


@reaching
def limits_audit(reach: Reach) -> int:
    """Work every balance out again from the transfers, and compare.

    Also whether any reservation went above its ceiling, and whether each call stands where its
    reservation does. Exit code 1 when anything differs. Reads the data folder, whether or not a
    gateway runs on it; with --url it asks that gateway.
    """
    answer = reach.api().get("limits/audit") if reach.url else _own_audit(reach)
    differences = listed(answer, "differences")
    if reach.json:
        show.out_json(answer)
    else:
        counted = ", ".join(
            f"{show.word(answer, each)} {each}" for each in ("transfers", "accounts", "calls")
        )
        show.out(f"{counted}; unsettled: {show.word(answer, 'unsettled')}")
        for row in differences:
            where, text = show.word(row, "where"), show.word(row, "text")
            show.out(show.visible(f"  {show.word(row, 'code')}: {where}: {text}"))
        show.out(f"{len(differences)} differences" if differences else "all of it agrees")
    return Exit.OK if answer.get("agree") is True and not differences else Exit.NO


def _own_audit(reach: Reach) -> JsonObject:
    """The audit of this machine's own data folder, in this process: the gateway is busy enough."""
    from bailiwick.console.limits import audit_json
    from bailiwick.stores.limits_audit import audit_file

    path = reach.data / "bailiwick.db"
    if not path.exists():
        raise CliError(
            Exit.UNREACHABLE, "no_data", f"there is no database in `{reach.data}`", "give --data"
        )
    return audit_json(audit_file(path))


@reaching
def limits_settle(
    reach: Reach,
    call_id: Annotated[str, typer.Argument(metavar="CALL", help="The call's id.")],
    reason: Annotated[str, typer.Option("--reason", help="How it was found out; recorded.")],
    happened: Annotated[bool, typer.Option("--happened", help="It did: it counts.")] = False,
    did_not: Annotated[
        bool, typer.Option("--did-not-happen", help="It did not: it is free again.")
    ] = False,
) -> int:
    """Settle a call that nothing is known of.

    Look at the server's own records first.
    """
    if happened == did_not:
        raise CliError(Exit.USAGE, "no_decision", "give --happened or --did-not-happen")
    answer = reach.api().post(
        f"calls/{segment(call_id)}/settle", {"happened": happened, "reason": reason}
    )
    if reach.json:
        show.out_json(answer)
    else:
        word = "it counts" if happened else "what it had reserved is free"
        show.out(f"settled {target(mapping(answer, 'call'))}: {word}")
    return Exit.OK
