"""A streamed answer on its way to the agent: heard, measured, and passed on piece by piece.

A piece about which nothing has to be decided or waited for goes on where it arrives, and nobody is
woken for it: waking costs as much as all the rest. So a stream is passed on by two, never at once:
`Passage.take`, which its connection calls, and whoever reads it, for what `take` leaves.
"""

from __future__ import annotations

from collections.abc import Callable

from bailiwick.core.errors import UpstreamBroken
from bailiwick.gateway.llm.capture import StreamCapture
from bailiwick.gateway.llm.meter import Meter
from bailiwick.gateway.llm.patience import Deadlines


class Passage:
    """What has been heard of one stream, and what of it may go on.

    Args:
        meter: None for a stream without a bound.
        deadlines: None where none are declared.
        tells_its_key: whether a piece holds the gateway's own key; `told` is what that is called.
        begins_its_key: in how many of the last bytes of a piece the key may begin.

    Attributes:
        ready: what may go on and is not written yet, in order.
        is_over: it has made more than was reserved for it.
        is_told: the server told the key.
    """

    def __init__(
        self,
        capture: StreamCapture,
        meter: Meter | None,
        deadlines: Deadlines | None,
        tells_its_key: Callable[[bytes], bool],
        begins_its_key: Callable[[bytes], int],
        told: Callable[[], UpstreamBroken],
    ) -> None:
        self.capture = capture
        self.ready: list[bytes] = []
        self.is_over = False
        self.is_told = False
        self._begun = b""
        self._meter = meter
        self._deadlines = deadlines
        self._tells_its_key = tells_its_key
        self._begins_its_key = begins_its_key
        self._told = told
        self._write: Callable[[bytes], bool] | None = None

    def hear(self, chunk: bytes) -> None:
        """A piece came.

        INVARIANT: nothing of the key goes on or is kept, however it is split: bytes in which it
        may begin wait for those behind them.

        Raises:
            UpstreamBroken: the server told its key, or there is no end to the stream.
        """
        if self._begun:
            chunk, self._begun = self._begun + chunk, b""
        if self._tells_its_key(chunk):
            self.is_told = True
            raise self._told()
        # As nearly all do, and no key holds the end of a line.
        if not chunk.endswith(b"\n") and (begun := self._begins_its_key(chunk)):
            chunk, self._begun = chunk[:-begun], chunk[-begun:]
        going = self.capture.add(chunk)
        if self._deadlines is not None:
            self._deadlines.began()
        if self._meter is not None and self._meter.is_over(self.capture.made()):
            self.is_over = True  # and nothing of what was too much goes on
        elif going:
            self.ready.append(going)

    def end(self) -> None:
        """No piece comes any more: what might have been the begin of the key was none.

        Raises:
            UpstreamBroken: there was no end to the stream.
        """
        begun, self._begun = self._begun, b""
        if begun and (going := self.capture.add(begun)):
            self.ready.append(going)

    def by(self, write: Callable[[bytes], bool]) -> Callable[[bytes], bool]:
        """`take`, writing by `write`, which says whether it could without waiting."""
        self._write = write
        return self.take

    def take(self, chunk: bytes) -> bool:
        """A piece came while the reader waits; whether there is nothing left for the reader to do.

        INVARIANT: all that came before is written, since the reader waits for more.

        Raises:
            UpstreamBroken: as `hear`.
        """
        self.hear(chunk)
        if self.is_over or self._write is None:
            return False
        ready = self.ready
        if ready:
            if not self._write(ready[0]):
                return False
            ready.clear()
        return not self.capture.is_complete
