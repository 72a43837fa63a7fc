"""JSON-RPC over the one channel of a stdio server: who asked, who is told, who is asked.

Reading never waits: a client that reads slowly must not hold up the others of a shared server.
What is kept for it meanwhile is bounded, and its own reply comes after its own notifications.
"""

from __future__ import annotations

import asyncio
import itertools
import re
from collections import Counter, deque
from collections.abc import Awaitable, Callable

from bailiwick.core.canonical import Json, JsonObject
from bailiwick.core.errors import TheirError, UpstreamBroken, UpstreamDown
from bailiwick.gateway.upstreams import meta
from bailiwick.gateway.upstreams.answers import garbled
from bailiwick.gateway.upstreams.asks import Asks
from bailiwick.gateway.upstreams.envelope import (
    Ask,
    Note,
    Reply,
    decode_batch,
    encode_note,
    encode_request,
)
from bailiwick.gateway.upstreams.listening import GENERAL
from bailiwick.gateway.upstreams.mailbox import Mailbox
from bailiwick.gateway.upstreams.own import Nobody
from bailiwick.ports import RequestPeer, UpstreamReply, Wants

_MAX_NOTES = 256
_ENDS = (
    re.compile(rb'\s*\{\s*(?:"jsonrpc"\s*:\s*"2\.0"\s*,\s*)?"id"\s*:\s*(\d{1,15})\s*[,}]').match,
    re.compile(rb'"id"\s*:\s*(\d{1,15})\s*(?:,\s*"jsonrpc"\s*:\s*"2\.0"\s*)?\}\s*$').search,
)
"""The id of a message, at its very beginning or end. Anywhere else a key `id` may be part of the
payload, which a client can choose: it must not be able to name another's request."""


class InFlight:
    """One request that has been sent: its peer, and what is still to be told to it."""

    def __init__(self, session: str, token: Json, peer: RequestPeer) -> None:
        loop = asyncio.get_running_loop()
        self.session = session
        self.token = token
        self.peer = peer
        self.reply: asyncio.Future[UpstreamReply] = loop.create_future()
        self.timeout: asyncio.Timeout | None = None
        self._notes: deque[tuple[str, JsonObject]] = deque(maxlen=_MAX_NOTES)
        self._telling: asyncio.Task[None] | None = None

    def tell(self, method: str, params: JsonObject) -> None:
        """Tell the peer, without waiting for it."""
        self._notes.append((method, params))
        if self._telling is None:
            self._telling = asyncio.get_running_loop().create_task(self._tell_all())

    async def told(self) -> None:
        """Wait until the peer has been told everything."""
        if self._telling is not None:
            await self._telling

    def drop(self) -> None:
        """The peer is gone."""
        if self._telling is not None:
            self._telling.cancel()

    async def _tell_all(self) -> None:
        while self._notes:
            method, params = self._notes.popleft()
            await self.peer.notify(method, params)
        self._telling = None


