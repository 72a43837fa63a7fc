"""What each run has read: the memories behind `Labels`, bounded, one for each live run.

A run whose mandates have no flow rules and ask for no vouched values has no memory at all, and its
calls cost nothing here. The others' are kept by run, the least recently used forgotten first, and
built again from the record when such a run goes on (`recalled.py`).

INVARIANT: a memory is told of nothing that is not durable already, and of every call before it is
sent. So whatever happens while nobody remembers the run is found in the record when it is built
again; what happens while it is being built is told to it afterwards, perhaps a second time, which
does no harm.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from bailiwick.core.call import Call, CallKind
from bailiwick.core.errors import StoreError
from bailiwick.core.flow.labels import NO_FLOW, Facts, FreshRun, Labels, ResultLabels
from bailiwick.core.flow.run_memory import RunLabels, RunMemory
from bailiwick.core.flow.worth import Worths
from bailiwick.core.mandate import Mandate
from bailiwick.gateway.authority import Authority, Snapshot
from bailiwick.gateway.recalled import Recalled, endorse
from bailiwick.gateway.run_facts import RunFacts
from bailiwick.ports import HoldRow, UpstreamReply

MAX_RUNS = 10_000
MAX_BYTES = 64 * 2**20
"""Bounds of all memories together."""

_MAX_PLANS = 1_024

Chain = tuple[Mandate, ...]
_Key = tuple[tuple[str, ...], tuple[ResultLabels, ...], bool]
_Event = Callable[[RunMemory], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """What the memory of a run under one chain is for.

    Attributes:
        key: a memory made for another one is made anew.
        matters: whether anything will be asked of it.
        worths: what results are worth.
        thinks: whether there are models among what may be called.
    """

    chain: Chain
    key: _Key
    matters: bool
    worths: Worths
    thinks: bool

    def memory(self, told: RunFacts) -> RunMemory:
        """The memory of a run that has done nothing yet."""
        memory = RunMemory(self.worths, texts=self.key[2])
        from_person_only = any(mandate.flow.person_instructs for mandate in self.chain)
        if told.instruction and (told.supplier == "person" or not from_person_only):
            memory.told(told.instruction, told.supplier)
        for mandate in self.chain:
            memory.signed(mandate)
        return memory


@dataclass(slots=True)
class _Kept:
    key: _Key
    memory: RunMemory
    size: int = 0


@dataclass(slots=True)
class _Building:
    """A memory that is being built: those who wait for it, and what has happened meanwhile."""

    key: _Key
    task: asyncio.Task[RunMemory]
    late: list[_Event] = field(default_factory=list)


class _Remembered(RunLabels):
    """The labels of one call, which know whose they are."""

    __slots__ = ("told",)

    def __init__(self, facts: Facts, memory: RunMemory, told: RunFacts) -> None:
        super().__init__(facts, memory)
        self.told = told

    def with_facts(self, facts: Facts) -> _Remembered:
        """The same memory, with other facts."""
        return _Remembered(facts, self._memory, self.told)


class Memories:
    """The memories of runs.

    Attributes:
        used: some run has, had or gets a memory. Until then there is nobody to tell what happens.
    """

    def __init__(self, recalled: Recalled, authority: Authority) -> None:
        self._recalled = recalled
        self._authority = authority
        self._plans: dict[int, Plan] = {}
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._building: dict[str, _Building] = {}
        self._size = 0
        self.used = False

    def matter(self, chain: Chain) -> bool:
        """Whether what a run under `chain` has read makes a difference to any call of it."""
        return self.plan(chain).matters

    def known(self, told: RunFacts, plan: Plan, facts: Facts) -> Labels | None:
        """What the run has read and was told, or None if it has to be looked up (`open`).

        Args:
            plan: of the chain that the call is judged by.
            facts: what the labels' `facts` answer.
        """
        if not plan.matters:
            return told.fresh if facts is told.fresh.facts else FreshRun(facts)
        kept = self._kept.get(told.run)
        if kept is None or kept.key != plan.key:
            return None
        self._kept.move_to_end(told.run)
        return _Remembered(facts, kept.memory, told)

    async def open(self, told: RunFacts, chain: Chain, facts: Facts) -> Labels:
        """The same, from the record. Never raises: what cannot be read counts as the worst."""
        plan = self.plan(chain)
        known = self.known(told, plan, facts)
        if known is not None:
            return known
        building = self._building.get(told.run)
        if building is None or building.key != plan.key:
            task = asyncio.ensure_future(self._recalled.into(plan.memory(told), told.run))
            building = self._building[told.run] = _Building(plan.key, task)
            self.used = True
            task.add_done_callback(lambda _: self._built(told.run, building))
        try:
            memory = await asyncio.shield(building.task)
        except StoreError:
            memory = plan.memory(told)
            memory.lost()
        return _Remembered(facts, memory, told)

    async def again(self, labels: Labels, chain: Chain) -> Labels:
        """The labels of a call that has waited, as they are now."""
        if not isinstance(labels, _Remembered):
            return labels
        return await self.open(labels.told, chain, labels.facts)

    def with_facts(self, labels: Labels, facts: Facts) -> Labels:
        """The labels of the same call, of which something else is known."""
        if isinstance(labels, _Remembered):
            return labels.with_facts(facts)
        return FreshRun(facts)

    # --- what happens ------------------------------------------------------------------------

    def sending(self, run: str, call: Call) -> None:
        """A call of this run, whose intent is durable, is about to be sent."""
        self._tell(run, lambda memory: memory.sending(call))

    def learned(self, run: str, call: Call, reply: UpstreamReply) -> None:
        """Its outcome is durable, and the agent has not seen it yet."""
        body = reply.result if reply.result is not None else reply.error
        if body is not None:
            self._tell(run, lambda memory: memory.learn(call, body))

    def stamped(self, run: str, call: Call, hold: HoldRow) -> None:
        """A stamp on one of its calls has been used: it vouches for what it was asked for."""
        self._tell(run, lambda memory: endorse(memory, call, hold))

    def _tell(self, run: str, event: _Event) -> None:
        kept = self._kept.get(run)
        if kept is not None:
            event(kept.memory)
            self._weigh(kept)
        building = self._building.get(run)
        if building is not None:
            building.late.append(event)

    # --- keeping -----------------------------------------------------------------------------

    def _built(self, run: str, building: _Building) -> None:
        if self._building.get(run) is building:
            del self._building[run]
        if building.task.cancelled() or building.task.exception() is not None:
            return
        memory = building.task.result()
        for event in building.late:
            event(memory)
        old = self._kept.pop(run, None)
        if old is not None:
            self._size -= old.size
        kept = self._kept[run] = _Kept(building.key, memory)
        self._weigh(kept)

    def _weigh(self, kept: _Kept) -> None:
        size = kept.memory.size
        self._size += size - kept.size
        kept.size = size
        while self._size > MAX_BYTES or len(self._kept) > MAX_RUNS:
            _, oldest = self._kept.popitem(last=False)
            self._size -= oldest.size

    def plan(self, chain: Chain) -> Plan:
        """What the memory of a run under `chain` is for."""
        # By identity: to compare whole mandates on every call would cost more than all the rest.
        plan = self._plans.get(id(chain))
        if plan is None or plan.chain is not chain:
            plan = plan_for(chain, self._authority.snapshot)
            if len(self._plans) >= _MAX_PLANS:
                self._plans.clear()
            self._plans[id(chain)] = plan
        return plan


def plan_for(chain: Chain, snapshot: Snapshot) -> Plan:
    """What the memory of a run under `chain` is for, with all that is declared in `snapshot`."""
    vouched = any(rule.vouched for mandate in chain for rule in mandate.allow)
    flows = [mandate.flow for mandate in chain]
    return Plan(
        chain=chain,
        key=(tuple(mandate.digest for mandate in chain), snapshot.results, vouched),
        # Policies may ask what a run has read, whatever its mandates say.
        matters=vouched
        or any(flow != NO_FLOW for flow in flows)
        or snapshot.policies.about_reading,
        worths=Worths(snapshot.results, flows),
        thinks=all(
            any(
                pattern.kind is CallKind.MODEL for rule in mandate.allow for pattern in rule.targets
            )
            for mandate in chain
        ),
    )
