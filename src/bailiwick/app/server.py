"""The HTTP server: uvicorn accepts and ends; sockets, signals and protocol are our own."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable, Iterator, Sequence

import uvicorn
from starlette.types import ASGIApp

from bailiwick.app.http_places import Places
from bailiwick.app.http_protocol import HttpProtocol, ServerState
from bailiwick.app.http_round import Round
from bailiwick.app.settings import Address
from bailiwick.core.errors import ConfigError

_BACKLOG = 2048
_SHUTDOWN_SECONDS = 5


def bind(address: Address) -> socket.socket:
    """A listening socket.

    Raises:
        ConfigError: `address_unusable`: taken, not ours, or not allowed.
    """
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((address.host, address.port))
        listening.listen(_BACKLOG)
        listening.setblocking(False)
    except OSError as error:
        listening.close()
        raise ConfigError(
            "address_unusable",
            f"cannot listen on {address.host}:{address.port}: {error.strerror}; choose another "
            "with --listen HOST:PORT",
        ) from error
    return listening


class Server(uvicorn.Server):
    """A server that says when it answers, and leaves cleaning up to its caller.

    uvicorn raises the signal again before its caller's `finally` blocks have run; here a signal
    only asks it to end.
    """

    def __init__(
        self,
        app: ASGIApp,
        places: Places,
        on_started: Callable[[], None],
        on_stopping: Callable[[], None],
    ) -> None:
        round_ = Round()

        def connect(*, server_state: ServerState, **_: object) -> HttpProtocol:
            return HttpProtocol(app, server_state, round_, places)

        super().__init__(
            uvicorn.Config(
                app,
                http=connect,  # type: ignore[arg-type]  # uvicorn only ever calls it
                ws="none",
                lifespan="off",
                interface="asgi3",
                access_log=False,
                log_config=None,
                log_level="error",
                proxy_headers=False,  # nobody may say who they are by a header
                timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
                backlog=_BACKLOG,
            )
        )
        self._on_started = on_started
        self._on_stopping = on_stopping

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start answering, then say so."""
        await super().startup(sockets)
        if self.started:
            self._on_started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let go of whatever waits, then wait for what is under way."""
        self._on_stopping()
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """SIGINT and SIGTERM ask for an orderly end."""
        loop = asyncio.get_running_loop()
        signals = (signal.SIGINT, signal.SIGTERM)
        try:
            for number in signals:
                loop.add_signal_handler(number, self._stop)
        except (ValueError, RuntimeError):  # not in the main thread: somebody else minds signals
            yield
            return
        try:
            yield
        finally:
            for number in signals:
                loop.remove_signal_handler(number)

    def _stop(self) -> None:
        if self.should_exit:
            self.force_exit = True
        self.should_exit = True

    async def run_on(self, sockets: Sequence[socket.socket]) -> None:
        """Serve until asked to end."""
        await self.serve(list(sockets))
