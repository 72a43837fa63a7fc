"""Between a client that speaks MCP over stdio and the gateway that speaks it over HTTP.

Lines are forwarded as they are, in both directions; the bridge reads only what it needs to choose
headers, sessions and streams. Sources: MCP 2025-11-25 and 2026-07-28, basic/transports.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress

from bailiwick.cli.stdio_gateway import GatewayLink
from bailiwick.core.canonical import Json, JsonObject
from bailiwick.core.errors import BailiwickError, TheirError
from bailiwick.gateway.http.response import Response
from bailiwick.gateway.upstreams.envelope import (
    HEADER_MISMATCH,
    INTERNAL_ERROR,
    Ask,
    MessageId,
    Note,
    Reply,
    decode,
    encode_error,
    encode_reply,
    encode_request,
    error_of,
)
from bailiwick.gateway.upstreams.headers import ToolHeaders, standard_headers
from bailiwick.gateway.upstreams.meta import VERSION_KEY
from bailiwick.gateway.upstreams.spec import MODERN_VERSION

PARSE_ERROR = -32700
MAX_IN_FLIGHT = 256
_GRACE_SECONDS = 2.0

Fields = tuple[tuple[str, str], ...]


class Bridge:
    """One client on one pair of pipes.

    Args:
        write: writes one line to the client; called with complete JSON-RPC messages only.
        say: tells the person something, on stderr.
    """

    def __init__(
        self,
        link: GatewayLink,
        write: Callable[[bytes], Awaitable[None]],
        say: Callable[[str], None],
    ) -> None:
        self._link = link
        self._write_line = write
        self._say = say
        self._tasks: dict[MessageId, asyncio.Task[None]] = {}
        self._modern: set[MessageId] = set()
        self._room = asyncio.Semaphore(MAX_IN_FLIGHT)
        self._tools = ToolHeaders()
        self._own_ids = (f"bailiwick-{number}" for number in itertools.count(1))
        self._greeting: tuple[bytes, Ask] | None = None
        self._renewing = asyncio.Lock()
        self._hearing: asyncio.Task[None] | None = None

    async def serve(self, lines: AsyncIterator[bytes]) -> None:
        """Forward until the client closes its end; then give what is in flight two seconds."""
        try:
            async for line in lines:
                await self._take(line)
            if self._tasks:
                await asyncio.wait(self._tasks.values(), timeout=_GRACE_SECONDS)
        finally:
            await self._end()

    async def _end(self) -> None:
        tasks = [*self._tasks.values(), *([self._hearing] if self._hearing else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._link.end_session()

    async def _take(self, line: bytes) -> None:
        try:
            message = decode(line)
        except TheirError as error:
            # Without an id nothing ties this to a request, and JSON-RPC wants it said even so.
            self._say(f"a line from the client was not forwarded: {error.message}")
            await self._write(_no_id_error(error.message))
            return
        match message:
            case Ask(method="initialize"):
                await self._initialize(line, message)
            case Ask():
                await self._start(line, message)
            case Note():
                await self._note(line, message)
            case Reply():
                await self._post_aside(line, self._link.session_fields)

    async def _write(self, message: bytes) -> None:
        await self._write_line(message.replace(b"\n", b" ").replace(b"\r", b" "))

    # --- requests of the client ------------------------------------------------------------------

    async def _start(self, line: bytes, ask: Ask) -> None:
        await self._room.acquire()
        task = asyncio.get_running_loop().create_task(self._answer(line, ask))
        self._tasks[ask.id] = task
        if _is_modern(ask.params):
            self._modern.add(ask.id)

        def ended(task: asyncio.Task[None]) -> None:
            self._room.release()
            if self._tasks.get(ask.id) is task:
                del self._tasks[ask.id]
                self._modern.discard(ask.id)

        task.add_done_callback(ended)

    async def _answer(self, line: bytes, ask: Ask) -> None:
        try:
            if _is_modern(ask.params):
                reply = await self._ask_modern(line, ask)
            else:
                reply = await self._ask_legacy(line, ask)
        except BailiwickError as error:
            self._say(error.message)
            await self._write(encode_error(ask.id, INTERNAL_ERROR, error.message))
            return
        if ask.method == "tools/list" and reply.result is not None:
            self._tools.learn(reply.result)
        await self._write_reply(ask.id, reply)

    async def _write_reply(self, ask_id: MessageId, reply: Reply) -> None:
        if reply.result is not None:
            await self._write(encode_reply(ask_id, "result", reply.result))
        else:
            assert reply.error is not None
            await self._write(encode_reply(ask_id, "error", reply.error))

    async def _ask_modern(self, line: bytes, ask: Ask) -> Reply:
        reply = await self._ask(line, ask, self._modern_fields(ask))
        mismatch = reply.error is not None and error_of(reply.error)[0] == HEADER_MISMATCH
        if not mismatch or ask.method != "tools/call":
            return reply
        # The headers come from a schema that we have not seen, or that has changed.
        await self._learn_tools(ask.params)
        return await self._ask(line, ask, self._modern_fields(ask))

    async def _learn_tools(self, params: JsonObject) -> None:
        listing: dict[str, Json] = {"_meta": params.get("_meta")}
        ask = Ask(next(self._own_ids), "tools/list", listing)
        line = encode_request(ask.id, ask.method, ask.params)
        reply = await self._ask(line, ask, self._modern_fields(ask))
        if reply.result is not None:
            self._tools.learn(reply.result)

    def _modern_fields(self, ask: Ask) -> Fields:
        more: Mapping[str, str] = {}
        if ask.method == "tools/call":
            more = self._tools.values_for(ask.params) or {}
        version = ("MCP-Protocol-Version", _version_of(ask.params))
        return (version, *standard_headers(ask.method, ask.params), *more.items())

    async def _ask_legacy(self, line: bytes, ask: Ask) -> Reply:
        session = self._link.session_fields
        try:
            return await self._ask(line, ask, session)
        except SessionGone:
            # The gateway was restarted: the client need not know. Nothing was carried out.
            await self._renew(session)
            return await self._ask(line, ask, self._link.session_fields)

    async def _ask(self, line: bytes, ask: Ask, fields: Fields) -> Reply:
        """Send one request; what comes before its reply is written on the way."""
        response = await self._link.post(fields, line)
        if response.status == 404 and fields and fields == self._link.session_fields:
            _drop(response)
            raise SessionGone("session_gone", "the gateway knows this session no longer")
        if response.stream is None:
            return self._link.read_reply(response, ask.id)
        async for message in self._link.messages(response, fields):
            found = decode(message)
            if isinstance(found, Reply) and found.id == ask.id:
                return found
            await self._write(message)
        raise self._link.lost()

    # --- notifications and answers of the client -------------------------------------------------

    async def _note(self, line: bytes, note: Note) -> None:
        if note.method == "notifications/cancelled":
            target = note.params.get("requestId")
            if isinstance(target, int | str) and target in self._modern:
                # Closing the response is the cancellation; no other is expected.
                self._tasks[target].cancel()
                return
        if not self._link.session_fields:
            return
        await self._post_aside(line, self._link.session_fields)
        if note.method == "notifications/initialized":
            self._hear()

    async def _post_aside(self, line: bytes, fields: Fields) -> None:
        try:
            await self._link.post_aside(fields, line)
        except BailiwickError as error:
            self._say(error.message)

    # --- sessions --------------------------------------------------------------------------------

    async def _initialize(self, line: bytes, ask: Ask) -> None:
        """Awaited before anything else is read: all that follows belongs to this session."""
        try:
            reply = await self._open_session(line, ask)
        except BailiwickError as error:
            self._say(error.message)
            await self._write(encode_error(ask.id, INTERNAL_ERROR, error.message))
            return
        if reply.result is not None:
            self._greeting = (line, ask)
        await self._write_reply(ask.id, reply)

    async def _open_session(self, line: bytes, ask: Ask) -> Reply:
        response = await self._link.post((), line)
        if response.stream is None:
            reply = self._link.read_reply(response, ask.id)
        else:
            reply = await self._first_reply(response, ask.id)
        if reply.result is not None:
            self._link.begin_session(response, reply.result)
        return reply

    async def _first_reply(self, response: Response, ask_id: MessageId) -> Reply:
        async for message in self._link.messages(response, ()):
            found = decode(message)
            if isinstance(found, Reply) and found.id == ask_id:
                return found
        raise self._link.lost()

    async def _renew(self, old: Fields) -> None:
        async with self._renewing:
            if self._greeting is None or self._link.session_fields != old:
                return
            await self._open_session(*self._greeting)
            initialized = b'{"jsonrpc":"2.0","method":"notifications/initialized"}'
            await self._link.post_aside(self._link.session_fields, initialized)
            self._say("the gateway had forgotten the session; a new one was started")
        self._hear()

    def _hear(self) -> None:
        """Pass on what the gateway says outside of any request."""
        if self._hearing is not None:
            self._hearing.cancel()
        self._hearing = asyncio.get_running_loop().create_task(self._hear_on())

    async def _hear_on(self) -> None:
        with suppress(BailiwickError):
            async for message in self._link.session_messages():
                await self._write(message)


class SessionGone(TheirError):
    """The gateway does not know the session that a request was sent in."""


def _drop(response: Response) -> None:
    if response.stream is not None:
        response.stream.close()


def _version_of(params: JsonObject) -> str:
    meta = params.get("_meta")
    version = meta.get(VERSION_KEY) if isinstance(meta, Mapping) else None
    return version if isinstance(version, str) else ""


def _is_modern(params: JsonObject) -> bool:
    return _version_of(params) >= MODERN_VERSION


def _no_id_error(message: str) -> bytes:
    return encode_error(None, PARSE_ERROR, message)
