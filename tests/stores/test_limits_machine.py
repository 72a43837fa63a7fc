"""Any order of reserving, settling, failing, crashing and sharing the file: the books stay right.

Two journals write to one file, as two processes would. The model is a list of what was acknowledged
and plain sums over it, nothing cleverer.
"""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from bailiwick.core.errors import Conflict, LimitReached, StoreError
from bailiwick.core.limits.limit import Charge
from bailiwick.ports import CallMoved, CallState, Reserved, Settled, Settlement
from bailiwick.stores.sqlite import SqliteJournal
from bailiwick.stores.sqlite_reads import SqliteRecords
from tests.stores.limits_room import (
    AT_ONCE,
    DAY,
    PAYEES,
    ROLLING,
    SEAL,
    STATES,
    at_once,
    daily,
    entry,
    opened,
    payee,
    rolling,
)

WINDOW_MS = 60_000


@dataclass
class Line:
    """One charge of one call: where it stands and what it holds there."""

    charge: Charge
    reserved_ms: int
    place: str = "pending"
    holds: int = field(init=False)

    def __post_init__(self) -> None:
        self.holds = self.charge.amount


class Disk:
    """Commits, unless it is to fail once: before it happened, or after."""

    def __init__(self) -> None:
        self.fails = ""

    def __call__(self, db: sqlite3.Connection) -> None:
        fails, self.fails = self.fails, ""
        if fails == "persisted":
            db.commit()
        if fails:
            raise sqlite3.OperationalError("disk I/O error")
        db.commit()


