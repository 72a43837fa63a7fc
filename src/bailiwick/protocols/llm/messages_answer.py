"""Answers of the Messages dialect, streamed and not, and its token counts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

import msgspec

from bailiwick.core.canonical import Json, JsonObject
from bailiwick.protocols.llm.asked import objects
from bailiwick.protocols.llm.dialect import AskedTool, Reasoning, Said, Usage, Visibility
from bailiwick.protocols.llm.frame import Frame, find_frame, slot_of
from bailiwick.protocols.llm.gathering import (
    Brackets,
    Room,
    Text,
    as_text,
    error_text,
    mapping,
    number_of,
    tokens,
    word,
)
from bailiwick.protocols.llm.hearer import NO_PIECE

_LONGEST_PLAIN_SIGNATURE = 64
_FULL_THINKERS = ("claude-3-7-",)
"""Models of the dialect's maker that send their thinking whole; later ones send a summary."""

_OWN_CALLS = frozenset({"tool_use"})
_HOSTED_CALLS = frozenset({"server_tool_use", "mcp_tool_use"})


class _PlainText(msgspec.Struct, tag="text_delta"):
    piece: str = msgspec.field(name="text")


class _PlainThinking(msgspec.Struct, tag="thinking_delta"):
    piece: str = msgspec.field(name="thinking")


class _PlainInput(msgspec.Struct, tag="input_json_delta"):
    piece: str = msgspec.field(name="partial_json")


_PlainDelta = _PlainText | _PlainThinking | _PlainInput


class _PlainPiece(msgspec.Struct):
    """A delta as servers send them: its number is one, and its piece is text."""

    type: Literal["content_block_delta"]
    delta: _PlainDelta
    index: int = 0


_plain = msgspec.json.Decoder(_PlainPiece).decode

_KINDS: dict[type[_PlainDelta], str] = {_PlainText: "text", _PlainThinking: "thinking"}
"""What is said in pieces → the kind of block that takes it."""

_SAID = {"text_delta": "text", "thinking_delta": "thinking"}
"""Deltas that say something → where it stands."""

_SLOT = slot_of("text", "thinking")
"""Where the text of such a piece may stand."""


