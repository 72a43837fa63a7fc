"""What is kept of a streamed answer while it passes, and what of it waits for the record.

Passed on at once is everything up to the first of

1. the event after which the official SDKs stop reading;
2. the piece that makes a tool call whole: with it an agent can act.

What comes from there on waits until the outcome is durable. So the reasoning is on record before
the tool call that it led to.
"""

from __future__ import annotations

import base64
import hashlib
import re

from bailiwick.core.canonical import Json
from bailiwick.core.errors import UpstreamBroken
from bailiwick.protocols.llm.answers import reader
from bailiwick.protocols.llm.dialect import Dialect, Said
from bailiwick.protocols.llm.hearer import Made
from bailiwick.protocols.strict_json import encode

MAX_KEPT_BYTES = 4 * 1024 * 1024
"""Most that is kept of a stream; of a longer one also its length and digest."""

MAX_STREAM_BYTES = 256 * 1024 * 1024
"""Longest stream that is passed on: a server that never ends is cut off."""

MAX_HELD_BYTES = 16 * 1024 * 1024
"""Most that may come behind a tool call, behind the end, or of one event without its end."""

# At the start of a line only: inside the JSON of an event a line end is always escaped, so no
# model can say these.
_LAST = {
    Dialect.CHAT: re.compile(rb"data: ?\[DONE\]"),
    Dialect.RESPONSES: re.compile(rb"event: ?response\.(?:completed|failed|incomplete)"),
    Dialect.MESSAGES: re.compile(rb"event: ?message_stop"),
}
_WORDS = {
    Dialect.CHAT: re.compile(rb"\[DONE\]"),
    Dialect.RESPONSES: re.compile(rb"response\.(?:completed|failed|incomplete)"),
    Dialect.MESSAGES: re.compile(rb"message_stop"),
}
"""What stands in every match: looking for a word is fast, for a line of a form is not."""

_ACTS = (b"tool", b"call")
"""One of them stands in whatever asks an agent to do something, if nobody hides it."""

_BLANK = b"\n\n"
_ENDS = (b"\n\n", b"\r\n\r\n", b"\r\r")
_LONGEST_END = 4
_LINE_END = b"\n"
_LONGEST_MARK = 32


