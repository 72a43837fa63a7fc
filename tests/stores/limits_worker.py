"""One of several processes that write to one store: reserves and settles until it is killed.

What was acknowledged is written to a log of its own, a line each, before the next thing is tried.
"""

from __future__ import annotations

import asyncio
import random
import sys
from pathlib import Path

from bailiwick.core.errors import LimitReached, StoreError
from bailiwick.core.limits.limit import Charge
from bailiwick.ports import CallMoved, Reserved, Settled, Settlement
from bailiwick.stores.sqlite import SqliteJournal
from tests.stores.limits_room import (
    DAY,
    SEAL,
    STATES,
    at_once,
    daily,
    entry,
    opened,
    payee,
    rolling,
)

AT_ONCE_MOST, DAILY_MOST, PAYEES_MOST, ROLLING_MOST = 400, 900, 12, 25
TOGETHER = 4
START_MS = 1_795_341_600_000


class Worker:
    def __init__(self, path: Path, name: str, log: Path) -> None:
        self.journal = SqliteJournal(path, seal=SEAL, fsync=False)
        self.name = name
        self.rng = random.Random(name)
        self.log = log.open("a")
        self.now = START_MS
        self.running: list[str] = []
        self.count = 0

    async def work(self) -> None:
        while True:
            await asyncio.gather(*(self.one_thing() for _ in range(TOGETHER)))

    async def one_thing(self) -> None:
        """Reserve something, or end something that runs; the clock jumps now and then."""
        rng = self.rng
        self.now += rng.choice((1, 1, 1, 1, 500, -500, 90_000, -90_000))
        try:
            if self.running and rng.random() < 0.5:
                await self.end(self.running.pop(rng.randrange(len(self.running))))
            else:
                await self.reserve()
        except LimitReached:
            self.tell("full", "-")
        except StoreError:
            self.tell("failed", "-")

    async def reserve(self) -> None:
        rng = self.rng
        self.count += 1
        call = f"{self.name}-{self.count:06}"
        charges: list[Charge] = [
            daily(rng.randint(0, 60), DAILY_MOST, key=f'["{rng.randrange(8)}"]'),
            payee(f'"{rng.randrange(20)}"', PAYEES_MOST),
            rolling(self.now, ROLLING_MOST),
            at_once(AT_ONCE_MOST),
        ]
        taken = tuple(rng.sample(charges, rng.randint(1, 4)))
        changes = (opened(call, self.now), Reserved(call, self.now, taken))
        await self.journal.commit([entry(call)], changes)
        self.running.append(call)
        self.tell("reserved", call)

    async def end(self, call: str) -> None:
        how = self.rng.choices(list(Settlement), (3, 6, 0.3))[0]
        actual = ((DAY, f'["{self.rng.randrange(8)}"]', 0),) if self.rng.random() < 0.3 else ()
        changes = (
            CallMoved(call, self.now, STATES[how], entry=0),
            Settled(call, self.now, how, actual),
        )
        await self.journal.commit([entry(call)], changes)
        self.tell(how.value, call)

    def tell(self, what: str, call: str) -> None:
        self.log.write(f"{what} {call}\n")
        self.log.flush()


async def main() -> None:
    path, name, log = sys.argv[1:]
    await Worker(Path(path), name, Path(log)).work()


if __name__ == "__main__":
    asyncio.run(main())
