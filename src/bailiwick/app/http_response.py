"""The head of an HTTP/1.1 response, from what an ASGI application says. Pure.

Source: RFC 9112 (framing), RFC 9110 (fields); ASGI `http.response.start`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from http import HTTPStatus

Fields = tuple[tuple[bytes, bytes], ...]

_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
# RFC 9110 section 5.5; a line break in a value would be a header, or a response, of the sender's.
_VALUE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")
_LENGTH_DIGITS = 18

_USUAL = {
    field: b"%b: %b\r\n" % field
    for field in (
        (b"content-type", b"application/json"),
        (b"content-type", b"text/event-stream"),
        (b"cache-control", b"no-store"),
        (b"cache-control", b"no-store, no-transform"),
        (b"x-accel-buffering", b"no"),
    )
}
"""What nearly every response of the call path says, checked and encoded once."""

_PHRASES = {status.value: status.phrase.encode() for status in HTTPStatus}

CLOSE = b"connection: close\r\n"
CHUNKED = b"transfer-encoding: chunked\r\n"


def encode_fields(fields: Iterable[tuple[bytes, bytes]]) -> tuple[bytes, int | None, bool]:
    """Check and encode the fields of one response.

    `date` and `connection` are left out: the connection writes its own.

    Returns:
        The encoded fields, without those that are the connection's; the body's length in bytes, as
        the application declared it, None for no word; whether the connection is to be closed.

    Raises:
        ValueError: a name that is no token, a value with control characters, a length that is no
            number or stands twice, or a `transfer-encoding`, which is not the application's.
    """
    lines = b""
    length: int | None = None
    close = False
    for name, value in fields:
        usual = _USUAL.get((name, value))
        if usual is not None:
            lines += usual
            continue
        name = name.lower()
        if name == b"content-length":
            if length is not None or not value.isdigit() or len(value) > _LENGTH_DIGITS:
                raise ValueError("a response has one length, a number")
            length = int(value)
            lines += b"content-length: %b\r\n" % value
            continue
        if name == b"connection":
            close = close or b"close" in value.lower()
            continue
        if name == b"date":
            continue
        if name == b"transfer-encoding":
            raise ValueError("the connection says how a response is framed")
        if not _TOKEN.fullmatch(name) or not _VALUE.fullmatch(value):
            raise ValueError("a response field has a character that fields must not have")
        lines += b"%b: %b\r\n" % (name, value)
    return lines, length, close


def encode_constant(fields: Fields) -> bytes:
    """Encode fields that many responses have.

    Raises:
        ValueError: as `encode_fields`; a length or an end, which each response has for itself.
    """
    lines, length, last = encode_fields(fields)
    if length is not None or last:
        raise ValueError("length and end are not constant fields")
    return lines


def status_line(status: int) -> bytes:
    """`HTTP/1.1 200 OK` and the line's end.

    Raises:
        ValueError: not a final status of three digits.
    """
    if not 200 <= status <= 599:
        raise ValueError("a response has a final status")
    return b"HTTP/1.1 %d %b\r\n" % (status, _PHRASES.get(status, b""))


def plain_response(status: int) -> bytes:
    """A whole response that says its status and nothing else, and ends the connection."""
    text = _PHRASES[status]
    return b"%bcontent-type: text/plain\r\ncontent-length: %d\r\n%b\r\n%b" % (
        status_line(status),
        len(text),
        CLOSE,
        text,
    )
