"""Requests of a stateful-era server to its client, while they run.

The answer goes back to the server that asked; the question goes to the one peer it was given for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from bailiwick.core.canonical import Json, JsonObject
from bailiwick.core.errors import BailiwickError
from bailiwick.gateway.upstreams.envelope import (
    INTERNAL_ERROR,
    Ask,
    MessageId,
    encode_error,
    encode_reply,
)
from bailiwick.ports import ClientFacts, RequestPeer, UpstreamReply

MAX_ASKS = 32
"""Running at a time for one request or channel; more are refused, so that no server can pile up
work on our side."""


_CAPABILITY = {
    "sampling/createMessage": "sampling",
    "elicitation/create": "elicitation",
    "roots/list": "roots",
}


class Within:
    """A peer that is asked only for what its client has declared.

    "A server MUST NOT rely on capabilities the client has not declared"; some do (the official
    SDK's does not look), and what policy has taken away must not come back this way.
    """

    __slots__ = ("_client", "_peer", "notify")

    def __init__(self, peer: RequestPeer, client: ClientFacts) -> None:
        self._peer = peer
        self._client = client
        self.notify = peer.notify

    async def ask(self, method: str, params: JsonObject) -> UpstreamReply:
        """See `RequestPeer.ask`."""
        needed = _CAPABILITY.get(method)
        if needed is not None and needed not in self._client.capabilities:
            return UpstreamReply(error=_NOT_DECLARED)
        return await self._peer.ask(method, params)


_NOT_DECLARED = b'{"code":-32601,"message":"the client has not declared that it takes this"}'


class Asks:
    """Runs questions beside the stream that carries them, so that the stream can be read on.

    Args:
        answer: sends an encoded response to the server; its failures end the question only.
        on_count: told how many are running, each time that changes.
    """

    def __init__(
        self,
        answer: Callable[[bytes], Awaitable[None]],
        on_count: Callable[[int], None] = lambda count: None,
    ) -> None:
        self._answer = answer
        self._on_count = on_count
        self._running: dict[MessageId, asyncio.Task[None]] = {}

    def take(self, ask: Ask, peer: RequestPeer) -> None:
        """Start answering. An id that is already running is ignored, as a repetition.

        So is what a flood brings beyond the refusals under way.
        """
        count = len(self._running)
        if ask.id in self._running or count >= 2 * MAX_ASKS:
            return
        answering = self._run(ask, peer, is_refused=count >= MAX_ASKS)
        task = asyncio.get_running_loop().create_task(answering)
        self._running[ask.id] = task
        task.add_done_callback(lambda _: self._ended(ask.id))
        self._on_count(len(self._running))

    def cancel(self, ask_id: Json) -> None:
        """The server no longer wants an answer (`notifications/cancelled`)."""
        if isinstance(ask_id, int | str) and (task := self._running.get(ask_id)) is not None:
            task.cancel()

    def close(self) -> None:
        """Nobody waits any longer."""
        for task in self._running.values():
            task.cancel()

    def _ended(self, ask_id: MessageId) -> None:
        self._running.pop(ask_id, None)
        self._on_count(len(self._running))

    async def _run(self, ask: Ask, peer: RequestPeer, *, is_refused: bool) -> None:
        try:
            reply = _refusal(ask) if is_refused else await self._reply_to(ask, peer)
            await self._answer(reply)
        except BailiwickError:
            # The way back is gone; the request's own stream ends for the same cause.
            return

    async def _reply_to(self, ask: Ask, peer: RequestPeer) -> bytes:
        if ask.method == "ping":
            return encode_reply(ask.id, "result", b"{}")
        try:
            reply = await peer.ask(ask.method, ask.params)
        except BailiwickError as error:
            return encode_error(ask.id, INTERNAL_ERROR, error.message)
        except Exception:  # noqa: BLE001 - the server waits, whatever went wrong on our side
            return encode_error(ask.id, INTERNAL_ERROR, "the question could not be passed on")
        if reply.result is not None:
            return encode_reply(ask.id, "result", reply.result)
        return encode_reply(
            ask.id, "error", reply.error or b'{"code":-32603,"message":"no answer"}'
        )


def _refusal(ask: Ask) -> bytes:
    return encode_error(ask.id, INTERNAL_ERROR, f"more than {MAX_ASKS} questions at a time")
