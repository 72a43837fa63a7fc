"""The `initialize` handshake of the stateful revisions, without its transport.

Source: MCP 2025-11-25, basic/lifecycle.
"""

from __future__ import annotations

from bailiwick.core.canonical import Json, JsonObject
from bailiwick.core.errors import UpstreamDown
from bailiwick.gateway.upstreams.envelope import error_of
from bailiwick.gateway.upstreams.own import INFO, facts_of_initialize
from bailiwick.gateway.upstreams.spec import LEGACY_VERSIONS
from bailiwick.ports import ClientFacts, ServerFacts, UpstreamReply

INITIALIZED = "notifications/initialized"

_ACCEPTED = (*LEGACY_VERSIONS, "2024-11-05")
"""The oldest one is never offered; servers that still answer with it speak the same messages."""


def offered_version(protocol: str, client: ClientFacts) -> str:
    """The revision to offer: the declared one, else the client's own, else the newest."""
    if protocol in LEGACY_VERSIONS:
        return protocol
    return client.version if client.version in LEGACY_VERSIONS else LEGACY_VERSIONS[0]


def initialize_params(version: str, client: ClientFacts, capabilities: JsonObject) -> JsonObject:
    """The params of `initialize`."""
    info: Json = client.info if client.info.get("name") else INFO
    return {"protocolVersion": version, "capabilities": capabilities, "clientInfo": info}


def read_initialize(server: str, reply: UpstreamReply) -> ServerFacts:
    """Take the server's side of the handshake.

    Raises:
        UpstreamDown: `upstream_version`: it refused, or speaks no revision that we do.
        UpstreamBroken: `upstream_garbage`.
    """
    if reply.error is not None:
        code, message = error_of(reply.error)
        raise UpstreamDown(
            "upstream_version",
            f"server `{server}` refused to start a session: {message[:200]!a} ({code})",
        )
    facts = facts_of_initialize(server, reply)
    if facts.version not in _ACCEPTED:
        raise UpstreamDown(
            "upstream_version",
            f"server `{server}` speaks revision `{facts.version[:20]!a}`, which we do not",
        )
    return facts
