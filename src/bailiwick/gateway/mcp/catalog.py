"""What the servers say they have: pages of their lists, with every definition pinned.

Items stay raw bytes. Each is read strictly once (its digest is kept with a fast hash of its bytes,
so that ten thousand tools are not canonicalized on every list) and is usable only while the pin
book says so.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import msgspec

from bailiwick.core.call import CallKind, Target
from bailiwick.core.errors import OurError, StoreError, TheirError, UpstreamBroken, UpstreamDown
from bailiwick.core.verdict import Deny
from bailiwick.gateway.mcp.pins import PinBook, Sighting, Standing
from bailiwick.ports import ClientFacts, ServerFacts, Upstream, UpstreamReply, UpstreamRequest
from bailiwick.protocols.mcp.definitions import Definition, read_definition
from bailiwick.protocols.mcp.headers import ParamHeader
from bailiwick.protocols.mcp.revisions import MODERN
from bailiwick.protocols.strict_json import encode

FRESH_SECONDS = 60.0
MISSING_SECONDS = 2.0
LIST_SECONDS = 10.0
LOAD_SECONDS = 30.0
MAX_CURSOR_CHARS = 4096
MAX_PAGES = 1000
MAX_DEFINITION_BYTES = 256 * 1024
_YIELD_EVERY = 200

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Listing:
    """One kind of list.

    Attributes:
        pin: the word for it in pins; `capability` the server capability it belongs to.
        must_be_listed: whether an unlisted one may not be used (resources come from templates).
    """

    method: str
    member: str
    named_by: str
    kind: CallKind
    capability: str
    pin: str
    must_be_listed: bool = True


TOOLS = Listing("tools/list", "tools", "name", CallKind.TOOL, "tools", "tool")
RESOURCES = Listing(
    "resources/list", "resources", "uri", CallKind.RESOURCE, "resources", "resource", False
)
TEMPLATES = Listing(
    "resources/templates/list",
    "resourceTemplates",
    "uriTemplate",
    CallKind.RESOURCE,
    "resources",
    "template",
    False,
)
PROMPTS = Listing("prompts/list", "prompts", "name", CallKind.PROMPT, "prompts", "prompt")
LISTINGS = {listing.method: listing for listing in (TOOLS, RESOURCES, TEMPLATES, PROMPTS)}


@dataclass(slots=True)
class Entry:
    """What is known of one definition now.

    Attributes:
        target: what it defines, as calls of it name it.
        standing: its pin's, from the moment that is recorded.
    """

    target: Target
    digest: str
    quick: bytes
    headers: tuple[ParamHeader, ...]
    standing: Standing | None = None

    @property
    def usable(self) -> bool:
        """Whether it is the definition that was accepted."""
        return self.standing is not None and self.standing.accepted == self.digest


@dataclass(frozen=True, slots=True)
class Item:
    """One list item: its name, its bytes as the server sent them, whether it may be used."""

    name: str
    raw: bytes
    usable: bool


@dataclass(slots=True)
class Page:
    """One page of one server's list. `members` are the result's other members, raw."""

    members: dict[str, msgspec.Raw]
    items: list[Item]
    cursor: str | None
    dropped: int = 0


class ListRefused(OurError):
    """A server answered a list with an error; `error` is that error, raw."""

    def __init__(self, error: bytes) -> None:
        super().__init__("list_refused", "the server answered its list with an error")
        self.error = error


@dataclass(slots=True)
class Shelf:
    """What is known of one server."""

    name: str
    upstream: Upstream
    facts: dict[bool, ServerFacts] = field(default_factory=dict)
    entries: dict[tuple[str, str], Entry] = field(default_factory=dict)
    read_at: dict[str, float] = field(default_factory=dict)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    refreshing: set[str] = field(default_factory=set)

    def known_facts(self, version: str) -> ServerFacts | None:
        """What the server said for clients of this revision, if it was asked already."""
        return self.facts.get(version >= MODERN)


class _Name(msgspec.Struct):
    name: str


class _Uri(msgspec.Struct):
    uri: str


class _Template(msgspec.Struct):
    uriTemplate: str  # noqa: N815  # the protocol's spelling


_decode_name = msgspec.json.Decoder(_Name).decode
_decode_uri = msgspec.json.Decoder(_Uri).decode
_decode_template = msgspec.json.Decoder(_Template).decode
_NAMERS: dict[str, Callable[[bytes], str]] = {
    "name": lambda raw: _decode_name(raw).name,
    "uri": lambda raw: _decode_uri(raw).uri,
    "uriTemplate": lambda raw: _decode_template(raw).uriTemplate,
}
_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_items = msgspec.json.Decoder(list[msgspec.Raw]).decode


class Nobody:
    """The peer of requests the gateway makes on its own account: hears nothing, grants nothing."""

    async def notify(self, method: str, params: object) -> None:
        """Ignore it."""

    async def ask(self, method: str, params: object) -> UpstreamReply:
        """Refuse it."""
        return UpstreamReply(error=b'{"code":-32601,"message":"nobody is there to ask"}')


NOBODY = Nobody()


class Catalog:
    """The shelves of all servers.

    Args:
        servers: the current servers by name, in the order lists are merged.
        pins: the pin book.
        monotonic: seconds that never go back.
    """

    def __init__(
        self,
        servers: Callable[[], Mapping[str, Upstream]],
        pins: PinBook,
        monotonic: Callable[[], float],
    ) -> None:
        self._servers = servers
        self._pins = pins
        self._monotonic = monotonic
        self._shelves: dict[str, Shelf] = {}
        self._background: set[asyncio.Task[None]] = set()

    def names(self) -> Mapping[str, Upstream]:
        """The servers there are now."""
        return self._servers()

    def shelf(self, server: str) -> Shelf | None:
        """The shelf of a server; None when there is no such server."""
        upstream = self._servers().get(server)
        shelf = self._shelves.get(server)
        if shelf is not None and shelf.upstream is upstream:
            return shelf
        if upstream is None:
            return None
        shelf = self._shelves[server] = Shelf(server, upstream)
        return shelf

    async def facts(self, shelf: Shelf, version: str) -> ServerFacts:
        """What the server says of itself to a client of this revision.

        Raises:
            UpstreamDown, UpstreamBroken: it cannot be asked now.
        """
        known = shelf.known_facts(version)
        if known is None:
            try:
                async with asyncio.timeout(LIST_SECONDS):
                    known = await shelf.upstream.facts(version)
            except TimeoutError:
                raise UpstreamDown("upstream_slow", f"`{shelf.name}` does not answer") from None
            shelf.facts[version >= MODERN] = known
        return known

    async def page(
        self, shelf: Shelf, listing: Listing, client: ClientFacts, cursor: str | None
    ) -> Page:
        """One page of one list, every definition on it pinned.

        Raises:
            UpstreamDown, UpstreamBroken: no page came.
            ListRefused: the server answered with an error.
            StoreError: new definitions could not be recorded.
        """
        params = {} if cursor is None else {"cursor": cursor}
        request = UpstreamRequest(listing.method, params, client)
        try:
            async with asyncio.timeout(LIST_SECONDS):
                answer = await shelf.upstream.request(request, NOBODY)
        except TimeoutError:
            raise UpstreamBroken("upstream_slow", f"`{shelf.name}` does not answer") from None
        if answer.result is None:
            raise ListRefused(answer.error or b'{"code":-32603,"message":"no reason given"}')
        return await self._read_page(shelf, listing, answer.result)

    async def _read_page(self, shelf: Shelf, listing: Listing, result: bytes) -> Page:
        garbled = UpstreamBroken("list_garbled", f"`{shelf.name}` answered no {listing.member}")
        try:
            members = _members(result)
            raws = _items(members.pop(listing.member, msgspec.Raw(b"null")))
            after = members.pop("nextCursor", None)
            cursor = None if after is None else msgspec.json.decode(after, type=str | None)
            if cursor is not None and len(cursor) > MAX_CURSOR_CHARS:
                raise garbled
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise garbled from error
        page = Page(members, [], cursor)
        seen: dict[str, Entry] = {}
        sightings: list[Sighting] = []
        raw_of: dict[str, bytes] = {}
        for index, item in enumerate(raws):
            if index % _YIELD_EVERY == _YIELD_EVERY - 1:
                await asyncio.sleep(0)
            raw = bytes(item)
            try:
                name = _NAMERS[listing.named_by](raw)
                if name in seen:
                    raise TheirError("definition_malformed", "a name stands twice in the list")
                seen[name] = self._look(shelf, listing, name, raw, sightings)
            except (TheirError, msgspec.DecodeError):
                # One bad definition does not take the others away; it is simply not there.
                page.dropped += 1
                continue
            raw_of[name] = raw
        await self._pins.see(sightings)
        for name, entry in seen.items():
            shelf.entries[listing.pin, name] = entry
            entry.standing = self._pins.standing((shelf.name, listing.pin, name))
            page.items.append(Item(name, raw_of[name], entry.usable))
        return page

    def _look(
        self, shelf: Shelf, listing: Listing, name: str, raw: bytes, sightings: list[Sighting]
    ) -> Entry:
        quick = hashlib.blake2b(raw, digest_size=16).digest()
        known = shelf.entries.get((listing.pin, name))
        if known is not None and known.quick == quick:
            return known
        if len(raw) > MAX_DEFINITION_BYTES:
            raise TheirError("definition_malformed", "it is larger than any model would read")
        definition: Definition = read_definition(raw, listing.named_by)
        if definition.name != name:
            raise TheirError("definition_malformed", "its name reads in two ways")
        sightings.append(Sighting(shelf.name, listing.pin, name, definition.digest, raw.decode()))
        target = Target(listing.kind, shelf.name, name)
        return Entry(target, definition.digest, quick, definition.headers)

    async def load(self, shelf: Shelf, listing: Listing, client: ClientFacts) -> None:
        """Read a whole list, for what it teaches. Raises as `page` does."""
        cursor: str | None = None
        try:
            async with asyncio.timeout(LOAD_SECONDS):
                for _ in range(MAX_PAGES):
                    page = await self.page(shelf, listing, client, cursor)
                    cursor = page.cursor
                    if cursor is None:
                        break
        except TimeoutError:
            raise UpstreamBroken("list_endless", f"`{shelf.name}` lists without end") from None
        shelf.read_at[listing.method] = self._monotonic()

    def entry(self, shelf: Shelf, listing: Listing, name: str) -> Entry | None:
        """What is known of a definition, without asking."""
        return shelf.entries.get((listing.pin, name))

    def is_fresh(self, shelf: Shelf, listing: Listing) -> bool:
        """Whether the whole list was read lately."""
        read_at = shelf.read_at.get(listing.method)
        return read_at is not None and self._monotonic() - read_at < FRESH_SECONDS

    async def accepts(self, seen: Sighting) -> bool:
        """Pin one text of a server; whether it is the accepted one."""
        try:
            await self._pins.see([seen])
        except StoreError:
            return False
        return self._pins.usable(seen.key, seen.digest)

    def names_of(self, shelf: Shelf, listing: Listing) -> list[str]:
        """The names known of one kind."""
        return [name for pin, name in shelf.entries if pin == listing.pin]

    def accepted(
        self, shelf: Shelf, listing: Listing, name: str, client: ClientFacts
    ) -> Entry | None:
        """A definition that is known and may be used; None to `check` it. As most are, this comes
        first."""
        entry = shelf.entries.get((listing.pin, name))
        if entry is None:
            return None
        standing = entry.standing
        if standing is None or standing.accepted != entry.digest:
            return None
        if self._monotonic() - shelf.read_at.get(listing.method, 0.0) > FRESH_SECONDS:
            self._refresh_later(shelf, listing, client)
        return entry

    async def check(
        self, shelf: Shelf, listing: Listing, name: str, client: ClientFacts
    ) -> Deny | None:
        """Why this may not be used whatever the mandate says; None when nothing speaks against.

        Asks the server when the name is not known; refreshes in the background when what is
        known is old.
        """
        entry = shelf.entries.get((listing.pin, name))
        if entry is None:
            refusal = await self._learn(shelf, listing, name, client)
            if refusal is not None:
                return refusal
            entry = shelf.entries.get((listing.pin, name))
            if entry is None:
                return self._unlisted(shelf, listing, name)
        elif self._monotonic() - shelf.read_at.get(listing.method, 0.0) > FRESH_SECONDS:
            self._refresh_later(shelf, listing, client)
        if entry.usable:
            return None
        return Deny(
            "definition_changed",
            ("gateway/pins",),
            f"the definition of {listing.pin} `{name}` of server `{shelf.name}` has changed since "
            "it was accepted",
            "once a person has looked at the new definition and accepted it",
        )

    def still_usable(self, shelf: Shelf, listing: Listing, name: str) -> bool:
        """Whether what `check` let through has not been seen changed since."""
        entry = shelf.entries.get((listing.pin, name))
        return entry is None or entry.usable

    def _unlisted(self, shelf: Shelf, listing: Listing, name: str) -> Deny | None:
        if not listing.must_be_listed:
            return None
        return Deny(
            "definition_unknown",
            ("gateway/pins",),
            f"server `{shelf.name}` lists no {listing.pin} `{name[:200]}`",
        )

    async def _learn(
        self, shelf: Shelf, listing: Listing, name: str, client: ClientFacts
    ) -> Deny | None:
        async with shelf.lock:
            if (listing.pin, name) in shelf.entries:
                return None
            age = self._monotonic() - shelf.read_at.get(listing.method, -MISSING_SECONDS)
            if age < MISSING_SECONDS:
                return None
            try:
                facts = await self.facts(shelf, client.version)
                if listing.capability in facts.capabilities:
                    await self.load(shelf, listing, client)
                else:
                    shelf.read_at[listing.method] = self._monotonic()
            except (UpstreamDown, UpstreamBroken):
                return Deny(
                    "upstream_down", ("gateway/upstreams",), f"server `{shelf.name}` is not there"
                )
            except ListRefused:
                return None
            except StoreError:
                return Deny(
                    "ledger_unavailable",
                    ("gateway/pins",),
                    "what the server offers could not be recorded, so it may not be used",
                )
        return None

    def _refresh_later(self, shelf: Shelf, listing: Listing, client: ClientFacts) -> None:
        if listing.method in shelf.refreshing:
            return
        shelf.refreshing.add(listing.method)
        task = asyncio.get_running_loop().create_task(self._refresh(shelf, listing, client))
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def _refresh(self, shelf: Shelf, listing: Listing, client: ClientFacts) -> None:
        try:
            await self.load(shelf, listing, client)
        except OurError as error:
            # What is known stays in force; the next use tries again.
            shelf.read_at[listing.method] = self._monotonic()
            _log.warning("could not refresh %s of %s: %s", listing.method, shelf.name, error.code)
        finally:
            shelf.refreshing.discard(listing.method)

    def forget(self, shelf: Shelf, listing: Listing) -> None:
        """The server said its list changed: the next use reads it again."""
        shelf.read_at.pop(listing.method, None)

    async def settled(self) -> None:
        """Wait until nothing is read in the background."""
        while self._background:
            await asyncio.wait(self._background)

    async def aclose(self) -> None:
        """Stop what runs in the background."""
        for task in tuple(self._background):
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)


def renamed(raw: bytes, named_by: str, name: str) -> bytes:
    """A raw item under another name, every other member byte for byte and in place."""
    members = _members(raw)
    parts = []
    for member, value in members.items():
        text = encode(name) if member == named_by else bytes(value)
        parts.append(encode(member) + b":" + text)
    return b"{" + b",".join(parts) + b"}"
