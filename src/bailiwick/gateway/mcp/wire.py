"""Raw ASGI: reading a bounded body, writing one reply. No framework on the call path."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from bailiwick.core.errors import TheirError
from bailiwick.gateway.mcp.outcome import Outcome as Outcome

Scope = MutableMapping[str, Any]
AsgiMessage = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[AsgiMessage]]
Send = Callable[[AsgiMessage], Awaitable[None]]

_NO_STORE = ((b"cache-control", b"no-store"),)
_JSON = (*_NO_STORE, (b"content-type", b"application/json"))
STREAM_HEADERS = (
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-store, no-transform"),
    # Without it, nginx gathers events before it passes them on.
    (b"x-accel-buffering", b"no"),
)


class ClientGone(Exception):
    """The client closed the connection before its request was read."""


async def read_body(receive: Receive, content_length: bytes | None, max_bytes: int) -> bytes:
    """Read a request body of at most `max_bytes`.

    Raises:
        TheirError: `body_too_large` (413), `length_malformed` (400).
        ClientGone: the client disconnected first.
    """
    if content_length is not None:
        if not content_length.isdigit() or len(content_length) > 18:
            raise TheirError("length_malformed", "`Content-Length` is not a number")
        if int(content_length) > max_bytes:
            raise _too_large(max_bytes)
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientGone
    body: bytes = message.get("body", b"")
    if message.get("more_body", False):
        return await _read_rest(receive, body, max_bytes)
    if len(body) > max_bytes:
        raise _too_large(max_bytes)
    return body


def whole_body(send: Send, max_bytes: int) -> bytes | None:
    """The body, where our own server has all of it already; None: `read_body`.

    Raises:
        TheirError: `body_too_large`.
    """
    here = getattr(send, "whole_body", None)
    if here is None:
        return None
    body: bytes | None = here()
    if body is not None and len(body) > max_bytes:
        raise _too_large(max_bytes)
    return body


def serving_task(send: Send) -> asyncio.Task[Any]:
    """The task that an application serves a request in.

    Our own server knows it. To find out which task one is in takes twenty times as long: asyncio
    asks the kernel for the process each time.
    """
    task: asyncio.Task[Any] | None = getattr(send, "task", None) or asyncio.current_task()
    if task is None:
        raise AssertionError("an ASGI application runs in a task")
    return task


async def _read_rest(receive: Receive, first: bytes, max_bytes: int) -> bytes:
    chunks = [first]
    size = len(first)
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > max_bytes:
            raise _too_large(max_bytes)
        chunks.append(chunk)
        if not message.get("more_body", False):
            return b"".join(chunks)


def _too_large(max_bytes: int) -> TheirError:
    return TheirError("body_too_large", f"the body is larger than {max_bytes} bytes")


def reply_at_once(send: Send, status: int, body: bytes) -> bool:
    """Do what `reply` does, if our own server can without waiting; whether it was done."""
    whole = getattr(send, "whole", None)
    return whole is not None and whole(status, _JSON if body else _NO_STORE, (), body)


async def reply(
    send: Send,
    status: int,
    body: bytes = b"",
    *extra: tuple[bytes, bytes],
    json: bool = True,
    constant: tuple[tuple[bytes, bytes], ...] = (),
) -> None:
    """Send one complete response.

    Args:
        constant: further headers, like those of many other responses.

    The `send` of our own server takes it at once (`whole`), unless the client reads slowly; others
    are told in ASGI's two messages.
    """
    fields = _JSON if body and json else _NO_STORE
    if constant:
        fields = (*fields, *constant)
    whole = getattr(send, "whole", None)
    if whole is not None and whole(status, fields, extra, body):
        return
    headers = [(b"content-length", b"%d" % len(body)), *fields, *extra]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
