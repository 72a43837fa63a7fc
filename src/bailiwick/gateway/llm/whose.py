"""Which run a model call belongs to, as its agent names its session."""

from __future__ import annotations

from collections.abc import Sequence

from bailiwick.core.call import NOTHING
from bailiwick.core.canonical import JsonObject
from bailiwick.gateway.gate import Hints
from bailiwick.gateway.llm.visit import Visit
from bailiwick.gateway.mcp.run_keys import named_key, run_key
from bailiwick.protocols.llm.agent_ids import session_of_both, session_of_model_call


def whose(visit: Visit, body: JsonObject, offered: Sequence[str]) -> tuple[str, Hints]:
    """The key of the run, and what else tells of it.

    A session counts as the run's key here if the agent names it with its tool calls alike; what it
    names with model calls only is a hint (`gateway.joining`).

    Args:
        offered: names of the tools offered to the model.
    """
    raw = visit.scope["headers"]
    named = session_of_both(raw)
    if named:
        return named_key(visit.caller, named), Hints(offered=tuple(offered))
    key = run_key(visit.caller, visit.headers, NOTHING)
    return key, Hints(session=session_of_model_call(raw, body), offered=tuple(offered))