class LimitsMachine(RuleBasedStateMachine):
    @initialize()
    def start(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="bailiwick-limits-"))
        self.path = self.folder / "bailiwick.db"
        self.loop = asyncio.new_event_loop()
        self.disks = [Disk(), Disk()]
        self.journals = [self.opened(disk) for disk in self.disks]
        self.records = SqliteRecords(self.path, seal=SEAL)
        self.now = 1_000_000
        self.calls: dict[str, list[Line]] = {}
        self.numbers = 0
        self.last = 0

    def opened(self, disk: Disk) -> SqliteJournal:
        async def make() -> SqliteJournal:
            return SqliteJournal(self.path, seal=SEAL, fsync=False, commit=disk)

        return self.loop.run_until_complete(make())

    def teardown(self) -> None:
        if not hasattr(self, "loop"):
            return
        for journal in self.journals:
            self.loop.run_until_complete(journal.close())
        self.loop.run_until_complete(self.records.close())
        self.loop.close()
        shutil.rmtree(self.folder)

    # --- the model -------------------------------------------------------------------------------

    def used(self, charge: Charge) -> int:
        mine = [
            line
            for lines in self.calls.values()
            for line in lines
            if (line.charge.account, line.charge.key) == (charge.account, charge.key)
            and line.holds
            and line.reserved_ms > charge.since_ms
            and not (charge.pending_only and line.place == "posted")
        ]
        if charge.member:
            return len({line.charge.member for line in mine} - {charge.member})
        return sum(line.holds for line in mine)

    def latest(self, account: str) -> int:
        times = [
            line.reserved_ms
            for lines in self.calls.values()
            for line in lines
            if line.charge.account == account and line.charge.since_ms
            and line.reserved_ms > self.now - WINDOW_MS
        ]  # fmt: skip
        return max(times, default=0)

    def fits(self, charges: list[Charge]) -> bool:
        return all(self.used(charge) + charge.amount <= charge.ceiling for charge in charges)

    # --- what happens ----------------------------------------------------------------------------

    @rule(by=st.integers(-90_000, 90_000))
    def the_clock_jumps(self, by: int) -> None:
        self.now = max(100_000, self.now + by)

    @rule(by=st.integers(0, 20_000))
    def time_goes_on(self, by: int) -> None:
        self.now += by

    @rule(
        which=st.integers(0, 1),
        kinds=st.sets(st.sampled_from([DAY, ROLLING, PAYEES, AT_ONCE]), min_size=1),
        amount=st.integers(0, 60),
        key=st.sampled_from(["", '["bo"]']),
        member=st.sampled_from(['"bo"', '"cy"', '"di"']),
        fails=st.sampled_from(["", "", "", "", "lost", "persisted"]),
    )
    def reserve(
        self, which: int, kinds: set[str], amount: int, key: str, member: str, fails: str
    ) -> None:
        made = {
            DAY: daily(amount, key=key),
            ROLLING: rolling(self.now, 3),
            PAYEES: payee(member),
            AT_ONCE: at_once(3),
        }
        charges = [made[kind] for kind in sorted(kinds)]
        self.numbers += 1
        call = f"c{self.numbers:05}"
        fits = self.fits(charges)
        times = [
            max(self.now, self.latest(charge.account)) if charge.since_ms else self.now
            for charge in charges
        ]
        changes = (opened(call, self.now), Reserved(call, self.now, tuple(charges)))
        happened = self.commit(which, changes, fails, LimitReached if not fits else None)
        if happened:
            self.calls[call] = [Line(*pair) for pair in zip(charges, times, strict=True)]

    @precondition(lambda self: self.calls)
    @rule(
        which=st.integers(0, 1),
        data=st.data(),
        how=st.sampled_from(list(Settlement)),
        actual=st.none() | st.integers(0, 90),
        fails=st.sampled_from(["", "", "", "", "lost", "persisted"]),
    )
    def settle(
        self, which: int, data: st.DataObject, how: Settlement, actual: int | None, fails: str
    ) -> None:
        call = data.draw(st.sampled_from(sorted(self.calls)))
        lines = self.calls[call]
        wanted = {"posted": "posted", "voided": "free", "unknown": "unknown"}[how.value]
        moving = [line for line in lines if line.place != wanted]
        conflict = any(
            line.place == "posted" or (line.place == "free" and wanted == "unknown")
            for line in moving
        )
        said: tuple[tuple[str, str, int], ...] = ()
        if actual is not None:
            keys = [line.charge.key for line in lines if line.charge.account == DAY]
            said = tuple((DAY, key, actual) for key in keys)
        state = STATES[how] if moving else CallState.DONE
        changes = (CallMoved(call, self.now, state), Settled(call, self.now, how, said))
        if not moving:  # the row of the call must go on fitting where its reservation stands
            changes = changes[1:]  # type: ignore[assignment]
        happened = self.commit(which, changes, fails, Conflict if conflict else None)
        if not happened:
            return
        for line in moving:
            line.place = wanted
            if wanted == "free":
                line.holds = 0
            else:
                line.holds = line.charge.amount
            if wanted == "posted" and actual is not None and line.charge.account == DAY:
                line.holds = actual

    def commit(
        self, which: int, changes: object, fails: str, expected: type[Exception] | None
    ) -> bool:
        """Commit as one of the two; whether what was asked for is on the disk afterwards."""
        self.disks[which].fails = fails
        try:
            self.loop.run_until_complete(
                self.journals[which].commit([entry("x")], changes)  # type: ignore[arg-type]
            )
        except StoreError as error:
            ended: type[Exception] | None = type(error)
        else:
            ended = None
        self.disks[which].fails = ""
        self.last = which
        if ended is StoreError:  # the disk failed, and what fitted is there or not
            assert fails
            return fails == "persisted" and expected is None
        assert (ended is None) == (expected is None), (ended, expected)
        assert expected is None or (ended is not None and issubclass(ended, expected))
        return ended is None

    @rule(which=st.integers(0, 1))
    def a_process_crashes_and_comes_back(self, which: int) -> None:
        old = self.journals[which]
        old._limits.close()
        old._db.close()
        old._thread.shutdown()
        self.journals[which] = self.opened(self.disks[which])
        self.last = which

    # --- what must hold --------------------------------------------------------------------------

    @invariant()
    def what_counts_is_what_was_acknowledged(self) -> None:
        if not hasattr(self, "journals"):
            return
        # What one process wrote is seen by the other when it decides something itself.
        for charge in self.questions():
            assert self.journals[self.last].counters.used(charge) == self.used(charge), charge

    def questions(self) -> list[Charge]:
        return [
            daily(1),
            daily(1, key='["bo"]'),
            rolling(self.now, 3),
            payee('"bo"'),
            payee('"zo"'),
            at_once(3),
        ]

    @invariant()
    def the_audit_agrees(self) -> None:
        if not hasattr(self, "records"):
            return
        found = self.loop.run_until_complete(self.records.audit_limits())
        assert found.differences == ()
        assert found.calls == len(self.calls)


TestLimitsMachine = LimitsMachine.TestCase
TestLimitsMachine.settings = settings(
    max_examples=80,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