class MessagesHearer:
    """Adds up the events of a message, or reads one message."""

    framed = True

    __slots__ = ("_asked", "_blocks", "_counts", "_error", "_finish", "_id", "_model", "_room")

    def __init__(self, room: Room | None = None) -> None:
        self._room = room or Room()
        self._asked = False
        self._blocks: dict[int, _Block] = {}
        self._counts: dict[str, Json] = {}
        self._model = ""
        self._id = ""
        self._finish = ""
        self._error = ""

    def take(self, data: JsonObject) -> None:
        """Take one event."""
        kind = data.get("type")
        if kind == "content_block_delta":
            block = self._blocks.get(_number(data))
            if block is None:
                self._room.lose_part()  # for some it belongs to the last that has begun
            elif block.take(mapping(data.get("delta"))):
                self._asked = True
        elif kind == "content_block_stop":
            # For some it ends the last block, whatever its number.
            self._end_calls()
        elif kind == "content_block_start":
            self._begin(_number(data), mapping(data.get("content_block")))
        elif kind == "message_start":
            message = mapping(data.get("message"))
            self._take_head(message)
            self._take_blocks(message)
        elif kind == "message_delta":
            self._finish = word(mapping(data.get("delta")).get("stop_reason")) or self._finish
            self._take_counts(data.get("usage"))
            self._end_calls()
        elif kind == "message_stop":
            self._end_calls()
        elif kind == "error" or (kind is None and data.get("error")):
            self._error = error_text(data.get("error"))

    def take_pieces(self, texts: Iterator[bytes]) -> bytes | None:
        """See `hearer.Hearer.take_pieces`."""
        text = None
        index = 0
        kind: type[_PlainDelta] | None = None
        pieces: list[str] = []
        try:
            for text in texts:
                event = _plain(text)
                delta = event.delta
                if event.index != index or type(delta) is not kind:
                    self._add_all(index, kind, pieces)
                    index, kind, pieces = event.index, type(delta), []
                if delta.piece:
                    pieces.append(delta.piece)
            text = None
        except NO_PIECE:
            pass
        self._add_all(index, kind, pieces)
        return text

    def frame(self, head: bytes, event: bytes) -> Frame | None:
        """See `hearer.Hearer.frame`."""
        return find_frame(head, event, _SLOT, self._spoken)

    def _spoken(self, event: bytes) -> tuple[Text, str] | None:
        try:
            found = _plain(event)
        except NO_PIECE:
            return None
        kind, block = type(found.delta), self._blocks.get(found.index)
        if block is None or not found.delta.piece or _KINDS.get(kind) != block.kind:
            return None
        return block.text, found.delta.piece

    def take_whole(self, body: JsonObject) -> None:
        """Take a message, or an error."""
        if body.get("type") == "error" or body.get("error"):
            # What stands beside it is read all the same: not every agent looks for errors.
            self._error = error_text(body.get("error"))
        self._take_head(body)
        self._finish = word(body.get("stop_reason"))
        self._take_blocks(body)

    @property
    def room(self) -> Room:
        """Where its texts are kept."""
        return self._room

    @property
    def counted(self) -> int | None:
        """Tokens of output so far, by the server's own count."""
        return tokens(self._counts, "output_tokens")

    def said(self) -> Said:
        """The blocks in order. Texts are joined as they are: citations cut one into several."""
        blocks = [self._blocks[number] for number in sorted(self._blocks)]
        return Said(
            model=self._model,
            text="".join(str(block.text) for block in blocks if block.kind == "text"),
            reasoning=tuple(
                piece for block in blocks if (piece := block.reasoning(self._model)) is not None
            ),
            tool_calls=tuple(block.call() for block in blocks if block.kind in _OWN_CALLS),
            hosted_calls=tuple(block.call() for block in blocks if block.kind in _HOSTED_CALLS),
            usage=self._usage(),
            finish=self._finish,
            id=self._id,
            error=self._error,
            cut=self._room.cut,
        )

    @property
    def asked(self) -> bool:
        """See `hearer.Hearer.asked`."""
        return self._asked or self._room.full

    def _take_head(self, message: JsonObject) -> None:
        self._model = word(message.get("model"))
        self._id = word(message.get("id"))
        self._take_counts(message.get("usage"))

    def _add_all(self, index: int, kind: type[_PlainDelta] | None, pieces: list[str]) -> None:
        """Take deltas of one kind for one block."""
        if kind is None:
            return
        block = self._blocks.get(index)
        if block is None:
            self._room.lose_part()
        elif pieces and block.take_all(kind, pieces):
            self._asked = True

    def _end_calls(self) -> None:
        """Whatever was asked for is whole by now."""
        self._asked = self._asked or any(b.kind in _OWN_CALLS for b in self._blocks.values())

    def _take_blocks(self, message: JsonObject) -> None:
        """Take the blocks that stand in a message itself; of a stream it mostly has none."""
        for number, block in enumerate(objects(message.get("content"))):
            self._begin(number, block)

    def _begin(self, number: int, start: JsonObject) -> None:
        if number in self._blocks:
            # Some go by the order in which blocks come, and for them it is another one.
            self._room.lose_part()
        elif self._room.takes_part():
            self._blocks[number] = _Block(self._room, start)

    def _take_counts(self, counts: Json) -> None:
        # Totals, not differences: a later one replaces, and one that is missing leaves.
        for name, value in mapping(counts).items():
            if value is not None and name in _COUNTS:
                self._counts[name] = value

    def _usage(self) -> Usage | None:
        if not self._counts:
            return None
        usage = _usage_of(self._counts)
        for step in objects(self._counts.get("iterations")):
            if step.get("type") != "message":
                # Such as compacting the conversation: it is no part of the totals.
                usage = _both(usage, _usage_of(step))
        return usage


def _usage_of(counts: Mapping[str, Json]) -> Usage:
    fresh = tokens(counts, "input_tokens")
    cached = tokens(counts, "cache_read_input_tokens")
    written = tokens(counts, "cache_creation_input_tokens")
    return Usage(
        # This dialect states the three apart.
        input=None if fresh is None else fresh + (cached or 0) + (written or 0),
        cached=cached,
        output=tokens(counts, "output_tokens"),
        reasoning=tokens(mapping(counts.get("output_tokens_details")), "thinking_tokens"),
        cache_written=written,
    )


