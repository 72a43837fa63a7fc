"""What the models of each run asked for, and how that stands to what its agent does.

A run without model calls through the gateway has nothing here but a mark, and its calls cost one
look. The others' are kept by run, the least recently used forgotten first, and built again from the
record when such a run goes on (`recalled_thoughts.py`).

INVARIANT: what counts as asked for by a model is what a model's server answered through the gateway
and what is durable. What an agent tells of it counts for nothing.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from bailiwick.core.call import Call, CallKind, Target
from bailiwick.core.canonical import JsonObject
from bailiwick.core.errors import StoreError, TheirError
from bailiwick.core.thinking.asked_calls import AskedCalls, Found, OpenCall, digest_of_arguments
from bailiwick.core.thinking.said_and_did import Retold
from bailiwick.core.values import FAILS, Truth
from bailiwick.gateway.gate import Answer, Answered, Asked
from bailiwick.gateway.recorder import CallContext
from bailiwick.gateway.retellings import Retellings
from bailiwick.ports import Caller, UpstreamReply
from bailiwick.protocols.llm.dialect import Dialect, Said
from bailiwick.protocols.llm.kept import read_kept
from bailiwick.protocols.llm.told import read_told
from bailiwick.protocols.llm.tool_names import Tool, means
from bailiwick.protocols.strict_json import MAX_VALUES, parse

MAX_RUNS = 10_000
MAX_BYTES = 64 * 1024 * 1024
"""Bounds of all runs together."""

MAX_LOOKED_AT = 64
"""Runs of one agent and mandate, the latest, among which a call's own is looked for."""

MAX_USED = 10_000
"""Calls being made, or made lately, that may turn out not to have been made."""

MAX_MEANT = 4_096
"""Names of which it is remembered whether they mean a tool."""

MAX_MEANT_CHARS = 16 * 1024 * 1024
"""Characters of the names that were offered beside these: an agent makes up as many as it likes."""

JOIN_SECONDS = 600
"""How long after it was asked for a call may find its run by what it says."""

EDGE = "llm/"
_DIALECTS = {f"{EDGE}{each.value}": each for each in Dialect if each is not Dialect.EMBEDDINGS}


@dataclass(slots=True)
class RunThoughts:
    """What is known of one run's models.

    Attributes:
        asked: what they asked for.
        retellings: what its tools returned, and what was told of it.
        traces: ids of W3C traces that its model calls belonged to, the latest.
        heard: our ids of the model calls that were listened to; empty when they are not needed.
    """

    asked: AskedCalls = field(default_factory=AskedCalls)
    retellings: Retellings = field(default_factory=Retellings)
    traces: OrderedDict[str, None] = field(default_factory=OrderedDict)
    heard: set[str] = field(default_factory=set)
    weighed: int = 0

    @property
    def size(self) -> int:
        """Roughly the bytes it takes."""
        return 1_000 + self.asked.size + self.retellings.size


_Event = Callable[[RunThoughts], None]


@dataclass(slots=True)
class _Building:
    """One that is being built: those who wait for it, and what was heard meanwhile."""

    task: asyncio.Task[RunThoughts]
    late: list[tuple[str, _Event]] = field(default_factory=list)


class Recalls(Protocol):
    """Where thoughts are built again from (implemented by `RecalledThoughts`)."""

    async def of(self, run: str) -> RunThoughts:
        """All that is recorded of a run. Raises StoreError."""
        ...


