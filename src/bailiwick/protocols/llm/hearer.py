"""Reading an answer while it streams past.

    reader = answers.reader(Dialect.CHAT)
    for chunk in stream:
        reader.feed(chunk)      # any split of the bytes gives the same `said`
    reader.said()

Nothing here raises for what a server sends: an answer that is not understood is `unreadable`,
and what was understood of it is kept.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple, Protocol

import msgspec

from bailiwick.core.canonical import JsonObject
from bailiwick.core.errors import TheirError
from bailiwick.protocols.llm.dialect import ERROR, UNFINISHED, UNREADABLE, Said
from bailiwick.protocols.llm.frame import Frame
from bailiwick.protocols.llm.gathering import MAX_KEPT_CHARS, Room
from bailiwick.protocols.sse import SseDecoder

MAX_EVENT_BYTES: Final = 16 * 1024 * 1024

_MOST_LINES: Final = 4_096
"""Most lines of data of one event that are read by themselves."""

_MOST_TRIES: Final = 6
"""How often a frame is looked for in one stream: thinking has another than what is said."""

_WORTHWHILE_BYTES: Final = 1024
"""A chunk of fewer has too few events to look for a frame amid them."""

_MAX_DIGITS = 4_000
_DONE = b"[DONE]"
_DATA = b"data: "
_END = b"\n\n"
_NEXT = _END + _DATA
_NAMED = re.compile(rb"\n\nevent: [^\n{]*\ndata: ")
"""Where an event with a name begins. Nothing is read by that: what is meant stands in the data."""

NO_PIECE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What a typed decoder raises for a text that is not of its type, or none at all."""


class Hearer(Protocol):
    """One dialect's part: what its objects add up to."""

    @property
    def room(self) -> Room:
        """Where the texts of the answer are kept."""

    @property
    def counted(self) -> int | None:
        """Tokens of output by the server's own count so far; None if it has not said."""

    @property
    def framed(self) -> bool:
        """Whether `frame` may find something in this dialect."""

    def take(self, data: JsonObject) -> None:
        """Take one event of a stream. Must not raise, whatever is in it."""

    def take_pieces(self, texts: Iterator[bytes]) -> bytes | None:
        """Take events as long as each is the plainest there is, the next piece of what is being
        said: most of a stream are, and then nothing but the piece need be looked at.

        INVARIANT: what is taken here leaves behind exactly what `take` would have left.

        Args:
            texts: JSON of the events. They fit the room altogether.

        Returns:
            The first that is anything else, which is not taken; None if there is none.
        """

    def frame(self, head: bytes, event: bytes) -> Frame | None:
        """What a piece that was taken has in common with those like it, if that can be told.

        Args:
            head: what stands before the data of its event.
            event: its data.
        """

    def take_whole(self, body: JsonObject) -> None:
        """Take an answer that was not streamed. Must not raise, whatever is in it."""

    def said(self) -> Said:
        """What was said so far; `finish` is "" as long as it is not known."""

    @property
    def asked(self) -> bool:
        """Whether some tool call may be whole by now, so that an agent could act on it."""


class Made(NamedTuple):
    """How much of an answer has come.

    Attributes:
        characters: of text, reasoning and arguments, as far as they are kept.
        pieces: in which they came.
        tokens: by the server's own count; None if it has not said.
    """

    characters: int
    pieces: int
    tokens: int | None


