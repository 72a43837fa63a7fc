"""Reads of the SQLite store, on their own connections in threads: they never hold up a call."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import msgspec

from bailiwick.core.errors import StoreError
from bailiwick.core.limits.transfers import Transfer
from bailiwick.ports import (
    BalanceRow,
    CallQuery,
    CallRow,
    HoldRow,
    HoldState,
    LimitAudit,
    ObjectRow,
    Pinned,
    RunRow,
    SpansRow,
    StampRow,
    StoredEntry,
    SubjectKey,
    UnsettledRow,
)
from bailiwick.stores.entry_rows import next_index, read_entries, read_leaves
from bailiwick.stores.limits_audit import audit
from bailiwick.stores.posting_rows import BY_CALL, SINCE
from bailiwick.stores.sealed_rows import hold_blind, opened
from bailiwick.stores.sqlite import connect
from bailiwick.stores.sqlite_limits import (
    BALANCES,
    MAX_INDEX,
    key_cell,
    open_key,
    transfer_of,
)
from bailiwick.stores.text_seal import TextSeal

_T = TypeVar("_T")

_MAX_LIMIT = 1000

# Only a few are looked at: those that run, and those that were ever held.
_OPEN_CALLS = """
SELECT * FROM calls WHERE id IN (
    SELECT value FROM running_calls, json_each(ids) UNION SELECT id FROM long_calls
    UNION SELECT id FROM opened_calls WHERE state = 'held'
) AND state IN ('held', 'running') ORDER BY id
"""

# A run is one agent's: of each run only the newest call is looked at, which its index has at hand.
_LAST_CALLS = """
SELECT * FROM calls WHERE id IN (
    SELECT max(c.id) FROM call_runs r
    JOIN opened_calls c ON c.id = (SELECT max(id) FROM opened_calls WHERE run = r.number)
    JOIN call_heads h ON h.number = c.head GROUP BY h.agent
)
"""

# INVARIANT: what msgspec knows of a class is made here, by one thread. It is made at first use
# otherwise, and two reading threads that do so at once end the whole process (msgspec 0.22: the
# second one follows a field that the first has not filled in yet).
_ROWS: Mapping[type, msgspec.json.Decoder[object]] = {
    kind: msgspec.json.Decoder(kind)
    for kind in (CallRow, HoldRow, ObjectRow, Pinned, RunRow, SpansRow, StampRow, SubjectKey)
}


class SqliteRecords:
    """The `Records` of the embedded store."""

    def __init__(self, path: Path, *, seal: TextSeal) -> None:
        """Read the database at `path`; `seal` opens what the journal's closed."""
        self._path = path
        self._seal = seal
        self._local = threading.local()
        self._connections: list[sqlite3.Connection] = []
        self._threads = ThreadPoolExecutor(2, "bailiwick-read")

    async def close(self) -> None:
        """Wait for running reads and close the connections."""
        self._threads.shutdown()
        for db in self._connections:
            db.close()

    async def _read(self, query: Callable[[sqlite3.Connection], _T]) -> _T:
        def work() -> _T:
            db: sqlite3.Connection | None = getattr(self._local, "db", None)
            if db is None:
                db = connect(self._path, read_only=True)
                db.row_factory = sqlite3.Row
                self._local.db = db
                self._connections.append(db)
            try:
                db.execute("BEGIN")
                try:
                    return query(db)
                finally:
                    db.execute("COMMIT")
            except sqlite3.Error as error:
                raise StoreError("store_unavailable", f"cannot read the store: {error}") from error

        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    async def calls(self, query: CallQuery) -> Sequence[CallRow]:
        """See `ports.Records.calls`."""
        where, values = _where(
            [
                ("id < ?", query.before),
                ("id > ?", query.after),
                ("run = ?", query.run),
                ("agent = ?", query.agent),
                ("(mandate = ?1 OR mandate LIKE ?1 || '@%')", query.mandate),
                ("state = ?", query.state),
            ]
        )
        order = "ASC" if query.first == "oldest" else "DESC"
        sql = f"SELECT * FROM calls {where} ORDER BY id {order} LIMIT {_limit(query.limit)}"  # noqa: S608  # only our own text
        return await self._read(lambda db: [self._call(row) for row in db.execute(sql, values)])

    async def call(self, call_id: str) -> CallRow | None:
        """See `ports.Records.call`."""
        return await self._read(
            lambda db: next(
                (
                    self._call(row)
                    for row in db.execute("SELECT * FROM calls WHERE id = ?", (call_id,))
                ),
                None,
            )
        )

    async def open_calls(self) -> Sequence[CallRow]:
        """See `ports.Records.open_calls`."""
        return await self._read(lambda db: [self._call(row) for row in db.execute(_OPEN_CALLS)])

    async def last_calls(self) -> Sequence[CallRow]:
        """See `ports.Records.last_calls`."""
        return await self._read(lambda db: [self._call(row) for row in db.execute(_LAST_CALLS)])

    async def runs(self, limit: int = 50) -> Sequence[RunRow]:
        """See `ports.Records.runs`."""

        def query(db: sqlite3.Connection) -> list[RunRow]:
            sql = "SELECT * FROM runs ORDER BY id DESC LIMIT ?"
            return [_run(db, row) for row in db.execute(sql, (_limit(limit),)).fetchall()]

        return await self._read(query)

    async def run(self, run_id: str) -> RunRow | None:
        """See `ports.Records.run`."""

        def query(db: sqlite3.Connection) -> RunRow | None:
            row = db.execute("SELECT * FROM runs WHERE id = ?", (run_id,)).fetchone()
            return None if row is None else _run(db, row)

        return await self._read(query)

    async def run_by_key(self, agent: str, mandate: str, key: str) -> RunRow | None:
        """See `ports.Records.run_by_key`."""

        def query(db: sqlite3.Connection) -> RunRow | None:
            sql = "SELECT * FROM runs WHERE agent = ? AND mandate = ? AND key = ?"
            row = db.execute(sql, (agent, mandate, key)).fetchone()
            return None if row is None else _run(db, row)

        return await self._read(query)

    async def spans(self, run: str, after: str = "", limit: int = 50) -> Sequence[SpansRow]:
        """See `ports.Records.spans`."""
        sql = "SELECT * FROM agent_spans WHERE run = ? AND id > ? ORDER BY id LIMIT ?"
        values = (run, after, _limit(limit))
        return await self._read(lambda db: [_as(SpansRow, row) for row in db.execute(sql, values)])

    async def spans_kept(self, run: str) -> tuple[int, int]:
        """See `ports.Records.spans_kept`."""
        sql = "SELECT total(spans), total(size_bytes) FROM agent_spans WHERE run = ?"

        def query(db: sqlite3.Connection) -> tuple[int, int]:
            spans, size = db.execute(sql, (run,)).fetchone()
            return int(spans), int(size)

        return await self._read(query)

    async def holds(self, state: HoldState | None = None, limit: int = 200) -> Sequence[HoldRow]:
        """See `ports.Records.holds`."""

        def query(db: sqlite3.Connection) -> list[HoldRow]:
            where, values = _where([("state = ?", state.value if state else "")])
            sql = f"SELECT * FROM holds {where} ORDER BY id DESC LIMIT {_limit(limit)}"  # noqa: S608  # only our own text
            return [self._hold(db, row) for row in db.execute(sql, values).fetchall()]

        return await self._read(query)

    async def hold(self, hold_id: str) -> HoldRow | None:
        """See `ports.Records.hold`."""
        return await self._read(
            lambda db: self._one_hold(db, "SELECT * FROM holds WHERE id = ?", (hold_id,))
        )

    async def waiting_holds(self, agent: str) -> int:
        """See `ports.Records.waiting_holds`."""
        sql = "SELECT count(*) AS n FROM holds WHERE state = 'waiting' AND agent = ?"
        return await self._read(lambda db: int(db.execute(sql, (agent,)).fetchone()["n"]))

    async def hold_for(self, digest: str, mandate: str, agent: str) -> HoldRow | None:
        """See `ports.Records.hold_for`."""
        sql = (
            "SELECT * FROM holds WHERE blind = ? "
            "AND state IN ('waiting', 'approved', 'refused', 'expired') ORDER BY id DESC LIMIT 1"
        )
        blind = hold_blind(self._seal, digest, mandate, agent)
        return await self._read(lambda db: self._one_hold(db, sql, (blind,)))

    async def objects(self, kind: str = "") -> Sequence[ObjectRow]:
        """See `ports.Records.objects`."""
        where, values = _where([("kind = ?", kind)])
        sql = (
            "SELECT kind, name, max(version) AS version, digest, document, state, at_ms, by "  # noqa: S608  # only our own text
            f"FROM objects {where} GROUP BY kind, name ORDER BY kind, name"
        )
        return await self._read(lambda db: [_as(ObjectRow, row) for row in db.execute(sql, values)])

    async def versions(self, kind: str, name: str) -> Sequence[ObjectRow]:
        """See `ports.Records.versions`."""
        sql = "SELECT * FROM objects WHERE kind = ? AND name = ? ORDER BY version"
        return await self._read(
            lambda db: [_as(ObjectRow, row) for row in db.execute(sql, (kind, name))]
        )

    async def pins(self) -> Sequence[Pinned]:
        """See `ports.Records.pins`."""
        sql = "SELECT * FROM pins ORDER BY upstream, kind, name, at_ms, digest"
        return await self._read(lambda db: [_as(Pinned, row) for row in db.execute(sql)])

    async def subject_keys(self) -> Sequence[SubjectKey]:
        """See `ports.Records.subject_keys`."""
        sql = "SELECT * FROM subject_keys ORDER BY id"
        return await self._read(lambda db: [_as(SubjectKey, row) for row in db.execute(sql)])

    async def revoked_tokens(self, now_ms: int) -> Sequence[str]:
        """See `ports.Records.revoked_tokens`."""
        sql = "SELECT id FROM revoked_tokens WHERE expires_ms > ?"
        return await self._read(lambda db: [row[0] for row in db.execute(sql, (now_ms,))])

    async def entries(self, start: int, stop: int) -> Sequence[StoredEntry]:
        """See `ports.Records.entries`."""
        return await self._read(
            lambda db: [StoredEntry(*each) for each in read_entries(db, start, stop)]
        )

    async def leaves(self, start: int, stop: int) -> Sequence[bytes]:
        """See `ports.Records.leaves`."""
        return await self._read(lambda db: read_leaves(db, start, stop))

    async def entry_count(self) -> int:
        """See `ports.Records.entry_count`."""
        return await self._read(next_index)

    async def balances(self, stem: str, limit: int = 500) -> Sequence[BalanceRow]:
        """See `ports.Records.balances`."""
        values = (stem, _limit(limit))
        return await self._read(
            lambda db: [
                BalanceRow(name, open_key(self._seal, name, key), *held)
                for name, key, *held in db.execute(BALANCES, values)
            ]
        )

    async def window(self, account: str, key: str, since_ms: int) -> Sequence[Transfer]:
        """See `ports.Records.window`."""
        values = (account, key_cell(self._seal, account, key), since_ms, MAX_INDEX)
        return await self._read(
            lambda db: [transfer_of(self._seal, tuple(row)) for row in db.execute(SINCE, values)]
        )

    async def transfers(self, call: str) -> Sequence[Transfer]:
        """See `ports.Records.transfers`."""
        return await self._read(
            lambda db: [transfer_of(self._seal, tuple(row)) for row in db.execute(BY_CALL, (call,))]
        )

    async def unsettled(self, after: str = "", limit: int = 500) -> Sequence[UnsettledRow]:
        """See `ports.Records.unsettled`."""
        sql = "SELECT call, at_ms FROM unsettled WHERE call > ? ORDER BY call LIMIT ?"
        values = (after, _limit(limit))
        return await self._read(lambda db: [UnsettledRow(*row) for row in db.execute(sql, values)])

    async def audit_limits(self) -> LimitAudit:
        """See `ports.Records.audit_limits`."""
        return await self._read(audit)

    def _call(self, row: sqlite3.Row) -> CallRow:
        return _as(CallRow, opened(self._seal, "calls", row))

    def _one_hold(
        self, db: sqlite3.Connection, sql: str, values: tuple[str | bytes]
    ) -> HoldRow | None:
        row = db.execute(sql, values).fetchone()
        return None if row is None else self._hold(db, row)

    def _hold(self, db: sqlite3.Connection, row: sqlite3.Row) -> HoldRow:
        sql = "SELECT * FROM stamps WHERE hold = ? ORDER BY at_ms, person"
        stamps = [opened(self._seal, "stamps", stamp) for stamp in db.execute(sql, (row["id"],))]
        hold = opened(self._seal, "holds", row)
        rules, excluded = json.loads(row["rules"]), json.loads(row["excluded"])
        return _as(HoldRow, hold, rules=rules, excluded=excluded, stamps=stamps)


def _limit(limit: int) -> int:
    return max(1, min(int(limit), _MAX_LIMIT))


def _where(terms: list[tuple[str, str]]) -> tuple[str, list[str]]:
    used = [(text, value) for text, value in terms if value]
    if not used:
        return "", []
    numbered = [
        text.replace("?1", f"?{n}") if "?1" in text else text.replace("?", f"?{n}")
        for n, (text, _) in enumerate(used, start=1)
    ]
    return "WHERE " + " AND ".join(numbered), [value for _, value in used]


def _as(kind: type[_T], row: sqlite3.Row | dict[str, object], **more: object) -> _T:
    """A row as one of the ports' values; its columns carry the fields' names."""
    if kind not in _ROWS:
        raise AssertionError(f"{kind.__name__} is not among the rows that are known beforehand")
    return msgspec.convert({**dict(row), **more}, kind)


def _run(db: sqlite3.Connection, row: sqlite3.Row) -> RunRow:
    sql = "SELECT state, count(*) FROM calls WHERE run = ? GROUP BY state"
    states = {str(state): int(count) for state, count in db.execute(sql, (row["id"],))}
    return _as(RunRow, row, calls=sum(states.values()), states=states)