class Thoughts:
    """The thoughts of all runs.

    Args:
        recalls: the record.
        now_ms: Unix milliseconds.

    Attributes:
        tools: all tools behind the gateway, as far as they are known now: another object when
            there are others.
        thinking: the latest runs in which models were called, by agent and mandate.
    """

    def __init__(self, recalls: Recalls, now_ms: Callable[[], int]) -> None:
        self.tools: Callable[[], Sequence[Tool]] = lambda: ()
        self._recalls = recalls
        self._now_ms = now_ms
        self._meant: dict[tuple[str, Tool, tuple[str, ...]], Truth] = {}
        self._meant_among: Sequence[Tool] = ()
        self._meant_chars = 0
        self._kept: OrderedDict[str, RunThoughts] = OrderedDict()
        self._building: dict[str, _Building] = {}
        self._size = 0
        self._used: OrderedDict[str, tuple[str, OpenCall]] = OrderedDict()
        self.thinking: OrderedDict[tuple[str, str], OrderedDict[str, None]] = OrderedDict()

    # --- keeping ---------------------------------------------------------------------------------

    def begin(self, run: str) -> None:
        """A run has begun just now: there is nothing in the record to look for."""
        if run not in self._kept:
            self._keep(run, RunThoughts())

    def of(self, run: str) -> RunThoughts | None:
        """What is known of a run; None if it has to be looked up (`open`).

        Only until the next await: afterwards another object may stand for it.
        """
        found = self._kept.get(run)
        if found is not None:
            self._kept.move_to_end(run)
        return found

    async def open(self, run: str) -> None:
        """Build a run's thoughts again. Never raises: what cannot be read was missed."""
        if run in self._kept:
            return
        building = self._building.get(run)
        if building is None:
            building = _Building(asyncio.ensure_future(self._recalls.of(run)))
            self._building[run] = building
            building.task.add_done_callback(lambda _: self._built(run))
        try:
            await asyncio.shield(building.task)
        except StoreError:
            if run not in self._kept:
                lost = RunThoughts()
                lost.asked.missed()
                self._keep(run, lost)

    def _built(self, run: str) -> None:
        building = self._building.pop(run)
        if building.task.cancelled() or building.task.exception() is not None:
            return
        thoughts = building.task.result()
        for model_call, event in building.late:
            if model_call not in thoughts.heard:
                event(thoughts)
        thoughts.heard = set()
        self._keep(run, thoughts)

    def _keep(self, run: str, thoughts: RunThoughts) -> None:
        old = self._kept.pop(run, None)
        if old is not None:
            self._size -= old.weighed
        self._kept[run] = thoughts
        self._weigh(thoughts)

    def _weigh(self, thoughts: RunThoughts) -> None:
        size = thoughts.size
        if size == thoughts.weighed:
            return
        self._size += size - thoughts.weighed
        thoughts.weighed = size
        while self._size > MAX_BYTES or len(self._kept) > MAX_RUNS:
            _, oldest = self._kept.popitem(last=False)
            self._size -= oldest.weighed

    # --- a model call ----------------------------------------------------------------------------

    def retold(self, run: str, asked: Asked) -> tuple[Retold, ...]:
        """How the results that a model call tells its model stand to what the tools returned.

        Only those that were not told so before. What was told of is not open any more.
        """
        thoughts, dialect = self._kept.get(run), _DIALECTS.get(asked.edge)
        if thoughts is None or dialect is None:
            return ()
        results = read_told(dialect, asked.arguments)
        if not results:
            return ()
        found = thoughts.retellings.told(results, complete=thoughts.asked.complete)
        for each in found:
            thoughts.asked.told(each.tool_call)
        self._weigh(thoughts)
        return found

    def sending(self, context: CallContext) -> None:
        """A call is about to be sent; what a model will ask for is not known yet."""
        thoughts = self._kept.get(context.run)
        if thoughts is None or context.edge not in _DIALECTS:
            return
        thoughts.asked.thinking.add(context.call.id)
        if context.traceparent:
            thoughts.traces[trace_of(context.traceparent)] = None
            while len(thoughts.traces) > MAX_LOOKED_AT:
                thoughts.traces.popitem(last=False)
        name = context.agent, context.chain[-1].name
        latest = self.thinking.get(name)
        if latest is None:
            latest = self.thinking[name] = OrderedDict()
            while len(self.thinking) > MAX_RUNS:
                self.thinking.popitem(last=False)
        self.thinking.move_to_end(name)
        if context.run not in latest:
            latest[context.run] = None
            while len(latest) > MAX_LOOKED_AT:
                latest.popitem(last=False)
        latest.move_to_end(context.run)

    def ended(
        self, context: CallContext, reply: UpstreamReply | None, *, nothing: bool = False
    ) -> None:
        """It is over, and that is durable.

        Args:
            reply: what was heard of its answer; None if that is not known.
            nothing: it was never sent.
        """
        if context.edge not in _DIALECTS:
            return
        now = self._now_ms()
        thoughts = self._kept.get(context.run)
        if thoughts is not None:
            take_down(thoughts, context, reply, now, nothing=nothing)
            self._weigh(thoughts)
        elif context.run in self._building:

            def event(built: RunThoughts) -> None:
                take_down(built, context, reply, now, nothing=nothing)

            self._building[context.run].late.append((context.call.id, event))

    # --- a tool call -----------------------------------------------------------------------------

    def find(self, run: str, call: Call, tool_call: str) -> Found | None:
        """How a tool call of a run stands to what its models asked for; None when no model of it
        was heard."""
        thoughts = self._kept.get(run)
        if thoughts is None or not thoughts.asked.listening:
            return None
        if call.target.kind is not CallKind.TOOL:
            return None
        return thoughts.asked.find(call.arguments, tool_call, self._means(call.target))

    def use(self, run: str, entry: OpenCall, call: str) -> None:
        """The call that was found is being made; `call` is our id of it."""
        thoughts = self._kept.get(run)
        if thoughts is not None:
            thoughts.asked.used(entry)
            self._used[call] = run, entry
            while len(self._used) > MAX_USED:
                self._used.popitem(last=False)

    def unuse(self, call: str) -> None:
        """It was not made after all, or nobody has heard what came of it and it is asked again."""
        run, entry = self._used.pop(call, ("", None))
        thoughts = self._kept.get(run)
        if thoughts is not None and entry is not None:
            thoughts.asked.unused(entry)

    def came(self, run: str, tool_call: str, answer: Answer) -> None:
        """What the agent is told of a tool call; `tool_call` is the model's id of it."""
        thoughts = self._kept.get(run)
        if thoughts is None or not tool_call:
            return
        if isinstance(answer, Answered):
            body = answer.reply.result if answer.reply.result is not None else answer.reply.error
            thoughts.retellings.came(tool_call, answer.call, body=body or b"")
        else:
            thoughts.retellings.came(tool_call, answer.call, text=answer.text)
        self._weigh(thoughts)

    # --- which run -------------------------------------------------------------------------------

    def think(self, caller: Caller) -> bool:
        """Whether models were called by this agent under this mandate."""
        return (caller.agent, caller.mandate) in self.thinking

    def run_of(self, call: Call, asked: Asked, own: str) -> str:
        """The run of the same agent and mandate whose model asked for a call; "" if that is none,
        or not one alone.

        1. By the model's id of the call, if the tool is the one that was asked for.
        2. By what is asked, if it is exactly that and was asked for lately.
        3. By the trace, if a model call was part of it.

        Args:
            own: the run it belongs to by its session, preferred among those that fit.
        """
        caller = asked.caller
        latest = self.thinking.get((caller.agent, caller.mandate))
        if not latest or call.target.kind is not CallKind.TOOL:
            return ""
        runs = {run: kept for run in latest if (kept := self._kept.get(run)) is not None}
        tool_call = asked.hints.tool_call
        named = [run for run in runs if tool_call and self._asked_by_id(run, call, tool_call)]
        if named:
            return _one(named, own)
        digest, _ = digest_of_arguments(call.arguments)
        since = self._now_ms() - JOIN_SECONDS * 1000
        which = self._means(call.target)
        exact = []
        for run, kept in runs.items():
            entry, _ = kept.asked.exact(digest, tool_call, which)
            if entry is not None and entry.at_ms >= since:
                exact.append(run)
        if exact:
            return _one(exact, own)
        trace = trace_of(asked.traceparent)
        return _one([run for run, kept in runs.items() if trace and trace in kept.traces], own)

    def wrote(self, caller: Caller, words: str) -> bool:
        """Whether a model of this agent and mandate may have written `words`: they stand in a call
        that it asked for and that is open, or the other way round. In doubt it has."""
        for run in self.thinking.get((caller.agent, caller.mandate), ()):
            kept = self._kept.get(run)
            if kept is None or not kept.asked.complete or kept.asked.holds(words):
                return True
        return False

    def _asked_by_id(self, run: str, call: Call, tool_call: str) -> bool:
        which = self._means(call.target)
        return any(
            which(entry.name, entry.offered) is not FAILS
            for entry in self._kept[run].asked.by_id(tool_call)
        )

    def _means(self, target: Target) -> Callable[[str, tuple[str, ...]], Truth]:
        tools, tool = self.tools(), (target.upstream, target.name)
        full = len(self._meant) > MAX_MEANT or self._meant_chars > MAX_MEANT_CHARS
        if full or tools is not self._meant_among:
            self._meant.clear()
            self._meant_among, self._meant_chars = tools, 0

        def which(name: str, offered: tuple[str, ...]) -> Truth:
            truth = self._meant.get((name, tool, offered))
            if truth is None:
                truth = self._meant[name, tool, offered] = means(name, tool, offered, tools)
                self._meant_chars += sum(map(len, offered))
            return truth

        return which


