"""A whole gate on a real store in a folder, with a stopped clock: what the gate's tests live in."""

from __future__ import annotations

import asyncio
import itertools
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bailiwick.app.local_files import LocalFiles
from bailiwick.core.call import CallKind, Target
from bailiwick.core.canonical import Digest, JsonObject
from bailiwick.core.limits.limit import Counters
from bailiwick.core.mandate import AllowRule, Mandate, MandateState, StampRule
from bailiwick.core.target_pattern import TargetPattern
from bailiwick.gateway.authority import AgentFacts, Authority, PersonFacts, Snapshot
from bailiwick.gateway.events import Events
from bailiwick.gateway.gate import Answer, Asked, OnTick, Tick
from bailiwick.gateway.held import Waiting
from bailiwick.gateway.holds import Holds
from bailiwick.gateway.ids import Ulids
from bailiwick.gateway.links import Links
from bailiwick.gateway.memories import Memories
from bailiwick.gateway.pipeline import Pipeline
from bailiwick.gateway.recalled import Recalled
from bailiwick.gateway.recalled_thoughts import RecalledThoughts
from bailiwick.gateway.recorder import Recorder
from bailiwick.gateway.runs import Runs
from bailiwick.gateway.thoughts import Thoughts
from bailiwick.gateway.upstreams.spec import ServerSpec
from bailiwick.ports import Caller, Change, Entry, Person, UpstreamReply
from bailiwick.stores.sqlite import SqliteJournal
from bailiwick.stores.sqlite_reads import SqliteRecords
from bailiwick.stores.text_seal import TextSeal
from bailiwick.stores.vault import Vault
from bailiwick.testing.clock import StoppedClock

PAY = Target(CallKind.TOOL, "bank", "pay")
READ = Target(CallKind.TOOL, "bank", "read")
CLERK = Caller("clerk", "payments", "ada", "token-1", 2**62)
BEN = Person("ben", frozenset({"treasurer"}), "token")
CAT = Person("cat", frozenset({"treasurer"}), "token")
ADA = Person("ada", frozenset({"treasurer"}), "token")
DAN = Person("dan", frozenset(), "token")
VAULT_SECRET = b"k" * 32
REPLY = UpstreamReply(result=b'{"content":[{"type":"text","text":"paid"}]}')


def mandate(version: int = 1, *, people: int = 1, expires: int | None = None) -> Mandate:
    """Reading is free, paying needs treasurers other than ada, nothing else is allowed."""
    ref = f"payments@{version}"
    pay = (TargetPattern(CallKind.TOOL, "bank", "pay"),)
    return Mandate(
        name="payments",
        version=version,
        digest=Digest(f"{version:064x}"),
        principal="ada",
        agent="clerk",
        purpose="pays suppliers",
        state=MandateState.ACTIVE,
        allow=(
            AllowRule(
                f"{ref}/allow/1",
                (*pay, TargetPattern(CallKind.TOOL, "bank", "read")),
                (),
                other_arguments=True,
            ),
        ),
        stamp=(
            StampRule(
                f"{ref}/stamp/1",
                pay,
                (),
                role="treasurer",
                excluded=frozenset({"ada"}),
                count=people,
                expires_after_seconds=expires,
            ),
        ),
    )


def snapshot(current: Mandate, *, ben_is_treasurer: bool = True) -> Snapshot:
    """One mandate, one agent, four people."""
    treasurer = frozenset({"treasurer"})
    people = {
        "ada": treasurer,
        "ben": treasurer if ben_is_treasurer else frozenset[str](),
        "cat": treasurer,
        "dan": frozenset[str](),
    }
    return Snapshot(
        {current.name: current},
        {"clerk": AgentFacts("clerk", "ada")},
        {name: PersonFacts(name, roles) for name, roles in people.items()},
    )


class FailingJournal:
    """Passes commits on until it is told to fail: the disk is full."""

    def __init__(self, journal: SqliteJournal) -> None:
        self.journal = journal
        self.fail_after: int | None = None
        self.error: Exception | None = None

    @property
    def counters(self) -> Counters:
        return self.journal.counters

    async def commit(self, entries: Sequence[Entry], changes: Sequence[Change] = ()) -> range:
        if self.fail_after is not None and self.error is not None:
            if self.fail_after <= 0:
                raise self.error
            self.fail_after -= 1
        return await self.journal.commit(entries, changes)


@dataclass
class Dispatched:
    """A dispatch that counts, and may look around or misbehave first."""

    reply: UpstreamReply = REPLY
    first: Callable[[], Awaitable[None]] | None = None
    count: int = 0

    async def __call__(self) -> UpstreamReply:
        self.count += 1
        if self.first is not None:
            await self.first()
        return self.reply


@dataclass
class House:
    """The gate and everything around it."""

    folder: Path
    waiting: Waiting
    clock: StoppedClock
    ticks: list[Tick] = field(default_factory=list)
    ticked: asyncio.Event = field(default_factory=asyncio.Event)
    servers: dict[str, ServerSpec] = field(default_factory=dict)

    async def open(
        self,
        current: Mandate,
        commit: Callable[[sqlite3.Connection], None] = sqlite3.Connection.commit,
    ) -> None:
        path = self.folder / "bailiwick.db"
        self.store = SqliteJournal(path, seal=TextSeal(VAULT_SECRET), commit=commit)
        self.journal = FailingJournal(self.store)
        self.records = SqliteRecords(path, seal=TextSeal(VAULT_SECRET))
        vault = Vault(VAULT_SECRET, await self.records.subject_keys(), self.journal)
        self.recorder = Recorder(vault)
        self.authority = Authority()
        self.authority.install(snapshot(current))
        self.events = Events()
        new_id = Ulids(self.clock)
        self.holds = Holds(
            self.journal, self.records, self.recorder, self.authority, self.clock, self.events
        )
        self.runs = Runs(self.journal, self.records, self.recorder, new_id)
        nonces = itertools.count()
        self.thoughts = Thoughts(RecalledThoughts(self.records, self.recorder), self.clock.wall_ms)
        self.links = Links(LocalFiles(), self.servers.get)
        self.gate = Pipeline(
            journal=self.journal,
            recorder=self.recorder,
            authority=self.authority,
            holds=self.holds,
            memories=Memories(Recalled(self.records, self.recorder), self.authority),
            thoughts=self.thoughts,
            runs=self.runs,
            clock=self.clock,
            events=self.events,
            new_id=new_id,
            nonce=lambda: f"nonce-{next(nonces)}",
            waiting=self.waiting,
            links=self.links,
        )

    async def close(self) -> None:
        await self.store.close()
        await self.records.close()

    async def on_tick(self, tick: Tick) -> None:
        self.ticks.append(tick)
        self.ticked.set()

    async def ask(
        self,
        target: Target,
        arguments: JsonObject,
        dispatch: Dispatched,
        on_tick: OnTick | None = None,
    ) -> Answer:
        asked = Asked(CLERK, target, arguments, "session-1", "mcp/2026-07-28")
        return await self.gate.govern(asked, dispatch, on_tick or self.on_tick)
