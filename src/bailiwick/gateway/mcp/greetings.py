"""What the gateway says of itself: `initialize` and `server/discover`.

Capabilities are the union of what the servers of the endpoint declare, without what the gateway
does not carry across the client's era, and without kinds of which this caller may see nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from bailiwick.core.call import Target
from bailiwick.core.canonical import Json, JsonObject, digest_of
from bailiwick.core.errors import OurError, UpstreamBroken, UpstreamDown
from bailiwick.gateway.mcp.catalog import PROMPTS, RESOURCES, TEMPLATES, TOOLS, Listing, Shelf
from bailiwick.gateway.mcp.exchange import Exchange, is_modern_server
from bailiwick.gateway.mcp.pins import Sighting
from bailiwick.gateway.mcp.wire import Outcome
from bailiwick.ports import ServerFacts
from bailiwick.protocols.mcp.revisions import LEGACY, META_SERVER_INFO, MODERN, TASKS_EXTENSION
from bailiwick.protocols.strict_json import encode

DISCOVER_TTL_MS = 60_000

_CARRIED = ("tools", "resources", "prompts", "completions", "logging")
_BY_CAPABILITY: dict[str, tuple[Listing, ...]] = {
    "tools": (TOOLS,),
    "resources": (RESOURCES, TEMPLATES),
    "prompts": (PROMPTS,),
}


async def discover(exchange: Exchange) -> Outcome:
    """`server/discover`."""
    capabilities, instructions = await _describe(exchange)
    result: dict[str, Json] = {
        "supportedVersions": [MODERN, *LEGACY],
        "capabilities": capabilities,
        "ttlMs": DISCOVER_TTL_MS,
        "cacheScope": "private",
        "_meta": {META_SERVER_INFO: _info(exchange)},
    }
    if instructions:
        result["instructions"] = instructions
    return exchange.ok_value(result)


async def greeting(exchange: Exchange, version: str) -> Outcome:
    """The result of `initialize`."""
    capabilities, instructions = await _describe(exchange)
    result: dict[str, Json] = {
        "protocolVersion": version,
        "capabilities": capabilities,
        "serverInfo": _info(exchange),
    }
    if instructions:
        result["instructions"] = instructions
    return exchange.ok_value(result)


def _info(exchange: Exchange) -> dict[str, Json]:
    server = exchange.where.server
    title = f"Bailiwick: {server}" if server else "Bailiwick"
    return {"name": "bailiwick", "title": title, "version": exchange.core.version}


async def _describe(exchange: Exchange) -> tuple[dict[str, Json], str]:
    catalog = exchange.core.catalog
    names = [exchange.where.server] if exchange.where.server else list(catalog.names())
    shelves = [shelf for name in names if (shelf := catalog.shelf(name)) is not None]
    facts = await asyncio.gather(*(_facts(exchange, shelf) for shelf in shelves))
    merged: dict[str, Json] = {}
    texts: list[str] = []
    missing: list[str] = []
    seen = await asyncio.gather(
        *(_visible(exchange, shelf, server) for shelf, server in zip(shelves, facts, strict=True))
    )
    for shelf, server, capabilities in zip(shelves, facts, seen, strict=True):
        if server is None:
            missing.append(shelf.name)
            continue
        for name, value in capabilities.items():
            merged[name] = _union(merged.get(name), value)
        text = await _instructions(exchange, shelf, server)
        if text:
            texts.append(text if exchange.where.server else f"{shelf.name}: {text}")
    if missing:
        texts.append(f"Not reachable now: {', '.join(missing)}.")
    return merged, "\n\n".join(texts)


async def _facts(exchange: Exchange, shelf: Shelf) -> ServerFacts | None:
    try:
        return await exchange.core.catalog.facts(shelf, exchange.facts.version)
    except (UpstreamDown, UpstreamBroken):
        return None


async def _visible(exchange: Exchange, shelf: Shelf, server: ServerFacts | None) -> dict[str, Json]:
    if server is None:
        return {}
    same_era = is_modern_server(server.version) == exchange.modern
    kept: dict[str, Json] = {}
    for name, value in server.capabilities.items():
        if name in _BY_CAPABILITY:
            if await _shows_any(exchange, shelf, _BY_CAPABILITY[name]):
                kept[name] = value
        elif name in _CARRIED or (same_era and name != "extensions"):
            kept[name] = value
        elif name == "extensions" and isinstance(value, Mapping):
            # The tasks of one era are not those of the other; they are not translated.
            extensions: dict[str, Json] = {
                key: item for key, item in value.items() if same_era or key != TASKS_EXTENSION
            }
            kept[name] = extensions
    return kept


async def _shows_any(exchange: Exchange, shelf: Shelf, listings: tuple[Listing, ...]) -> bool:
    """False only when the server has some of this kind and the caller may see none of them."""
    catalog = exchange.core.catalog
    client = exchange.core.narrowed(exchange.caller, shelf.name, exchange.facts)
    any_at_all = False
    for listing in listings:
        if not catalog.is_fresh(shelf, listing):
            try:
                await catalog.load(shelf, listing, client)
            except OurError:
                return True
        for name in catalog.names_of(shelf, listing):
            any_at_all = True
            if exchange.core.gate.visible(exchange.caller, Target(listing.kind, shelf.name, name)):
                return True
    return not any_at_all


async def _instructions(exchange: Exchange, shelf: Shelf, server: ServerFacts) -> str:
    """The server's instructions, while they are the accepted ones: a model reads them."""
    if not server.instructions:
        return ""
    value: JsonObject = {"instructions": server.instructions}
    digest = digest_of(value)
    seen = Sighting(shelf.name, "instructions", "", digest, encode(value).decode())
    return server.instructions if await exchange.core.catalog.accepts(seen) else ""


def _union(left: Json, right: Json) -> Json:
    """Capabilities of two servers: what either has."""
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        names = {**left, **right}
        return {name: _union(left.get(name), right.get(name)) for name in names}
    if isinstance(left, bool) and isinstance(right, bool):
        return left or right
    return left if right is None else right
