"""Which run the spans of an agent belong to. Only ever one of the same agent and mandate.

In this order, for all spans of one trace:

1. the run that the token is bound to, or that the request's `Bailiwick-Run` names;
2. the run that one of them names (`bailiwick.run.id`);
3. the run of a call that came with the same trace;
4. the run of the session that one of them names, or the request's `agent-session-id`;
5. the run of the token.

Where there is none, the spans are rejected: of what nothing governed was done there is no run.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from bailiwick.core.run_words import is_run_id
from bailiwick.core.values import show
from bailiwick.gateway.recorder import CallContext
from bailiwick.gateway.runs import MAX_KEY_CHARS, SESSION_KEY
from bailiwick.ledger.leaf import parse_leaf
from bailiwick.ports import Caller, CallQuery, CallRow, Records
from bailiwick.protocols.otlp.claims import ClaimedSpan, Claims
from bailiwick.protocols.otlp.spans import parent_of

MAX_TRACES = 5_000
"""Remembered for one agent under one mandate."""

MAX_NAMES = 32
"""Sessions and runs that one request may name: each is looked up."""

_LOOKED_BACK = 500
_MAX_SESSION_CHARS = 128
_RUN = "bailiwick.run.id"
_SESSIONS = ("gen_ai.conversation.id", "session.id", "agent-session-id")


class Traces:
    """The runs of the traces that calls came with: of the newest calls, in memory."""

    def __init__(self, records: Records) -> None:
        self._records = records
        # Apart for each agent and mandate: none can push out what is known of another.
        self._runs: dict[tuple[str, str], OrderedDict[str, str]] = {}
        self._read: set[tuple[str, str]] = set()

    def saw(self, context: CallContext) -> None:
        """A call came with a trace."""
        found = parent_of(context.traceparent)
        if found is not None:
            self.learn(context.agent, context.mandate.name, found[0], context.run)

    def learn(self, agent: str, mandate: str, trace: str, run: str) -> None:
        """This trace is of this run. What was known first stays: nothing later can move it."""
        runs = self._runs.setdefault((agent, mandate), OrderedDict())
        runs.setdefault(trace, run)
        runs.move_to_end(trace)
        if len(runs) > MAX_TRACES:
            runs.popitem(last=False)

    async def run_of(self, caller: Caller, trace: str) -> str:
        """The run of a trace; "" for none. Of calls before the start the newest are looked at."""
        whose = caller.agent, caller.mandate
        run = self._known(whose, trace)
        if run or whose in self._read:
            return run
        query = CallQuery(limit=_LOOKED_BACK, agent=caller.agent, mandate=caller.mandate)
        for row in reversed(await self._records.calls(query)):
            found = parent_of(await self._traceparent(row))
            if found is not None:
                self.learn(*whose, found[0], row.run)
        self._read.add(whose)
        return self._known(whose, trace)

    def _known(self, whose: tuple[str, str], trace: str) -> str:
        runs = self._runs.get(whose)
        return "" if runs is None else runs.get(trace, "")

    async def _traceparent(self, row: CallRow) -> str:
        leaves = await self._records.leaves(row.intent_index, row.intent_index + 1)
        told = parse_leaf(leaves[0]).fields.get("traceparent") if leaves else None
        return told if isinstance(told, str) else ""


@dataclass(slots=True)
class _Looking:
    """What one request has asked of the store already."""

    caller: Caller
    session: str
    sessions: dict[str, str] = field(default_factory=dict)
    named: dict[str, bool] = field(default_factory=dict)


class Attaching:
    """Finds runs for spans."""

    def __init__(self, records: Records, traces: Traces) -> None:
        self._records = records
        self._traces = traces

    async def attach(
        self, caller: Caller, joins: str, session: str, claims: Claims
    ) -> dict[str, list[ClaimedSpan]]:
        """The spans by run; those without one are rejected in `claims`.

        Args:
            joins: the run that the request names.
            session: the session that it names.

        Raises:
            StoreError: it cannot be read.
        """
        looking = _Looking(caller, session)
        if caller.run or joins:
            return await self._all_of(looking, joins, claims)
        found: defaultdict[str, list[ClaimedSpan]] = defaultdict(list)
        for trace, spans in _by_trace(claims.spans).items():
            run, why = await self._run(looking, trace, spans, claims)
            if run:
                self._traces.learn(caller.agent, caller.mandate, trace, run)
                found[run] += spans
            else:
                claims.reject(why, len(spans))
        return found

    async def _all_of(
        self, looking: _Looking, joins: str, claims: Claims
    ) -> dict[str, list[ClaimedSpan]]:
        bound = looking.caller.run
        if bound and joins and joins != bound:
            why = f"this token belongs to the run `{bound}` and to no other"
        elif not await self._is_ours(looking, bound or joins):
            why = _unknown(joins)
        else:
            return {bound or joins: claims.spans} if claims.spans else {}
        claims.reject(why, len(claims.spans))
        return {}

    async def _run(
        self, looking: _Looking, trace: str, spans: Sequence[ClaimedSpan], claims: Claims
    ) -> tuple[str, str]:
        """The run of one trace, or "" and why there is none."""
        named = _told(spans, claims, (_RUN,))
        if named:
            ours = await self._is_ours(looking, named)
            return (named, "") if ours else ("", _unknown(named))
        run = await self._traces.run_of(looking.caller, trace)
        if not run:
            session = _told(spans, claims, _SESSIONS) or looking.session
            run = await self._of_session(looking, session) if session else ""
        if not run:
            run = await self._by_key(looking, f"token:{looking.caller.token}")
        return run, "" if run else "no call of this agent came with this trace, session or token"

    async def _is_ours(self, looking: _Looking, run: str) -> bool:
        if run not in looking.named:
            if len(looking.named) >= MAX_NAMES or not is_run_id(run):
                return False
            row = await self._records.run(run)
            mine = looking.caller.agent, looking.caller.mandate
            looking.named[run] = row is not None and (row.agent, row.mandate) == mine
        return looking.named[run]

    async def _of_session(self, looking: _Looking, session: str) -> str:
        plain = len(session) <= _MAX_SESSION_CHARS and all("!" <= each <= "~" for each in session)
        return (
            await self._by_key(looking, f"{SESSION_KEY}{session}@{looking.caller.token}")
            if plain
            else ""
        )

    async def _by_key(self, looking: _Looking, key: str) -> str:
        known = looking.sessions.get(key)
        if known is None:
            if len(looking.sessions) >= MAX_NAMES:
                return ""
            caller = looking.caller
            row = await self._records.run_by_key(caller.agent, caller.mandate, key[:MAX_KEY_CHARS])
            known = looking.sessions[key] = "" if row is None else row.id
        return known


def _by_trace(spans: Sequence[ClaimedSpan]) -> dict[str, list[ClaimedSpan]]:
    found: defaultdict[str, list[ClaimedSpan]] = defaultdict(list)
    for span in spans:
        found[span.trace_id].append(span)
    return found


def _told(spans: Sequence[ClaimedSpan], claims: Claims, names: Sequence[str]) -> str:
    """The first text under one of these names, of the spans and then of where they come from."""
    for attributes in (
        *(span.attributes for span in spans),
        *(claims.resources[each] for each in sorted({span.resource for span in spans})),
    ):
        for name in names:
            value = attributes.get(name)
            if isinstance(value, str) and value:
                return value
    return ""


def _unknown(run: str) -> str:
    return f"there is no run {show(run)} of this agent under this mandate"
