"""The load generator: a closed loop over raw sockets, on one core.

Each connection has one call outstanding; the next leaves when the reply to it is complete. A reply
counts as good only with status 200, the upstream's own text, and the number of the call it answers.
"""

from __future__ import annotations

import select
import socket
import time
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field

from bench.arithmetic import percentile
from bench.wire import FIRST_NUMBER, MARKER, CallTemplate, read_chunked

_HEADS_KEPT = 256
_LAST_CHUNK = b"\r\n0\r\n\r\n"
_PATIENCE_SECONDS = 20.0
"""How long the last outstanding replies are waited for after the time is up."""


@dataclass(frozen=True, slots=True)
class Load:
    """What to send.

    Attributes:
        templates: used by the connections in turn.
        requests, seconds: whichever is reached first ends the measurement.
        pieces: least pieces (`data:` lines) of a good reply, where replies are streamed; else 0.
    """

    port: int
    templates: Sequence[CallTemplate]
    connections: int
    requests: int
    seconds: float
    first_number: int = FIRST_NUMBER
    pieces: int = 0


@dataclass(slots=True)
class Sample:
    """What came back. `latencies` are seconds, in the order of the replies; `firsts` are those to
    the first piece of each streamed reply."""

    elapsed_seconds: float = 0.0
    latencies: array[float] = field(default_factory=lambda: array("d"))
    firsts: array[float] = field(default_factory=lambda: array("d"))
    errors: int = 0
    first_error: str = ""

    @property
    def good(self) -> int:
        return len(self.latencies)

    def requests_per_second(self) -> float:
        return self.good / self.elapsed_seconds if self.elapsed_seconds else 0.0

    def milliseconds(self, *percents: float) -> tuple[float, ...]:
        """Percentiles of the latency of good replies; NaN where there is none."""
        return _milliseconds(self.latencies, percents)

    def first_milliseconds(self, *percents: float) -> tuple[float, ...]:
        """The same to the first piece of a streamed reply."""
        return _milliseconds(self.firsts, percents)

    def failed(self, why: str) -> None:
        self.errors += 1
        self.first_error = self.first_error or why


def _milliseconds(seconds: Sequence[float], percents: Sequence[float]) -> tuple[float, ...]:
    if not seconds:
        return tuple(float("nan") for _ in percents)
    ordered = sorted(seconds)
    return tuple(percentile(ordered, percent) * 1000 for percent in percents)


@dataclass(frozen=True, slots=True)
class Head:
    """A reply's head. `length` is -1 for a chunked body."""

    status: int
    length: int
    close: bool


@dataclass(frozen=True, slots=True)
class Reply:
    """A complete reply."""

    head: Head
    body: bytes


class Replies:
    """Reads replies; remembers heads, which repeat (but for the seconds of a `Date`)."""

    def __init__(self) -> None:
        self._heads: dict[bytes, Head] = {}

    def read(self, data: bytes) -> Reply | None:
        """The reply in `data`, or None while it is not complete."""
        end = data.find(b"\r\n\r\n")
        if end < 0:
            return None
        raw = data[:end]
        head = self._heads.get(raw)
        if head is None:
            if len(self._heads) >= _HEADS_KEPT:
                self._heads.clear()
            head = self._heads[raw] = _read_head(raw)
        start = end + 4
        if head.length < 0:
            chunked = read_chunked(data, start)
            return None if chunked is None else Reply(head, chunked[0])
        if len(data) < start + head.length:
            return None
        return Reply(head, data[start : start + head.length])


def _read_head(raw: bytes) -> Head:
    first, *lines = raw.split(b"\r\n")
    fields = {}
    for line in lines:
        name, _, value = line.partition(b":")
        fields[name.strip().lower()] = value.strip().lower()
    chunked = fields.get(b"transfer-encoding") == b"chunked"
    return Head(
        status=int(first.split(b" ", 2)[1]),
        length=-1 if chunked else int(fields.get(b"content-length", b"0")),
        close=fields.get(b"connection") == b"close",
    )


class _Connection:
    __slots__ = ("begun", "buffer", "number", "sent_at", "socket", "stream", "template")

    def __init__(self, port: int, template: CallTemplate) -> None:
        self.template = template
        self.buffer = b""
        self.stream = bytearray()
        self.begun = False
        self.number = 0
        self.sent_at = 0.0
        self.socket = connect(port)

    def send(self, number: int) -> None:
        self.number = number
        self.sent_at = time.perf_counter()
        self.socket.sendall(self.template.request(number))


