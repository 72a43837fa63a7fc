"""What goes over the wire: origins and request heads, checked so that nothing can be injected."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NewType
from urllib.parse import urlsplit

from bailiwick.core.errors import ConfigError, UpstreamDown

# RFC 9110 section 5.6.2 (token) and 5.5 (field values; obs-text is left out on purpose).
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+").fullmatch
_VALUE = re.compile(r"(?:[\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?)?").fullmatch
_TARGET = re.compile(r"/[\x21-\x7e]*").fullmatch

OWN_HEADERS = frozenset(
    {"host", "content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer"}
)
"""Framing belongs to this client; nobody else may set these."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a declared server is: scheme, host, port."""

    host: str
    port: int
    tls: bool

    @property
    def authority(self) -> str:
        """The `Host` header: the port only where it is not the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.tls else 80) else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{'https' if self.tls else 'http'}://{self.authority}"


def parse_url(url: str) -> tuple[Origin, str]:
    """Split a declared URL into its origin and request target.

    Raises:
        ConfigError: `server_url`: not http(s), no host, credentials or a fragment inside, or
            characters that a URL may not have.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ConfigError("server_url", "the URL cannot be read") from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError("server_url", "the URL must be http://… or https://… with a host")
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise ConfigError(
            "server_url", "the URL may hold no credentials and no fragment; use `headers`"
        )
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if url != url.strip() or not _TARGET(target) or not _VALUE(parts.hostname):
        raise ConfigError("server_url", "the URL holds characters that must be percent-encoded")
    tls = parts.scheme == "https"
    return Origin(parts.hostname, port or (443 if tls else 80), tls), target


EncodedFields = NewType("EncodedFields", bytes)
"""Header lines that `encode_fields` has made, and so has checked."""


def encode_fields(fields: Iterable[tuple[str, str]]) -> EncodedFields:
    """Encode header fields, each `name: value` with CRLF.

    Raises:
        UpstreamDown: `header_unsafe` for a name that is no token, a value with control characters,
            non-ASCII or outer white space, or a framing header.
    """
    lines: list[str] = []
    for name, value in fields:
        if not _TOKEN(name) or name.lower() in OWN_HEADERS:
            raise UpstreamDown("header_unsafe", f"the header name `{name[:80]!a}` cannot be sent")
        if not _VALUE(value):
            # The value may be a secret: never quoted.
            raise UpstreamDown("header_unsafe", f"the value of header `{name}` cannot be sent")
        lines.append(f"{name}: {value}\r\n")
    return EncodedFields("".join(lines).encode("ascii"))


class Template:
    """The fixed part of requests to one place, validated and encoded once."""

    __slots__ = ("_head", "method")

    def __init__(
        self, method: str, origin: Origin, target: str, fields: Iterable[tuple[str, str]]
    ) -> None:
        if not _TOKEN(method) or not _TARGET(target):
            raise UpstreamDown("header_unsafe", "the method or target cannot be sent safely")
        self.method = method
        start = f"{method} {target} HTTP/1.1\r\nHost: {origin.authority}\r\n"
        self._head = start.encode("ascii") + encode_fields(fields)

    def encode(self, fields: EncodedFields | Iterable[tuple[str, str]], body: bytes) -> bytes:
        """One whole request. Raises UpstreamDown as `encode_fields` does."""
        more = fields if isinstance(fields, bytes) else encode_fields(fields) if fields else b""
        if body or self.method not in ("GET", "DELETE"):
            return b"%b%bContent-Length: %d\r\n\r\n%b" % (self._head, more, len(body), body)
        return b"%b%b\r\n" % (self._head, more)
