"""All upstreams of one gateway, as declared now; replaced while it runs."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from bailiwick.gateway.upstreams.http import HttpUpstream
from bailiwick.gateway.upstreams.spec import ServerSpec
from bailiwick.gateway.upstreams.stdio import StdioUpstream
from bailiwick.gateway.upstreams.watchdog import Watchdog
from bailiwick.ports import Upstream, UpstreamStatus


class Upstreams:
    """Builds, keeps and replaces upstreams. Belongs to one event loop.

    Args:
        search_path: a PATH to look up bare command names of stdio servers in.
        tls: for tests with an authority of their own; None verifies against the system's.
    """

    def __init__(self, search_path: str, tls: ssl.SSLContext | None = None) -> None:
        self._search_path = search_path
        self._tls = tls
        self._watchdog = Watchdog()
        self._held: dict[str, tuple[ServerSpec, HttpUpstream | StdioUpstream]] = {}
        # A plain attribute: each call asks for it twice.
        self.current: Mapping[str, Upstream] = MappingProxyType({})
        self._applying = asyncio.Lock()

    async def apply(self, specs: Sequence[ServerSpec]) -> None:
        """Make the upstreams those of `specs`, whose names differ.

        One whose spec is equal is kept as it is, with its sessions. One that changed is replaced:
        new requests go to the new one at once; the old one's children and connections are ended,
        and what it had in flight ends with UpstreamBroken. Nothing is started or reached before
        it is wanted.

        Raises:
            ConfigError: a URL cannot be used; everything stays as it was.
        """
        async with self._applying:
            held = {spec.name: self._kept(spec) or (spec, self._build(spec)) for spec in specs}
            kept = {id(upstream) for _, upstream in held.values()}
            gone = [upstream for _, upstream in self._held.values() if id(upstream) not in kept]
            self._held = held
            self.current = MappingProxyType({name: item[1] for name, item in held.items()})
            await asyncio.gather(*(upstream.close() for upstream in gone))

    def statuses(self) -> tuple[UpstreamStatus, ...]:
        """How each is, by name."""
        return tuple(self._held[name][1].status() for name in sorted(self._held))

    def spec(self, server: str) -> ServerSpec | None:
        """How a server is declared now; None if there is none of that name."""
        held = self._held.get(server)
        return None if held is None else held[0]

    async def end_session(self, session: str) -> None:
        """Forget a client session at every upstream."""
        await asyncio.gather(*(item[1].end_session(session) for item in self._held.values()))

    async def close(self) -> None:
        """End everything: sessions, connections, children."""
        await self.apply(())
        await self._watchdog.close()

    def _kept(self, spec: ServerSpec) -> tuple[ServerSpec, HttpUpstream | StdioUpstream] | None:
        held = self._held.get(spec.name)
        return held if held is not None and held[0] == spec else None

    def _build(self, spec: ServerSpec) -> HttpUpstream | StdioUpstream:
        if spec.url:
            return HttpUpstream(spec, self._tls)
        return StdioUpstream(spec, self._search_path, self._watchdog)
