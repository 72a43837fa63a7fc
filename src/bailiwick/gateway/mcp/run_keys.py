"""What tells the runs of one agent apart: the session that it names itself, else its token.

A session is named in the header `agent-session-id` or, as goose and Codex do, in `_meta` of a
request. Such a name is unique to one person's agent at best (goose's is the date and a count), so
the token stands beside it.
"""

from __future__ import annotations

from bailiwick.core.canonical import JsonObject
from bailiwick.gateway.runs import SESSION_KEY
from bailiwick.ports import Caller
from bailiwick.protocols.llm.agent_ids import agent_id, session_in_meta
from bailiwick.protocols.mcp.headers import Headers


def run_key(caller: Caller, headers: Headers, params: JsonObject) -> str:
    """The key of the run of a client without sessions."""
    return session_key(caller, headers, params) or token_key(caller)


def token_key(caller: Caller) -> str:
    """The key of all calls with one token that name no session."""
    return f"token:{caller.token}"


def session_key(caller: Caller, headers: Headers, params: JsonObject) -> str:
    """The key of the run that is the agent's own session; "" where it names none."""
    named, meta = "", params.get("_meta")
    if headers.agent_session is not None:
        named = agent_id(headers.agent_session.decode("latin-1"))
    if not named and meta is not None:
        named = session_in_meta(meta)
    return named_key(caller, named) if named else ""


def named_key(caller: Caller, session: str) -> str:
    """The key of a session that is named so."""
    return f"{SESSION_KEY}{session}@{caller.token}"
