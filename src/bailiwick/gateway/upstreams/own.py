"""Requests the gateway makes in its own name: who it says it is, and what it learns."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version

import msgspec

from bailiwick.core.canonical import Json, JsonObject
from bailiwick.core.errors import UpstreamBroken
from bailiwick.gateway.upstreams import meta
from bailiwick.gateway.upstreams.spec import MODERN_VERSION
from bailiwick.ports import ClientFacts, ServerFacts, UpstreamReply

INFO: JsonObject = {"name": "bailiwick", "version": version("bailiwick")}

GATEWAY = ClientFacts(session="gateway", version=MODERN_VERSION, info=INFO)
"""No client session has this key: those hold an identity."""

NOT_HERE = b'{"code":-32601,"message":"no client takes requests here"}'


class Nobody:
    """The peer of requests that no client has made."""

    async def notify(self, method: str, params: JsonObject) -> None:
        """Nobody listens."""

    async def ask(self, method: str, params: JsonObject) -> UpstreamReply:
        """Nobody answers."""
        return UpstreamReply(error=NOT_HERE)


def facts_of(name: str, reply: UpstreamReply) -> ServerFacts:
    """Read the result of `server/discover`.

    Raises:
        UpstreamBroken: `upstream_garbage` when it is an error or lacks what it must have.
    """
    result = _result_of(name, "server/discover", reply)
    described = result.get("_meta")
    info = described.get(meta.SERVER_INFO_KEY) if isinstance(described, Mapping) else None
    return ServerFacts(
        version=MODERN_VERSION,
        capabilities=_object(result.get("capabilities")),
        info=_object(info if info is not None else result.get("serverInfo")),
        instructions=_text(result.get("instructions")),
    )


def facts_of_initialize(name: str, reply: UpstreamReply) -> ServerFacts:
    """Read the result of `initialize`.

    Raises:
        UpstreamBroken: as `facts_of`.
    """
    result = _result_of(name, "initialize", reply)
    return ServerFacts(
        version=_text(result.get("protocolVersion")),
        capabilities=_object(result.get("capabilities")),
        info=_object(result.get("serverInfo")),
        instructions=_text(result.get("instructions")),
    )


def supported_versions(reply: UpstreamReply) -> tuple[str, ...]:
    """The versions a discover result or an unsupported-version error lists."""
    if reply.result is not None:
        listed = msgspec.json.decode(reply.result).get("supportedVersions")
    else:
        data = msgspec.json.decode(reply.error or b"{}").get("data")
        listed = data.get("supported") if isinstance(data, dict) else None
    return tuple(v for v in listed if isinstance(v, str)) if isinstance(listed, list) else ()


def _result_of(name: str, method: str, reply: UpstreamReply) -> JsonObject:
    if reply.result is None:
        raise UpstreamBroken(
            "upstream_garbage", f"server `{name}` answered `{method}` with an error"
        )
    result: JsonObject = msgspec.json.decode(reply.result)
    return result


def _object(value: Json) -> JsonObject:
    return value if isinstance(value, Mapping) else {}


def _text(value: Json) -> str:
    return value if isinstance(value, str) else ""
