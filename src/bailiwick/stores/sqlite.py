"""Durable state in one SQLite file: WAL, `synchronous=FULL`, many commits to one fsync.

One writer connection. Rows are inserted on the event loop's thread (a few microseconds each; from
another thread every row would contend for the interpreter lock), and only COMMIT, which waits for
the disk, runs in a thread. Commits that arrive meanwhile share the next one. tests/stores holds
the contract of `ports.Journal`; tests/faults the crash and full-disk behaviour.

Other processes may write to the same file. What is remembered of it (the next ledger index, what
is taken of limits) is dropped at the start of a transaction when it has changed by another hand.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bailiwick.core.errors import Conflict, StoreError
from bailiwick.core.limits.limit import Counters
from bailiwick.ports import (
    CallMoved,
    CallOpened,
    Change,
    Entry,
    HoldMoved,
    HoldOpened,
    ObjectPut,
    ObjectState,
    Pinned,
    Reserved,
    RunEnded,
    RunOpened,
    Settled,
    SpansKept,
    Stamped,
    SubjectKey,
    TokenRevoked,
)
from bailiwick.stores.call_rows import CallRows
from bailiwick.stores.commit_batch import CommitBatch, Pending
from bailiwick.stores.entry_rows import INSERT_ENTRIES, entry_rows, next_index
from bailiwick.stores.schema import damaged, prepare
from bailiwick.stores.sealed_rows import hold_cells, stamp_cells
from bailiwick.stores.sqlite_limits import SqliteLimits
from bailiwick.stores.text_seal import TextSeal

_INSERT_HOLD = (
    "INSERT INTO holds VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, "
    "'waiting', NULL, ?)"
)
CommitHook = Callable[[sqlite3.Connection], None]


def connect(path: Path, *, fsync: bool = True, read_only: bool = False) -> sqlite3.Connection:
    """Open a connection with our settings.

    Raises:
        StoreError: `store_unavailable` when the file cannot be opened, `database_damaged`.
    """
    try:
        if read_only:
            uri = f"{path.absolute().as_uri()}?mode=ro"
            db = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)
            db.execute("PRAGMA query_only=ON")
            return db
        db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5)
        db.execute("PRAGMA journal_mode=WAL")
        db.execute(f"PRAGMA synchronous={'FULL' if fsync else 'OFF'}")
        db.execute("PRAGMA wal_autocheckpoint=4000")
        db.execute("PRAGMA cache_size=-8000")
    except sqlite3.OperationalError as error:
        raise StoreError(
            "store_unavailable", f"cannot open the database `{path}`: {error}"
        ) from error
    except sqlite3.DatabaseError as error:
        raise damaged(str(error)) from error
    return db


class SqliteJournal:
    """The `Journal` of the embedded store."""

    def __init__(
        self,
        path: Path,
        *,
        seal: TextSeal,
        fsync: bool = True,
        commit: CommitHook = sqlite3.Connection.commit,
    ) -> None:
        """Open or create the database at `path`.

        Args:
            seal: closes the columns that quote payloads (`sealed_rows.py`).
            fsync: False gives up durability for measurements; never for real work.
            commit: how a transaction is committed; fault tests replace it.

        Raises:
            StoreError: the file cannot be opened, is not ours, newer, or damaged.
        """
        self._path = path
        self._seal = seal
        self._fsync = fsync
        self._commit = commit
        self._pending: list[Pending] = []
        self._busy = False
        self._closed = False
        self._idle = asyncio.Event()
        self._idle.set()
        self._thread = ThreadPoolExecutor(1, "bailiwick-commit")
        self._calls = CallRows(seal)
        self._limits = SqliteLimits(seal, lambda: connect(path, read_only=True))
        self.counters: Counters = self._limits.books
        self.on_append: Callable[[int, Sequence[bytes]], None] = _nothing
        self._open()

    def _open(self) -> None:
        # What was looked up while no connection stood could be older than what others have written
        # since: the version below is that of a new connection, and would not tell.
        self._limits.forget()
        size = self._path.stat().st_size if self._path.exists() else 0
        self._db = connect(self._path, fsync=self._fsync)
        try:
            prepare(self._db, size)
            self._version = _data_version(self._db)
            self._next = next_index(self._db)
            self._calls.load(self._db)
        except BaseException:
            self._db.close()
            raise

    def commit(
        self, entries: Sequence[Entry], changes: Sequence[Change] = ()
    ) -> asyncio.Future[range]:
        """See `ports.Journal.commit`."""
        if self._closed:
            raise StoreError("store_closed", "the store is closed")
        if not self._busy:
            # Once a batch: who asks for the loop asks the kernel for the process.
            self._loop = loop = asyncio.get_running_loop()
            self._busy = True
            self._idle.clear()
            loop.call_soon(self._flush, loop)
        done: asyncio.Future[range] = self._loop.create_future()
        self._pending.append((entries, changes, done))
        return done

    async def close(self) -> None:
        """Finish what is pending, then close. Later commits raise StoreError."""
        self._closed = True
        await self._idle.wait()
        self._thread.shutdown()
        with contextlib.suppress(sqlite3.Error):  # a full disk must not keep us from closing
            self._limits.close()
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._db.close()

    def _flush(self, loop: asyncio.AbstractEventLoop) -> None:
        batch, self._pending = self._pending, []
        try:
            written = self._apply_all(batch)
        except Exception as error:  # noqa: BLE001 - whatever it is, nobody may wait for it for ever
            self._fail(batch, error)
            self._after(loop)
            return
        if not self._fsync:  # nothing to wait for: a thread would only cost
            self._settle(loop, batch, written, self._try_commit())
            return
        waiting = self._thread.submit(self._try_commit)
        waiting.add_done_callback(
            lambda done: loop.call_soon_threadsafe(
                self._settle, loop, batch, written, done.result()
            )
        )

    def _try_commit(self) -> Exception | None:
        try:
            self._commit(self._db)
        except Exception as error:  # noqa: BLE001 - as in `_flush`
            return error
        return None

    def _settle(
        self,
        loop: asyncio.AbstractEventLoop,
        batch: list[Pending],
        written: CommitBatch,
        error: Exception | None,
    ) -> None:
        if error is not None:
            self._fail(batch, error)
        else:
            written.tell()
            self._limits.trim()
            if written.leaves:  # durable now; a commit that conflicted left no gap
                self.on_append(written.first, written.leaves)
        self._after(loop)

    def _after(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._pending:
            loop.call_soon(self._flush, loop)
        else:
            self._busy = False
            self._idle.set()

    def _fail(self, batch: list[Pending], error: Exception) -> None:
        # After a failed commit nothing in memory is believed: whether it reached the disk is read
        # from the disk. A connection that saw an I/O error may hold stale pages, so it goes too.
        with contextlib.suppress(sqlite3.Error):
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
        reopened: Exception | None = None
        self._limits.forget()
        try:
            self._limits.close()
            self._db.close()
            self._open()
        except (sqlite3.Error, StoreError, OSError) as second:
            reopened = second
        text = f"{error}; reopening: {reopened}" if reopened else str(error)
        for _, _, done in batch:
            if not done.done():
                done.set_exception(
                    StoreError("store_unavailable", f"nothing could be recorded: {text}")
                )

    def _apply_all(self, batch: list[Pending]) -> CommitBatch:
        db, calls = self._begin(), self._calls
        taken = CommitBatch(self._next)
        taken.take(db, batch, calls, self._limits, self._apply_special)
        if taken.entries:
            rows = entry_rows(taken.first, taken.entries, taken.leaves)
            db.executemany(INSERT_ENTRIES, rows)
        limited = calls.taken_in() if self._limits.unwritten else frozenset[str]()
        calls.write(db)
        self._limits.write(db, taken.first, limited)
        self._next = taken.stop
        return taken

    def _begin(self) -> sqlite3.Connection:
        """Open a transaction, and drop what is remembered of a file that others have changed."""
        try:
            self._db.execute("BEGIN IMMEDIATE")
        except sqlite3.ProgrammingError:  # closed by a failure whose reopening failed too
            self._open()
            self._db.execute("BEGIN IMMEDIATE")
        db = self._db
        if self._version != (version := _data_version(db)):
            self._version, self._next = version, next_index(db)
            self._calls.load(db)
            self._limits.forget()
        return db

    def _apply_special(self, changes: Sequence[Change], start: int) -> Conflict | None:
        """Apply what one commit changes beside calls and limits; undo it all on a conflict."""
        self._db.execute("SAVEPOINT one")
        try:
            for change in changes:
                apply_change(self._db, self._seal, change, start)
            # Last, since it is undone by nothing but not being done.
            conflicting = self._limits.apply(changes)
            if conflicting is not None:
                raise conflicting
        except Conflict as conflict:
            self._db.execute("ROLLBACK TO one")
            self._db.execute("RELEASE one")
            return conflict
        except sqlite3.IntegrityError as error:
            self._db.execute("ROLLBACK TO one")
            self._db.execute("RELEASE one")
            return Conflict("already_there", f"already recorded: {error}")
        self._db.execute("RELEASE one")
        return None


def _data_version(db: sqlite3.Connection) -> int:
    """Changes whenever another connection has changed the file, and only then."""
    (version,) = db.execute("PRAGMA data_version").fetchone()
    return int(version)


def apply_change(db: sqlite3.Connection, seal: TextSeal, change: Change, start: int) -> None:
    """Apply one of the rarer changes inside the open transaction; the others are not for here."""
    match change:
        case CallOpened() | CallMoved() | Reserved() | Settled():
            return
        case RunOpened():
            db.execute(
                "INSERT OR IGNORE INTO runs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, ?)",
                (
                    *(change.id, change.key, change.at_ms, change.agent, change.mandate),
                    *(change.started_by, change.person, change.supplier, change.token),
                    None if change.entry < 0 else start + change.entry,
                ),
            )
        case RunEnded(id=run, at_ms=at):
            cursor = db.execute(
                "UPDATE runs SET ended_ms = ? WHERE id = ? AND ended_ms IS NULL", (at, run)
            )
            if cursor.rowcount != 1:
                raise Conflict("run_ended", f"run `{run}` has ended, or is not there")
        case SpansKept():
            db.execute(
                "INSERT INTO agent_spans VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    *(change.id, change.run, change.at_ms, change.token, change.spans),
                    *(change.size_bytes, start + change.entry),
                ),
            )
        case HoldOpened():
            cells = hold_cells(seal, change)
            db.execute(
                _INSERT_HOLD,
                (
                    *(change.id, change.call, cells["blind"], cells["digest"], change.mandate),
                    *(change.agent, change.run, change.kind, change.upstream, cells["name"]),
                    *(cells["because"], json.dumps(change.rules), change.role),
                    *(json.dumps(change.excluded), change.count, cells["rendering"], change.nonce),
                    *(change.at_ms, change.expires_ms, change.policies),
                ),
            )
        case HoldMoved(id=hold, expected=expected, state=state, at_ms=at):
            cursor = db.execute(
                "UPDATE holds SET state = ?, decided_ms = ? WHERE id = ? AND state = ?",
                (state.value, at, hold, expected.value),
            )
            if cursor.rowcount != 1:
                raise Conflict("hold_moved", f"hold `{hold}` is not {expected.value} any more")
        case Stamped():
            reason, statement = stamp_cells(seal, change)
            db.execute(
                "INSERT INTO stamps VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    *(change.hold, change.person, change.decision, reason),
                    *(change.method, change.at_ms, statement, start + change.entry),
                ),
            )
        case ObjectPut():
            db.execute(
                "INSERT INTO objects VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    *(change.kind, change.name, change.version, change.digest),
                    *(change.document, change.state, change.at_ms, change.by),
                ),
            )
        case ObjectState(kind=kind, name=name, state=state, at_ms=at, by=by):
            cursor = db.execute(
                "UPDATE objects SET state = ?3, at_ms = ?4, by = ?5 WHERE kind = ?1 AND name = ?2 "
                "AND version = (SELECT max(version) FROM objects WHERE kind = ?1 AND name = ?2)",
                (kind, name, state, at, by),
            )
            if cursor.rowcount != 1:
                raise Conflict("object_unknown", f"there is no {kind} `{name}`")
        case Pinned():
            db.execute(
                "INSERT OR REPLACE INTO pins VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    *(change.upstream, change.kind, change.name, change.digest),
                    *(change.definition, change.state.value, change.at_ms, change.by),
                ),
            )
        case TokenRevoked(id=token, expires_ms=expires, by=by):
            db.execute(
                "INSERT OR IGNORE INTO revoked_tokens VALUES (?, ?, ?)", (token, expires, by)
            )
        case SubjectKey(id=key_id, subject=subject, wrapped=wrapped, at_ms=at):
            db.execute(
                "INSERT OR REPLACE INTO subject_keys VALUES (?, ?, ?, ?)",
                (key_id, subject, wrapped, at),
            )


def _nothing(_start: int, _leaves: Sequence[bytes]) -> None:
    """Nobody has asked to hear of appended entries."""
