"""A very fast model server: the fixed point that every target of the benchmark talks to.

It answers chat completions of three models (`wire.SERVED`) without thinking. A stream is written
piece by piece, each by a write of its own in a turn of the loop of its own, as a model server does
that has its tokens one by one. As with `bench.upstream`, `GET /count` says how many calls came.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import time
from collections.abc import Callable

import msgspec
import uvloop

from bench.models.wire import (
    LONG,
    LONG_BYTES,
    LONG_PIECES,
    PACE_SECONDS,
    PACED,
    PIECES,
    SERVED,
    event,
    numbered,
    streamed_answer,
    whole_answer,
)
from bench.upstream import OK, FastServer, RequestHead, serve, with_body


class _Request(msgspec.Struct):
    model: str = ""
    stream: bool = False


_ASKED_FOR = re.compile(rb"INV-(\d{8})")
_MODELS = b'{"object":"list","data":[%b]}' % b",".join(
    b'{"id":"%b","object":"model"}' % name.encode() for name in SERVED
)
_WHOLE = whole_answer()
_STREAMED = streamed_answer(PIECES)
_LONG = streamed_answer(LONG_PIECES, LONG_BYTES)
_STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
)
_LAST_CHUNK = b"0\r\n\r\n"


class FastModel(FastServer):
    """One connection."""

    _decode_body = staticmethod(msgspec.json.Decoder(_Request).decode)

    def answer(self, transport: asyncio.Transport, head: RequestHead, body: bytes) -> bytes:
        """See `FastServer`."""
        if head.verb != b"POST":
            if head.path.endswith(b"/models"):
                return with_body(OK, _MODELS)
            return super().answer(transport, head, body)
        request = self._decode_body(body)
        found = _ASKED_FOR.search(body)
        number = found.group(1) if found else b"00000000"
        FastServer.calls += 1
        if not request.stream:
            return with_body(OK, numbered(_WHOLE, number))
        _Stream(transport, request.model, number).start()
        return _STREAM_HEAD


class _Stream:
    """One stream under way."""

    def __init__(self, transport: asyncio.Transport, model: str, number: bytes) -> None:
        self._transport = transport
        self._pieces = iter(_LONG if model == LONG else _STREAMED)
        self._number = number
        self._left = PIECES if model == PACED else 0
        loop = asyncio.get_running_loop()
        self._soon: Callable[[Callable[[], None]], object] = loop.call_soon
        if model == PACED:
            self._soon = lambda step: loop.call_later(PACE_SECONDS, step)

    def start(self) -> None:
        self._soon(self._step)

    def _step(self) -> None:
        if self._transport.is_closing():
            return
        piece = next(self._pieces, None)
        if piece is None:
            self._transport.write(_LAST_CHUNK)
            return
        if self._left:
            self._left -= 1
            piece = event(f"sent {time.monotonic_ns()} ns")
        piece = numbered(piece, self._number)
        self._transport.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        self._soon(self._step)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    uvloop.run(serve(parser.parse_args().port, FastModel))
