"""The revisions served, which era each belongs to, and how a request says which it speaks.

Source: 2026-07-28 `basic/versioning` "Backward Compatibility": a request that carries modern
`_meta` is served statelessly; `initialize` and what follows in its session is legacy.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

from bailiwick.protocols.mcp.jsonrpc import Message, Response

MODERN = "2026-07-28"
LEGACY = ("2025-11-25", "2025-06-18", "2025-03-26")
"""Newest first."""

LEGACY_BYTES = frozenset(version.encode() for version in LEGACY)

META_VERSION = "io.modelcontextprotocol/protocolVersion"
META_CLIENT_INFO = "io.modelcontextprotocol/clientInfo"
META_CLIENT_CAPABILITIES = "io.modelcontextprotocol/clientCapabilities"
META_LOG_LEVEL = "io.modelcontextprotocol/logLevel"
META_SUBSCRIPTION = "io.modelcontextprotocol/subscriptionId"
META_SERVER_INFO = "io.modelcontextprotocol/serverInfo"
TASKS_EXTENSION = "io.modelcontextprotocol/tasks"

LOG_LEVELS = (
    "debug",
    "info",
    "notice",
    "warning",
    "error",
    "critical",
    "alert",
    "emergency",
)
"""Least to most severe (RFC 5424 section 6.2.1)."""


class Era(Enum):
    """Stateful with a handshake, or stateless with everything in each request."""

    LEGACY = "legacy"
    MODERN = "modern"


def era_of(version_header: bytes | None, message: Message) -> Era:
    """Which era a POSTed message belongs to.

    A version header decides, where there is one: any version that is not a known legacy one goes
    to the modern ladder, which names what is supported. Without it (older and careless clients)
    a message that carries a modern version in `_meta` is modern, so that it is told about its
    missing header.
    """
    if version_header is not None:
        return Era.LEGACY if version_header in LEGACY_BYTES else Era.MODERN
    if not isinstance(message, Response):
        meta = message.params.get("_meta")
        if isinstance(meta, Mapping) and META_VERSION in meta:
            return Era.MODERN
    return Era.LEGACY


def at_least(level: str, threshold: str) -> bool:
    """Whether a log message of `level` is to be sent when `threshold` was asked for."""
    if level not in LOG_LEVELS or threshold not in LOG_LEVELS:
        return True
    return LOG_LEVELS.index(level) >= LOG_LEVELS.index(threshold)
