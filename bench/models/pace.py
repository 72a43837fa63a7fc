"""Whether a gateway holds pieces of a stream back: each piece says when it was sent.

The upstream stamps every piece with `CLOCK_MONOTONIC`, which all processes of a machine share; the
client looks at the same clock when the piece is there.
"""

from __future__ import annotations

import select
import time
from dataclasses import dataclass

from bench.arithmetic import percentile
from bench.load import connect
from bench.models.wire import PACE_SECONDS, PACED, PIECES, STAMP, ModelEndpoint
from bench.wire import FIRST_NUMBER

_END = b"\r\n0\r\n\r\n"
_PATIENCE_SECONDS = 20.0
_TAIL_BYTES = 512


@dataclass(frozen=True, slots=True)
class Pace:
    """How late the pieces came, over all streams at once.

    Attributes:
        p50_ms, p99_ms, most_ms: from the upstream's write of a piece to the client's reading it.
        held: pieces that came after the next one had been sent.
        pieces: all that came.
        wanted: as many as were sent.
    """

    connections: int
    p50_ms: float
    p99_ms: float
    most_ms: float
    held: int
    pieces: int
    wanted: int


def pace(endpoint: ModelEndpoint, connections: int, streams: int) -> Pace:
    """Read `streams` paced streams, one after the other, on each of the connections.

    Raises:
        OSError: the target cannot be connected to.
    """
    template = endpoint.asking(PACED, PIECES).template()
    late: list[int] = []
    for turn in range(streams):
        opened = {}
        with select.epoll() as poll:
            for number in range(connections):
                socket = connect(endpoint.port)
                opened[socket.fileno()] = (socket, bytearray())
                poll.register(socket.fileno(), select.EPOLLIN)
                socket.sendall(template.request(FIRST_NUMBER + turn * connections + number))
            while opened:
                ready = poll.poll(_PATIENCE_SECONDS)
                if not ready:
                    break
                for fileno, _ in ready:
                    socket, tail = opened[fileno]
                    data = socket.recv(262_144)
                    now = time.monotonic_ns()
                    late += [now - sent for sent in _sent(tail, data)]
                    if not data or tail.endswith(_END):
                        poll.unregister(fileno)
                        socket.close()
                        del opened[fileno]
        for socket, _ in opened.values():
            socket.close()
    return summed_up(late, connections, connections * streams * PIECES)


def _sent(tail: bytearray, data: bytes) -> list[int]:
    """When the pieces that end in `data` were sent; `tail` keeps what may be half of one."""
    tail += data
    read, found = 0, []
    for each in STAMP.finditer(bytes(tail)):
        read = each.end()
        found.append(int(each.group(1)))
    del tail[: max(read, len(tail) - _TAIL_BYTES)]
    return found


def summed_up(late_ns: list[int], connections: int, wanted: int) -> Pace:
    """The figures of some pieces, at least one or NaN."""
    ordered = sorted(each / 1e6 for each in late_ns)
    p50, p99, most = (
        (percentile(ordered, percent) for percent in (50, 99, 100))
        if ordered
        else (float("nan"),) * 3
    )
    held = sum(1 for each in ordered if each >= PACE_SECONDS * 1000)
    return Pace(connections, p50, p99, most, held, len(ordered), wanted)
