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
        outside: first labels of the hosts it asks for that are not this machine, all settings
            against that given.
    """

    revision: str
    spelled: str
    run_key: str
    always: Set[str]
    sometimes: Set[str]
    outside: Set[str]


KNOWN: Mapping[str, Known] = {
    "goose": Known(
        revision="2026-07-28",
        spelled="bailiwick__bank__transfer",
        run_key="agent-session-id:",
        always={"server/discover", "tools/list", "tools/call"},
        sometimes=set(),
        outside=set(),
    ),
    "codex": Known(
        revision="2025-06-18",
        spelled="mcp__bailiwick.bank__transfer",
        run_key="session:",
        always={"initialize", "notifications/initialized", "tools/list", "tools/call"},
        sometimes={"GET", "DELETE"},
        outside=set(),
    ),
    "opencode": Known(
        revision="2025-11-25",
        spelled="bailiwick_bank__transfer",
        run_key="session:",
        always={"initialize", "notifications/initialized", "tools/list", "tools/call"},
        # It cancels each call that has just been answered.
        sometimes={"GET", "notifications/cancelled"},
        # A package for plugins; it goes on without.
        outside={"registry"},
    ),
}
