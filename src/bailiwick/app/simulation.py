"""Judging again what was recorded, under mandates that are not in force (yet).

The ledger is read in its order, and each call of the mandate is judged by the same `judge`, with
the counters of limits and the memories of runs as they would have become under the other mandate:

1. A call that would run takes of its limits and is sent, where it was let run in the record, or
   where it would be now. What came back then is what came back: a call that was refused in the
   record has no result, and takes what it would have reserved. What the gateway refused for a
   reason of its own, such as a server that was not there, no mandate would have let through.
2. A call that would wait, and ran without waiting in the record, is taken as stamped. One that
   waited in the record too runs where its stamp was used; without a stamp it never does.
3. Counting begins with nothing at the start of the period, and the mandates count as active and
   valid all through it.

Nothing is written.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import msgspec

from bailiwick.core.call import NOTHING as NOTHING_BESIDE
from bailiwick.core.call import Call, CallKind, Target
from bailiwick.core.canonical import Json, JsonObject
from bailiwick.core.context import NO_STEP
from bailiwick.core.errors import Conflict
from bailiwick.core.flow.flowing import stamped_values
from bailiwick.core.flow.labels import Facts, FreshRun, Labels
from bailiwick.core.flow.run_memory import RunLabels, RunMemory
from bailiwick.core.judge import judge
from bailiwick.core.limits.books import Books, Place
from bailiwick.core.limits.limit import Charge
from bailiwick.core.links import led, read_leads
from bailiwick.core.mandate import Mandate, MandateState
from bailiwick.core.thinking.model_calls import read_use
from bailiwick.core.thinking.said_and_did import read_thought
from bailiwick.core.verdict import Allow, Deny, Hold, Verdict
from bailiwick.gateway.authority import Snapshot
from bailiwick.gateway.chains import Chain
from bailiwick.gateway.memories import plan_for
from bailiwick.gateway.run_facts import RunFacts
from bailiwick.gateway.settlement import Ending, answered, ended
from bailiwick.ports import NOT_SENT, CallState, Settlement, UpstreamReply

MAX_EXAMPLES = 3
MAX_GROUPS = 200
"""Groups of flips that are told apart; the rest are counted together."""

MAX_MEMORY = 512 * 2**20
"""Bytes that the memories of all runs take together. Beyond it the ones longest unused are let go
of; such a run counts as having read the worst when it goes on."""

MAX_TOLD = 10_000
"""Runs of which it is remembered what they were told."""

_PLACES = {
    Settlement.POSTED: Place.POSTED,
    Settlement.VOIDED: Place.FREE,
    Settlement.UNKNOWN: Place.UNKNOWN,
}
_WHATEVER_A_MANDATE_SAYS = frozenset(
    {
        "run_fixed",
        "run_unknown",
        "run_ended",
        "model_unknown",
        "dialect_not_spoken",
        "alias_resting",
        "definition_changed",
        "definition_unknown",
        "upstream_down",
        "ledger_unavailable",
    }
)
"""Denials by the gateway itself (docs/reference/verdicts.md), which another mandate changes not."""


class Asked(msgspec.Struct, frozen=True):
    """One recorded intent.

    Attributes:
        decision: `allow`, `hold` or `deny`, as it was judged then.
        code: `allowed`, `held`, `approved` (the entry that let a held call run), or that of a
            denial.
    """

    call: Call
    at_ms: int
    run: str
    decision: str
    code: str
    because: str
    end_user: str = ""
    end_user_by: str = ""
    zones: frozenset[str] | None = None
    asked_by_model: str = "unknown"


class Ended(msgspec.Struct, frozen=True):
    """One recorded outcome. `reply` is None if none is known, or it was not kept whole."""

    call: str
    at_ms: int
    state: CallState
    code: str
    reply: UpstreamReply | None


@dataclass(slots=True)
class Group:
    """Flips of one sort."""

    before: str
    after: str
    target: str
    why: str
    count: int = 0
    examples: list[JsonObject] = field(default_factory=list)


@dataclass(slots=True)
class _Under:
    """A call that is running, or waiting, in the simulation."""

    call: Call
    charges: tuple[Charge, ...]
    memory: RunMemory | None
    rules: tuple[str, ...] = ()
    waits: bool = False


class Simulation:
    """One chain of mandates over one period of the record.

    Args:
        chain: root first; the leaf is the mandate in question.
        snapshot: what else would be declared.
        run_of: what a run was told when it began.
    """

    def __init__(self, chain: Chain, snapshot: Snapshot, run_of: Callable[[str], RunFacts]) -> None:
        chain = tuple(_in_force(mandate) for mandate in chain)
        self._chain = chain
        self._snapshot = snapshot
        self._run_of = run_of
        self._plan = plan_for(chain, snapshot)
        self._books = Books(keep_settled=False)
        self._memories: dict[str, RunMemory] = {}
        self._let_go: set[str] = set()
        self._grown = 0
        self._told: dict[str, RunFacts] = {}
        self._under: dict[str, _Under] = {}
        self._groups: dict[tuple[str, str, str, str], Group] = {}
        self.calls = 0
        self.counts: Counter[str] = Counter()
        self.unreadable = 0

    # --- events, in the order of the ledger ------------------------------------------------------

    def asked(self, event: Asked) -> None:
        """An intent."""
        if event.code == "approved":
            self._approved(event)
            return
        self.calls += 1
        if event.decision == "deny" and event.code in _WHATEVER_A_MANDATE_SAYS:
            self.counts["deny"] += 1
            return
        labels, memory = self._labels(event)
        verdict = self._judge(event, labels)
        now = _word(verdict)
        self.counts[now] += 1
        if now != event.decision:
            self._flip(event, now, verdict)
        if isinstance(verdict, Deny) or (isinstance(verdict, Hold) and event.decision == "deny"):
            return
        under = _Under(event.call, verdict.charges, memory, verdict.rules)
        if isinstance(verdict, Hold) and event.decision == "hold":
            under.waits = True
            self._under[event.call.id] = under
            return
        self._run(under, event.at_ms)
        if event.decision == "deny":  # nothing is known of what would have come back
            self._settle(ended(event.call.id, under.charges, Settlement.POSTED, event.at_ms))
            self._under.pop(event.call.id, None)

    def ended(self, event: Ended) -> None:
        """An outcome."""
        under = self._under.pop(event.call, None)
        if under is None or under.waits:
            return
        if event.reply is not None:
            failed = event.state is CallState.FAILED
            self._settle(
                answered(event.call, under.charges, event.reply, failed=failed, at_ms=event.at_ms)
            )
            body = event.reply.result if event.reply.result is not None else event.reply.error
            if under.memory is not None and body is not None:
                under.memory.learn(under.call, body)
                self._grow(len(body))
            return
        unsent = event.code in NOT_SENT or event.state is CallState.DENIED
        known = event.state in (CallState.DONE, CallState.FAILED)
        how = Settlement.POSTED if known else Settlement.UNKNOWN
        if unsent:
            how = Settlement.VOIDED
        self._settle(ended(event.call, under.charges, how, event.at_ms))

    def _approved(self, event: Asked) -> None:
        under = self._under.get(event.call.id)
        if under is None or not under.waits:  # denied, or ran without a stamp
            return
        labels, memory = self._labels(event)
        verdict = self._judge(event, labels)
        if isinstance(verdict, Deny):
            self._flip(event, "deny", verdict)
            del self._under[event.call.id]
            return
        under = _Under(event.call, verdict.charges, memory, verdict.rules)
        if memory is not None and isinstance(verdict, Hold):
            for value in stamped_values(verdict.rules, event.call):
                memory.endorsed(value, "")
        self._run(under, event.at_ms)

    # --- effects ---------------------------------------------------------------------------------

    def _run(self, under: _Under, at_ms: int) -> None:
        call = under.call
        try:
            self._books.reserve(call.id, at_ms, under.charges)
        except Conflict:  # the same call twice in the record
            return
        if under.memory is not None:
            under.memory.sending(call)
        self._under[call.id] = under

    def _settle(self, ending: Ending) -> None:
        for each in ending.settled:
            self._books.settle(each.call, each.at_ms, _PLACES[each.how], each.actual, each.only)

    def _judge(self, event: Asked, labels: Labels) -> Verdict:
        policies = self._snapshot.policies
        return judge(event.call, self._chain, policies, self._books, labels, NO_STEP, event.at_ms)

    def _labels(self, event: Asked) -> tuple[Labels, RunMemory | None]:
        told = self._told.get(event.run)
        if told is None:
            if len(self._told) >= MAX_TOLD:
                self._told.clear()
            told = self._told[event.run] = self._run_of(event.run)
        facts = Facts(
            run=event.run,
            purpose=told.purpose,
            run_labels=told.labels,
            end_user=event.end_user or told.end_user,
            end_user_by=event.end_user_by or (told.started_by if told.end_user else ""),
            zones=event.zones,
            started_by=told.started_by,
            asked_by_model=event.asked_by_model,
        )
        if not self._plan.matters:
            return FreshRun(facts), None
        memory = self._memories.pop(event.run, None)
        if memory is None:
            memory = self._plan.memory(told)
            if event.run in self._let_go:
                memory.lost()
        self._memories[event.run] = memory  # the one used last stands last
        self._grow(len(event.call.canonical) + 1_000)
        return RunLabels(facts, memory), memory

    def _grow(self, size: int) -> None:
        """Memories may have grown by so many bytes: look at all of them when it has become much."""
        self._grown += size
        if self._grown <= MAX_MEMORY // 8:
            return
        self._grown = 0
        taken = sum(memory.size for memory in self._memories.values())
        while taken > MAX_MEMORY and len(self._memories) > 1:
            run = next(iter(self._memories))
            taken -= self._memories.pop(run).size
            self._let_go.add(run)

    # --- what flips ------------------------------------------------------------------------------

    def _flip(self, event: Asked, now: str, verdict: Verdict) -> None:
        rule = verdict.rules[0] if verdict.rules else ""
        why = verdict.code if isinstance(verdict, Deny) else rule
        if isinstance(verdict, Allow):
            why = event.code if event.decision == "deny" else "no stamp asked for"
        key = (event.decision, now, str(event.call.target), why)
        group = self._groups.get(key)
        if group is None:
            if len(self._groups) >= MAX_GROUPS:
                key = (event.decision, now, "", "")
            group = self._groups.setdefault(key, Group(*key))
        group.count += 1
        if len(group.examples) < MAX_EXAMPLES:
            group.examples.append(
                {
                    "call": event.call.id,
                    "at_ms": event.at_ms,
                    "then": event.because,
                    "now": verdict.because,
                }
            )

    def groups(self) -> list[Group]:
        """What flips, most often first."""
        return sorted(self._groups.values(), key=lambda group: -group.count)


def asked_of(leaf: Mapping[str, Json], payload: Mapping[str, Json]) -> Asked:
    """The intent of a ledger entry.

    Raises:
        KeyError, TypeError, ValueError, TheirError: it does not hold one.
    """
    call = payload["call"]
    if not isinstance(call, Mapping):
        raise TypeError("no call")
    arguments, beside = call["arguments"], call.get("beside", NOTHING_BESIDE)
    if not isinstance(arguments, Mapping) or not isinstance(beside, Mapping):
        raise TypeError("no arguments")
    target = Target(CallKind(str(call["kind"])), str(call["upstream"]), str(call["name"]))
    zones, thought = payload.get("zones"), read_thought(payload.get("thought"))
    at = leaf["at"]
    if not isinstance(at, int):
        raise TypeError("no time")
    whole = Call.of(str(leaf["id"]), target, arguments, beside, read_use(payload.get("use")))
    return Asked(
        call=led(whole, read_leads(payload.get("leads"))),
        at_ms=at,
        run=str(leaf["run"]),
        decision=str(leaf["decision"]),
        code=str(leaf["code"]),
        because=str(payload.get("because", "")),
        end_user=str(payload.get("end_user", "")),
        end_user_by=str(payload.get("end_user_by", "")),
        zones=frozenset(map(str, zones)) if isinstance(zones, list) else None,
        asked_by_model="unknown" if thought is None else thought.match.value,
    )


def _in_force(mandate: Mandate) -> Mandate:
    return replace(mandate, state=MandateState.ACTIVE, not_before=None, not_after=None)


def _word(verdict: Verdict) -> str:
    match verdict:
        case Allow():
            return "allow"
        case Hold():
            return "hold"
        case Deny():
            return "deny"
