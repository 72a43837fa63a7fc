"""Which run a model call belongs to, as its agent names its session."""

from __future__ import annotations

from bailiwick.core.canonical import JsonObject
from bailiwick.gateway.gate import Hints
from bailiwick.gateway.llm.visit import Carried
from bailiwick.gateway.mcp.run_keys import named_key, token_key
from bailiwick.ports import Caller
from bailiwick.protocols.llm.agent_ids import session_in_body


def whose(
    caller: Caller, carried: Carried, body: JsonObject, offered: tuple[str, ...]
) -> tuple[str, Hints]:
    """The key of the run, and what else tells of it.

    A session counts as the run's key here if the agent names it with its tool calls alike; what it
    names with model calls only is a hint (`gateway.joining`).

    Args:
        offered: names of the tools offered to the model.
    """
    if carried.session:
        return named_key(caller, carried.session), Hints(offered=offered)
    session = carried.session_alone or session_in_body(body)
    return token_key(caller), Hints(session=session, offered=offered)
