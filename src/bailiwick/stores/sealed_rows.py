"""Which columns of the SQLite store are sealed, written and read back in one place.

A sealed value is a BLOB. Some columns may also hold TEXT, where it shows nothing of a payload:

* `call_heads.because`, of calls that were let run at once: it names the target and the rule;
* `calls.name`, `holds.name`: but a resource's name is a URI, which may hold personal data, so it
  is sealed with what quotes it (as `gateway/recorder.py` keeps it out of leaves);
* `calls.digest` is empty unless the call was held.
"""

from __future__ import annotations

import sqlite3

from bailiwick.core.call import CallKind
from bailiwick.ports import CallMoved, CallOpened, CallState, HoldOpened, Stamped
from bailiwick.stores.text_seal import TextSeal, damaged_text

_RESOURCE = CallKind.RESOURCE.value
_RUNNING = CallState.RUNNING  # a member of an enum takes five times as long to find as a name here
_ROW_KEYS = {"calls": ("id",), "holds": ("id",), "stamps": ("hold", "person")}
_SEALED = {
    "calls": (),
    "holds": ("digest", "because", "rendering"),
    "stamps": ("reason", "statement"),
}
_SEALED_OR_TEXT = {"calls": ("name", "digest", "because"), "holds": ("name",), "stamps": ()}

Cell = str | bytes


def call_cells(seal: TextSeal, call: CallOpened) -> tuple[Cell, ...]:
    """`name`, `digest`, `state`, `code`, `because` and `hold` of a call, as they are stored."""
    return (
        call.name if call.kind != _RESOURCE else seal.seal(call.name, "calls", "name", call.id),
        seal.seal(call.digest, "calls", "digest", call.id) if call.digest else "",
        call.state._value_,
        call.code,
        seal.seal(call.because, "calls", "because", call.id),
        call.hold,
    )


def moved_row(seal: TextSeal, move: CallMoved, start: int) -> tuple[object, ...]:
    """The row of `moved_calls` for a call that changed state.

    `because` "" leaves the one it has.

    Args:
        start: the index of its commit's first entry.
    """
    state, because = move.state, move.because
    index = None if move.entry < 0 else start + move.entry
    cell = seal.seal(because, "calls", "because", move.id) if because else ""
    # `_value_`: the driver asks about an enum at length before it binds it.
    if state is _RUNNING:
        return (move.id, state._value_, None, move.code, cell, None, index)
    return (move.id, state._value_, move.at_ms, move.code, cell, index, None)


def hold_cells(seal: TextSeal, hold: HoldOpened) -> dict[str, Cell]:
    """`name`, `digest`, `because` and `rendering` of a hold, and its `blind`."""
    private_name = hold.kind == _RESOURCE
    return {
        "blind": hold_blind(seal, hold.digest, hold.mandate, hold.agent),
        "name": seal.seal(hold.name, "holds", "name", hold.id) if private_name else hold.name,
        "digest": seal.seal(hold.digest, "holds", "digest", hold.id),
        "because": seal.seal(hold.because, "holds", "because", hold.id),
        "rendering": seal.seal(hold.rendering, "holds", "rendering", hold.id),
    }


def hold_blind(seal: TextSeal, digest: str, mandate: str, agent: str) -> bytes:
    """What a repeated call finds its hold by."""
    return seal.blind(digest, "holds", mandate, agent)


def stamp_cells(seal: TextSeal, stamp: Stamped) -> tuple[Cell, Cell]:
    """`reason` and `statement` of a stamp."""
    return (
        seal.seal(stamp.reason, "stamps", "reason", stamp.hold, stamp.person),
        seal.seal(stamp.statement, "stamps", "statement", stamp.hold, stamp.person),
    )


def opened(seal: TextSeal, table: str, row: sqlite3.Row) -> dict[str, object]:
    """A row of `calls`, `holds` or `stamps` with its texts opened.

    Raises:
        StoreError: `text_damaged`.
    """
    cells = dict(row)
    key = tuple(str(cells[column]) for column in _ROW_KEYS[table])
    for column in _SEALED[table]:
        cells[column] = seal.open(cells[column], table, column, *key)
    for column in _SEALED_OR_TEXT[table]:
        if not isinstance(cells[column], str):
            cells[column] = seal.open(cells[column], table, column, *key)
    if table == "holds":
        # The lookup and what is looked up agree, or a retry would pick up another call's stamp.
        blind = cells.pop("blind")
        if blind != hold_blind(seal, *(str(cells[c]) for c in ("digest", "mandate", "agent"))):
            raise damaged_text(table, "blind", *key)
    return cells
