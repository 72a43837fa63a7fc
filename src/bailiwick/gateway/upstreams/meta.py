"""The `_meta` of a request as it goes upstream: what belongs to this hop is put anew.

Progress tokens must be unique among all requests the gateway has in flight with a server, and two
clients may choose the same one, so ours goes out and the client's own comes back. Everything else
in `_meta` (trace context, vendor keys) passes unchanged.
"""

from __future__ import annotations

from collections.abc import Mapping

from bailiwick.core.canonical import Json, JsonObject
from bailiwick.ports import ClientFacts

_PREFIX = "io.modelcontextprotocol/"
VERSION_KEY = _PREFIX + "protocolVersion"
INFO_KEY = _PREFIX + "clientInfo"
CAPABILITIES_KEY = _PREFIX + "clientCapabilities"
LOG_LEVEL_KEY = _PREFIX + "logLevel"
SUBSCRIPTION_KEY = _PREFIX + "subscriptionId"
SERVER_INFO_KEY = _PREFIX + "serverInfo"

_NOTHING: JsonObject = {}
_HOP_KEYS = frozenset({VERSION_KEY, INFO_KEY, CAPABILITIES_KEY, LOG_LEVEL_KEY})


def progress_token(params: JsonObject) -> Json:
    """The client's progress token, or None."""
    meta = params.get("_meta")
    return meta.get("progressToken") if isinstance(meta, Mapping) else None


def for_modern(
    params: JsonObject, client: ClientFacts, version: str, token: int, log_level: str = ""
) -> dict[str, Json]:
    """`params` with the per-request fields of 2026-07-28 (basic/index, `_meta`).

    INVARIANT: the capabilities are those of `client`, which policy has narrowed, whatever the
    client itself wrote there.
    """
    held = params.get("_meta")
    # Nearly always a dict, of which that is asked first: a Mapping is known by a search.
    if type(held) is not dict and not isinstance(held, Mapping):
        held = _NOTHING
    meta: dict[str, Json] = {**held, VERSION_KEY: version, CAPABILITIES_KEY: client.capabilities}
    if client.info:
        meta[INFO_KEY] = client.info
    if log_level:
        meta.setdefault(LOG_LEVEL_KEY, log_level)
    if "progressToken" in meta:
        meta["progressToken"] = token
    return {**params, "_meta": meta}


def for_legacy(params: JsonObject, token: int) -> JsonObject:
    """`params` without the per-request fields, which the session's handshake has settled."""
    held = params.get("_meta")
    if not isinstance(held, Mapping):
        return params
    meta = {key: value for key, value in held.items() if key not in _HOP_KEYS}
    if "progressToken" in meta:
        meta["progressToken"] = token
    if meta:
        return {**params, "_meta": meta}
    return {key: value for key, value in params.items() if key != "_meta"}


def with_own_token(params: JsonObject, token: Json) -> JsonObject:
    """A progress notification's params with the client's own token put back."""
    return {**params, "progressToken": token}


def without_subscription(params: JsonObject) -> JsonObject:
    """A notification's params without our subscription's id, which means nothing further on."""
    held = params.get("_meta")
    if not isinstance(held, Mapping) or SUBSCRIPTION_KEY not in held:
        return params
    meta = {key: value for key, value in held.items() if key != SUBSCRIPTION_KEY}
    rest = {key: value for key, value in params.items() if key != "_meta"}
    return {**rest, "_meta": meta} if meta else rest