def take_down(
    thoughts: RunThoughts,
    context: CallContext,
    reply: UpstreamReply | None,
    now_ms: int,
    *,
    nothing: bool,
) -> None:
    """A model call is over (see `Thoughts.ended`)."""
    thoughts.asked.thinking.discard(context.call.id)
    if not nothing:
        listen(thoughts.asked, context.call.id, context.offered, reply, now_ms)


def listen(
    asked: AskedCalls,
    call: str,
    offered: tuple[str, ...],
    reply: UpstreamReply | None,
    now_ms: int,
) -> None:
    """Take down what a model's answer asks for. `reply` None: nobody knows what it said."""
    said = None if reply is None or not reply.said else read_kept(reply.said)
    if said is None:
        if reply is None or reply.said:
            asked.missed()
        asked.listening = True
        return
    hear(asked, call, offered, said, now_ms)


def hear(asked: AskedCalls, call: str, offered: tuple[str, ...], said: Said, now_ms: int) -> None:
    """As `listen`, of an answer that was read."""
    asked.listening = True
    for each in said.tool_calls:
        asked.heard(call, each.id, each.name, offered, _arguments(each.arguments), now_ms)
    if said.cut or said.finish == "unreadable":
        asked.missed()


def dialect_of(edge: str) -> Dialect | None:
    """The dialect of a model call in which a model says something; None of any other call."""
    return _DIALECTS.get(edge)


def trace_of(traceparent: str) -> str:
    """The trace's id in a `traceparent`; "" for none. W3C Trace Context, section 3.2.2.3."""
    return traceparent[3:35]


def _arguments(text: str) -> JsonObject | None:
    """The arguments a model wrote, under the rules that the agent's are read by; None when they
    are no object in one meaning."""
    if not text.strip():
        return {}
    try:
        value = parse(text.encode(), MAX_VALUES)
    except (TheirError, UnicodeEncodeError, msgspec.MsgspecError):
        return None
    return value if isinstance(value, dict) else None


def _one(runs: list[str], own: str) -> str:
    if own in runs:
        return own
    return runs[0] if len(runs) == 1 else ""
