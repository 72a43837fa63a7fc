"""`models`: how model servers and the models of aliases are doing."""

from __future__ import annotations

from bailiwick.cli import show
from bailiwick.cli.calls import listed
from bailiwick.cli.exits import Exit
from bailiwick.cli.reach import Reach, reaching
from bailiwick.core.canonical import JsonObject


@reaching
def models(reach: Reach) -> int:
    """How model servers are doing, and the models of aliases.

    A model rests after several failures in a row: its alias asks the next one meanwhile.
    """
    answer = reach.api().get("models")
    if reach.json:
        show.out_json(answer)
        return Exit.OK
    servers, aliases = listed(answer, "servers"), listed(answer, "aliases")
    if not servers:
        show.note("no model server is declared")
        return Exit.OK
    show.table(
        ("model server", "speaks", "under way", "waiting", "at most"),
        [
            (
                show.word(row, "name"),
                " ".join(map(str, _words(row))),
                *(show.word(row, column) for column in ("under_way", "waiting", "most")),
            )
            for row in servers
        ],
    )
    for alias in aliases:
        show.heading(f"{show.word(alias, 'name')} stands for")
        show.table(
            ("place", "model", "weight", "state", "served", "failed", "last failure"),
            [_candidate(row) for row in listed(alias, "models")],
        )
    return Exit.OK


def _words(row: JsonObject) -> list[object]:
    dialects = row.get("dialects")
    return list(dialects) if isinstance(dialects, list) else []


def _candidate(row: JsonObject) -> tuple[str, ...]:
    state = show.word(row, "state")
    if state == "resting":
        state += f" for {show.word(row, 'ready_in_seconds')} s"
    failure = show.word(row, "last_failure")
    if failure:
        failure += f" at {show.when(row.get('last_failure_ms'))}"
    told = (show.word(row, column) for column in ("place", "model", "weight"))
    return (*told, state, show.word(row, "served"), show.word(row, "failed"), failure)
