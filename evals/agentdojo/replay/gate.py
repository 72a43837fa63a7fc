"""A whole gate in a folder, with the mandate of one suite in force: the rooms a gateway has.

Judge, journal, memories, holds and ledger entries are the product's own. What is not here is the
wire: calls come from this process, and the upstream is a function.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bailiwick.app.declare import Declarations, apply_files
from bailiwick.app.local_files import LocalFiles
from bailiwick.core.call import CallKind, Target
from bailiwick.core.errors import ConfigError
from bailiwick.core.run_words import RunWords
from bailiwick.declared import load
from bailiwick.declared.tool_checks import check_tools
from bailiwick.gateway.authority import Authority
from bailiwick.gateway.events import Events
from bailiwick.gateway.gate import Answer, Answered, Asked, Refused, StillWaiting, Tick
from bailiwick.gateway.held import Waiting
from bailiwick.gateway.holds import Holds
from bailiwick.gateway.ids import Ulids
from bailiwick.gateway.links import Links
from bailiwick.gateway.memories import Memories
from bailiwick.gateway.pipeline import Pipeline
from bailiwick.gateway.recalled import Recalled
from bailiwick.gateway.recalled_thoughts import RecalledThoughts
from bailiwick.gateway.recorder import Recorder
from bailiwick.gateway.run_facts import begun
from bailiwick.gateway.runs import Runs
from bailiwick.gateway.thoughts import Thoughts
from bailiwick.gateway.upstreams.registry import Upstreams
from bailiwick.ports import Caller, HoldState, Person, UpstreamReply
from bailiwick.stores.sqlite import SqliteJournal
from bailiwick.stores.sqlite_reads import SqliteRecords
from bailiwick.stores.text_seal import TextSeal
from bailiwick.stores.vault import Vault
from bailiwick.testing.clock import StoppedClock
from replay.worlds import SERVERS, Ran, definitions

_SECRET = hashlib.sha256(b"nothing here is secret").digest()
_BETWEEN_RUNS_SECONDS = 2 * 24 * 3600.0
"""Long enough that whatever waits has lapsed and no limit of a day reaches from run to run."""


@dataclass(frozen=True, slots=True)
class Told:
    """What became of a call.

    Attributes:
        ran: what the tool answered, if it ran.
        held: it waited for a person, whether or not one let it run afterwards.
        code: why it was denied; "" if it was not.
        because: why it was held or denied.
        rules: of the mandate, that held it.
        shown: what a person sees before stamping, if it was held.
    """

    ran: Ran | None = None
    held: bool = False
    code: str = ""
    because: str = ""
    rules: tuple[str, ...] = ()
    shown: str = ""


class SuiteGate:
    """The gate of one suite. One run at a time."""

    def __init__(self, suite: str, folder: Path) -> None:
        self._server = SERVERS[suite]
        self._clock = StoppedClock()
        path = folder / "bailiwick.db"
        seal = TextSeal(_SECRET)
        self._journal = SqliteJournal(path, seal=seal, fsync=False)
        self._records = SqliteRecords(path, seal=seal)
        vault = Vault(_SECRET, (), self._journal)
        self._recorder = Recorder(vault)
        self._authority, events = Authority(), Events()
        self._upstreams = Upstreams("")
        self._declarations = Declarations(
            self._journal,
            self._records,
            self._recorder,
            self._authority,
            self._upstreams,
            self._clock,
            {},
        )
        new_id = Ulids(self._clock, _counted_bytes())  # the same ids each time: shown to people
        self._holds = Holds(
            self._journal, self._records, self._recorder, self._authority, self._clock, events
        )
        self._runs = Runs(self._journal, self._records, self._recorder, new_id)
        nonces = itertools.count()
        self._gate = Pipeline(
            journal=self._journal,
            recorder=self._recorder,
            authority=self._authority,
            holds=self._holds,
            runs=self._runs,
            memories=Memories(Recalled(self._records, self._recorder), self._authority),
            thoughts=Thoughts(RecalledThoughts(self._records, self._recorder), self._clock.wall_ms),
            clock=self._clock,
            links=Links(LocalFiles(), lambda server: None),  # a suite's files are not on a disk
            events=events,
            new_id=new_id,
            nonce=lambda: f"nonce-{next(nonces)}",
            waiting=Waiting(window_seconds=0.0),
        )

    async def declare(self, suite: str, mandates: Path) -> None:
        """Put the suite's mandate in force, held against the tools it is about."""
        file = mandates / f"{suite}.yaml"
        declared = load([file])
        found = check_tools(declared.objects.values(), {self._server: definitions(suite)})
        if found.problems:
            raise ConfigError("declaration_invalid", "; ".join(map(str, found.problems)))
        await apply_files(self._declarations, [file])
        self._mandate = self._authority.snapshot.mandates[suite]
        person = self._authority.person(self._mandate.principal, "token")
        assert person is not None
        self._person: Person = person

    async def close(self) -> None:
        """Take it down."""
        await self._upstreams.close()
        await self._journal.close()
        await self._records.close()

    async def begin(self, instruction: str) -> Caller:
        """A new run, which the person starts with these words."""
        for state in (HoldState.WAITING, HoldState.APPROVED):
            waiting = await self._records.holds(state)
            self._clock.advance(_BETWEEN_RUNS_SECONDS)
            for hold in waiting:
                await self._holds.current(hold.id)  # it has lapsed
        mandate, person = self._mandate, self._person
        words = RunWords(instruction)
        told = begun(self._runs.new_id(), mandate.agent, mandate.name, words, person.name)
        await self._runs.start(told, mandate.principal, self._clock.wall_ms())
        return Caller(mandate.agent, mandate.name, mandate.principal, "token", 2**62, told.run)

    async def call(
        self,
        caller: Caller,
        tool: str,
        arguments: dict[str, Any],
        upstream: Callable[[], Ran],
        *,
        stamps: bool,
    ) -> Told:
        """Make one call.

        Args:
            upstream: runs the tool.
            stamps: whether the person lets the call run if it waits for them.
        """
        target = Target(CallKind.TOOL, self._server, tool)
        asked = Asked(caller, target, arguments, "", "replay")
        ran: list[Ran] = []

        async def dispatch() -> UpstreamReply:
            ran.append(upstream())
            return UpstreamReply(result=ran[0].body)

        answer = await self._gate.govern(asked, dispatch, _no_tick)
        if not isinstance(answer, StillWaiting):
            return _told(answer, ran)
        assert not ran
        hold = await self._records.hold(answer.hold)
        assert hold is not None
        held = Told(held=True, because=hold.because, rules=hold.rules, shown=hold.rendering)
        if not stamps:
            return held
        await self._holds.stamp(self._person, hold.id, True, "")
        again = _told(await self._gate.govern(asked, dispatch, _no_tick), ran)
        return Told(again.ran, True, again.code, hold.because, hold.rules, hold.rendering)


@contextlib.asynccontextmanager
async def open_gate(suite: str, mandates: Path, folder: Path) -> AsyncIterator[SuiteGate]:
    """A gate for `suite`, under the mandate in the folder `mandates`, in an empty folder."""
    gate = SuiteGate(suite, folder)
    try:
        await gate.declare(suite, mandates)
        yield gate
    finally:
        await gate.close()


def _told(answer: Answer, ran: list[Ran]) -> Told:
    if isinstance(answer, Answered):
        # INVARIANT of the gate: what the agent gets is what the tool said, byte for byte.
        assert answer.reply.result == ran[0].body
        assert len(ran) == 1
        return Told(ran[0])
    assert isinstance(answer, Refused)
    assert not ran
    return Told(code=answer.code, because=answer.text)


async def _no_tick(tick: Tick) -> None:
    """Nobody looks on."""


def _counted_bytes() -> Callable[[int], bytes]:
    counter = itertools.count()
    return lambda length: hashlib.sha256(str(next(counter)).encode()).digest()[:length]
