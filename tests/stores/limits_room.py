"""What the tests of limits in a store share: charges, and commits as the gate makes them."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from bailiwick.core.limits.limit import Charge
from bailiwick.ports import (
    CallMoved,
    CallOpened,
    CallState,
    Entry,
    Reserved,
    Settled,
    Settlement,
)
from bailiwick.stores.sqlite import SqliteJournal
from bailiwick.stores.sqlite_reads import SqliteRecords
from bailiwick.stores.text_seal import TextSeal

SEAL = TextSeal(b"v" * 32)

DAY = "pay:daily:sum:day:UTC:2026-11-22:CHF:00000000"
ROLLING = "pay:rolling:count:sliding-60::::00000000"
PAYEES = "pay:payees:distinct:day:UTC:2026-11-22:values:00000000"
AT_ONCE = "pay:at-once:concurrent:lifetime:::calls:00000000"
KINDS = (DAY, ROLLING, PAYEES, AT_ONCE)


def daily(amount: int, ceiling: int = 100, key: str = "") -> Charge:
    return Charge("pay@1/limit/daily", DAY, amount, ceiling, key, unit="CHF")


def rolling(now: int, ceiling: int = 2) -> Charge:
    return Charge("pay@1/limit/rolling", ROLLING, 1, ceiling, since_ms=max(1, now - 60_000))


def payee(member: str, ceiling: int = 2, key: str = "") -> Charge:
    return Charge("pay@1/limit/payees", PAYEES, 1, ceiling, key, member, unit="values")


def at_once(ceiling: int = 1) -> Charge:
    return Charge("pay@1/limit/at-once", AT_ONCE, 1, ceiling, pending_only=True, unit="calls")


def entry(what: str) -> Entry:
    return Entry(b'{"n":"%s"}' % what.encode(), b"sealed")


def opened(call: str, at_ms: int = 1) -> CallOpened:
    return CallOpened(
        id=call,
        at_ms=at_ms,
        run="r1",
        agent="clerk",
        mandate="pay@1",
        principal="ada",
        kind="tool",
        upstream="bank",
        name="pay",
        digest="",
        state=CallState.RUNNING,
        code="allowed",
        because="it may",
    )


STATES = {
    Settlement.POSTED: CallState.DONE,
    Settlement.VOIDED: CallState.FAILED,
    Settlement.UNKNOWN: CallState.UNKNOWN,
}


class Store:
    """A journal and records on one file, opened and closed at will."""

    def __init__(self, folder: Path, fsync: bool = False) -> None:
        self.path = folder / "bailiwick.db"
        self.fsync = fsync
        self.open()

    def open(self) -> None:
        self.journal = SqliteJournal(self.path, seal=SEAL, fsync=self.fsync)
        self.records = SqliteRecords(self.path, seal=SEAL)

    async def close(self) -> None:
        await self.journal.close()
        await self.records.close()

    async def reserve(self, call: str, *charges: Charge, at_ms: int = 1) -> range:
        """Open a call, as the gate does: its intent and its reservation in one commit."""
        changes = (opened(call, at_ms), Reserved(call, at_ms, charges))
        return await self.journal.commit([entry(call)], changes)

    async def end(
        self,
        call: str,
        how: Settlement,
        actual: tuple[tuple[str, str, int], ...] = (),
        at_ms: int = 2,
    ) -> range:
        """End a call: its outcome and what becomes of its reservation in one commit."""
        moved = CallMoved(call, at_ms, STATES[how], entry=0)
        return await self.journal.commit([entry(call)], (moved, Settled(call, at_ms, how, actual)))

    def used(self, charge: Charge) -> int:
        """What the journal's counters say."""
        return self.journal.counters.used(charge)

    def rows(self, sql: str) -> list[tuple[object, ...]]:
        """What stands in the file, read past all of our code."""
        db = sqlite3.connect(f"{self.path.absolute().as_uri()}?mode=ro", uri=True)
        try:
            return db.execute(sql).fetchall()
        finally:
            db.close()
