"""What is kept of a streamed answer while it passes, and where it ends."""

from __future__ import annotations

import hashlib
import re

from bailiwick.core.canonical import Json
from bailiwick.core.errors import UpstreamBroken
from bailiwick.protocols.llm.dialect import Dialect
from bailiwick.protocols.strict_json import encode

MAX_KEPT_BYTES = 4 * 1024 * 1024
"""Most that is kept of a stream; of a longer one also its length and digest."""

MAX_STREAM_BYTES = 256 * 1024 * 1024
"""Longest stream that is passed on: a server that never ends is cut off."""

# At the start of a line only: inside the JSON of an event a line end is always escaped, so no
# model can say these.
_LAST = {
    Dialect.CHAT: re.compile(rb"(?<=[\r\n])data: ?\[DONE\]"),
    Dialect.RESPONSES: re.compile(rb"(?<=[\r\n])event: ?response\.(?:completed|failed|incomplete)"),
    Dialect.MESSAGES: re.compile(rb"(?<=[\r\n])event: ?message_stop"),
}
_ENDS = (b"\n\n", b"\r\n\r\n", b"\r\r")
_LONGEST_MARK = 32


class StreamCapture:
    """A copy of a stream as it passes, and what of it may be passed on already.

    The event after which the official SDKs stop reading is held back until the outcome is
    recorded; everything before it goes on at once, byte for byte.
    """

    def __init__(self, dialect: Dialect, status: int) -> None:
        self._status = status
        self._mark = _LAST.get(dialect)
        self._kept: list[bytes] = []
        self._kept_bytes = 0
        self._digest = hashlib.sha256()
        self._tail = b"\n"
        self._held: list[bytes] = []
        self.size = 0

    def add(self, chunk: bytes) -> bytes:
        """A piece came; what may be passed on now.

        Raises:
            UpstreamBroken: `upstream_too_large`: there is no end to it.
        """
        self.size += len(chunk)
        if self.size > MAX_STREAM_BYTES:
            raise UpstreamBroken(
                "upstream_too_large", f"the stream is longer than {MAX_STREAM_BYTES} bytes"
            )
        self._digest.update(chunk)
        room = MAX_KEPT_BYTES - self._kept_bytes
        if room > 0:
            self._kept.append(chunk[:room])
            self._kept_bytes += min(room, len(chunk))
        if self._held:
            self._held.append(chunk)
            return b""
        if self._mark is None:
            return chunk
        seen = self._tail + chunk
        self._tail = seen[-_LONGEST_MARK:]
        found = self._mark.search(seen)
        if found is None:
            return chunk
        # What of the mark came with an earlier piece has gone already.
        at = max(0, found.start() - (len(seen) - len(chunk)))
        self._held.append(chunk[at:])
        return chunk[:at]

    @property
    def is_complete(self) -> bool:
        """Whether the last event is here whole."""
        return bool(self._held) and b"".join(self._held[-2:]).endswith(_ENDS)

    def held_back(self) -> bytes:
        """The last event, and what came after it."""
        return b"".join(self._held)

    def events(self) -> bytes:
        """What was kept."""
        return b"".join(self._kept)

    def record(self, broke_off: str = "") -> bytes:
        """All of it as one JSON text, and why it ended before its end, if it did."""
        whole: dict[str, Json] = {
            "status": self._status,
            "events": self.events().decode(errors="replace"),
        }
        if broke_off:
            whole["broke_off"] = broke_off
        if self.size > self._kept_bytes:
            whole["bytes"], whole["sha256"] = self.size, self._digest.hexdigest()
        return encode(whole)
