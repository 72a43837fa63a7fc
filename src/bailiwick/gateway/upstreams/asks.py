"""Requests of a stateful-era server to its client, while they run.

The answer goes back to the server that asked; the question goes to the one peer it was given for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from bailiwick.core.canonical import Json
from bailiwick.core.errors import BailiwickError
from bailiwick.gateway.upstreams.envelope import (
    INTERNAL_ERROR,
    Ask,
    MessageId,
    encode_error,
    encode_reply,
)
from bailiwick.ports import RequestPeer

MAX_ASKS = 32
"""Running at a time for one request or channel; more are refused, so that no server can pile up
work on our side."""


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
        """Start answering. An id that is already running is ignored, as a repetition."""
        if ask.id in self._running:
            return
        task = asyncio.get_running_loop().create_task(self._run(ask, peer))
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

    async def _run(self, ask: Ask, peer: RequestPeer) -> None:
        try:
            await self._answer(await self._reply_to(ask, peer))
        except BailiwickError:
            # The way back is gone; the request's own stream ends for the same cause.
            return

    async def _reply_to(self, ask: Ask, peer: RequestPeer) -> bytes:
        if ask.method == "ping":
            return encode_reply(ask.id, "result", b"{}")
        if len(self._running) > MAX_ASKS:
            return encode_error(ask.id, INTERNAL_ERROR, f"more than {MAX_ASKS} questions at a time")
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
