"""The HTTP side of the stdio bridge: posts, sessions, and streams that are resumed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from math import inf

import msgspec

from bailiwick.cli.exits import CliError
from bailiwick.core.errors import BailiwickError, OurError, TheirError, UpstreamBroken, UpstreamDown
from bailiwick.gateway.http.client import HttpClient
from bailiwick.gateway.http.limits import HttpLimits
from bailiwick.gateway.http.response import Response
from bailiwick.gateway.http.wire import Template, parse_url
from bailiwick.gateway.upstreams.answers import accept
from bailiwick.gateway.upstreams.envelope import MessageId, Reply, decode
from bailiwick.protocols.sse import SseDecoder

Fields = tuple[tuple[str, str], ...]

_NAME = "bailiwick"
_MAX_EVENT_BYTES = 64 * 1024 * 1024
_ANSWER_SECONDS = 3_600.0
"""A call may wait for a person; how long, the gateway decides."""
_SIDE_SECONDS = 10.0
_DEFAULT_RETRY_MS = 1_000
_LEAST_RETRY_MS = 50
_MAX_FAILED_RESUMES = 5


class GatewayLink:
    """What the bridge does at the gateway.

    Args:
        url: of `/mcp` or `/mcp/SERVER`.
        token: gives the agent's token, each time anew: it is short-lived and may be replaced.
            May raise CliError.
    """

    def __init__(self, url: str, token: Callable[[], str]) -> None:
        self._url = url
        origin, target = parse_url(url)
        limits = HttpLimits(
            answer_seconds=_ANSWER_SECONDS, idle_seconds=inf, max_body_bytes=_MAX_EVENT_BYTES
        )
        self._client = HttpClient(_NAME, origin, limits)
        self._token = token
        fixed = (
            ("Content-Type", "application/json"),
            ("Accept", "application/json, text/event-stream"),
            ("Accept-Encoding", "identity"),
            ("User-Agent", "bailiwick-stdio"),
        )
        self._post = Template("POST", origin, target, fixed)
        self._get = Template("GET", origin, target, fixed)
        self._delete = Template("DELETE", origin, target, fixed)
        self.session_fields: Fields = ()

    async def post(self, fields: Fields, line: bytes) -> Response:
        """Send one message.

        Raises:
            UpstreamDown, UpstreamBroken: see `HttpClient.send`; TheirError: no usable token.
        """
        try:
            return await self._client.send(self._post, (*fields, self._authorization()), line)
        except UpstreamDown as error:
            if error.code != "upstream_unreachable":
                raise
            why = "cannot be reached: start it with `bailiwick up`, or see `bailiwick doctor`"
            raise UpstreamDown(
                "gateway_unreachable", f"the gateway at {self._url} {why}"
            ) from error

    async def post_aside(self, fields: Fields, line: bytes) -> None:
        """Send a message that has no reply. Raises OurError when it was not accepted."""
        response = await self._client.send(
            self._post, (*fields, self._authorization()), line, answer_seconds=_SIDE_SECONDS
        )
        if response.stream is not None:
            response.stream.close()
        if not 200 <= response.status < 300:
            raise _refusal(response.status)

    def read_reply(self, response: Response, message_id: MessageId) -> Reply:
        """The reply in a response that was read whole.

        Raises:
            OurError: `gateway_refused` and others: there is none in it.
        """
        try:
            message = decode(response.body)
            if isinstance(message, Reply) and (response.status == 200 or message.error):
                found = accept(_NAME, message, message_id)
                return Reply(message_id, found.result, found.error)
        except TheirError as error:
            if response.status == 200:
                raise OurError("gateway_garbage", f"not MCP: {error.message}") from error
        raise _refusal(response.status)

    async def messages(self, response: Response, fields: Fields) -> AsyncGenerator[bytes, None]:
        """The messages of a request's stream, resumed by event id when it breaks off.

        Ends when the stream has ended and cannot be resumed. Each is valid JSON-RPC.
        """
        cursor, retry_ms, failures = "", _DEFAULT_RETRY_MS, 0
        current: Response | None = response
        while True:
            if current is not None:
                decoder = SseDecoder(_MAX_EVENT_BYTES)
                async with aclosing(_read(current, decoder)) as messages:
                    async for message in messages:
                        failures = 0
                        yield message
                cursor = decoder.last_event_id or cursor
                retry_ms = retry_ms if decoder.retry_ms is None else decoder.retry_ms
            failures += 1
            if not cursor or failures > _MAX_FAILED_RESUMES:
                return
            await asyncio.sleep(max(retry_ms, _LEAST_RETRY_MS) / 1_000)
            current = await self._resume(fields, cursor)

    async def session_messages(self) -> AsyncGenerator[bytes, None]:
        """What comes outside of requests, over as many connections as it takes.

        Ends when the gateway offers no such stream, or knows the session no longer.
        """
        cursor, retry_ms = "", _DEFAULT_RETRY_MS
        while True:
            more = (("Last-Event-ID", cursor),) if cursor else ()
            fields = (*self.session_fields, *more, self._authorization())
            try:
                response = await self._client.send(self._get, fields)
            except (UpstreamDown, UpstreamBroken):
                await asyncio.sleep(max(retry_ms, _LEAST_RETRY_MS) / 1_000)
                continue
            if response.stream is None or response.status != 200:
                return
            decoder = SseDecoder(_MAX_EVENT_BYTES)
            async with aclosing(_read(response, decoder)) as messages:
                async for message in messages:
                    yield message
            cursor = decoder.last_event_id or cursor
            retry_ms = retry_ms if decoder.retry_ms is None else decoder.retry_ms
            await asyncio.sleep(max(retry_ms, _LEAST_RETRY_MS) / 1_000)

    def begin_session(self, response: Response, result: bytes) -> None:
        """Remember what each later request of the session has to carry."""
        version = msgspec.json.decode(result).get("protocolVersion")
        fields = [("MCP-Protocol-Version", str(version))]
        session_id = response.header("mcp-session-id")
        if session_id:
            fields.append(("Mcp-Session-Id", session_id))
        self.session_fields = tuple(fields)

    async def end_session(self) -> None:
        """DELETE the session, if there is one, and close every connection."""
        if any(name == "Mcp-Session-Id" for name, _ in self.session_fields):
            try:
                fields = (*self.session_fields, self._authorization())
                await self._client.send(self._delete, fields, answer_seconds=_SIDE_SECONDS)
            except BailiwickError:
                # It ends by itself after a while.
                pass
        self._client.close()

    def lost(self) -> UpstreamBroken:
        """The error for a stream that ended without a reply."""
        return UpstreamBroken("gateway_lost", "the gateway's stream ended without an answer")

    async def _resume(self, fields: Fields, cursor: str) -> Response | None:
        try:
            response = await self._client.send(
                self._get, (*fields, ("Last-Event-ID", cursor), self._authorization())
            )
        except (UpstreamDown, UpstreamBroken):
            return None
        if response.stream is None or response.status != 200:
            raise self.lost()
        return response

    def _authorization(self) -> tuple[str, str]:
        try:
            return ("Authorization", f"Bearer {self._token().strip()}")
        except CliError as error:
            raise TheirError(error.code, error.message) from error


async def _read(response: Response, decoder: SseDecoder) -> AsyncGenerator[bytes, None]:
    """The messages of one connection; a broken connection just ends."""
    stream = response.stream
    assert stream is not None
    try:
        async for chunk in stream:
            for event in decoder.feed(chunk):
                yield event.data
        stream.finish()
    except UpstreamBroken:
        return
    finally:
        stream.close()


def _refusal(status: int) -> OurError:
    if status == 401:
        why = "refused the agent's token; make a new one with `bailiwick agents token NAME`"
        return OurError("gateway_unauthorized", f"the gateway {why}")
    if status == 404:
        # A session it forgot is opened anew before this is ever said.
        return OurError(
            "gateway_refused", "the gateway has no such server (HTTP 404): see --server"
        )
    return OurError("gateway_refused", f"the gateway turned the message away (HTTP {status})")
