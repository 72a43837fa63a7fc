"""One supervised child of a stdio server: started when needed, greeted, restarted with back-off."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from bailiwick.core.errors import OurError, UpstreamBroken, UpstreamDown
from bailiwick.gateway.upstreams import meta
from bailiwick.gateway.upstreams.channel import Channel
from bailiwick.gateway.upstreams.child import Child, Tail
from bailiwick.gateway.upstreams.envelope import UNSUPPORTED_VERSION, error_of
from bailiwick.gateway.upstreams.handshake import (
    INITIALIZED,
    initialize_params,
    offered_version,
    read_initialize,
)
from bailiwick.gateway.upstreams.own import GATEWAY, Nobody, facts_of, supported_versions
from bailiwick.gateway.upstreams.spec import LEGACY_VERSIONS, MODERN_VERSION, ServerSpec
from bailiwick.ports import ClientFacts, ServerFacts, UpstreamReply

_PROBE_SECONDS = 10.0
_FIRST_PAUSE_SECONDS = 0.5
_LAST_PAUSE_SECONDS = 30.0
_PATIENCE_SECONDS = 5.0
"""A request waits this long for a restart that is due; longer ones are refused at once."""
_STEADY_SECONDS = 60.0
"""A child that ran this long has not failed to start."""


@dataclass(slots=True)
class Manners:
    """What has been found out about a server, for all of its children.

    Attributes:
        era: "" until known, then `modern` or `legacy`.
    """

    era: str = ""
    facts: ServerFacts | None = None


class Instance:
    """One child at a time, for one client session or (client None) for everybody."""

    def __init__(
        self,
        spec: ServerSpec,
        client: ClientFacts | None,
        manners: Manners,
        tail: Tail,
        launch: Callable[[], Awaitable[Child]],
    ) -> None:
        self.restarts = 0
        self.detail = ""
        self.starts = 0
        self._spec = spec
        self._client = client
        self._manners = manners
        self._tail = tail
        self._launch = launch
        self._loop = asyncio.get_running_loop()
        self._child: Child | None = None
        self._channel: Channel | None = None
        self._running: asyncio.Task[None] | None = None
        self._starting: asyncio.Task[Channel] | None = None
        self._failures = 0
        self._not_before = 0.0
        self._is_closed = False
        self._used = self._loop.time()

    @property
    def state(self) -> str:
        """`up`, `starting` or `down`."""
        if self._channel is not None:
            return "up"
        return "starting" if self._starting is not None else "down"

    @property
    def is_idle(self) -> bool:
        """Whether nobody waits for it."""
        return self._starting is None and (self._channel is None or self._channel.is_idle)

    @property
    def idle_seconds(self) -> float:
        """Since it was last wanted."""
        return self._loop.time() - self._used

    @property
    def garbage_lines(self) -> int:
        """What the running child has written to stdout that was no use."""
        return self._channel.garbage_lines if self._channel is not None else 0

    async def ready(self) -> Channel:
        """The channel to a child that has been greeted; started if need be.

        Raises:
            UpstreamDown: it cannot be started, refused the greeting, or waits to be restarted.
        """
        self._used = self._loop.time()
        if self._channel is not None:
            return self._channel
        if self._starting is None:
            wait = self._not_before - self._loop.time()
            if wait > _PATIENCE_SECONDS:
                raise UpstreamDown(
                    "upstream_restarting",
                    f"server `{self._spec.name}` keeps failing; next start in {wait:.0f} s",
                )
            self._begin()
        assert self._starting is not None
        # Others wait for the same start: one who gives up must not end it for all.
        return await asyncio.shield(self._starting)

    async def close(self) -> None:
        """End the child and start no other."""
        self._is_closed = True
        if self._starting is not None:
            self._starting.cancel()
            await asyncio.wait({self._starting})
        if self._child is not None:
            await self._child.stop()
        if self._running is not None:
            await asyncio.wait({self._running})

    # --- starting --------------------------------------------------------------------------------

    def _begin(self) -> None:
        self._starting = self._loop.create_task(self._start())
        # Its failure is told to those who wait; there may be nobody.
        self._starting.add_done_callback(lambda task: task.cancelled() or task.exception())

    async def _start(self) -> Channel:
        try:
            await asyncio.sleep(self._not_before - self._loop.time())
            channel = await self._start_child()
            try:
                await self._greet(channel)
            except UpstreamBroken as error:
                if error.code != "upstream_crashed" or self._manners.era:
                    raise
                # It fell over the probe itself: no server of the modern era does.
                self._manners.era = "legacy"
                channel = await self._start_child()
                await self._greet(channel)
        except OurError as error:
            if self._spec.protocol == "auto":
                # "Re-probing if the cached assumption later fails."
                self._manners.era = ""
            self._failed(error.message)
            await self._stop_child()
            raise UpstreamDown(error.code, error.message) from error
        except asyncio.CancelledError:
            await self._stop_child()
            raise
        finally:
            self._starting = None
        self._channel = channel
        self.detail = ""
        return channel

    async def _start_child(self) -> Channel:
        child = await self._launch()
        channel = Channel(
            self._spec.name,
            child.write,
            self._spec.timeout_seconds,
            is_shared=self._client is None,
        )
        self.restarts += self.starts > 0
        self.starts += 1
        self._child = child
        self._running = self._loop.create_task(self._run(child, channel))
        return channel

    async def _run(self, child: Child, channel: Channel) -> None:
        started = self._loop.time()
        code = await child.run(channel.take_line, self._tail)
        how = _how_it_ended(code)
        channel.fail(
            UpstreamBroken(
                "upstream_crashed", f"server `{self._spec.name}` {how} before it had answered"
            )
        )
        if self._channel is not channel:
            return
        self._channel = self._child = None
        if self._loop.time() - started > _STEADY_SECONDS:
            self._failures = 0
        self._failed(f"the process {how}")
        if self._client is None and not self._is_closed:
            # Everybody's child is wanted again soon; a session's may not be.
            self._begin()

    def _failed(self, why: str) -> None:
        self.detail = why
        pause = min(_FIRST_PAUSE_SECONDS * 2 ** min(self._failures, 10), _LAST_PAUSE_SECONDS)
        self._failures += 1
        self._not_before = self._loop.time() + pause * random.uniform(0.5, 1.0)  # noqa: S311 - jitter

    async def _stop_child(self) -> None:
        if self._child is not None and self._running is not None:
            await self._child.stop()
            await asyncio.wait({self._running})
        self._child = None

    # --- greeting --------------------------------------------------------------------------------

    async def _greet(self, channel: Channel) -> None:
        protocol = self._spec.protocol
        if protocol == MODERN_VERSION:
            self._manners.era = "modern"
        elif protocol != "auto":
            self._manners.era = "legacy"
        elif await self._greet_as_its_client(channel):
            return
        if self._manners.era != "legacy" and await self._discover(channel):
            return
        await self._initialize(channel)
        self._manners.era = "legacy"

    async def _greet_as_its_client(self, channel: Channel) -> bool:
        """For the child of a stateful client: a server of both eras can ask it in that one only."""
        if self._client is None or self._client.version >= MODERN_VERSION:
            return False
        try:
            await self._initialize(channel)
        except UpstreamDown as error:
            if error.code != "upstream_version":
                raise
            return False
        return True

    async def _discover(self, channel: Channel) -> bool:
        """Probe; True when the server is modern (2026-07-28, basic/transports/stdio)."""
        is_known = self._manners.era == "modern"
        seconds = self._spec.timeout_seconds
        try:
            reply = await channel.call(
                "server/discover",
                lambda token: meta.for_modern({}, GATEWAY, MODERN_VERSION, token),
                Nobody(),
                timeout_seconds=seconds if is_known else min(_PROBE_SECONDS, seconds),
            )
        except UpstreamBroken as error:
            if is_known or error.code == "upstream_crashed":
                raise
            # "Does not respond within a reasonable timeout: the server is legacy."
            return False
        if MODERN_VERSION in supported_versions(reply):
            self._manners.era = "modern"
            self._manners.facts = facts_of(self._spec.name, reply)
            channel.is_modern = True
            return True
        if is_known:
            raise self._wrong_version(reply)
        if reply.error is not None and error_of(reply.error)[0] == UNSUPPORTED_VERSION:
            versions = supported_versions(reply)
            if not set(versions) & set(LEGACY_VERSIONS):
                raise self._wrong_version(reply)
        return False

    def _wrong_version(self, reply: UpstreamReply) -> UpstreamDown:
        versions = ", ".join(supported_versions(reply))[:80] or "no revision it told us of"
        return UpstreamDown(
            "upstream_version",
            f"server `{self._spec.name}` speaks {versions!a}, which we do not",
        )

    async def _initialize(self, channel: Channel) -> None:
        client = self._client or GATEWAY
        # INVARIANT: a shared child is told of no capability, so it can ask nobody anything.
        capabilities = client.capabilities if self._client is not None else {}
        params = initialize_params(
            offered_version(self._spec.protocol, client), client, capabilities
        )
        reply = await channel.call("initialize", lambda _: params, Nobody())
        facts = read_initialize(self._spec.name, reply)
        if self._manners.facts is None:
            self._manners.facts = facts
        await channel.note(INITIALIZED, {})


def _how_it_ended(code: int | None) -> str:
    if code is None:
        return "ended"
    return f"exited with {code}" if code >= 0 else f"was ended by signal {-code}"
