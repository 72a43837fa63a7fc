"""Hearing of changes: listening at servers for one client, and `subscriptions/listen`.

Changes only say that something changed, so what waits for a slow reader is a set: one entry per
kind of list and per resource, never a queue that grows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from bailiwick.core.call import Target
from bailiwick.core.canonical import Json, JsonObject
from bailiwick.core.errors import TheirError, UpstreamBroken, UpstreamDown
from bailiwick.gateway.mcp.calls import locate
from bailiwick.gateway.mcp.catalog import LISTINGS, RESOURCES, Catalog, Shelf
from bailiwick.gateway.mcp.core import Core
from bailiwick.gateway.mcp.exchange import Exchange
from bailiwick.gateway.mcp.follow_ups import facts_or_none
from bailiwick.gateway.mcp.wire import Outcome
from bailiwick.ports import ClientFacts, ServerFacts, Wants
from bailiwick.protocols.mcp.jsonrpc import Code, notification_message
from bailiwick.protocols.mcp.names import is_ambiguous, joined_uri
from bailiwick.protocols.mcp.revisions import META_SUBSCRIPTION

MAX_URIS = 256
MAX_LISTENS_PER_CALLER = 64
_RETRY_SECONDS = 1.0
_MAX_RETRY_SECONDS = 60.0

Deliver = Callable[[str, str, JsonObject], Awaitable[None]]
"""Takes server, method and params of one notification."""

LIST_CHANGED = {
    "tools": "notifications/tools/list_changed",
    "prompts": "notifications/prompts/list_changed",
    "resources": "notifications/resources/list_changed",
}


class Ears:
    """Listens at servers on behalf of one client until closed."""

    def __init__(self, deliver: Deliver) -> None:
        self._deliver = deliver
        self._pumps: dict[str, tuple[Wants, asyncio.Task[None]]] = {}

    def want(self, shelf: Shelf, client: ClientFacts, wants: Wants) -> None:
        """Listen at this server for exactly this from now on."""
        held = self._pumps.get(shelf.name)
        if held is not None:
            if held[0] == wants and not held[1].done():
                return
            held[1].cancel()
        pump = self._pump(shelf, client, wants)
        task = asyncio.get_running_loop().create_task(pump)
        self._pumps[shelf.name] = (wants, task)

    def close(self) -> None:
        """Stop listening."""
        for _, task in self._pumps.values():
            task.cancel()
        self._pumps.clear()

    async def _pump(self, shelf: Shelf, client: ClientFacts, wants: Wants) -> None:
        pause = _RETRY_SECONDS
        while True:
            heard = shelf.upstream.listen(client, wants)
            try:
                async for method, params in heard:
                    pause = _RETRY_SECONDS
                    await self._deliver(shelf.name, method, params)
            except (UpstreamDown, UpstreamBroken):
                pass
            finally:
                close = getattr(heard, "aclose", None)
                if close is not None:
                    await close()
            await asyncio.sleep(pause)
            pause = min(pause * 2, _MAX_RETRY_SECONDS)


def changes_of(server: ServerFacts) -> tuple[bool, bool, bool, bool]:
    """Whether a server tells of changed tools, prompts, resources, and of updated resources."""

    def says(capability: str, flag: str) -> bool:
        value = server.capabilities.get(capability)
        return isinstance(value, Mapping) and value.get(flag) is True

    return (
        says("tools", "listChanged"),
        says("prompts", "listChanged"),
        says("resources", "listChanged"),
        says("resources", "subscribe"),
    )


def forget_changed(catalog: Catalog, server: str, method: str) -> None:
    """Let the catalog read a list again that was said to have changed."""
    shelf = catalog.shelf(server)
    for listing in LISTINGS.values():
        if shelf is not None and LIST_CHANGED[listing.capability] == method:
            catalog.forget(shelf, listing)


class Listen:
    """One `subscriptions/listen` stream.

    Args:
        still_valid: whether the caller's token still is; asked at every keep-alive.
    """

    def __init__(self, exchange: Exchange, still_valid: Callable[[], bool]) -> None:
        self._exchange = exchange
        self._still_valid = still_valid
        self._wake = asyncio.Event()
        self._waiting: dict[tuple[str, str], JsonObject] = {}
        self._granted: dict[str, Json] = {}
        self._uris: set[tuple[str, str]] = set()
        self._kinds: set[str] = set()
        self._ears = Ears(self._hear)

    async def run(self) -> Outcome:
        """Acknowledge, pass changes on, and end gracefully; cancelled when the client leaves."""
        exchange = self._exchange
        asked = exchange.request.params.get("notifications")
        if not isinstance(asked, dict):
            return exchange.fail(Code.INVALID_PARAMS, "`notifications` must be an object")
        core = exchange.core
        try:
            core.enter_listen(exchange.caller.key, MAX_LISTENS_PER_CALLER, self._wake)
        except TheirError as error:
            return exchange.fail(Code.INTERNAL_ERROR, error.message)
        try:
            await self._grant(asked)
            acknowledged = "notifications/subscriptions/acknowledged"
            await self._send(acknowledged, {"notifications": self._granted})
            await self._follow(core)
        finally:
            self._ears.close()
            core.leave_listen(exchange.caller.key, self._wake)
        return exchange.ok_value({"_meta": {META_SUBSCRIPTION: exchange.request.id}})

    async def _follow(self, core: Core) -> None:
        while not core.closing:
            try:
                async with asyncio.timeout(core.limits.keep_alive_seconds):
                    await self._wake.wait()
            except TimeoutError:
                if not self._still_valid():
                    return
                await self._exchange.sink.keep_alive()
                continue
            self._wake.clear()
            while self._waiting and not core.closing:
                key = next(iter(self._waiting))
                await self._send(key[0], self._waiting.pop(key))

    async def _send(self, method: str, params: JsonObject) -> None:
        held = params.get("_meta")
        meta = dict(held) if isinstance(held, Mapping) else {}
        meta[META_SUBSCRIPTION] = self._exchange.request.id
        await self._exchange.sink.emit(notification_message(method, {**params, "_meta": meta}))

    async def _grant(self, asked: JsonObject) -> None:
        """Start listening for what was asked for, exists and may be seen."""
        exchange = self._exchange
        uris = asked.get("resourceSubscriptions")
        wanted = self._locate(uris if isinstance(uris, list) else [])
        kinds = {word for word in LIST_CHANGED if asked.get(f"{word}ListChanged") is True}
        catalog = exchange.core.catalog
        names = [exchange.where.server] if exchange.where.server else list(catalog.names())
        shelves = [shelf for name in names if (shelf := catalog.shelf(name)) is not None]
        facts = await asyncio.gather(*(facts_or_none(exchange, shelf) for shelf in shelves))
        honored: list[Json] = []
        for shelf, server in zip(shelves, facts, strict=True):
            if server is None:
                continue
            tools, prompts, resources, subscribe = changes_of(server)
            mine = [(spelled, uri) for spelled, name, uri in wanted if name == shelf.name]
            mine = mine if subscribe else []
            wants = Wants(
                tools and "tools" in kinds,
                prompts and "prompts" in kinds,
                resources and "resources" in kinds,
                tuple(uri for _, uri in mine),
            )
            if wants == Wants():
                continue
            honored += [spelled for spelled, _ in mine]
            self._uris.update((shelf.name, uri) for _, uri in mine)
            for word in ("tools", "prompts", "resources"):
                if getattr(wants, word):
                    self._kinds.add(LIST_CHANGED[word])
                    self._granted[f"{word}ListChanged"] = True
            client = exchange.core.narrowed(exchange.caller, shelf.name, exchange.facts)
            self._ears.want(shelf, client, wants)
        if honored:
            self._granted["resourceSubscriptions"] = honored

    def _locate(self, uris: list[Json]) -> list[tuple[str, str, str]]:
        found = []
        for spelled in uris[:MAX_URIS]:
            if not isinstance(spelled, str) or is_ambiguous(spelled):
                continue
            place = locate(self._exchange, RESOURCES, spelled)
            if place is None:
                continue
            shelf, uri = place
            if self._may_hear(shelf.name, uri):
                found.append((spelled, shelf.name, uri))
        return found

    def _may_hear(self, server: str, uri: str) -> bool:
        exchange = self._exchange
        return exchange.core.gate.visible(exchange.caller, Target(RESOURCES.kind, server, uri))

    async def _hear(self, server: str, method: str, params: JsonObject) -> None:
        forget_changed(self._exchange.core.catalog, server, method)
        if method in self._kinds:
            self._waiting[method, ""] = {}
        elif method == "notifications/resources/updated":
            uri = params.get("uri")
            if not isinstance(uri, str) or (server, uri) not in self._uris:
                return
            if not self._may_hear(server, uri):
                return
            spelled = uri if self._exchange.where.server else joined_uri(server, uri)
            self._waiting[method, spelled] = {**params, "uri": spelled}
        else:
            return
        self._wake.set()