class Channel:
    """All traffic with one running child.

    Attributes:
        is_modern: which era this child was greeted in.

    Args:
        write: sends one line; raises UpstreamDown when the child is not running.
        is_shared: more than one client uses it, so nothing but a reply or progress can be said
            to belong to one of them.
    """

    def __init__(
        self,
        name: str,
        write: Callable[[bytes], Awaitable[None]],
        timeout_seconds: float,
        *,
        is_shared: bool,
    ) -> None:
        self.name = name
        self.garbage_lines = 0
        self.is_modern = False
        self._write = write
        self._timeout_seconds = timeout_seconds
        self._is_shared = is_shared
        self._ids = itertools.count(1)
        self._in_flight: dict[int, InFlight] = {}
        self._listeners: dict[Mailbox, Wants] = {}
        self._subscriptions: dict[int, Mailbox] = {}
        self._subscribers: Counter[str] = Counter()
        self._asks = Asks(write, self._on_asking)

    @property
    def is_idle(self) -> bool:
        """Whether nobody waits for anything."""
        return not (self._in_flight or self._listeners or self._subscriptions)

    # --- requests --------------------------------------------------------------------------------

    async def call(
        self,
        method: str,
        params_for: Callable[[int], JsonObject],
        peer: RequestPeer,
        *,
        session: str = "",
        token: Json = None,
        timeout_seconds: float | None = None,
    ) -> UpstreamReply:
        """Send one request and wait for its reply.

        Args:
            params_for: makes the params, given the id, which is the progress token as well.

        Raises:
            UpstreamDown: nothing was sent.
            UpstreamBroken: it was, and no reply is known.
        """
        message_id = next(self._ids)
        request = InFlight(session, token, peer)
        line = encode_request(message_id, method, params_for(message_id))
        seconds = self._timeout_seconds if timeout_seconds is None else timeout_seconds
        self._in_flight[message_id] = request
        try:
            async with asyncio.timeout(seconds) as request.timeout:
                await self._write(line)
                reply = await request.reply
            await request.told()
            return reply
        except TimeoutError as error:
            await self._cancel(message_id, "timed out")
            raise UpstreamBroken(
                "upstream_timeout", f"server `{self.name}` did not answer in time"
            ) from error
        except asyncio.CancelledError:
            if not request.reply.done() or request.reply.cancelled():
                # Not awaited: whoever cancels should not wait for a child that does not read.
                self._soon(self._cancel(message_id, "the client cancelled"))
            raise
        finally:
            request.drop()
            self._in_flight.pop(message_id, None)

    async def note(self, method: str, params: JsonObject) -> None:
        """Send a notification. Raises UpstreamDown when the child is not running."""
        await self._write(encode_note(method, params))

    def fail(self, error: UpstreamBroken) -> None:
        """The child is gone: nothing in flight will be answered, and listeners hear no more."""
        for request in self._in_flight.values():
            if not request.reply.done():
                request.reply.set_exception(error)
        for mailbox in (*self._listeners, *self._subscriptions.values()):
            mailbox.close()
        self._asks.close()

    async def _cancel(self, message_id: int, reason: str) -> None:
        try:
            async with asyncio.timeout(1.0):
                await self.note(
                    "notifications/cancelled", {"requestId": message_id, "reason": reason}
                )
        except (TimeoutError, UpstreamDown):
            return

    def _soon(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        _ASIDE.add(task)
        task.add_done_callback(_ASIDE.discard)

    # --- what the child says ---------------------------------------------------------------------

    def take_line(self, line: bytes, is_cut: bool) -> None:
        """Take one line of the child's stdout. Never raises: garbage is counted."""
        if is_cut:
            self._take_cut(line)
            return
        try:
            messages = decode_batch(line)
        except TheirError as error:
            self.garbage_lines += 1
            self._blame(line, garbled(self.name, error.message))
            return
        for message in messages:
            match message:
                case Reply():
                    self._take_reply(message)
                case Ask():
                    self._take_ask(message)
                case Note():
                    self._take_note(message)

    def _take_reply(self, reply: Reply) -> None:
        request = self._in_flight.get(reply.id) if type(reply.id) is int else None
        if request is None or request.reply.done():
            # Late, repeated, or made up: it answers nobody, and it is no other's answer.
            self.garbage_lines += 1
            return
        request.reply.set_result(UpstreamReply(result=reply.result, error=reply.error))

    def _take_cut(self, line: bytes) -> None:
        self.garbage_lines += 1
        error = UpstreamBroken(
            "upstream_too_large", f"server `{self.name}` sent too large an answer"
        )
        self._blame(line, error)

    def _blame(self, line: bytes, error: UpstreamBroken) -> None:
        """End the request a bad line was meant to answer, if that can be told from its ends."""
        for find, part in zip(_ENDS, (line[:128], line[-128:]), strict=True):
            found = find(part)
            request = self._in_flight.get(int(found[1])) if found else None
            if request is not None and not request.reply.done():
                request.reply.set_exception(error)
                return

    def _take_ask(self, ask: Ask) -> None:
        peer: RequestPeer = Nobody()
        if not self._is_shared and self._in_flight:
            # All requests on this channel are one client's; the newest is the likeliest cause.
            peer = next(reversed(self._in_flight.values())).peer
        self._asks.take(ask, peer)

    def _take_note(self, note: Note) -> None:
        method, params = note.method, note.params
        if method == "notifications/cancelled":
            self._take_cancelled(params.get("requestId"))
        elif method == "notifications/progress":
            token = params.get("progressToken")
            request = self._in_flight.get(token) if type(token) is int else None
            if request is not None and request.token is not None:
                self._still_alive(request)
                request.tell(method, meta.with_own_token(params, request.token))
        elif (subscription := self._subscription_of(params)) is not None:
            subscription.put(method, meta.without_subscription(params))
        elif method in GENERAL:
            for mailbox, wants in self._listeners.items():
                if _concerns(method, params, wants):
                    mailbox.put(method, params)
        else:
            self._tell_only_client(method, params)

    def _tell_only_client(self, method: str, params: JsonObject) -> None:
        """Log messages name no request. INVARIANT: no client is told of another's doings."""
        if len({request.session for request in self._in_flight.values()}) == 1:
            next(reversed(self._in_flight.values())).tell(method, params)

    def _take_cancelled(self, target: Json) -> None:
        mailbox = self._subscriptions.get(target) if type(target) is int else None
        if mailbox is not None:
            mailbox.close()
        else:
            self._asks.cancel(target)

    def _subscription_of(self, params: JsonObject) -> Mailbox | None:
        described = params.get("_meta")
        key = described.get(meta.SUBSCRIPTION_KEY) if isinstance(described, dict) else None
        return self._subscriptions.get(key) if type(key) is int else None

    def _still_alive(self, request: InFlight) -> None:
        if request.timeout is not None and request.timeout.when() is not None:
            self._give(request, self._timeout_seconds)

    def _on_asking(self, count: int) -> None:
        """While the child waits for an answer of ours, its silence means nothing."""
        for request in self._in_flight.values():
            self._give(request, None if count else self._timeout_seconds)

    def _give(self, request: InFlight, seconds: float | None) -> None:
        """Allow a request that long from now on; None: without limit."""
        timeout = request.timeout
        if timeout is not None and not timeout.expired() and not request.reply.done():
            now = asyncio.get_running_loop().time()
            timeout.reschedule(None if seconds is None else now + seconds)

    # --- listening -------------------------------------------------------------------------------

    def join(self, wants: Wants) -> Mailbox:
        """A listener of the stateful era: told of everything general that it wants."""
        mailbox = Mailbox()
        self._listeners[mailbox] = wants
        return mailbox

    def leave(self, mailbox: Mailbox) -> None:
        """It listens no more."""
        self._listeners.pop(mailbox, None)

    async def subscribe(self, params_for: Callable[[int], JsonObject], mailbox: Mailbox) -> int:
        """Open a `subscriptions/listen` into `mailbox`; returns its id. Raises UpstreamDown."""
        message_id = next(self._ids)
        self._subscriptions[message_id] = mailbox
        try:
            line = encode_request(message_id, "subscriptions/listen", params_for(message_id))
            await self._write(line)
        except UpstreamDown:
            del self._subscriptions[message_id]
            raise
        return message_id

    def unsubscribe(self, message_id: int) -> None:
        """Close it."""
        if self._subscriptions.pop(message_id, None) is not None:
            self._soon(self._cancel(message_id, "closed"))

    def counts(self, uri: str, by: int) -> bool:
        """Count who wants a resource (+1, -1); True when the child has to hear of it."""
        self._subscribers[uri] += by
        return self._subscribers[uri] == (1 if by > 0 else 0)


_ASIDE: set[asyncio.Future[None]] = set()
"""Keeps what nobody waits for from being collected before it has run."""


def _concerns(method: str, params: JsonObject, wants: Wants) -> bool:
    match method:
        case "notifications/tools/list_changed":
            return wants.tools
        case "notifications/prompts/list_changed":
            return wants.prompts
        case "notifications/resources/list_changed":
            return wants.resources
        case _:
            # A server may report a sub-resource of what was subscribed to.
            uri = params.get("uri")
            return isinstance(uri, str) and any(uri.startswith(base) for base in wants.uris)
