"""`calls`, `call` and `runs`: what agents asked for, and what became of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

import typer

from bailiwick.cli import show
from bailiwick.cli.api import segment
from bailiwick.cli.exits import Exit
from bailiwick.cli.reach import Reach, reaching
from bailiwick.core.canonical import Json, JsonObject
from bailiwick.ports import LET_RUN, NOT_SENT

LimitOption = Annotated[int, typer.Option("--limit", min=1, max=500, help="How many at most.")]


@reaching
def calls(
    reach: Reach,
    limit: LimitOption = 50,
    agent: Annotated[str, typer.Option("--agent", help="Only this agent's.")] = "",
    mandate: Annotated[str, typer.Option("--mandate", help="Only under this mandate.")] = "",
    run: Annotated[str, typer.Option("--run", help="Only of this run.")] = "",
    state: Annotated[
        str, typer.Option("--state", help="Only in this state: done, denied, held, unknown, …")
    ] = "",
    before: Annotated[str, typer.Option("--before", help="Older than this call's id.")] = "",
) -> int:
    """List calls, newest first."""
    answer = reach.api().get(
        "calls", limit=limit, agent=agent, mandate=mandate, run=run, state=state, before=before
    )
    if reach.json:
        show.out_json(answer)
        return Exit.OK
    rows = listed(answer, "calls")
    if not rows:
        narrowed = any((agent, mandate, run, state, before))
        show.note("no calls like that" if narrowed else "no calls yet")
        return Exit.OK
    show.table(
        ("call", "at", "agent", "target", "state", "because"),
        [
            (
                show.word(row, "id"),
                show.when(row.get("at_ms")),
                show.word(row, "agent"),
                target(row),
                show.word(row, "state"),
                _because(row),
            )
            for row in rows
        ],
        states=4,
    )
    return Exit.OK


def _because(row: JsonObject) -> str:
    """Why it was decided so; of a call that was let run and failed, first how it failed."""
    because, code = show.word(row, "because"), show.word(row, "code")
    ended = show.word(row, "state") == "failed" and code not in LET_RUN
    return f"{code}; {because}" if ended and code else because


@reaching
def call(
    reach: Reach, call_id: Annotated[str, typer.Argument(metavar="ID", help="The call's id.")]
) -> int:
    """Show the whole path of one call.

    Who, under which mandate, what exactly, why, the stamp, the outcome, the ledger entries.
    """
    path = reach.api().get(f"calls/{segment(call_id)}")
    if reach.json:
        show.out_json(path)
        return Exit.OK
    row = mapping(path, "call")
    show.out(f"{target(row)}  {show.state(show.word(row, 'state'))}")
    show.facts(
        [
            ("call", show.word(row, "id")),
            ("at", show.when(row.get("at_ms"))),
            ("agent", show.word(row, "agent")),
            ("mandate", f"{show.word(row, 'mandate')}, given by {show.word(row, 'principal')}"),
            ("run", show.word(row, "run")),
            *circumstances(path),
            ("because", show.word(row, "because")),
            ("code", show.word(row, "code") or "-"),
            ("digest", show.word(row, "digest") or "-"),
        ]
    )
    show.heading("What exactly")
    payload("intent", opened(path, "intent", "call"))
    print_reserved(
        listed(mapping(path, "intent"), "reserved"),
        listed(mapping(path, "outcome"), "settled"),
        sent=row.get("outcome_index") is None or show.word(row, "code") not in NOT_SENT,
    )
    hold = path.get("hold")
    if isinstance(hold, dict):
        show.heading("The hold")
        print_hold(hold)
    show.heading("The outcome")
    # Of a model what it said: its raw answer is for machines, and in `--json`.
    inside = "said" if "said" in mapping(path, "outcome") else "result"
    payload("outcome", opened(path, "outcome", inside))
    show.heading("The ledger")
    for leaf in listed(path, "leaves"):
        found = mapping(leaf, "leaf")
        kind, code = show.word(found, "type"), show.word(found, "code")
        what = f"{kind}, {code}" if code else kind
        show.out(show.visible(f"  entry {show.word(leaf, 'index')}: {what}"))
    show.out(f"  prove it: bailiwick ledger proof {show.visible(show.word(row, 'id'))}")
    return Exit.OK


@reaching
def runs(reach: Reach, limit: LimitOption = 50) -> int:
    """List runs, newest first.

    A run is one piece of work under one mandate.
    """
    answer = reach.api().get("runs", limit=limit)
    if reach.json:
        show.out_json(answer)
        return Exit.OK
    rows = listed(answer, "runs")
    if not rows:
        show.note("no runs yet")
        return Exit.OK
    show.table(
        ("run", "at", "agent", "mandate", "told by", "calls", "how they ended", "instruction"),
        [
            (
                show.word(row, "id"),
                show.when(row.get("at_ms")),
                show.word(row, "agent"),
                show.word(row, "mandate"),
                show.word(row, "person" if row.get("supplier") == "person" else "supplier"),
                show.word(row, "calls"),
                ", ".join(f"{count} {state}" for state, count in mapping(row, "states").items()),
                show.word(row, "instruction"),
            )
            for row in rows
        ],
    )
    return Exit.OK


def print_hold(hold: JsonObject) -> None:
    """Print one hold: why, who may stamp, and the exact text a stamp binds."""
    stamps = [
        f"{show.word(stamp, 'decision')} by {show.word(stamp, 'person')}"
        f" at {show.when(stamp.get('at_ms'))} ({show.word(stamp, 'method')})"
        + (f": {show.word(stamp, 'reason')}" if stamp.get("reason") else "")
        for stamp in listed(hold, "stamps")
    ]
    excluded = hold.get("excluded")
    barred = ", ".join(str(name) for name in excluded) if isinstance(excluded, list) else ""
    who = show.word(hold, "role") or "any person"
    rules = hold.get("rules")
    show.facts(
        [
            ("hold", show.word(hold, "id")),
            ("state", show.word(hold, "state")),
            ("because", show.word(hold, "because")),
            ("rules", "\n".join(str(rule) for rule in rules) if isinstance(rules, list) else ""),
            ("who may", f"{show.word(hold, 'count')} × {who}" + (f", not {barred}" * bool(barred))),
            ("until", show.when(hold.get("expires_ms"))),
            ("stamps", "\n".join(stamps) or "none yet"),
        ]
    )
    show.out()
    for line in show.visible(show.word(hold, "rendering"), keep_lines=True).split("\n"):
        show.out(f"    {line}".rstrip())


def circumstances(path: JsonObject) -> list[tuple[str, str]]:
    """For whom a call was and where it came from, as far as that was known."""
    intent = mapping(path, "intent")
    found: list[tuple[str, str]] = []
    if intent.get("end_user"):
        by = "said by a person" if intent.get("end_user_by") == "person" else "the agent says"
        found.append(("for", f"{show.word(intent, 'end_user')} ({by})"))
    if intent.get("use") is not None:
        from bailiwick.core.thinking.model_calls import read_use, said_of

        found += said_of(read_use(intent.get("use")))
    zones = intent.get("zones")
    if isinstance(zones, list):
        found.append(("zone", ", ".join(str(zone) for zone in zones) or "none of those declared"))
    return found


def print_reserved(
    charges: Sequence[JsonObject], settled: Sequence[JsonObject] = (), *, sent: bool = True
) -> None:
    """Print what a call takes of limits, if anything; what it set aside, and what it took of that
    where its result said. All is free again if nothing was `sent`."""
    if not charges:
        return
    took = {
        (line[0], line[1]): line[2]
        for each in settled
        if isinstance(posted := each.get("actual"), list)
        for line in posted
        if isinstance(line, list) and len(line) == 3
    }
    from bailiwick.core.limits.wording import amount_words

    show.heading("What it takes of limits")
    lines = []
    for charge in charges:
        amount, scale = charge.get("amount"), charge.get("scale", 1)
        if isinstance(amount, int) and isinstance(scale, int):
            unit, key = show.word(charge, "unit"), show.word(charge, "key")
            taken = amount_words(amount, scale, unit)
            really = took.get((show.word(charge, "account"), key))
            if isinstance(really, int) and really != amount:
                taken = f"{amount_words(really, scale, unit)}, of {taken} set aside"
            if not sent:
                taken = f"nothing, of {taken} set aside: it was not sent"
            apart = key or show.word(charge, "member")
            lines.append((show.word(charge, "rule"), f"{taken}, for {apart}" if apart else taken))
    show.facts(lines or [("", "it cannot be read")])


def opened(path: JsonObject, name: str, inside: str) -> Json:
    """What people look for in an opened payload; the rest of it (its salt) is for `--json`."""
    whole = path.get(name)
    return whole.get(inside, whole) if isinstance(whole, Mapping) else whole


def payload(name: str, value: Json) -> None:
    """Print an opened payload, or that there is none."""
    if value is None:
        show.out(f"  no {name} is kept: there was none, or it was erased")
        return
    for line in show.visible(show.pretty(value), keep_lines=True).split("\n"):
        show.out("  " + line)


def target(row: JsonObject) -> str:
    """`server/tool` of a call or hold."""
    upstream, name = show.word(row, "upstream"), show.word(row, "name")
    return show.visible(f"{upstream}/{name}" if upstream else name)


def listed(answer: JsonObject, key: str) -> Sequence[JsonObject]:
    """The objects under `key`; [] when there are none."""
    value = answer.get(key)
    return [row for row in value if isinstance(row, Mapping)] if isinstance(value, list) else []


def mapping(answer: JsonObject, key: str) -> JsonObject:
    """The object under `key`; {} when there is none."""
    value = answer.get(key)
    return value if isinstance(value, Mapping) else {}
