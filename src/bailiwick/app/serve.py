"""Start a gateway, serve until asked to end, take it down."""

from __future__ import annotations

import contextlib
import gc
import logging
import sys
from collections.abc import Callable, Iterable

import uvloop

from bailiwick.app.data_folder import announce, exclusive, prepare_folder, withdraw
from bailiwick.app.gateway import Doors, open_gateway
from bailiwick.app.http_places import Places
from bailiwick.app.open_files import room_for
from bailiwick.app.server import Server, bind
from bailiwick.app.settings import Address, Settings

Started = Callable[[str], None]
"""Told the gateway's URL once it answers."""

# The event loop and the thread that waits for the disk hand the interpreter lock to each other at
# every commit; the default interval of 5 ms would be most of a call's time.
_SWITCH_SECONDS = 0.0005


def run(settings: Settings, on_started: Started = lambda _url: None) -> None:
    """`serve` on an event loop of its own. Blocks until the gateway has ended."""
    uvloop.run(serve(settings, on_started))


async def serve(settings: Settings, on_started: Started = lambda _url: None) -> None:
    """Start a gateway on `settings.data`, serve until SIGINT or SIGTERM, take it down.

    Raises:
        ConfigError, StoreError, VerificationError: it cannot or must not start; says why.
    """
    logging.basicConfig(stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    settings.check()
    places = Places(room_for(settings.max_connections), settings.max_per_address)
    sys.setswitchinterval(_SWITCH_SECONDS)
    folder = prepare_folder(settings.data)
    with contextlib.ExitStack() as sockets:
        sockets.enter_context(exclusive(folder.path))
        main = sockets.enter_context(contextlib.closing(bind(settings.listen)))
        listening = [main]
        test = None
        if settings.test_listener is not None:
            test = sockets.enter_context(contextlib.closing(bind(settings.test_listener)))
            listening.append(test)
        port = main.getsockname()[1]
        doors = _doors(settings, port, test.getsockname()[1] if test is not None else 0)
        async with open_gateway(settings, folder) as gateway:

            def started() -> None:
                announce(folder, _url_here(settings, port), gateway.ledger_key)
                on_started(doors.url)

            switchboard = gateway.asgi(doors)

            def stopping() -> None:
                gateway.start_closing()
                switchboard.start_closing()

            server = Server(switchboard, places, started, stopping)
            _settle_memory()
            try:
                await server.run_on(listening)
            finally:
                withdraw(folder)
                await switchboard.aclose()


def _settle_memory() -> None:
    """What exists now lives as long as the process: collections need not look at it again.

    Calls make few cycles, so collecting rarely costs little memory (bench --soak) and saves time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def _doors(settings: Settings, port: int, test_port: int) -> Doors:
    url = settings.public_url.rstrip("/") or settings.listen.url(port)
    public = url.partition("://")[2].lower()
    ours = _names(settings.listen)
    test_url, test_hosts = "", frozenset[str]()
    if settings.test_listener is not None:
        test_url = settings.test_listener.url(test_port)
        test_hosts = _with_port(_names(settings.test_listener), test_port)
    return Doors(
        url=url,
        names=frozenset(ours | {_without_port(host) for host in (public, *settings.allowed_hosts)}),
        hosts=_with_port(ours, port) | {public} | settings.allowed_hosts,
        test_url=test_url,
        test_hosts=test_hosts,
        test_port=test_port,
    )


def _url_here(settings: Settings, port: int) -> str:
    """Where commands on this machine find it: not by way of a proxy, where that can be avoided."""
    direct = settings.listen.loopback or settings.listen.everywhere
    public = settings.public_url.rstrip("/")
    return settings.listen.url(port) if direct or not public else public


def _with_port(names: Iterable[str], port: int) -> frozenset[str]:
    return frozenset(f"[{name}]:{port}" if ":" in name else f"{name}:{port}" for name in names)


def _without_port(host: str) -> str:
    """The name in `NAME`, `NAME:PORT` or `[V6]:PORT`."""
    if host.startswith("["):
        return host[1 : host.find("]")]
    return host.partition(":")[0]


def _names(address: Address) -> set[str]:
    """What clients may call this address in `Host`."""
    if address.loopback or address.everywhere:
        return {"127.0.0.1", "localhost", "::1"}
    return {address.host}
