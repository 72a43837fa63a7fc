"""How a gateway is started. The command line makes one of these; nothing else reads settings."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bailiwick.app.http_places import FEWEST_PLACES, MOST_PLACES
from bailiwick.core.errors import ConfigError

DEFAULT_PORT = 8750


_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared with, not bound
"""Addresses to listen on that are none to connect to, and the one to use instead."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen: a loopback or other address, and a port (0 for any free one)."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Address:
        """From `HOST:PORT`, `[v6]:PORT` or `:PORT` (loopback).

        Raises:
            ConfigError: `address_malformed`.
        """
        host, separator, port = text.rpartition(":")
        host = host.strip("[]") or "127.0.0.1"
        if not separator or not port.isascii() or not port.isdigit() or int(port) > 65535:
            raise ConfigError(
                "address_malformed", f"`{text}` is not HOST:PORT, such as 127.0.0.1:8750"
            )
        return cls(host, int(port))

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach it."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def everywhere(self) -> bool:
        """Whether it stands for every address of this machine."""
        return self.host in _EVERYWHERE

    def url(self, port: int) -> str:
        """`http://HOST:PORT` with the port that was really bound, as this machine reaches it."""
        name = _EVERYWHERE.get(self.host, self.host)
        host = f"[{name}]" if ":" in name else name
        return f"http://{host}:{port}"


@dataclass(frozen=True, slots=True)
class Settings:
    """One gateway's settings.

    Attributes:
        files: declared objects to apply before listening: files, or folders of `*.yaml`.
        data: the data folder; made if missing.
        fsync: False gives up durability, for measurements only.
        test_listener, test_agent: a second, loopback-only listener where every request counts
            as `test_agent`'s, without a token: for conformance suites that cannot send one.
        public_url: how clients reach the gateway, if not at the listening address.
        environ: the environment from which `${env:NAME}` is filled.
        allowed_hosts: further names accepted in `Host`, lower case: `NAME` for any port, or
            `NAME:PORT`.
        max_connections: to all listeners at a time; None for as many as usual, and fewer where the
            process may not open so many files.
        max_per_address: from one address; 0 for no such bound.
        announce: called with the URL once the gateway answers.
    """

    data: Path
    files: tuple[Path, ...] = ()
    listen: Address = Address("127.0.0.1", DEFAULT_PORT)
    fsync: bool = True
    test_listener: Address | None = None
    test_agent: str = ""
    public_url: str = ""
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    allowed_hosts: frozenset[str] = frozenset()
    hold_window_seconds: float = 240.0
    tick_seconds: float = 15.0
    hold_expires_seconds: int = 24 * 3600
    max_body_bytes: int = 4 * 2**20
    max_connections: int | None = None
    max_per_address: int = 0

    def check(self) -> None:
        """Refuse what must not be started.

        Raises:
            ConfigError: `test_listener_exposed`, `test_agent_missing`, `address_malformed`,
                `out_of_range`.
        """
        if self.test_listener is not None:
            if not self.test_listener.loopback:
                raise ConfigError(
                    "test_listener_exposed",
                    f"the test listener takes no tokens, so `{self.test_listener.host}` must be a "
                    "loopback address",
                )
            if not self.test_agent:
                raise ConfigError("test_agent_missing", "--test-listener needs --test-agent NAME")
        if self.public_url and not self.public_url.startswith(("http://", "https://")):
            raise ConfigError("address_malformed", f"`{self.public_url}` is not a web address")
        if not 1 <= self.hold_window_seconds <= 3600:
            raise ConfigError(
                "out_of_range",
                f"the hold window is 1 to 3600 seconds, not `{self.hold_window_seconds}`",
            )
        most = self.max_connections
        if most is not None and not FEWEST_PLACES <= most <= MOST_PLACES:
            raise ConfigError(
                "out_of_range",
                f"--max-connections is {FEWEST_PLACES} to {MOST_PLACES}, not `{most}`",
            )
        if not 0 <= self.max_per_address <= MOST_PLACES:
            raise ConfigError(
                "out_of_range",
                f"--max-per-address is 0 (no bound) to {MOST_PLACES}, not `{self.max_per_address}`",
            )
