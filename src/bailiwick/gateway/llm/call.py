"""One model call between the agent and the server: sent as judged, passed back as it comes.

1. A whole answer is kept until its outcome is durable, then sent as it came.
2. A stream goes on piece by piece as it comes; its last event, or what makes a tool call whole,
   waits for the outcome.
3. A server that is not a model server of its dialect (redirects, refuses our key, sends garbage)
   is our fault to the agent, and said without a word of the server's.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Sequence

import msgspec

from bailiwick.core.call import ModelUse
from bailiwick.core.errors import UpstreamBroken, UpstreamDown
from bailiwick.core.limits.pricing import Price
from bailiwick.gateway.gate import GoneMidway, Tick
from bailiwick.gateway.http.response import Response
from bailiwick.gateway.http.stream import BodyStream
from bailiwick.gateway.llm.capture import StreamCapture
from bailiwick.gateway.llm.failures import SERVER_ERROR, failure_in, failure_of
from bailiwick.gateway.llm.meter import Meter
from bailiwick.gateway.llm.passage import Passage
from bailiwick.gateway.llm.patience import NO_PATIENCE, Deadlines, Patience, is_error
from bailiwick.gateway.llm.replies import streamed_reply, told_again, whole_reply
from bailiwick.gateway.llm.servers import ModelServer
from bailiwick.gateway.llm.used import overrun, settled
from bailiwick.gateway.mcp.sinks import KEEP_ALIVE, STALL_SECONDS
from bailiwick.gateway.mcp.wire import STREAM_HEADERS, ClientGone, Outcome, Send, reply
from bailiwick.ports import UpstreamReply
from bailiwick.protocols.llm.dialect import Asking
from bailiwick.protocols.llm.refusals import stream_refusal
from bailiwick.protocols.sse import encode_comment
from bailiwick.protocols.strict_json import encode

_MOST_AT_ONCE = 256
"""Most pieces that are joined to one write. A server sends them of a few hundred bytes each."""

_LINGER_SECONDS = 1.0
"""How long a server may take to end a stream after its last event."""

_PASSED = frozenset(
    {
        b"content-type",
        b"openai-processing-ms",
        b"openai-version",
        b"request-id",
        b"retry-after",
        b"retry-after-ms",
        b"x-request-id",
        b"x-should-retry",
    }
)
_PASSED_STARTS = (b"x-ratelimit-", b"anthropic-ratelimit-")
_VALUE = re.compile(rb"[\x20-\x7e]{0,1024}")
_OURS = (401, 403, 407)
"""Statuses that are about the gateway's key: nothing an agent could do about."""

Pairs = list[tuple[bytes, bytes]]