def _both(one: Usage, other: Usage) -> Usage:
    """Two usages together. Without one of them, input and output are not known."""
    return Usage(
        input=None if one.input is None or other.input is None else one.input + other.input,
        cached=_sum(one.cached, other.cached),
        output=None if one.output is None or other.output is None else one.output + other.output,
        reasoning=_sum(one.reasoning, other.reasoning),
        cache_written=_sum(one.cache_written, other.cache_written),
    )


def _sum(one: int | None, other: int | None) -> int | None:
    return None if one is None and other is None else (one or 0) + (other or 0)


_COUNTS = frozenset(
    {
        "input_tokens", "output_tokens", "output_tokens_details", "cache_read_input_tokens",
        "cache_creation_input_tokens", "iterations",
    }
)  # fmt: skip


class _Block:
    """One content block; what it begins with is whole where nothing is streamed."""

    __slots__ = (
        *("_brackets", "_id", "_input", "_json", "_name", "_room", "_signature"),
        *("kind", "text"),
    )

    def __init__(self, room: Room, start: JsonObject) -> None:
        self._room = room
        self.kind = word(start.get("type"))
        self.text = Text(room)
        self._json = Text(room)
        self._signature = word(start.get("signature"))
        self._id = word(start.get("id"))
        self._name = word(start.get("name"))
        self._input = Text(room)
        self._brackets = Brackets()
        if self.kind == "redacted_thinking":
            self.text.add(start.get("data"))
        elif self.kind == "thinking":
            self.text.add(start.get("thinking"))
        elif self.kind == "text":
            self.text.add(start.get("text"))
        elif self.kind in _OWN_CALLS or self.kind in _HOSTED_CALLS:
            self._input.add(as_text(start.get("input", {})))

    def take(self, delta: JsonObject) -> bool:
        """Take one delta. Text of another kind than the block adds nothing and counts as cut: SDKs
        pass it over, and others show it.

        Returns:
            Whether it is a tool call for the agent, and may be whole.
        """
        kind = delta.get("type")
        if kind == "text_delta" and self.kind == "text":
            self.text.add(delta.get("text"))
        elif kind == "thinking_delta" and self.kind == "thinking":
            self.text.add(delta.get("thinking"))
        elif kind == "input_json_delta":
            self._json.add(delta.get("partial_json"))
            return self.kind in _OWN_CALLS and self._brackets.add(delta.get("partial_json"))
        elif kind == "signature_delta":
            self._signature = word(delta.get("signature"))
        elif isinstance(kind, str) and kind in _SAID and word(delta.get(_SAID[kind])):
            self._room.cut = True
        return False

    def take_all(self, kind: type[_PlainDelta], pieces: list[str]) -> bool:
        """As `take`, of pieces of one kind (`gathering.Text.add_all`)."""
        if kind is _PlainInput:
            self._json.add_all(pieces)
            return self.kind in _OWN_CALLS and self._brackets.add("".join(pieces))
        if self.kind == _KINDS[kind]:
            self.text.add_all(pieces)
        else:
            self._room.cut = True
        return False

    def reasoning(self, model: str) -> Reasoning | None:
        """What this block shows of reasoning, or None when it is no reasoning."""
        if self.kind == "redacted_thinking":
            return Reasoning(Visibility.ENCRYPTED, str(self.text))
        if self.kind != "thinking":
            return None
        if not self.text:
            return Reasoning(Visibility.OMITTED, "")
        # A long signature is the sealed whole, so the text beside it may be less than that. Other
        # servers of the dialect sign with nothing or with an id.
        sealed = len(self._signature) > _LONGEST_PLAIN_SIGNATURE
        full = not sealed or model.startswith(_FULL_THINKERS)
        return Reasoning(Visibility.FULL if full else Visibility.SUMMARY, str(self.text))

    def call(self) -> AskedTool:
        """The tool call that this block is."""
        return AskedTool(self._id, self._name, str(self._json) or str(self._input))


class _Count(msgspec.Struct):
    input_tokens: int


def read_count(body: bytes) -> int | None:
    """The answer to a token count, or None when it is no count. Never raises."""
    try:
        counted = msgspec.json.decode(body, type=_Count).input_tokens
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return counted if counted >= 0 else None


def _number(data: JsonObject) -> int:
    return number_of(data.get("index")) or 0
