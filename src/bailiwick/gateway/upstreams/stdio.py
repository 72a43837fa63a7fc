"""One MCP server that is a child process (or, for `session` instances, one for each client)."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from contextlib import aclosing

from bailiwick.core.canonical import JsonObject
from bailiwick.core.errors import OurError, UpstreamDown
from bailiwick.gateway.upstreams import meta
from bailiwick.gateway.upstreams.asks import Within
from bailiwick.gateway.upstreams.channel import Channel
from bailiwick.gateway.upstreams.child import Child, Tail
from bailiwick.gateway.upstreams.envelope import UNSUPPORTED_VERSION, error_of
from bailiwick.gateway.upstreams.era import Heard
from bailiwick.gateway.upstreams.instance import Instance, Manners
from bailiwick.gateway.upstreams.listening import (
    ACKNOWLEDGED,
    filter_of,
    is_wanted,
    listen_on,
)
from bailiwick.gateway.upstreams.local import LOCAL_METHODS, LocalAnswers
from bailiwick.gateway.upstreams.mailbox import Mailbox
from bailiwick.gateway.upstreams.own import GATEWAY, Nobody
from bailiwick.gateway.upstreams.rounds import answer_rounds
from bailiwick.gateway.upstreams.spec import MODERN_VERSION, Instances, ServerSpec
from bailiwick.gateway.upstreams.watchdog import Watchdog
from bailiwick.ports import (
    ClientFacts,
    RequestPeer,
    ServerFacts,
    UpstreamReply,
    UpstreamRequest,
    UpstreamStatus,
    Wants,
)


class StdioUpstream:
    """See `ports.Upstream`.

    Args:
        search_path: a PATH, to look up a bare command name; the children do not get it.
    """

    def __init__(self, spec: ServerSpec, search_path: str, watchdog: Watchdog) -> None:
        self.name = spec.name
        self._spec = spec
        self._search_path = search_path
        self._watchdog = watchdog
        self._is_shared = spec.instances is Instances.SHARED
        self._instances: OrderedDict[str, Instance] = OrderedDict()
        self._manners = Manners()
        self._tail = Tail()
        self._local = LocalAnswers()
        self._aside: set[asyncio.Task[None]] = set()
        self._reaper: asyncio.TimerHandle | None = None

    # --- ports.Upstream --------------------------------------------------------------------------

    async def request(self, request: UpstreamRequest, peer: RequestPeer) -> UpstreamReply:
        """See `ports.Upstream.request`."""
        channel = await self._instance(request.client).ready()
        if request.method in LOCAL_METHODS and (channel.is_modern or self._is_shared):
            return self._local.answer(request)
        peer = Within(peer, request.client)
        reply = await self._send(request, peer, channel)
        if not channel.is_modern:
            return reply
        if reply.error is not None and error_of(reply.error)[0] == UNSUPPORTED_VERSION:
            raise UpstreamDown(
                "upstream_version", f"server `{self.name}` does not speak {MODERN_VERSION}"
            )
        if request.client.version < MODERN_VERSION:

            async def send(again: UpstreamRequest, peer: RequestPeer) -> UpstreamReply:
                return await self._send(again, peer, channel)

            return await answer_rounds(request, reply, peer, send)
        return reply

    async def notify(self, client: ClientFacts, method: str, params: JsonObject) -> None:
        """Pass it on to the client's own child; a shared one serves no client in particular."""
        instance = self._instances.get(client.session)
        if instance is not None and not self._is_shared:
            channel = await instance.ready()
            if not channel.is_modern:
                await channel.note(method, params)

    async def listen(self, client: ClientFacts, wants: Wants) -> Heard:
        """See `ports.Upstream.listen`."""
        async with aclosing(listen_on(lambda: self._listen_once(client, wants), wants)) as heard:
            async for method, params in heard:
                if is_wanted(method, wants):
                    yield method, params

    async def facts(self, version: str = "") -> ServerFacts:
        """See `ports.Upstream.facts`."""
        if self._manners.facts is None:
            await self._instance(GATEWAY).ready()
        assert self._manners.facts is not None
        return self._manners.facts

    async def end_session(self, session: str) -> None:
        """See `ports.Upstream.end_session`."""
        self._local.forget(session)
        instance = None if self._is_shared else self._instances.pop(session, None)
        if instance is not None:
            await instance.close()

    def status(self) -> UpstreamStatus:
        """See `ports.Upstream.status`. `starts` beyond the first of each child are restarts."""
        held = list(self._instances.values())
        states = [instance.state for instance in held]
        details = [instance.detail for instance in held if instance.detail]
        garbage = sum(instance.garbage_lines for instance in held)
        if garbage:
            details.append(f"{garbage} lines on stdout that were no use")
        if not self._is_shared:
            details.append(f"{states.count('up')} children")
        state = next((s for s in ("up", "starting", "down") if s in states), "idle")
        restarts = sum(instance.restarts for instance in held)
        return UpstreamStatus(self.name, state, "; ".join(details), restarts, self._tail.lines)

    async def close(self) -> None:
        """End every child."""
        if self._reaper is not None:
            self._reaper.cancel()
            self._reaper = None
        held, self._instances = list(self._instances.values()), OrderedDict()
        await asyncio.gather(*(instance.close() for instance in held), *self._aside)

    # --- requests --------------------------------------------------------------------------------

    async def _send(
        self, request: UpstreamRequest, peer: RequestPeer, channel: Channel
    ) -> UpstreamReply:
        return await channel.call(
            request.method,
            self._params_for(request.params, request.client, channel),
            peer,
            session=request.client.session,
            token=meta.progress_token(request.params),
        )

    def _params_for(
        self, params: JsonObject, client: ClientFacts, channel: Channel
    ) -> Callable[[int], JsonObject]:
        if not channel.is_modern:
            return lambda token: meta.for_legacy(params, token)
        level = self._local.log_levels.get(client.session, "")
        return lambda token: meta.for_modern(params, client, MODERN_VERSION, token, level)

    # --- listening -------------------------------------------------------------------------------

    async def _listen_once(self, client: ClientFacts, wants: Wants) -> Heard:
        """What is heard until the child ends."""
        channel = await self._instance(client).ready()
        hear = self._hear_modern if channel.is_modern else self._hear_legacy
        async with aclosing(hear(channel, client, wants)) as heard:
            async for item in heard:
                yield item

    async def _hear_modern(self, channel: Channel, client: ClientFacts, wants: Wants) -> Heard:
        mailbox = Mailbox()
        params = self._params_for({"notifications": filter_of(wants)}, client, channel)
        subscription = await channel.subscribe(params, mailbox)
        try:
            while (item := await mailbox.take()) is not None:
                yield item
        finally:
            channel.unsubscribe(subscription)

    async def _hear_legacy(self, channel: Channel, client: ClientFacts, wants: Wants) -> Heard:
        mailbox = channel.join(wants)
        try:
            for uri in wants.uris:
                await self._subscribe(channel, "resources/subscribe", uri)
            yield ACKNOWLEDGED, {}
            while (item := await mailbox.take()) is not None:
                yield item
        finally:
            channel.leave(mailbox)
            for uri in wants.uris:
                self._soon(self._subscribe(channel, "resources/unsubscribe", uri))

    async def _subscribe(self, channel: Channel, method: str, uri: str) -> None:
        if channel.counts(uri, 1 if method == "resources/subscribe" else -1):
            try:
                await channel.call(method, lambda _: {"uri": uri}, Nobody())
            except OurError:
                # The child is gone, and its subscriptions with it.
                return

    # --- children --------------------------------------------------------------------------------

    def _instance(self, client: ClientFacts) -> Instance:
        """The child for this client. Raises UpstreamDown (`upstream_busy`)."""
        key = "" if self._is_shared else client.session
        instance = self._instances.get(key)
        if instance is None:
            self._make_room()
            whose = None if self._is_shared else client
            instance = Instance(self._spec, whose, self._manners, self._tail, self._launch)
            self._instances[key] = instance
            self._keep_reaping()
        self._instances.move_to_end(key)
        return instance

    async def _launch(self) -> Child:
        return await Child.start(self._spec, self._search_path, self._watchdog)

    def _make_room(self) -> None:
        if len(self._instances) < self._spec.max_sessions:
            return
        for key, instance in self._instances.items():
            if instance.is_idle:
                del self._instances[key]
                self._soon(instance.close())
                return
        raise UpstreamDown("upstream_busy", f"server `{self.name}` has too many sessions in use")

    def _keep_reaping(self) -> None:
        if self._reaper is None and self._instances and not self._is_shared:
            seconds = self._spec.session_idle_seconds / 4
            self._reaper = asyncio.get_running_loop().call_later(seconds, self._reap)

    def _reap(self) -> None:
        self._reaper = None
        for key, instance in list(self._instances.items()):
            if instance.is_idle and instance.idle_seconds > self._spec.session_idle_seconds:
                del self._instances[key]
                self._soon(instance.close())
        self._keep_reaping()

    def _soon(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._aside.add(task)
        task.add_done_callback(self._aside.discard)
