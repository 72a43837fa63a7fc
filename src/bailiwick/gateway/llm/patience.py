"""How long one model is waited for, and until when the agent is told nothing of its answer."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from bailiwick.core.errors import UpstreamBroken
from bailiwick.gateway.http.stream import BodyStream

_ERRORS = (b"event: error", b"event:error", b'data: {"error"', b'data:{"error"')


@dataclass(frozen=True, slots=True)
class Patience:
    """How an answer is waited for.

    Attributes:
        first_byte_seconds: for the first piece of a stream; None for the server's own time.
        whole_seconds: for the whole answer; None for the server's own time.
        defers: a stream is begun for the agent with its first piece, and not with an error. Until
            then another model can still be asked.
    """

    first_byte_seconds: float | None = None
    whole_seconds: float | None = None
    defers: bool = False

    def answer_seconds(self, *, stream: bool) -> float | None:
        """For a whole answer, or for the start of a stream; None for the server's own time."""
        told = (self.whole_seconds, self.first_byte_seconds if stream else None)
        return min((each for each in told if each is not None), default=None)


NO_PATIENCE = Patience()
"""As long as the server's own times allow, and begun at once."""


class Deadlines:
    """The timers of one stream; `stop` ends them.

    Args:
        started: when the request was sent, by the loop's clock.
    """

    def __init__(self, patience: Patience, stream: BodyStream, server: str, started: float) -> None:
        self._timers: list[asyncio.TimerHandle] = []
        loop = asyncio.get_running_loop()
        for seconds, what in (
            (patience.first_byte_seconds, "did not begin its answer"),
            (patience.whole_seconds, "did not end its answer"),
        ):
            if seconds is not None:
                error = UpstreamBroken("upstream_timeout", f"server `{server}` {what} in time")
                self._timers.append(loop.call_at(started + seconds, stream.fail, error))
        self._first = patience.first_byte_seconds is not None

    def began(self) -> None:
        """The first piece is here."""
        if self._first:
            self._first = False
            self._timers.pop(0).cancel()

    def stop(self) -> None:
        """End them."""
        for timer in self._timers:
            timer.cancel()


def is_error(piece: bytes) -> bool:
    """Whether the first piece of a stream says that there is no answer."""
    return piece.lstrip().startswith(_ERRORS)
