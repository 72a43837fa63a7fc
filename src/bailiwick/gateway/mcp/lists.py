"""Lists: what the servers have, as far as this caller may see and use it.

Items keep the server's bytes and order. On `/mcp` the lists of all servers follow one another in
the declared order and only names change. A server that cannot be asked does not take the others
away: the result says in `_meta` what is missing. Cursors are the gateway's own and hold nothing a
client could not ask for anyway.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from dataclasses import dataclass

import msgspec

from bailiwick.core.call import Target
from bailiwick.core.canonical import Json
from bailiwick.core.errors import StoreError, UpstreamBroken, UpstreamDown
from bailiwick.gateway.mcp.calls import errored
from bailiwick.gateway.mcp.catalog import (
    LIST_SECONDS,
    LISTINGS,
    Item,
    Listing,
    ListRefused,
    Page,
    Shelf,
    renamed,
)
from bailiwick.gateway.mcp.exchange import Exchange, join_members, raw_members
from bailiwick.gateway.mcp.wire import Outcome
from bailiwick.protocols.mcp.jsonrpc import Code
from bailiwick.protocols.mcp.names import joined, joined_for_model, joined_uri
from bailiwick.protocols.strict_json import encode

MAX_CURSOR_CHARS = 8192
MERGED_TTL_MS = 0
MAX_PAGES_AT_ONCE = 50
"""Pages of one server in one answer; a server of empty pages without end gets no further."""


@dataclass(frozen=True, slots=True)
class _Cursor:
    """Where a list goes on: at this server, from its own cursor, after `skip` items."""

    server: str
    after: str | None
    skip: int


class _Missing(Exception):
    """A server has nothing to show: `because` says why, `error` is its own error if it gave one."""

    def __init__(self, because: str, error: bytes | None = None) -> None:
        super().__init__(because)
        self.because = because
        self.error = error


async def answer_list(exchange: Exchange) -> Outcome:
    """`tools/list`, `resources/list`, `resources/templates/list`, `prompts/list`."""
    listing = LISTINGS[exchange.request.method]
    spelled = exchange.request.params.get("cursor")
    cursor: _Cursor | None = None
    if spelled is not None:
        cursor = _read_cursor(spelled)
        if cursor is None or (exchange.where.server and cursor.server != exchange.where.server):
            return exchange.fail(Code.INVALID_PARAMS, "`cursor` is not one of this server's")
    return await _Walk(exchange, listing).run(cursor)


class _Walk:
    """One pass over the servers of an endpoint."""

    def __init__(self, exchange: Exchange, listing: Listing) -> None:
        self._exchange = exchange
        self._listing = listing
        self._catalog = exchange.core.catalog
        self._single = bool(exchange.where.server)
        self._items: list[bytes] = []
        self._members: dict[str, bytes | msgspec.Raw] = {}
        self._missing: list[Json] = []
        self._offered = False

    async def run(self, cursor: _Cursor | None) -> Outcome:
        servers = [self._exchange.where.server] if self._single else list(self._catalog.names())
        if cursor is not None:
            if cursor.server not in servers:
                return self._exchange.fail(Code.INVALID_PARAMS, "`cursor` is of a server now gone")
            servers = servers[servers.index(cursor.server) :]
        first = await asyncio.gather(*(self._first_page(name, cursor) for name in servers))
        following: _Cursor | None = None
        for name, start in zip(servers, first, strict=True):
            if start is None:
                continue
            if isinstance(start, _Missing):
                if self._single:
                    return self._unreached(start)
                self._missing.append({"server": name, "because": start.because})
                continue
            if following is None and len(self._items) >= self._exchange.core.limits.page_items:
                following = _Cursor(name, None, 0)
            if following is not None:
                break
            following = await self._gather(name, start, cursor)
            cursor = None
        if not self._offered and not self._missing:
            return self._exchange.fail(
                Code.METHOD_NOT_FOUND, f"no server here serves `{self._listing.method}`"
            )
        return self._exchange.ok(self._result(following))

    async def _first_page(self, server: str, cursor: _Cursor | None) -> Page | _Missing | None:
        """The page a server starts with; None when it does not offer this kind of list."""
        shelf = self._catalog.shelf(server)
        if shelf is None:
            return None
        after = cursor.after if cursor is not None and cursor.server == server else None
        try:
            facts = await self._catalog.facts(shelf, self._exchange.facts.version)
        except (UpstreamDown, UpstreamBroken):
            return _Missing("it cannot be reached")
        if self._listing.capability not in facts.capabilities and not self._single:
            # Alone, a server that says less than it serves may still answer for itself.
            return None
        self._offered = True
        try:
            return await self._page(shelf, after)
        except _Missing as missing:
            return missing

    async def _page(self, shelf: Shelf, after: str | None) -> Page:
        client = self._exchange.core.narrowed(
            self._exchange.caller, shelf.name, self._exchange.facts
        )
        try:
            return await self._catalog.page(shelf, self._listing, client, after)
        except (UpstreamDown, UpstreamBroken):
            raise _Missing("it cannot be reached") from None
        except ListRefused as refused:
            raise _Missing("it answered with an error", refused.error) from None
        except StoreError:
            raise _Missing("what it offers could not be recorded") from None

    async def _gather(self, server: str, page: Page, cursor: _Cursor | None) -> _Cursor | None:
        """Take a server's pages until the list is full; returns where to go on, if so."""
        shelf = self._catalog.shelf(server)
        limit = self._exchange.core.limits.page_items
        after = cursor.after if cursor is not None and cursor.server == server else None
        skip = cursor.skip if cursor is not None and cursor.server == server else 0
        if self._single:
            self._members = dict(page.members)
        pages = 0
        monotonic = self._exchange.core.clock.monotonic
        until = monotonic() + LIST_SECONDS
        while shelf is not None:
            pages += 1
            for index, item in enumerate(page.items):
                if index < skip:
                    continue
                if len(self._items) >= limit:
                    return _Cursor(server, after, index)
                if self._may_see(server, item):
                    self._items.append(self._spelled(server, item))
                if index % 500 == 499:
                    await asyncio.sleep(0)
            if page.dropped:
                because = f"{page.dropped} malformed definitions are left out"
                self._missing.append({"server": server, "because": because})
            if page.cursor is None or page.cursor == after:
                return None
            after, skip = page.cursor, 0
            if len(self._items) >= limit or pages >= MAX_PAGES_AT_ONCE:
                return _Cursor(server, after, 0)
            try:
                if monotonic() >= until:
                    raise _Missing("its list takes too long")
                page = await self._page(shelf, after)
            except _Missing as missing:
                self._missing.append({"server": server, "because": missing.because})
                return None
        return None

    def _may_see(self, server: str, item: Item) -> bool:
        if not item.usable:
            return False
        target = Target(self._listing.kind, server, item.name)
        return self._exchange.core.gate.visible(self._exchange.caller, target)

    def _spelled(self, server: str, item: Item) -> bytes:
        if self._single:
            return item.raw
        if self._listing.named_by != "name":
            name = joined_uri(server, item.name)
        elif self._exchange.names_of_model:
            name = joined_for_model(server, item.name)
        else:
            name = joined(server, item.name)
        return renamed(item.raw, self._listing.named_by, name)

    def _result(self, following: _Cursor | None) -> bytes:
        members = self._members
        if self._exchange.modern:
            # A list asks nothing of the client: what a server asks for is judged with its call.
            members["resultType"] = b'"complete"'
            members.setdefault("ttlMs", b"%d" % MERGED_TTL_MS)
            # What was filtered for one caller must never serve another.
            members["cacheScope"] = b'"private"'
        members[self._listing.member] = b"[" + b",".join(self._items) + b"]"
        if following is not None:
            members["nextCursor"] = encode(_spell_cursor(following))
        if self._missing:
            held = bytes(members.get("_meta", b"{}"))
            meta = raw_members(held) if held.startswith(b"{") else {}
            members["_meta"] = join_members({**meta, "bailiwick/missing": encode(self._missing)})
        return join_members(members)

    def _unreached(self, missing: _Missing) -> Outcome:
        if missing.error is not None:
            return errored(self._exchange, missing.error)
        server = self._exchange.where.server
        return self._exchange.fail(Code.INTERNAL_ERROR, f"server `{server}`: {missing.because}")


def _spell_cursor(cursor: _Cursor) -> str:
    fields: list[Json] = [cursor.server, cursor.after, cursor.skip]
    return base64.urlsafe_b64encode(encode(fields)).decode().rstrip("=")


def _read_cursor(spelled: Json) -> _Cursor | None:
    if not isinstance(spelled, str) or len(spelled) > MAX_CURSOR_CHARS:
        return None
    try:
        raw = base64.b64decode(spelled + "=" * (-len(spelled) % 4), altchars=b"-_", validate=True)
        server, after, skip = msgspec.json.decode(raw, type=tuple[str, str | None, int])
    except (binascii.Error, ValueError, msgspec.DecodeError):
        return None
    return _Cursor(server, after, skip) if skip >= 0 else None