class ModelCall:
    """One call. `dispatch` and `on_tick` are for the gate.

    Attributes:
        streaming: the response has begun with 200 and events.
        sent: the dispatch is through: nothing of the answer is still to come.
        broken: why the server's stream ended before its end, if it did.
        held: it waited for a person.
        status: HTTP status of the answer; 0 while there is none.
        failed: it came to nothing that the agent was told, and why: of `failures.FAILURES`.
        rest_seconds: for which the server asks not to be asked again; 0 for none.
    """

    streaming = False
    sent = False
    broken: UpstreamBroken | None = None
    held = False
    status = 0
    failed = ""
    rest_seconds = 0.0
    _answer: tuple[int, Pairs, bytes] | None = None
    _held_back = b""
    _late: tuple[int, Pairs] | None = None
    _waiting = False
    _lock: asyncio.Lock | None = None

    def __init__(
        self,
        send: Send,
        server: ModelServer,
        asking: Asking,
        path: str,
        text: bytes,
        fields: Sequence[tuple[str, str]],
        served: tuple[tuple[bytes, bytes], ...],
        price: Price | None = None,
        patience: Patience = NO_PATIENCE,
        use: ModelUse | None = None,
    ) -> None:
        """See the class.

        Args:
            text: the request, as JSON.
            served: headers for the agent, that tell who served it.
            price: of the model; None if none is declared.
            use: what it was judged by, if some limit counts what it takes: a stream that makes
                more than its bound is cut.
        """
        self._send = send
        self._server = server
        self._asking = asking
        self._path = path
        self._text = text
        self._fields = fields
        self._served = served
        self._patience = patience
        self._use = use
        self._price = price

    # --- for the gate ----------------------------------------------------------------------------

    async def dispatch(self) -> UpstreamReply:
        """Send the judged parse, and pass on what streams back."""
        self._waiting = False
        stream: BodyStream | None = None
        started, seconds = 0.0, None
        if self._patience is not NO_PATIENCE:
            started = asyncio.get_running_loop().time()
            seconds = self._patience.answer_seconds(stream=self._asking.stream)
        try:
            answer = await self._server.send(self._path, self._text, self._fields, seconds)
            stream, self.status = answer.stream, answer.status
            self._check(answer)
            if stream is None:
                heard = self._whole(answer)
            else:
                heard = await self._pass_on(answer, stream, started)
            return settled(heard, self._price, self.status)
        except (UpstreamDown, UpstreamBroken) as error:
            self.failed = failure_of(error)
            raise
        finally:
            self.sent = True
            if stream is not None:
                stream.close()

    async def on_tick(self, tick: Tick) -> None:
        """It waits for a person: a streamed call says so in a comment, which SDKs skip."""
        self._waiting = self.held = True
        if self._lock is None:
            self._lock = asyncio.Lock()
        if self._asking.stream:
            await self._begin(200, [])
            await self._write(encode_comment(f"waiting for a stamp, hold {tick.hold}"))

    async def keep_alive(self) -> None:
        """Show a waiting client that somebody is still there. Never between a server's pieces."""
        if self.streaming and self._waiting:
            await self._write(KEEP_ALIVE)

    async def emit(self, message: bytes, *, keep: bool = False) -> None:
        """Nothing comes early here but what `dispatch` passes on."""
        raise AssertionError("a model call has no early messages")

    async def finish(self, outcome: Outcome) -> None:
        """As `emit`."""
        raise AssertionError("a model call ends with `deliver` or `refuse`")

    @property
    def broke(self) -> str:
        """Why its server let go of a stream that had begun; "" if it did not (`failures`)."""
        error = self.broken
        theirs = error is not None and error.code.startswith("upstream_")
        return failure_of(error) if error is not None and theirs else ""

    # --- for the edge ----------------------------------------------------------------------------

    async def deliver(self, call: str) -> None:
        """The outcome is durable: send the answer, or the end of the stream."""
        if self._answer is not None:
            status, passed, body = self._answer
            if self.streaming:
                # It was held, so the stream began before there was an answer to begin it with.
                await self._end(_as_event(self._asking, status, body))
                return
            named = (b"bailiwick-call", call.encode())
            await reply(self._send, status, body, *passed, named, json=False, constant=self._served)
            return
        if self._late is not None:
            await self._begin(*self._late)
        await self._end(self._held_back)

    async def deliver_other(self, call: str, heard: UpstreamReply) -> bool:
        """Send the answer to the same call, which another request waited for as well and got.

        Returns:
            False when there is no whole answer to send.
        """
        found = told_again(heard)
        if found is None:
            return False
        status, body, events = found
        if events:
            await self._begin(status, [(b"content-type", b"text/event-stream; charset=utf-8")])
            self._held_back = body
        else:
            self._answer = status, [(b"content-type", b"application/json")], body
        await self.deliver(call)
        return True

    async def break_off(self, status: int, code: str, text: str) -> None:
        """End a stream that had begun with an error of its dialect."""
        await self._begin(200, [])  # of a call that waited with it, and was cut at once
        await self._end(stream_refusal(self._asking.dialect, status, code, text))

    # --- answers ---------------------------------------------------------------------------------

    def _check(self, answer: Response) -> None:
        """Whether this can be an answer at all."""
        name, status, stream = self._server.spec.name, answer.status, answer.stream
        if status in _OURS:
            raise UpstreamBroken(
                "upstream_refused", f"server `{name}` refused the gateway's key (HTTP {status})"
            )
        if not (200 <= status < 300 or status >= 400):
            raise UpstreamBroken("upstream_garbage", f"server `{name}` answered HTTP {status}")
        if stream is not None and not (self._asking.stream and status == 200):
            raise UpstreamBroken(
                "upstream_garbage", f"server `{name}` streamed what nobody asked to"
            )
        # No key holds the end of a line, so none is found where two values meet.
        told = b"\n".join([value for _, value in answer.fields()])
        tells_its_key = self._server.tells_its_key
        if tells_its_key(told) or (stream is None and tells_its_key(answer.body)):
            raise self._told_its_key()

    def _told_its_key(self) -> UpstreamBroken:
        """The server told the gateway's key, which neither agents nor records are to hold."""
        name = self._server.spec.name
        return UpstreamBroken("upstream_garbage", f"server `{name}` told the key that it was sent")

    def _whole(self, answer: Response) -> UpstreamReply:
        body, status = answer.body, answer.status
        shown = body
        try:
            # Not strictly: nothing is judged by it, and it goes on as it came.
            msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            if status < 300:
                name = self._server.spec.name
                raise UpstreamBroken(
                    "upstream_garbage", f"server `{name}` answered with what is not JSON"
                ) from None
            shown = encode(body.decode(errors="replace"))
        self._answer = status, _passed(answer), body
        self.failed = failure_in(status)
        self.rest_seconds = rest_of(answer) if self.failed else 0.0
        if status < 300:
            return whole_reply(self._asking.dialect, status, body)
        return UpstreamReply(
            error=b'{"status":%d,"body":%b}' % (status, shown), facts={"http_status": status}
        )

    async def _pass_on(self, answer: Response, stream: BodyStream, started: float) -> UpstreamReply:
        dialect = self._asking.dialect
        capture = StreamCapture(dialect, answer.status)
        head = answer.status, _passed(answer)
        meter = self._meter()
        if not self._patience.defers:
            await self._begin(*head)
        deadlines = None
        if self._patience is not NO_PATIENCE:
            deadlines = Deadlines(self._patience, stream, self._server.spec.name, started)
        server = self._server
        tells, begins = server.tells_its_key, server.begins_its_key
        passage = Passage(capture, meter, deadlines, tells, begins, self._told_its_key)
        self._pass_on_at_once(stream, passage)
        ready = passage.ready
        try:
            async for chunk in stream:
                if chunk:  # else it has been heard on its way
                    passage.hear(chunk)
                if passage.is_over and meter is not None:
                    if ready:
                        await self._write(b"".join(ready))
                    return self._cut(capture, meter)
                if not self.streaming:
                    if is_error(chunk):
                        return await self._begun_with_error(head, stream, passage)
                    await self._begin(*head)
                    self._pass_on_at_once(stream, passage)
                if stream.has_more and len(ready) < _MOST_AT_ONCE:
                    continue  # what came together goes on together: one write, not fifty
                if ready:
                    await self._write(b"".join(ready))
                    ready.clear()
                if capture.is_complete:
                    await self._linger(stream, passage)
                    break
            passage.end()
        except UpstreamBroken as error:
            if not self.streaming:
                raise  # the agent was told nothing yet
            # Part of it was seen: that is recorded, and the agent told that it is not all.
            self.broken = error
            return streamed_reply(dialect, answer.status, capture, error.message)
        except (TimeoutError, ClientGone):
            self.broken = UpstreamBroken("client_stalled", "the client stopped reading")
            return streamed_reply(dialect, answer.status, capture, self.broken.message)
        except asyncio.CancelledError as gone:
            # What it had got by then it may have acted on.
            heard = streamed_reply(dialect, answer.status, capture, "the client went away")
            raise GoneMidway(heard) from gone
        finally:
            if deadlines is not None:
                deadlines.stop()
        if not self.streaming:
            self._late = head
        self._held_back = b"".join(ready) + capture.held_back()
        return streamed_reply(dialect, answer.status, capture)

    def _pass_on_at_once(self, stream: BodyStream, passage: Passage) -> None:
        """From now on pass pieces on where they arrive, where the client's end can do so: our own
        server can, once the response has begun and nobody else writes to it."""
        piece = getattr(self._send, "piece", None)
        if piece is not None and self.streaming and self._lock is None:
            stream.hand_to(passage.by(piece))

    def _meter(self) -> Meter | None:
        """What watches a stream that was reserved for, if its output is bounded."""
        bound = self._use.bounds.get("output_tokens") if self._use is not None else None
        return Meter(bound) if bound else None

    def _cut(self, capture: StreamCapture, meter: Meter) -> UpstreamReply:
        """It has made more than was reserved: no more of it is taken or passed on."""
        assert self._use is not None
        name = self._server.spec.name
        self.broken = UpstreamBroken(
            "output_above_bound",
            f"cut: server `{name}` made more than the {meter.bound:,} tokens reserved for it",
        )
        heard = streamed_reply(self._asking.dialect, self.status, capture, self.broken.message)
        used = overrun(self._use, self._price, meter.tokens(capture.made()))
        return msgspec.structs.replace(heard, used=used)

    async def _begun_with_error(
        self, head: tuple[int, Pairs], stream: BodyStream, passage: Passage
    ) -> UpstreamReply:
        """Its first word is that there is no answer: kept whole, as another model may be asked."""
        capture = passage.capture
        await self._linger(stream, passage)
        passage.end()
        self.failed = SERVER_ERROR
        self._late = head
        self._held_back = capture.events()
        return UpstreamReply(error=capture.record(), facts={"http_status": head[0]})

    async def _linger(self, stream: BodyStream, passage: Passage) -> None:
        """The last event is here: take what may still follow, for a moment.

        Raises:
            UpstreamBroken: what follows tells the gateway's key.
        """
        stream.hand_to(None)
        if stream.is_over:
            return
        try:
            async with asyncio.timeout(_LINGER_SECONDS):
                async for chunk in stream:
                    passage.hear(chunk)
        except (TimeoutError, UpstreamBroken):
            # The answer is whole; how the connection ends is no part of it.
            if passage.is_told:
                raise

    # --- the client's end ------------------------------------------------------------------------

    async def _begin(self, status: int, headers: Pairs) -> None:
        if self.streaming:
            return
        self.streaming = True
        given = dict(headers)
        more = [each for each in STREAM_HEADERS if each[0] not in given]
        start = [*headers, *more, *self._served]
        await self._send({"type": "http.response.start", "status": status, "headers": start})

    def _write(self, data: bytes) -> Awaitable[None]:
        # Unless it waited for a person, the dispatch alone writes.
        return self._take(data) if self._lock is None else self._take_in_turn(self._lock, data)

    async def _take_in_turn(self, lock: asyncio.Lock, data: bytes) -> None:
        async with lock:
            await self._take(data)

    async def _take(self, data: bytes) -> None:
        piece = getattr(self._send, "piece", None)
        if piece is not None and piece(data):  # our own server need not wait: as mostly
            return
        message = {"type": "http.response.body", "body": data, "more_body": True}
        async with asyncio.timeout(STALL_SECONDS):
            await self._send(message)

    async def _end(self, last: bytes) -> None:
        await self._send({"type": "http.response.body", "body": last, "more_body": False})


def _passed(answer: Response) -> Pairs:
    """The headers that SDKs read; nothing that names the operator's account there."""
    return [
        (name, value)
        for name, value in answer.fields()
        if (name in _PASSED or name.startswith(_PASSED_STARTS)) and _VALUE.fullmatch(value)
    ]


def rest_of(answer: Response) -> float:
    """Seconds for which the server asks not to be asked again; 0 for none."""
    for name, value in answer.fields():
        if name == b"retry-after" and re.fullmatch(rb"[0-9]{1,6}", value):
            return float(value)
    return 0.0


def _as_event(asking: Asking, status: int, body: bytes) -> bytes:
    """A whole answer where a stream was begun: an error says so, anything else is unusable."""
    text = "the server answered in one piece" if status < 300 else f"the server answered {status}"
    code = "upstream_garbage" if status < 300 else "upstream_error"
    detail = body[:300].decode(errors="replace")
    return stream_refusal(
        asking.dialect, status if status >= 400 else 502, code, f"{text}: {detail}"
    )
