"""Calls as rows of the SQLite store, so laid out that a call writes little and nothing twice.

* `opened_calls`: a row for each call. What many calls say alike stands once, in `call_runs` and
  `call_heads`, and is NULL in the row of a call that was let run at once.
* `moved_calls`: where a call stands if it has moved since; most move once, to their end.
* `running_calls`: one row, the ids of the calls that run just now as a JSON array. A start has to
  find what a crash left behind without looking at every call there ever was.
* `long_calls`: of those, the ones that ran when there were too many for one row.

The view `calls` (schema.py) puts them together. Which cells are sealed: `sealed_rows.py`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from operator import itemgetter

import msgspec
from msgspec.structs import astuple

from bailiwick.core.call import CallKind
from bailiwick.ports import CallMoved, CallOpened, CallState, Change
from bailiwick.stores.schema import damaged
from bailiwick.stores.sealed_rows import call_cells, moved_row
from bailiwick.stores.text_seal import TextSeal

MAX_KNOWN_HEADS = 10_000
"""What calls have in common is remembered for so many sorts of call: beyond it, looked up again."""

MAX_RUNNING_TOGETHER = 256
"""Ids in the row of `running_calls`, which each transaction writes anew: beyond it, a row each."""

# Binding None, or bytes, takes the driver five times as long as a number or a text: what nearly all
# calls leave empty is not bound.
_INSERT_ALIKE = (
    "INSERT INTO opened_calls (id, intent_index, at_ms, run, head) VALUES (?, ?, ?, ?, ?)"
)
_INSERT_CALL = "INSERT INTO opened_calls VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_OR_MOVE = (
    " ON CONFLICT (id) DO UPDATE SET "
    "state = excluded.state, ended_ms = excluded.ended_ms, "
    "code = CASE WHEN excluded.code = '' THEN code ELSE excluded.code END, "
    "because = CASE WHEN excluded.because = '' THEN because ELSE excluded.because END, "
    "outcome_index = CASE WHEN excluded.state = 'running' THEN NULL "
    "ELSE coalesce(excluded.outcome_index, outcome_index) END, "
    "approved_index = CASE WHEN excluded.state = 'running' THEN excluded.approved_index "
    "ELSE approved_index END"
)
_END_CALL = (
    "INSERT INTO moved_calls (id, state, ended_ms, code, because, outcome_index) "
    "VALUES (?, ?, ?, ?, '', ?)" + _OR_MOVE
)
_MOVE_CALL = "INSERT INTO moved_calls VALUES (?, ?, ?, ?, ?, ?, ?)" + _OR_MOVE  # noqa: S608  # our own text
_INSERT_LONG = "INSERT INTO long_calls VALUES (?)"
_DELETE_LONG = "DELETE FROM long_calls WHERE id = ?"
_PUT_RUNNING = "UPDATE running_calls SET ids = ?"
_FIND_RUN = "SELECT number FROM call_runs WHERE run = ?"
_INSERT_RUN = "INSERT INTO call_runs (run) VALUES (?)"
_FIND_HEAD = (
    "SELECT number FROM call_heads WHERE agent = ? AND mandate = ? AND principal = ? "
    "AND kind = ? AND upstream = ? AND name = ? AND code = ? AND because = ?"
)
_INSERT_HEAD = (
    "INSERT INTO call_heads (agent, mandate, principal, kind, upstream, name, code, because) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)

_RESOURCE = CallKind.RESOURCE.value
_RUNNING = CallState.RUNNING

_Row = tuple[object, ...]

_id_of = itemgetter(0)
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(set[str]).decode


class CallRows:
    """What the commits of one transaction say of calls, until it is written.

    What is remembered of the file stands as long as nobody else writes to it: then, `load`.
    """

    __slots__ = ("_alike", "_ended", "_long", "_opened", "_running", "_seal")

    def __init__(self, seal: TextSeal) -> None:
        self._seal = seal
        self._opened: list[_Row] = []
        self._ended: list[_Row] = []
        self._running: set[str] = set()
        self._long: set[str] = set()
        # What a call that was let run at once says beside its id, time and intent, or any other of
        # its run and target, and the numbers of that: run and head.
        self._alike: dict[_Row, tuple[int, int]] = {}

    def load(self, db: sqlite3.Connection) -> None:
        """Forget what was not written, and what is remembered; read what runs."""
        self._opened, self._ended = [], []
        self._alike.clear()
        found = db.execute("SELECT ids FROM running_calls").fetchone()
        try:
            self._running = _decode(found[0])
        except (TypeError, msgspec.DecodeError) as error:
            raise damaged(f"`running_calls` cannot be read: {error}") from error
        self._long = {str(row[0]) for row in db.execute("SELECT id FROM long_calls")}

    def take(self, db: sqlite3.Connection, changes: Sequence[Change], start: int) -> None:
        """Take in those of one commit's changes that are of calls.

        Args:
            db: in the open transaction.
            start: the index of the commit's first entry.
        """
        for change in changes:
            if type(change) is CallMoved:
                state, entry = change.state, change.entry
                if state is _RUNNING or entry < 0 or change.because:
                    self._move(db, change, start)
                else:
                    cells = (change.id, state._value_, change.at_ms, change.code, start + entry)
                    self._ended.append(cells)
            elif type(change) is CallOpened:
                numbers = self._alike.get(astuple(change)[2:14])
                if numbers is None:
                    self._open(db, change, start)
                else:
                    run, head = numbers
                    intent = start + change.entry
                    self._opened.append((change.id, intent, change.at_ms, run, head))

    def write(self, db: sqlite3.Connection) -> None:
        """Write what was taken in since the last time, in `db`'s open transaction."""
        opened, ended, running = self._opened, self._ended, self._running
        if opened:
            db.executemany(_INSERT_ALIKE, opened)
            running.update(map(_id_of, opened))
        if ended:
            db.executemany(_END_CALL, ended)
            running.difference_update(map(_id_of, ended))
            if self._long:
                self._end_long(db, self._long.intersection(map(_id_of, ended)))
        if opened or ended:
            self._put_running(db)
            opened.clear()
            ended.clear()

    def taken_in(self) -> set[str]:
        """The calls that `write` will write: their intents or outcomes are of this transaction.

        There may be more such calls: those with more to say are written already.
        """
        return {*map(_id_of, self._opened), *map(_id_of, self._ended)}

    def _end_long(self, db: sqlite3.Connection, ended: set[str]) -> None:
        db.executemany(_DELETE_LONG, [(each,) for each in ended])
        self._long -= ended

    def _put_running(self, db: sqlite3.Connection) -> None:
        if len(self._running) > MAX_RUNNING_TOGETHER:
            db.executemany(_INSERT_LONG, [(each,) for each in self._running])
            self._long |= self._running
            self._running.clear()
        db.execute(_PUT_RUNNING, (_encode(self._running).decode(),))

    def _move(self, db: sqlite3.Connection, move: CallMoved, start: int) -> None:
        """A call is let run that was held, or ends in a way of which there is more to say."""
        self.write(db)  # what came before it
        db.execute(_MOVE_CALL, moved_row(self._seal, move, start))
        if move.state is not _RUNNING:
            self._running.discard(move.id)
            self._end_long(db, self._long & {move.id})
        elif move.id not in self._long:
            self._running.add(move.id)
        self._put_running(db)

    def _open(self, db: sqlite3.Connection, call: CallOpened, start: int) -> None:
        """A call with cells of its own, or the first that says what others will."""
        where = (call.id, start + call.entry, call.at_ms)
        cells = astuple(call)
        at_once = call.state is _RUNNING
        if at_once and call.kind != _RESOURCE and not call.digest and not call.hold:
            head = (*cells[3:9], call.code, call.because)
            self._opened.append((*where, *self._numbers(db, cells[2:14], head)))
            return
        numbers = self._alike.get(cells[2:8])
        if numbers is None:
            numbers = self._numbers(db, cells[2:8], (*cells[3:8], "", "", ""))
        db.execute(_INSERT_CALL, (*where, *numbers, *call_cells(self._seal, call)))
        if at_once:
            self._running.add(call.id)
            self._put_running(db)

    def _numbers(self, db: sqlite3.Connection, alike: _Row, head: _Row) -> tuple[int, int]:
        """The numbers of a run, which `alike` begins with, and of `head`, from now on known."""
        run = _number(db, _FIND_RUN, _INSERT_RUN, alike[:1])
        found = run, _number(db, _FIND_HEAD, _INSERT_HEAD, head)
        if len(self._alike) >= MAX_KNOWN_HEADS:
            self._alike.clear()
        self._alike[alike] = found
        return found


def _number(db: sqlite3.Connection, find: str, insert: str, cells: _Row) -> int:
    """The number of a row; it is made when it is new."""
    row = db.execute(find, cells).fetchone()
    made = db.execute(insert, cells).lastrowid if row is None else row[0]
    assert isinstance(made, int)
    return made
