"""The gate: the one path every call takes, from judge to recorded outcome.

Edges (MCP, later model and sandbox) translate their wire format to `Asked` and an `Answer` back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import msgspec

from bailiwick.core.call import NOTHING, ModelUse, Target
from bailiwick.core.canonical import JsonObject
from bailiwick.core.thinking.offering import Offering
from bailiwick.core.verdict import Deny
from bailiwick.ports import Caller, UpstreamReply

NOT_RECORDED = "it could not be recorded, so it was not done; try again later"

Dispatch = Callable[[], Awaitable[UpstreamReply]]
"""Sends exactly the judged call. Awaited at most once, after its intent is durable."""


class Said(msgspec.Struct, frozen=True):
    """What the agent's side says of its run, and for whom it acts. Never taken for a person's word.

    Attributes:
        instruction, purpose, labels: of the run; they count when its first call opens it.
        end_user: for whom it acts.
        joins: id of a run that was started for this agent and mandate.
    """

    instruction: str = ""
    purpose: str = ""
    labels: tuple[str, ...] = ()
    end_user: str = ""
    joins: str = ""


NOTHING_SAID = Said()


class Hints(msgspec.Struct, frozen=True):
    """What tells which model thought of a call. An agent's word: it opens and excuses nothing.

    Attributes:
        session: the agent's own name of its session, of an agent that says it with its model
            calls only.
        tool_call: of a tool call, the model's id of it.
        offered: of a model call, the names of the tools that are offered to the model.
    """

    session: str = ""
    tool_call: str = ""
    offered: tuple[str, ...] = ()


NO_HINTS = Hints()


class Asked(msgspec.Struct, frozen=True):
    """One thing an agent asks for, as an edge hands it in.

    Attributes:
        caller: who, authenticated.
        target, arguments: what. `arguments` is the strict parse that dispatch will encode.
        run_key: what tells runs apart for this caller, such as `session:…`, `agent-session-id:…`
            or `token:JTI`; the gate maps it to a Run.
        traceparent: W3C trace context as received, or "".
        blocked: a refusal the edge already knows of (a changed definition, a missing server):
            recorded and answered like any other denial, and nothing is dispatched.
        edge: which door: `mcp/2026-07-28`, `mcp/2025-06-18`, …
        beside: what else goes to the server with it (see `Call.beside`).
        said: what the agent's side says of its run.
        address: the caller's network address in its one spelling, "" if it is not known.
        use: of a model call what it may take (see `Call.use`).
        hints: what tells which model thought of it.
    """

    caller: Caller
    target: Target
    arguments: JsonObject
    run_key: str
    edge: str
    traceparent: str = ""
    blocked: Deny | None = None
    beside: JsonObject = NOTHING
    said: Said = NOTHING_SAID
    address: str = ""
    use: ModelUse | None = None
    hints: Hints = NO_HINTS


class Answered(msgspec.Struct, frozen=True):
    """It ran. The reply is the upstream's own, result or error, byte for byte.

    `stamped`: it was held, and ran under a person's stamp.
    """

    call: str
    reply: UpstreamReply
    stamped: bool = False


class Refused(msgspec.Struct, frozen=True):
    """It did not run and will not: denied, refused by a person, expired, or nothing is known.

    Attributes:
        code: stable reason: those of `Deny.code`, `stamp_refused`, `hold_expired`,
            `upstream_down`, `outcome_unknown`, `cancelled`.
        text: what was refused, why, and what would be allowed; safe for the agent.
    """

    call: str
    code: str
    text: str


class StillWaiting(msgspec.Struct, frozen=True):
    """The hold window ended before a person decided. The same call again picks the hold up."""

    call: str
    hold: str
    text: str


Answer = Answered | Refused | StillWaiting


class GoneMidway(asyncio.CancelledError):
    """The client went away when part of the answer had been passed on to it.

    Attributes:
        reply: that part, for the record.
    """

    def __init__(self, reply: UpstreamReply) -> None:
        super().__init__()
        self.reply = reply


class Tick(msgspec.Struct, frozen=True):
    """The call is held; sent when the hold opens and then at most 15 s apart."""

    hold: str
    elapsed_seconds: float
    text: str


OnTick = Callable[[Tick], Awaitable[None]]


class Gate(Protocol):
    """What an edge needs of the gate (implemented in `gateway/pipeline.py`)."""

    async def govern(self, asked: Asked, dispatch: Dispatch, on_tick: OnTick) -> Answer:
        """Judge, record, hold if need be, dispatch, record the outcome.

        Never raises for anything that is about this call. Cancelling the waiter cancels the call:
        a waiting hold is withdrawn, a running dispatch is cancelled and recorded as `cancelled`.
        An edge whose clients may come back (the stateful era) shields it instead.
        """
        ...

    def visible(self, caller: Caller, target: Target) -> bool:
        """Whether some rule could let this target through, now, for some arguments."""
        ...

    def stopped(self, caller: Caller) -> Deny | None:
        """Why nothing this caller asks for passes now: its mandate, or one above, is not in force.

        For what is not `visible` then, and is there all the same.
        """
        ...

    def tells_runs_apart(self, caller: Caller) -> bool:
        """Whether what one run of this caller has read makes a difference to its calls.

        If so, an edge lets nothing pass between a run and a server but through `govern`, and
        nothing of one run reach another.
        """
        ...

    def offerings(self, caller: Caller) -> Sequence[Offering]:
        """What the mandates of this caller say of the tools that models are offered."""
        ...

    def counts_tokens(self, caller: Caller) -> bool:
        """Whether some limit counts what this caller's model calls take."""
        ...

    def keep_answer(self, asked: Asked, answer: Answer) -> None:
        """Keep the answer to a held call whose client went away, for when it asks again.

        An edge whose clients may come back calls this when it could not deliver. Only the
        `stamped` ones are kept, for a while: repeating them would ask for a second stamp for what
        has already been done.
        """
        ...
