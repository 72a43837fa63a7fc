"""Streamable HTTP, revisions 2025-03-26 to 2025-11-25: sessions, streams, questions.

One upstream session for each `ClientFacts.session`, never shared: what a server keeps for one
client cannot reach another. Source: MCP 2025-11-25, basic/transports.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import OrderedDict
from collections.abc import Coroutine, Iterable

from bailiwick.core.canonical import JsonObject
from bailiwick.core.errors import OurError, UpstreamBroken, UpstreamDown
from bailiwick.gateway.http.client import HttpClient
from bailiwick.gateway.http.response import Response
from bailiwick.gateway.http.wire import Template
from bailiwick.gateway.upstreams import meta
from bailiwick.gateway.upstreams.answers import garbled, read_reply, refusal
from bailiwick.gateway.upstreams.asks import Within
from bailiwick.gateway.upstreams.envelope import encode_note, encode_request
from bailiwick.gateway.upstreams.era import Fields, Heard
from bailiwick.gateway.upstreams.handshake import (
    INITIALIZED,
    initialize_params,
    offered_version,
    read_initialize,
)
from bailiwick.gateway.upstreams.legacy_session import LegacySession
from bailiwick.gateway.upstreams.legacy_stream import RequestStream
from bailiwick.gateway.upstreams.modern import CATALOGUE, FIXED_HEADERS
from bailiwick.gateway.upstreams.own import GATEWAY, Nobody
from bailiwick.gateway.upstreams.spec import ServerSpec
from bailiwick.ports import (
    ClientFacts,
    RequestPeer,
    ServerFacts,
    UpstreamReply,
    UpstreamRequest,
    Wants,
)

_SIDE_SECONDS = 5.0
"""For messages whose answer says nothing: notifications, DELETE."""


class LegacyHttp:
    """One server that speaks a stateful revision over HTTP."""

    def __init__(
        self,
        spec: ServerSpec,
        client: HttpClient,
        streams: HttpClient,
        target: str,
        headers: Iterable[tuple[str, str]],
    ) -> None:
        self.name = spec.name
        self.max_event_bytes = spec.max_response_bytes
        self.idle_seconds = spec.timeout_seconds
        self._spec = spec
        self._client = client
        self._streams = streams
        fields = (*FIXED_HEADERS, *headers)
        self._post = Template("POST", client.origin, target, fields)
        self._get = Template("GET", client.origin, target, fields)
        self._delete = Template("DELETE", client.origin, target, fields)
        self._ids = itertools.count(1)
        self._sessions: OrderedDict[str, LegacySession] = OrderedDict()
        self._aside: set[asyncio.Task[None]] = set()
        self._reaper: asyncio.TimerHandle | None = None

    # --- ports.Upstream, for this era ----------------------------------------------------------

    @property
    def has_sessions(self) -> bool:
        """See `Era.has_sessions`."""
        return bool(self._sessions)

    async def request(self, request: UpstreamRequest, peer: RequestPeer) -> UpstreamReply:
        """See `ports.Upstream.request`."""
        session = await self._session(request.client)
        peer = Within(peer, request.client)
        reply = await self._try(session, request, peer)
        if reply is None:
            # 404 with a session id: "MUST start a new session"; the request was not carried out.
            session = await self._session(request.client)
            reply = await self._try(session, request, peer)
        if reply is None:
            raise UpstreamDown("upstream_refused", f"server `{self.name}` keeps ending our session")
        return reply

    async def notify(self, client: ClientFacts, method: str, params: JsonObject) -> None:
        """Pass on a notification in the client's session, if it has one."""
        session = self._sessions.get(client.session)
        if session is not None and session.is_ready:
            await self.post_note(session, method, params)

    async def listen(self, client: ClientFacts, wants: Wants) -> Heard:
        """See `Era.listen`. All listeners of a session share its one GET stream."""
        session = await self._session(client)
        stream = session.stream
        if stream is None:
            stream = session.open_stream(self)
        mailbox = stream.join()
        try:
            for uri in wants.uris:
                await self._subscribe(session, "resources/subscribe", uri)
            while (item := await mailbox.take()) is not None:
                yield item
        finally:
            stream.leave(mailbox)
            for uri in wants.uris:
                self.aside(self._subscribe(session, "resources/unsubscribe", uri))

    async def facts(self, version: str = "") -> ServerFacts:
        """Take the facts of any session, or start one in the gateway's own name."""
        for session in self._sessions.values():
            if session.is_ready and session.facts is not None:
                return session.facts
        session = await self._session(GATEWAY)
        assert session.facts is not None
        return session.facts

    async def end_session(self, session: str) -> None:
        """See `ports.Upstream.end_session`."""
        held = self._sessions.pop(session, None)
        if held is not None:
            held.close()
            await self._end(held)

    async def close(self) -> None:
        """End every session, as far as the server lets itself be told in five seconds."""
        if self._reaper is not None:
            self._reaper.cancel()
            self._reaper = None
        sessions, self._sessions = list(self._sessions.values()), OrderedDict()
        for session in sessions:
            session.close()
        await asyncio.gather(*(self._end(session) for session in sessions))
        for task in self._aside:
            task.cancel()
        await asyncio.gather(*self._aside, return_exceptions=True)

    # --- one request ---------------------------------------------------------------------------

    async def _try(
        self, session: LegacySession, request: UpstreamRequest, peer: RequestPeer
    ) -> UpstreamReply | None:
        """One attempt. None: the server has forgotten the session and did nothing."""
        message_id = next(self._ids)
        params = meta.for_legacy(request.params, message_id)
        body = encode_request(message_id, request.method, params)
        session.begin(message_id, peer)
        try:
            response = await self._client.send(
                self._post, session.lines, body, replayable=request.method in CATALOGUE
            )
            if self._is_gone(session, response):
                self._forget(session)
                return None
            if response.stream is None:
                return read_reply(self.name, response, message_id)
            token = meta.progress_token(request.params)
            stream = RequestStream(self, session, message_id, token, peer)
            return await stream.read(response)
        except asyncio.CancelledError:
            self._cancel_upstream(session, message_id, "the client cancelled")
            raise
        except UpstreamBroken as error:
            if error.code == "upstream_timeout":
                self._cancel_upstream(session, message_id, "timed out")
            raise
        finally:
            session.end(message_id)

    def _is_gone(self, session: LegacySession, response: Response) -> bool:
        if not session.id:
            return False
        gone = response.status == 404 or (
            # What the TypeScript SDK's servers say after a restart.
            response.status == 400 and b'"id":null' in response.body and b"ession" in response.body
        )
        if gone and response.stream is not None:
            response.stream.close()
        return gone

    def _cancel_upstream(self, session: LegacySession, message_id: int, reason: str) -> None:
        """Disconnecting is no cancellation in this era; saying so is."""
        params: JsonObject = {"requestId": message_id, "reason": reason}
        self.aside(self.post_note(session, "notifications/cancelled", params))

    # --- for the streams -----------------------------------------------------------------------

    async def post_note(self, session: LegacySession, method: str, params: JsonObject) -> None:
        """Send a notification. Raises UpstreamDown or UpstreamBroken when it was not accepted."""
        await self.post_message(session.fields, encode_note(method, params))

    async def post_message(self, fields: Fields, body: bytes) -> None:
        """Send a message that has no reply: a notification, or the answer to a question."""
        response = await self._client.send(self._post, fields, body, answer_seconds=_SIDE_SECONDS)
        if response.stream is not None:
            response.stream.close()
        if not 200 <= response.status < 300:
            raise refusal(self.name, response.status)

    async def get(self, fields: Fields, last_event_id: str, *, long: bool) -> Response:
        """See `Exchange.get`."""
        if last_event_id:
            fields = (*fields, ("Last-Event-ID", last_event_id))
        client = self._streams if long else self._client
        return await client.send(self._get, fields, replayable=True)

    def aside(self, work: Coroutine[None, None, None]) -> None:
        """Do something whose failure changes nothing."""

        async def quietly() -> None:
            try:
                await work
            except OurError:
                return

        task = asyncio.get_running_loop().create_task(quietly())
        self._aside.add(task)
        task.add_done_callback(self._aside.discard)

    # --- sessions --------------------------------------------------------------------------------

    async def _session(self, client: ClientFacts) -> LegacySession:
        """The session of this client, started if need be.

        Raises:
            UpstreamDown: none could be started; nothing was sent of what it was wanted for.
        """
        session = self._sessions.get(client.session)
        if session is not None and session.is_ready:
            session.touch()
            self._sessions.move_to_end(client.session)
            return session
        if session is None:
            self._make_room()
            session = LegacySession(client)
            self._sessions[client.session] = session
            session.starting = asyncio.get_running_loop().create_task(self._start(session))
            # Its failure is told to those who wait; there may be nobody left.
            session.starting.add_done_callback(lambda task: task.cancelled() or task.exception())
            self._keep_reaping()
        starting = session.starting
        assert starting is not None
        # Others wait for the same handshake: one who gives up must not end it for all.
        await asyncio.shield(starting)
        return session

    async def _start(self, session: LegacySession) -> None:
        try:
            await self._shake_hands(session)
        except UpstreamBroken as error:
            self._forget(session)
            raise UpstreamDown(error.code, error.message) from error
        except (UpstreamDown, asyncio.CancelledError):
            self._forget(session)
            raise

    async def _shake_hands(self, session: LegacySession) -> None:
        client = session.client
        version = offered_version(self._spec.protocol, client)
        message_id = next(self._ids)
        params = initialize_params(version, client, client.capabilities)
        body = encode_request(message_id, "initialize", params)
        response = await self._client.send(self._post, (), body, replayable=True)
        if response.stream is None:
            reply = read_reply(self.name, response, message_id)
        else:
            stream = RequestStream(self, session, message_id, None, Nobody())
            reply = await stream.read(response)
        facts = read_initialize(self.name, reply)
        session_id = response.header("mcp-session-id")
        if len(session_id) > 1_024 or not all("\x21" <= char <= "\x7e" for char in session_id):
            raise garbled(self.name, "its session id is not visible ASCII")
        session.ready(session_id, facts)
        await self.post_note(session, INITIALIZED, {})

    def _forget(self, session: LegacySession) -> None:
        if self._sessions.get(session.client.session) is session:
            del self._sessions[session.client.session]
        session.close()

    def _make_room(self) -> None:
        """Keep the number of sessions in bounds by ending the one unused for longest.

        Raises:
            UpstreamDown: `upstream_busy`: all are in use.
        """
        if len(self._sessions) < self._spec.max_sessions:
            return
        for session in self._sessions.values():
            if session.is_idle:
                self._retire(session)
                return
        raise UpstreamDown("upstream_busy", f"server `{self.name}` has too many sessions in use")

    def _retire(self, session: LegacySession) -> None:
        self._forget(session)
        self.aside(self._end(session))

    async def _end(self, session: LegacySession) -> None:
        """DELETE the session. That a server does not know how (405) is its right."""
        if not session.id:
            return
        try:
            response = await self._client.send(
                self._delete, session.fields, answer_seconds=_SIDE_SECONDS
            )
        except OurError:
            return
        if response.stream is not None:
            response.stream.close()

    def _keep_reaping(self) -> None:
        if self._reaper is None and self._sessions:
            seconds = self._spec.session_idle_seconds / 4
            self._reaper = asyncio.get_running_loop().call_later(seconds, self._reap)

    def _reap(self) -> None:
        self._reaper = None
        for session in list(self._sessions.values()):
            if session.is_idle and session.idle_seconds > self._spec.session_idle_seconds:
                self._retire(session)
        self._keep_reaping()

    async def _subscribe(self, session: LegacySession, method: str, uri: str) -> None:
        """Count who wants a resource, and tell the server when the first comes or the last goes."""
        if not session.counts(method, uri):
            return
        request = UpstreamRequest(method, {"uri": uri}, session.client)
        try:
            await self._try(session, request, Nobody())
        except OurError:
            # Not subscribed: the listener then hears nothing of it, as with a server that cannot.
            return