class StreamCapture:
    """A stream as it passes: kept, read, and held back where it has to wait.

    Attributes:
        size: bytes so far.
    """

    def __init__(self, dialect: Dialect, status: int) -> None:
        self._status = status
        self._mark = _LAST.get(dialect)
        self._word = _WORDS.get(dialect)
        self._reader = reader(dialect)
        # Not lists of pieces: of two bytes each they would take thirty times the room.
        self._kept = bytearray()
        self._digest = hashlib.sha256()
        self._tail = _LINE_END
        self._held = bytearray()
        self._unfinished = bytearray()
        self._acts = False
        self._ended = False
        self.size = 0

    def add(self, chunk: bytes) -> bytes:
        """A piece came, of one event or of many; what may be passed on now, byte for byte.

        Raises:
            UpstreamBroken: `upstream_too_large`: there is no end to it.
        """
        size = self._run(chunk)
        if size == len(chunk):  # as most are
            self._keep(chunk)
            return chunk
        gone: list[bytes] = []
        while chunk:
            if size:
                known = chunk[:size]
                self._keep(known)
                gone.append(known)
            else:
                size = self._reader.first_of(chunk)
                gone.append(self._add_events(chunk[:size]))
            chunk = chunk[size:]
            size = self._run(chunk)
        return b"".join(gone)

    def _run(self, chunk: bytes) -> int:
        """As `Reader.run`. Nothing of a run can end the stream or has to wait; behind what waits
        none is looked for."""
        return 0 if self._held else self._reader.run(chunk)

    def _add_events(self, chunk: bytes) -> bytes:
        """Take a piece of which anything may be said."""
        if not self._acts:
            self._acts = _ACTS[0] in chunk or _ACTS[1] in chunk
        if self._acts and chunk.count(_BLANK) > 1:
            # Each event by itself: what stands before a tool call need not wait with it.
            return b"".join([self._add(event) for event in _events(chunk)])
        return self._add(chunk)

    def _keep(self, chunk: bytes) -> None:
        """Keep what came, within bounds."""
        self.size += len(chunk)
        if self.size <= MAX_KEPT_BYTES:
            self._kept += chunk
        else:
            self._beyond(chunk)

    def _add(self, chunk: bytes) -> bytes:
        self._keep(chunk)
        self._reader.feed(chunk)
        if self._unfinished:
            if self._waits(chunk):
                return b""
            chunk = bytes(self._unfinished)
            self._unfinished = bytearray()
        at = self._end_in(chunk)
        if self._held or self._reader.asked:
            at = 0
        elif at < 0:
            if not chunk.endswith(b"\n\n"):  # as nearly all do
                chunk, unfinished = _apart(chunk)
                self._unfinished += unfinished
            return chunk
        self._held += chunk[at:]
        if len(self._held) > MAX_HELD_BYTES:
            text = f"more than {MAX_HELD_BYTES} bytes came after a tool call or the end"
            raise UpstreamBroken("upstream_too_large", text)
        return chunk[:at]

    def _waits(self, chunk: bytes) -> bool:
        """Add to the unfinished event; whether it stays so. Looks at each byte once: an event may
        come in a million pieces.

        Raises:
            UpstreamBroken: `upstream_too_large`: there is no end to it.
        """
        unfinished = self._unfinished
        before = max(0, len(unfinished) - _LONGEST_END + 1)
        unfinished += chunk
        if self._reader.asked or any(unfinished.find(end, before) >= 0 for end in _ENDS):
            return False
        if len(unfinished) > MAX_HELD_BYTES:
            text = f"an event is longer than {MAX_HELD_BYTES} bytes"
            raise UpstreamBroken("upstream_too_large", text)
        return True

    def _beyond(self, chunk: bytes) -> None:
        """Keep no more than there is room for; of the whole, length and digest are told."""
        if self.size > MAX_STREAM_BYTES:
            raise UpstreamBroken(
                "upstream_too_large", f"the stream is longer than {MAX_STREAM_BYTES} bytes"
            )
        before = self.size - len(chunk)
        if before <= MAX_KEPT_BYTES:
            # All of it was kept so far. Most streams end before they need a digest.
            self._digest.update(self._kept)
            self._kept += chunk[: MAX_KEPT_BYTES - before]
        self._digest.update(chunk)

    def _end_in(self, chunk: bytes) -> int:
        """Where in `chunk` the last event begins; -1 when it does not."""
        if self._mark is None or self._word is None or self._ended:
            return -1
        # After a line's end no mark can have begun in an earlier piece.
        before = self._tail
        seen = before + chunk
        self._tail = _LINE_END if chunk.endswith(_LINE_END) else seen[-_LONGEST_MARK:]
        at = -1 if self._word.search(seen) is None else _line_of(self._word, self._mark, seen)
        if at < 0:
            return -1
        self._ended = True
        # What of the mark came with an earlier piece has gone already.
        return max(0, at - len(before))

    @property
    def is_complete(self) -> bool:
        """Whether the last event is here whole."""
        return self._ended and self._held.endswith(_ENDS)

    def held_back(self) -> bytes:
        """What waits for the record."""
        return bytes(self._held + self._unfinished)

    def events(self) -> bytes:
        """What was kept."""
        return bytes(self._kept)

    def end(self) -> None:
        """No piece comes any more: read what is left (see `Reader.end`)."""
        self._reader.end()

    def made(self) -> Made:
        """How much of an answer has come."""
        return self._reader.made()

    def said(self) -> Said:
        """What the model has said so far."""
        return self._reader.said()

    def record(self, broke_off: str = "") -> bytes:
        """All of it as one JSON text, and why it ended before its end, if it did."""
        kept = self.events()
        whole: dict[str, Json] = {"status": self._status}
        try:
            whole["events"] = kept.decode()
        except UnicodeDecodeError:  # not text, or cut within a letter: as it came, all the same
            whole["events_base64"] = base64.b64encode(kept).decode()
        if broke_off:
            whole["broke_off"] = broke_off
        if self.size > MAX_KEPT_BYTES:
            whole["bytes"], whole["sha256"] = self.size, self._digest.hexdigest()
        return encode(whole)


def _events(chunk: bytes) -> list[bytes]:
    """A chunk after each blank line cut in two."""
    *whole, rest = chunk.split(_BLANK)
    events = [event + _BLANK for event in whole]
    return [*events, rest] if rest else events


def _line_of(word: re.Pattern[bytes], mark: re.Pattern[bytes], seen: bytes) -> int:
    """Where in `seen` the first line begins, behind the end of another, that `mark` matches and
    that holds `word`; or -1. Each line is looked at once."""
    start, found = 0, word.search(seen)
    while found is not None:
        at = found.start()
        start = max(seen.rfind(b"\n", start, at), seen.rfind(b"\r", start, at)) + 1 or start
        if start and mark.match(seen, start):
            return start
        end = seen.find(b"\n", at)
        end = len(seen) if end < 0 else end
        other = seen.find(b"\r", at, end)
        start = end if other < 0 else other
        found = word.search(seen, start)
    return -1


def _apart(chunk: bytes) -> tuple[bytes, bytes]:
    """A chunk as (what goes on, lines of an event whose end has not come).

    Some readers act on a line of data, and do not wait for the blank line that ends its event, nor
    at the end of a stream for that of the line. An event of which no line is whole goes on as it
    comes: large ones come in many pieces.
    """
    at = max(end + len(mark) if (end := chunk.rfind(mark)) >= 0 else 0 for mark in _ENDS)
    rest = chunk[at:]
    if b"\n" in rest or b"\r" in rest or rest.rstrip().endswith(b"}"):
        return chunk[:at], rest
    return chunk, b""
