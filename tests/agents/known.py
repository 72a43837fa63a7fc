"""What is known of each agent's ways on the wire. docs/agents.md tells it; both are tested."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Known:
    """One agent's ways.

    Attributes:
        revision: the MCP revision it speaks with the gateway.
        spelled: how its model sees `bank/transfer`; `NAMESPACE.NAME` where there are namespaces.
        run_key: what the gateway tells its runs apart by.
        always, sometimes: JSON-RPC methods, and HTTP methods of requests without a body.
        session_header: where it names its session to its model; "" where it does not.
        session_meta: where it names the same session in `_meta` of a tool call; "" where it
            does not.
        call_meta: where it names the model's own id of the call there; "" where it does not.
        tries: most requests for one model call that is refused.
        outside: first labels of the hosts it asks for that are not this machine, all settings
            against that given.
    """

    revision: str
    spelled: str
    run_key: str
    always: Set[str]
    sometimes: Set[str]
    outside: Set[str]
    session_header: str
    session_meta: str
    call_meta: str
    tries: int


KNOWN: Mapping[str, Known] = {
    "goose": Known(
        revision="2026-07-28",
        spelled="bailiwick__bank__transfer",
        run_key="agent-session-id:",
        always={"server/discover", "tools/list", "tools/call"},
        sometimes=set(),
        outside=set(),
        session_header="agent-session-id",
        session_meta="agent-session-id",
        call_meta="agent-tool-call-request-id",
        # One more for the title.
        tries=2,
    ),
    "codex": Known(
        revision="2025-06-18",
        spelled="mcp__bailiwick.bank__transfer",
        run_key="agent-session-id:",
        always={"initialize", "notifications/initialized", "tools/list", "tools/call"},
        sometimes={"GET", "DELETE"},
        outside=set(),
        session_header="session-id",
        session_meta="sessionId",
        call_meta="callId",
        tries=6,
    ),
    "opencode": Known(
        revision="2025-11-25",
        spelled="bailiwick_bank__transfer",
        run_key="agent-session-id:",
        always={"initialize", "notifications/initialized", "tools/list", "tools/call"},
        # It cancels each call that has just been answered.
        sometimes={"GET", "notifications/cancelled"},
        # A package for plugins; it goes on without.
        outside={"registry"},
        session_header="x-session-id",
        session_meta="",
        call_meta="",
        tries=2,
    ),
    "claude": Known(
        revision="2026-07-28",
        spelled="mcp__bailiwick__bank__transfer",
        run_key="agent-session-id:",
        always={"server/discover", "tools/list", "tools/call"},
        sometimes={"prompts/list", "resources/list"},
        outside=set(),
        session_header="x-claude-code-session-id",
        session_meta="",
        call_meta="claudecode/toolUseId",
        tries=1,
    ),
}
