"""Who may knock at all: `Host` and `Origin`, against DNS rebinding. Pure.

A web page can make a browser send requests to a loopback gateway under the page's own host name;
the names decide, not the address. Source: `basic/transports` "Security Warning", every revision.
"""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit

_MAX_REMEMBERED = 1024


class Doorman:
    """Allowed names.

    Args:
        hosts: `name`, for any port, or `name:port`.
        origins: further allowed origins such as `https://console.example`. An origin whose host
            is among `hosts` is allowed anyway.
    """

    def __init__(self, hosts: Iterable[str], origins: Iterable[str] = ()) -> None:
        self._hosts = frozenset(host.lower() for host in hosts)
        self._origins = frozenset(origin.lower().rstrip("/") for origin in origins)
        self._known: dict[tuple[bytes | None, bytes | None], bool] = {}

    def admits(self, host: bytes | None, origin: bytes | None) -> bool:
        """Whether a request with these headers may be looked at."""
        key = (host, origin)
        known = self._known.get(key)
        if known is None:
            known = self._host(host) and (origin is None or self._origin(origin))
            if len(self._known) < _MAX_REMEMBERED:
                self._known[key] = known
        return known

    def _host(self, host: bytes | None) -> bool:
        if host is None:
            return False
        name = host.decode("latin-1").lower()
        return name in self._hosts or _without_port(name) in self._hosts

    def _origin(self, origin: bytes) -> bool:
        text = origin.decode("latin-1").lower()
        if text in self._origins:
            return True
        try:
            parts = urlsplit(text)
        except ValueError:
            return False
        plain = f"{parts.scheme}://{parts.netloc}" == text
        return plain and parts.scheme in ("http", "https") and self._host(parts.netloc.encode())


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host[: host.find("]") + 1]
    return host.partition(":")[0]
