"""Any order of reserving, settling, failing, crashing and sharing the file: the books stay right.

Two journals write to one file, as two processes would, one commit at a time or several together,
whole reservations or parts of them, with disks that fail and files that cannot be opened again. The
model is a list of what was acknowledged and plain sums over it, nothing cleverer.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar
from unittest import mock

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from bailiwick.core.errors import Conflict, LimitReached, StoreError
from bailiwick.core.limits.limit import Charge
from bailiwick.ports import CallMoved, CallState, Change, Reserved, Settled, Settlement
from bailiwick.stores.schema import prepare
from bailiwick.stores.sqlite import SqliteJournal
from bailiwick.stores.sqlite_reads import SqliteRecords
from tests.stores.limits_room import (
    AT_ONCE,
    DAY,
    PAYEES,
    ROLLING,
    SEAL,
    at_once,
    daily,
    entry,
    opened,
    payee,
    rolling,
)

FEW = {
    "bailiwick.core.limits.books.MAX_ACCOUNTS": 3,
    "bailiwick.core.limits.books.MAX_CALLS": 4,
}
"""Bounds of memory so low that all of them are reached."""

PLACES = {
    Settlement.POSTED: "posted",
    Settlement.VOIDED: "free",
    Settlement.UNKNOWN: "unknown",
}

HOW_IT_FAILS = st.sampled_from(["", "", "", "", "lost", "persisted", "gone"])


@dataclass
class Line:
    """One charge of one call: where it stands and what it holds there."""

    charge: Charge
    reserved_ms: int
    place: str = "pending"
    holds: int = field(init=False)

    def __post_init__(self) -> None:
        self.holds = self.charge.amount


def account_of(line: Line) -> tuple[str, str]:
    return line.charge.account, line.charge.key


@dataclass
class Step:
    """One commit: what it asks for, and what must come of it where the disk does not fail."""

    changes: tuple[Change, ...]
    expected: type[Exception] | None
    apply: Callable[[], None]


class Disk:
    """Commits, unless it is to fail once: before it happened, or after; or it fails, and the file
    cannot be opened again at once."""

    def __init__(self) -> None:
        self.fails = ""
        self.gone = False

    def __call__(self, db: sqlite3.Connection) -> None:
        fails, self.fails = self.fails, ""
        if fails == "persisted":
            db.commit()
        self.gone = fails == "gone"
        if fails:
            raise sqlite3.OperationalError("disk I/O error")
        db.commit()


class LimitsMachine(RuleBasedStateMachine):
    bounds: ClassVar[Mapping[str, int]] = {}

    @initialize()
    def start(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="bailiwick-limits-"))
        self.path = self.folder / "bailiwick.db"
        self.loop = asyncio.new_event_loop()
        self.disks = [Disk(), Disk()]
        self.patches = contextlib.ExitStack()
        self.patches.enter_context(mock.patch("bailiwick.stores.sqlite.prepare", self.prepare))
        for name, bound in self.bounds.items():
            self.patches.enter_context(mock.patch(name, bound))
        self.journals = [self.opened(disk) for disk in self.disks]
        self.records = SqliteRecords(self.path, seal=SEAL)
        self.now = 1_000_000
        self.calls: dict[str, list[Line]] = {}
        self.numbers = 0
        self.last = 0

    def prepare(self, db: sqlite3.Connection, size_bytes: int) -> None:
        for disk in self.disks:
            if disk.gone:
                disk.gone = False
                raise StoreError("store_unavailable", "not now")
        prepare(db, size_bytes)

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
        self.patches.close()
        shutil.rmtree(self.folder)

    # --- the model -------------------------------------------------------------------------------

    def mine(self, charge: Charge) -> list[Line]:
        """What counts in the account of `charge`."""
        return [
            line
            for lines in self.calls.values()
            for line in lines
            if (line.charge.account, line.charge.key) == (charge.account, charge.key)
            and line.holds
            and line.reserved_ms > charge.since_ms
            and not (charge.pending_only and line.place == "posted")
        ]

    def used(self, charge: Charge) -> int:
        mine = self.mine(charge)
        if charge.member:
            return len({line.charge.member for line in mine} - {charge.member})
        return sum(line.holds for line in mine)

    def counts_from(self, charge: Charge) -> int:
        """When `charge` counts as reserved, if it is now."""
        if not charge.since_ms:
            return self.now
        times = [
            line.reserved_ms
            for lines in self.calls.values()
            for line in lines
            if line.charge.account == charge.account and line.reserved_ms > charge.since_ms
        ]
        return max(self.now, charge.since_ms + 1, *times)

    def fits(self, charges: list[Charge]) -> bool:
        for charge in charges:
            if charge.member:
                there = {line.charge.member for line in self.mine(charge)}
                more = {each.member for each in charges if each.account == charge.account}
                if len(there | more) > charge.ceiling:
                    return False
            elif self.used(charge) + charge.amount > charge.ceiling:
                return False
        return True

    # --- what is asked for -----------------------------------------------------------------------

    def reserving(self, data: st.DataObject) -> Step:
        kinds = data.draw(st.sets(st.sampled_from([DAY, ROLLING, PAYEES, AT_ONCE]), min_size=1))
        charges: list[Charge] = []
        if DAY in kinds:
            amount = data.draw(st.integers(0, 60))
            keys = data.draw(st.sets(st.sampled_from(["", '["bo"]', '["cy"]']), min_size=1))
            charges += [daily(amount, key=key) for key in sorted(keys)]
        if ROLLING in kinds:  # the clock may jump between judging and reserving, too
            judged = self.now + data.draw(st.sampled_from([0, 0, 0, 1, -90_000, 90_000]))
            charges.append(rolling(judged, 3))
        if PAYEES in kinds:
            members = data.draw(st.sets(st.sampled_from(['"bo"', '"cy"', '"di"']), min_size=1))
            charges += [payee(member) for member in sorted(members)]
        if AT_ONCE in kinds:
            charges.append(at_once(3))
        self.numbers += 1
        call = f"c{self.numbers:05}"
        times = [self.counts_from(charge) for charge in charges]

        def apply() -> None:
            self.calls[call] = [Line(*pair) for pair in zip(charges, times, strict=True)]

        changes = (opened(call, self.now), Reserved(call, self.now, tuple(charges)))
        return Step(changes, None if self.fits(charges) else LimitReached, apply)

    def settling(self, data: st.DataObject) -> Step:
        call = data.draw(st.sampled_from(sorted(self.calls)))
        lines = self.calls[call]
        how = data.draw(st.sampled_from(list(Settlement)))
        accounts = sorted({account_of(line) for line in lines})
        only = tuple(sorted(data.draw(st.sets(st.sampled_from(accounts)))))
        said = dict.fromkeys(
            data.draw(st.sets(st.sampled_from(accounts))), data.draw(st.integers(0, 90))
        )
        actual = tuple((*account, steps) for account, steps in said.items())
        wanted = dict.fromkeys(only or accounts, PLACES[how])
        settled = [Settled(call, self.now, how, actual, only)]
        rest = tuple(account for account in accounts if account not in wanted)
        in_two: bool = data.draw(st.booleans())
        if rest and in_two and all(line.place == "pending" for line in lines):
            how = data.draw(st.sampled_from(list(Settlement)))  # as of a call that frees in part
            wanted |= dict.fromkeys(rest, PLACES[how])
            settled.append(Settled(call, self.now, how, actual, rest))
        moving = [
            (line, wanted[account_of(line)])
            for line in lines
            if wanted.get(account_of(line), line.place) != line.place
        ]
        conflict = any(
            line.place == "posted" or (line.place == "free" and place == "unknown")
            for line, place in moving
        )
        places = {wanted.get(account_of(line), line.place) for line in lines}
        state = CallState.DONE
        if "pending" in places:
            state = CallState.RUNNING
        elif "unknown" in places:
            state = CallState.UNKNOWN

        def apply() -> None:
            for line, place in moving:
                line.place = place
                line.holds = 0 if place == "free" else line.charge.amount
                if place == "posted" and not line.charge.member:
                    line.holds = said.get(account_of(line), line.holds)

        # By its outcome what was posted with it is found; by a row of its own where there is none.
        at, because = data.draw(st.sampled_from([(-1, ""), (0, ""), (0, ""), (0, "it says why")]))
        moved = CallMoved(call, self.now, state, because=because, entry=at)
        changes: tuple[Change, ...] = (moved, *settled)
        return Step(changes, Conflict if conflict else None, apply)

    def step(self, data: st.DataObject) -> Step:
        if data.draw(st.booleans()) and self.calls:
            return self.settling(data)
        return self.reserving(data)

    # --- what happens ----------------------------------------------------------------------------

    @rule(by=st.integers(-90_000, 90_000))
    def the_clock_jumps(self, by: int) -> None:
        self.now = max(100_000, self.now + by)

    @rule(by=st.integers(0, 20_000))
    def time_goes_on(self, by: int) -> None:
        self.now += by

    @rule(which=st.integers(0, 1), data=st.data(), fails=HOW_IT_FAILS)
    def one_commit(self, which: int, data: st.DataObject, fails: str) -> None:
        self.commit(which, data, fails, 1)

    @rule(
        which=st.integers(0, 1),
        data=st.data(),
        fails=HOW_IT_FAILS,
        many=st.integers(2, 6),
        gone=st.sets(st.integers(0, 5)),
    )
    def several_commits_together(
        self, which: int, data: st.DataObject, fails: str, many: int, gone: set[int]
    ) -> None:
        """Some of those who wait for them go away meanwhile, which undoes nothing."""
        self.commit(which, data, fails, many, gone)

    @rule(which=st.integers(0, 1))
    def somebody_looks(self, which: int) -> None:
        """As judging does: what is remembered from it may be old when something is decided."""
        for charge in self.questions():
            self.journals[which].counters.used(charge)

    def commit(
        self,
        which: int,
        data: st.DataObject,
        fails: str,
        many: int,
        gone: Collection[int] = (),
    ) -> None:
        """Commit as one of the two; the model has what is on the disk afterwards."""
        before = copy.deepcopy(self.calls)
        steps: list[Step] = []
        for _ in range(many):
            step = self.step(data)
            if step.expected is None:
                step.apply()
            steps.append(step)
        self.disks[which].fails = fails
        self.disks[which].gone = False
        ended = self.loop.run_until_complete(self.ended(self.journals[which], steps, gone))
        self.last = which
        if fails:
            assert not self.disks[which].fails, "it has failed"
            for number, error in enumerate(ended):
                assert isinstance(error, asyncio.CancelledError if number in gone else StoreError)
            if fails != "persisted":
                self.calls = before
            return
        for number, (step, error) in enumerate(zip(steps, ended, strict=True)):
            if number in gone:
                assert isinstance(error, asyncio.CancelledError)
            else:
                assert (error is None) == (step.expected is None), (error, step)
                assert step.expected is None or isinstance(error, step.expected)

    async def ended(
        self, journal: SqliteJournal, steps: Sequence[Step], gone: Collection[int]
    ) -> list[BaseException | None]:
        """How each ended; all of them share one transaction."""

        async def ask(step: Step) -> range:
            return await journal.commit([entry("x")], step.changes)

        tasks = [asyncio.ensure_future(ask(step)) for step in steps]
        for number, task in enumerate(tasks):
            if number in gone:  # when it has asked, and nothing has been written yet
                asyncio.get_running_loop().call_soon(task.cancel)
        found = await asyncio.gather(*tasks, return_exceptions=True)
        await journal._idle.wait()
        return [each if isinstance(each, BaseException) else None for each in found]

    @rule(which=st.integers(0, 1))
    def a_process_crashes_and_comes_back(self, which: int) -> None:
        old = self.journals[which]
        old._limits.close()
        old._db.close()
        old._thread.shutdown()
        self.disks[which].gone = False
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


class ForgetfulMachine(LimitsMachine):
    bounds = FEW


SETTINGS = settings(
    max_examples=50,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
TestLimitsMachine = LimitsMachine.TestCase
TestLimitsMachine.settings = SETTINGS
TestForgetfulMachine = ForgetfulMachine.TestCase
TestForgetfulMachine.settings = SETTINGS
