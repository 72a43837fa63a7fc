"""Which run a call belongs to, where an agent thinks and acts through the gateway.

A session that an agent names with its model calls and its tool calls alike is one run, and so are a
run's token and `Bailiwick-Run`; that is decided before this. What is left:

1. Where it matters what a run has read, nothing else may decide. A call that lands in another run
   than the one that read a page would come as if nothing had been read: so whoever names no
   session on both sides has one run for each token.
2. Elsewhere a run is for people to look at, and its tool calls are put where they were asked for:
   by the model's id of the call, by what exactly is asked, or by the trace (`Thoughts.run_of`). A
   session that has been joined to a run once stays there with all that cannot be told.

INVARIANT: a call only ever joins a run of the same agent under the same mandate, one whose words it
does not contradict, and none that a person began: that takes the run's token, or its name.
"""

from __future__ import annotations

from collections import OrderedDict

import msgspec

from bailiwick.core.call import Call, CallKind
from bailiwick.gateway.gate import Asked
from bailiwick.gateway.memories import Plan
from bailiwick.gateway.run_facts import PERSON, RunFacts, objection
from bailiwick.gateway.runs import SESSION_KEY, Runs
from bailiwick.gateway.thoughts import Thoughts

MAX_JOINED = 10_000

_MCP_SESSION = "session:"


class Joining:
    """Finds the run of a call by what is thought and done."""

    def __init__(self, runs: Runs, thoughts: Thoughts) -> None:
        self._runs = runs
        self._thoughts = thoughts
        self._joined: OrderedDict[tuple[str, str, str], str] = OrderedDict()

    def keyed(self, asked: Asked, plan: Plan) -> Asked:
        """The same, with the key of the run that it is in by its session."""
        if plan.matters:  # 1
            if plan.thinks and asked.run_key.startswith(_MCP_SESSION):
                return msgspec.structs.replace(asked, run_key=f"token:{asked.caller.token}")
            return asked
        session = asked.hints.session
        if session and not asked.run_key.startswith(SESSION_KEY):
            key = f"{SESSION_KEY}{session}@{asked.caller.token}"
            return msgspec.structs.replace(asked, run_key=key)
        return asked

    def run(self, call: Call, asked: Asked, plan: Plan) -> RunFacts | None:
        """The run that a call joins; None when it is in that of its session."""
        caller = asked.caller
        if call.target.kind is CallKind.MODEL or not self._thoughts.think(caller):
            return None
        if caller.run or asked.said.joins or asked.run_key.startswith(SESSION_KEY):
            return None
        if plan.matters:
            return None
        session = caller.agent, caller.mandate, asked.run_key
        own = self._runs.known(asked)
        run = self._thoughts.run_of(call, asked, "" if own is None else own.run)
        told = self._runs.facts(run or self._joined.get(session, ""))
        if told is None or (told.agent, told.mandate) != (caller.agent, caller.mandate):
            return None
        if told.started_by == PERSON or (not told.ended and objection(told, asked) is not None):
            return None
        if told.ended and not run and not asked.run_key.startswith(_MCP_SESSION):
            # What a token was used for last is over; other uses of it are not.
            return None
        self._joined[session] = told.run
        self._joined.move_to_end(session)
        while len(self._joined) > MAX_JOINED:
            self._joined.popitem(last=False)
        return told
