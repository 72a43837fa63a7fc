"""Eight processes on one store, killed at random, with clocks that jump: nothing is overspent."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from bailiwick.app.recovery import settle_unknown
from bailiwick.gateway.recorder import Recorder
from bailiwick.ports import CallQuery, CallRow, CallState
from bailiwick.stores.vault import Vault
from bailiwick.testing.clock import StoppedClock
from tests.stores.limits_room import Store
from tests.stores.limits_worker import AT_ONCE_MOST, DAILY_MOST, PAYEES_MOST

PROCESSES = 8
SECONDS = 20.0
LEAST_DECIDED = 2_000
LEAST_KILLS = 15

ENDED = {"posted": CallState.DONE, "voided": CallState.FAILED, "unknown": CallState.UNKNOWN}


class Crowd:
    """Workers on one store; each that is killed is followed by another with a new name."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.running: list[subprocess.Popen[bytes]] = []
        self.started = 0
        self.kills = 0

    def start(self) -> None:
        self.started += 1
        name = f"w{self.started:04}"
        log = self.folder / f"{name}.log"
        words = ["-m", "tests.stores.limits_worker", self.folder / "bailiwick.db", name, log]
        with (self.folder / f"{name}.err").open("wb") as err:
            process = subprocess.Popen(
                [sys.executable, *map(str, words)], cwd=Path(__file__).parents[2], stderr=err
            )
        self.running.append(process)

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        assert process.poll() is None, "a worker ended by itself: " + self.said()
        process.kill()
        process.wait()
        self.running.remove(process)
        self.kills += 1

    def said(self) -> str:
        return "\n".join(path.read_text() for path in sorted(self.folder.glob("*.err")))

    def acknowledged(self) -> Counter[str]:
        return Counter(what for what, _ in self.log())

    def log(self) -> list[tuple[str, str]]:
        """Everything acknowledged, whole lines only: a kill may cut the last one off."""
        found = []
        for path in sorted(self.folder.glob("*.log")):
            for line in path.read_text().split("\n")[:-1]:
                what, _, call = line.partition(" ")
                found.append((what, call))
        return found


@pytest.mark.slow
async def test_eight_processes_killed_at_random_overspend_nothing_and_lose_nothing(
    tmp_path: Path,
) -> None:
    rng = random.Random(11)
    store = Store(tmp_path)  # makes the schema
    crowd = Crowd(tmp_path)
    for _ in range(PROCESSES):
        crowd.start()
    until = time.monotonic() + SECONDS
    try:
        while time.monotonic() < until:
            await asyncio.sleep(0.3 + rng.random() * 0.6)  # a moment nobody chose
            crowd.kill(rng.choice(crowd.running))
            crowd.start()
    finally:
        for process in list(crowd.running):
            crowd.kill(process)
    told = crowd.acknowledged()
    assert told.total() >= LEAST_DECIDED, told
    assert min(told[what] for what in ("reserved", "posted", "voided", "full")) > 100, told
    assert crowd.kills >= LEAST_KILLS
    await _check(store, crowd)
    await store.close()


async def _check(store: Store, crowd: Crowd) -> None:
    found = await store.records.audit_limits()  # above_ceiling is among what it looks for
    assert found.differences == ()
    # Nothing acknowledged is lost: each call is there, and stands where it was last said to.
    calls = await _calls(store)
    last = {call: what for what, call in crowd.log() if call != "-"}
    assert found.calls >= len(last)
    for call, what in last.items():
        row = calls[call]
        if what in ENDED:
            assert row.state is ENDED[what], call
        assert await store.records.transfers(call), call
    # Zero overspend, added up here by hand.
    sums = "SELECT a.key, sum(b.pending + b.posted + b.unknown) FROM balances b JOIN accounts a"
    for _, total in store.rows(
        f"{sums} ON a.id = b.account WHERE a.account LIKE '%:daily:%' GROUP BY 1"
    ):
        assert isinstance(total, int)
        assert 0 <= total <= DAILY_MOST
    held = (
        "SELECT count(*) FROM balances b JOIN accounts a ON a.id = b.account WHERE a.account LIKE"
    )
    ((payees,),) = store.rows(f"{held} '%:payees:%' AND pending + posted + unknown > 0")
    assert isinstance(payees, int)
    assert payees <= PAYEES_MOST
    still = "SELECT sum(pending + unknown) FROM balances b JOIN accounts a ON a.id = b.account"
    ((together,),) = store.rows(f"{still} WHERE a.account LIKE '%:at-once:%'")
    assert isinstance(together, int)
    assert 0 < together <= AT_ONCE_MOST
    # A gateway that starts on it finds what was under way, and goes on counting it.
    running = sum(row.state is CallState.RUNNING for row in calls.values())
    recorder = Recorder(Vault(b"k" * 32, (), store.journal))
    settled = await settle_unknown(store.records, store.journal, recorder, StoppedClock())
    assert settled == running > 0
    assert store.rows(f"{still} WHERE a.account LIKE '%:at-once:%'") == [(together,)]
    after = await store.records.audit_limits()
    assert after.differences == ()
    assert after.unsettled >= running
    assert store.rows("SELECT sum(pending) FROM balances") == [(0,)]


async def _calls(store: Store) -> dict[str, CallRow]:
    found: dict[str, CallRow] = {}
    before = ""
    while page := await store.records.calls(CallQuery(limit=1000, before=before)):
        found |= {row.id: row for row in page}
        before = page[-1].id
    return found