class Reader:
    """Reads one streamed answer. Holds at most one event and what `gathering` allows."""

    __slots__ = (
        "_begun",
        "_between",
        "_broken",
        "_decoder",
        "_done",
        "_frame",
        "_hearer",
        "_lost",
        "_max",
        "_room",
        "_since",
        "_tries",
        "_unreadable",
    )

    def __init__(self, hearer: Hearer, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self._hearer = hearer
        self._room = hearer.room
        self._decoder: SseDecoder | None = None  # most streams need none
        self._max = max_event_bytes
        self._begun = False
        self._between = True
        self._since = 0
        self._done = False
        self._broken = False
        self._lost = False
        self._unreadable = False
        self._frame: Frame | None = None
        self._tries = _MOST_TRIES if hearer.framed else 0

    def run(self, chunk: bytes) -> int:
        """Take the pieces that a chunk begins with, as far as nothing but their texts is new.

        Nothing is decided by them: with none a tool call is whole, and there is no end in them.

        Returns:
            In how many bytes they came. The others are to be fed, and all of them if it is 0.
        """
        frame = self._frame
        # No more characters than bytes: pieces that fit need not be measured one by one.
        if frame is None or not self._between or len(chunk) > self._room.left:
            return 0
        # Behind what may be a whole tool call a piece may belong to another one.
        return 0 if self._hearer.asked else frame.take(chunk)

    def first_of(self, chunk: bytes) -> int:
        """How many bytes of a chunk to feed before the next `run`: all of them, or two events that
        may show what is common to the others."""
        if not self._tries or not self._between or len(chunk) < _WORTHWHILE_BYTES:
            return len(chunk)
        at = chunk.find(_END, chunk.find(_END) + 1)
        return len(chunk) if at < 0 else at + len(_END)

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes of the stream. Never raises."""
        if self._between and chunk.endswith(_END) and len(chunk) <= self._max:
            texts = _texts_of(chunk)
            if texts is not None:
                self._begun = True
                plain = self._take_all(texts, len(chunk))
                if plain and self._tries and texts[-1] != _DONE:
                    self._find_frame(chunk, texts[-1])
                return
        if self._broken:
            return
        if self._between:
            self._since = 0
        if self._since + len(chunk) <= self._max:
            self._feed(chunk)
            # After a blank line a decoder holds nothing.
            self._between = chunk.endswith(_END) and not self._broken
            return
        self._between = False
        # One of these lines may be too much. Those before it are to count all the same, however
        # the bytes were split, so they go in one by one.
        for line in chunk.splitlines(keepends=True):
            if not self._broken:
                self._feed(line)

    def end(self) -> None:
        """No byte comes any more: what is left counts as if a blank line followed. Readers that go
        line by line act on it. What broke off in its middle says nothing."""
        if not self._between and not self._broken:
            unreadable = self._unreadable
            self._feed(_END)
            self._unreadable, self._between = unreadable, True

    def said(self) -> Said:
        """What was said up to here."""
        return _finished(self._hearer.said(), unreadable=self._unreadable, done=self._done)

    def made(self) -> Made:
        """How much has come."""
        room = self._room
        return Made(MAX_KEPT_CHARS - room.left, room.pieces, self._hearer.counted)

    @property
    def asked(self) -> bool:
        """Whether an agent that has got all of this could act on a tool call. True also when
        that cannot be told any more."""
        return self._broken or self._lost or self._hearer.asked

    def _take_all(self, texts: list[bytes], size: int) -> bool:
        """Take the data of events that came in `size` bytes; whether all were pieces."""
        room, take_pieces = self._room, self._hearer.take_pieces
        rest = iter(texts)
        plain = True
        # No more characters than bytes: pieces that fit need not be measured one by one.
        while size <= room.left:
            other = take_pieces(rest)
            if other is None:
                return plain
            plain = False
            self._take(other)
        for text in rest:
            self._take(text)
        return False

    def _find_frame(self, chunk: bytes, event: bytes) -> None:
        """Look for what the last event of a chunk shares with those behind it. A stream whose
        events have nothing in common is not looked at for ever."""
        self._tries -= 1
        begin = len(chunk) - len(event) - len(_END)
        end_before = chunk.rfind(_END, 0, begin)
        head = chunk[end_before + len(_END) if end_before >= 0 else 0 : begin]
        self._frame = self._hearer.frame(head, event) or self._frame

    def _feed(self, chunk: bytes) -> None:
        if self._decoder is None:
            self._decoder = SseDecoder(self._max, begun=self._begun)
        try:
            events = self._decoder.feed(chunk)
        except TheirError:
            self._broken = self._unreadable = True
            return
        self._lost = self._lost or self._decoder.is_doubtful
        self._since = len(chunk) if events else self._since + len(chunk)
        for event in events:
            self._take(event.data)

    def _take(self, text: bytes) -> None:
        if text.startswith(_DONE):
            self._done = True
            return
        if not text:
            return  # an event without data is none
        data = _object(text)
        if data is None:
            self._unreadable = True
            # Nested too deep for us, say: some other reader may take it for a tool call.
            self._lost = self._lost or text.lstrip().startswith(b"{")
        else:
            self._hearer.take(data)
        if b"\n" in text:
            self._take_lines(text, is_read=data is not None)
        if self._frame is not None:
            # A frame is good for as long as nothing but pieces comes: what a piece does may be
            # another thing behind anything else.
            self._frame = None
            self._tries += 1

    def _take_lines(self, text: bytes, *, is_read: bool) -> None:
        """Take an event of several lines of data as those do who take each line for an event."""
        lines = [line for line in text.split(b"\n") if line.lstrip().startswith(b"{")]
        if len(lines) > _MOST_LINES:
            self._room.lose_part()
        for line in lines[:_MOST_LINES]:
            data = _object(line)
            if data is not None and line != text.strip():
                self._lost = True
                if not is_read:
                    self._hearer.take(data)


def _texts_of(chunk: bytes) -> list[bytes] | None:
    """The data of a chunk of whole events, where each is one line of data, as nearly all are: they
    need no decoder, which would take as long as all the rest. None for any other chunk."""
    if b"\r" in chunk:
        return None
    if chunk.startswith(_DATA):
        texts = chunk[len(_DATA) : -len(_END)].split(_NEXT)
        lines = 2
    else:
        before, *texts = _NAMED.split(_END + chunk[: -len(_END)])
        lines = 0 if before else 3
    # Any other end of a line belongs to an event of several lines of data.
    return texts if chunk.count(b"\n") == lines * len(texts) else None


def read_whole(hearer: Hearer, body: bytes) -> Said:
    """What an answer said that was not streamed. Never raises."""
    data = _object(body)
    if data is not None:
        hearer.take_whole(data)
    said = hearer.said()
    return _finished(said, unreadable=said == Said(), done=True)


def _finished(said: Said, *, unreadable: bool, done: bool) -> Said:
    if said.error:
        finish = ERROR
    elif unreadable:
        finish = UNREADABLE
    elif said.finish or done:
        return said
    else:
        finish = UNFINISHED
    return msgspec.structs.replace(said, finish=finish)


_decode: Callable[[bytes], object] = msgspec.json.Decoder().decode


def _object(text: bytes) -> JsonObject | None:
    # Not `strict_json`: nobody judges an answer, and the agent's own reader takes a repeated
    # name's last value too. This one costs a sixth.
    try:
        value = _decode(text)
    except NO_PIECE:
        value = _leniently(text)
    return value if isinstance(value, dict) else None


def _leniently(text: bytes) -> object:
    """What agents' own readers may take all the same: half a surrogate pair, NaN, bytes that are
    no UTF-8. What is no character becomes a mark. None when nobody could read it.

    INVARIANT: what an agent can read of an answer is read here, or it could act on what is not on
    record.
    """
    try:
        value = json.loads(text.decode(errors="replace"), parse_int=_integer)
        return json.loads(json.dumps(value, ensure_ascii=False).encode(errors="replace"))
    except (ValueError, RecursionError):
        return None


def _integer(digits: str) -> int | float:
    # Python converts no more digits at once; others round.
    return int(digits) if len(digits) <= _MAX_DIGITS else float(digits)
