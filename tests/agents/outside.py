"""The outside, as far as an agent gets: a proxy that refuses everything and keeps who asked."""

from __future__ import annotations

import contextlib
import socketserver
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

MAX_LINE_BYTES = 8192


@dataclass
class Outside:
    """What was asked of the outside.

    Attributes:
        url: for `HTTPS_PROXY` and its like.
        asked: the first line of each request.
    """

    url: str
    asked: list[str] = field(default_factory=list)

    @property
    def environ(self) -> dict[str, str]:
        """What sends a well-behaved program's requests here, except those to this machine."""
        names = ("http_proxy", "https_proxy", "all_proxy")
        proxies = dict.fromkeys((*names, *map(str.upper, names)), self.url)
        return {**proxies, "no_proxy": "127.0.0.1", "NO_PROXY": "127.0.0.1"}


@contextlib.contextmanager
def no_outside() -> Iterator[Outside]:
    """An outside that refuses, for as long as the block lasts."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            line = self.rfile.readline(MAX_LINE_BYTES).decode("latin-1").strip()
            outside.asked.append(line)
            self.wfile.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        outside = Outside(f"http://127.0.0.1:{server.server_address[1]}")
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        try:
            yield outside
        finally:
            server.shutdown()
            serving.join()