def connect(port: int) -> socket.socket:
    """A connection to loopback that does not wait to fill packets."""
    opened = socket.create_connection(("127.0.0.1", port), timeout=_PATIENCE_SECONDS)
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    opened.setblocking(True)
    return opened


class _Run:
    """One measurement under way."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._pieces = load.pieces
        self._sample = Sample()
        self._replies = Replies()
        self._poll = select.epoll()
        self._open: dict[int, _Connection] = {}
        self._next = load.first_number
        self._end = load.first_number + load.requests

    def drive(self) -> Sample:
        load = self._load
        connections = [
            _Connection(load.port, load.templates[n % len(load.templates)])
            for n in range(min(load.connections, load.requests))
        ]
        started = time.perf_counter()
        deadline = started + load.seconds
        for connection in connections:
            self._watch(connection)
        while self._open:
            events = self._poll.poll(_PATIENCE_SECONDS)
            if not events:
                self._give_up()
            for number, _ in events:
                self._readable(self._open[number], deadline)
        self._sample.elapsed_seconds = time.perf_counter() - started
        self._poll.close()
        return self._sample

    def _watch(self, connection: _Connection) -> None:
        number = connection.socket.fileno()
        self._open[number] = connection
        self._poll.register(number, select.EPOLLIN)
        connection.send(self._next)
        self._next += 1

    def _readable(self, connection: _Connection, deadline: float) -> None:
        try:
            chunk = connection.socket.recv(262_144)
        except OSError as error:
            self._lost(connection, str(error), deadline)
            return
        if not chunk:
            self._lost(connection, "the connection was closed without a reply", deadline)
            return
        reply = (self._streamed if self._pieces else self._whole)(connection, chunk)
        if reply is None:
            return
        now = time.perf_counter()
        body = reply.body
        good = reply.head.status == 200 and MARKER in body and b"%d" % connection.number in body
        if good and body.count(b"data:") >= self._pieces:
            self._sample.latencies.append(now - connection.sent_at)
        else:
            self._sample.failed(f"{reply.head.status}: {body[:300]!r}")
        if self._next >= self._end or now >= deadline:
            self._drop(connection)
        elif reply.head.close:
            self._again(connection)
        else:
            connection.send(self._next)
            self._next += 1

    def _whole(self, connection: _Connection, chunk: bytes) -> Reply | None:
        data = connection.buffer + chunk if connection.buffer else chunk
        reply = self._replies.read(data)
        connection.buffer = data if reply is None else b""
        return reply

    def _streamed(self, connection: _Connection, chunk: bytes) -> Reply | None:
        """As `_whole`, without reading what has come again at each piece."""
        data = connection.stream
        data += chunk
        if not connection.begun and b"data:" in data:
            connection.begun = True
            self._sample.firsts.append(time.perf_counter() - connection.sent_at)
        if not data.endswith(_LAST_CHUNK) and connection.begun:
            return None
        reply = self._replies.read(bytes(data))
        if reply is not None:
            data.clear()
            connection.begun = False
        return reply

    def _lost(self, connection: _Connection, why: str, deadline: float) -> None:
        self._sample.failed(why)
        if self._next >= self._end or time.perf_counter() >= deadline:
            self._drop(connection)
        else:
            self._again(connection)

    def _again(self, connection: _Connection) -> None:
        self._drop(connection)
        try:
            fresh = _Connection(self._load.port, connection.template)
        except OSError as error:
            self._sample.failed(f"cannot connect again: {error}")
            return
        self._watch(fresh)

    def _drop(self, connection: _Connection) -> None:
        number = connection.socket.fileno()
        self._poll.unregister(number)
        del self._open[number]
        connection.socket.close()

    def _give_up(self) -> None:
        for connection in list(self._open.values()):
            self._sample.failed(f"no reply within {_PATIENCE_SECONDS} s")
            self._drop(connection)


def drive(load: Load) -> Sample:
    """Measure once. Raises OSError when the target cannot be connected to at all."""
    return _Run(load).drive()


def first_call(port: int, template: CallTemplate, number: int, seconds: float) -> str:
    """Make one call; "" when it was answered well, else what was wrong."""
    sample = Sample()
    try:
        sample = drive(Load(port, (template,), 1, 1, seconds, first_number=number))
    except OSError as error:
        return str(error)
    return sample.first_error
