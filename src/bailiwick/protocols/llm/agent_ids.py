"""The names that agents give to a session, and to a tool call. Pure.

| agent | with model calls | with tool calls |
|---|---|---|
| goose | header `agent-session-id` | `_meta` `agent-session-id`, `agent-tool-call-request-id` |
| Codex | `session_id` in the header `x-codex-turn-metadata` | the same in `_meta`, `callId` |
| Claude Code | header `x-claude-code-session-id`; in `user_id` | `_meta` `claudecode/toolUseId` |
| opencode | header `x-session-id` | |
| others | headers `x-session-id`, `conversation-id`; `metadata.session_id`, `prompt_cache_key` | |

Seen with goose 1.52, Codex 0.169, Claude Code 2.1 and opencode 1.18. An agent says of itself what
it likes: such a name sorts what one agent does under one mandate, and opens nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import msgspec

from bailiwick.core.canonical import Json, JsonObject

MAX_ID_CHARS = 128

_CODEX = "x-codex-turn-metadata"
_BOTH = (b"agent-session-id", _CODEX.encode())
_ALONE = (b"x-claude-code-session-id", b"x-session-id", b"conversation-id", b"conversation_id")
_TOOL_CALLS = ("claudecode/toolUseId", "callId", "agent-tool-call-request-id")
_OLD_CLAUDE = "_session_"
_PLAIN = re.compile(rf"[!-~]{{1,{MAX_ID_CHARS}}}").fullmatch


def session_of_both(raw: Iterable[tuple[bytes, bytes]]) -> str:
    """The session that a model call names as its agent's tool calls do; "" for none."""
    found = {name: value for name, value in raw if name in _BOTH}
    if not found:
        return ""
    named = found.get(_BOTH[0], b"").decode("latin-1").strip(" \t")
    return agent_id(named) or agent_id(_json(found.get(_BOTH[1], b"")).get("session_id"))


def session_in_headers(raw: Iterable[tuple[bytes, bytes]]) -> str:
    """The session that the headers of a model call name, though the agent's tool calls do not; ""
    for none. It goes before the one in the body."""
    found = {name: value for name, value in raw if name in _ALONE}
    for name in _ALONE if found else ():
        named = agent_id(found.get(name, b"").decode("latin-1").strip(" \t"))
        if named:
            return named
    return ""


def session_in_body(body: JsonObject) -> str:
    """The same of the body of a model call."""
    metadata = body.get("metadata")
    if isinstance(metadata, Mapping):
        user = metadata.get("user_id")
        named = agent_id(metadata.get("session_id")) or (
            _of_user(user) if isinstance(user, str) else ""
        )
        if named:
            return named
    return agent_id(body.get("prompt_cache_key"))


def session_in_meta(meta: Json) -> str:
    """The session that a tool call names in `_meta`; "" for none."""
    if not isinstance(meta, Mapping):
        return ""
    codex = meta.get(_CODEX)
    named = codex.get("session_id") if isinstance(codex, Mapping) else None
    return agent_id(meta.get("agent-session-id")) or agent_id(named)


def tool_call_in_meta(meta: Json) -> str:
    """The model's id of a tool call, as the agent says it in `_meta`; "" for none."""
    if not isinstance(meta, Mapping):
        return ""
    for name in _TOOL_CALLS:
        named = agent_id(meta.get(name))
        if named:
            return named
    return ""


def _of_user(user: str) -> str:
    """Claude Code's `user_id`: JSON with a `session_id`, or of old `user_…_session_ID`."""
    if user.startswith("{"):
        return agent_id(_json(user.encode(errors="replace")).get("session_id"))
    _, sign, named = user.rpartition(_OLD_CLAUDE)
    return agent_id(named) if sign else ""


def _json(text: bytes) -> Mapping[str, Json]:
    try:
        value: Json = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return value if isinstance(value, Mapping) else {}


def agent_id(value: Json) -> str:
    """Plain text of a bounded length, or ""."""
    return value if isinstance(value, str) and _PLAIN(value) else ""
