"""Answers of the Responses dialect, streamed and not.

A stream says everything up to three times: in deltas, in each item when it is done, and in the
response when that is completed. The done item counts, since agents act on it; then the deltas;
then the completed response for what neither named.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import msgspec

from bailiwick.core.canonical import Json, JsonObject
from bailiwick.protocols.llm.asked import objects
from bailiwick.protocols.llm.dialect import AskedTool, Reasoning, Said, Usage, Visibility, name_in
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

_OWN_CALLS = {
    "function_call": "arguments",
    "custom_tool_call": "input",
    "local_shell_call": "action",
    "shell_call": "action",
    "computer_call": "action",
    "apply_patch_call": "operation",
}
"""Items that ask the agent to do something → where they say what."""

_HOSTED_CALLS = {
    "mcp_call": "arguments",
    "mcp_approval_request": "arguments",
    "web_search_call": "action",
    "file_search_call": "queries",
    "code_interpreter_call": "code",
    "image_generation_call": "revised_prompt",
}
"""Items that say what the model's server did by itself → where they say what."""

_DELTAS = {
    "response.output_text.delta": "text",
    "response.refusal.delta": "text",
    "response.reasoning_text.delta": "full",
    "response.reasoning_summary_text.delta": "summary",
    "response.function_call_arguments.delta": "arguments",
    "response.custom_tool_call_input.delta": "arguments",
    "response.mcp_call_arguments.delta": "arguments",
}


class _PlainPiece(msgspec.Struct):
    """A delta as servers send them: its numbers are numbers, and its piece is text."""

    type: Literal[
        "response.output_text.delta",
        "response.refusal.delta",
        "response.reasoning_text.delta",
        "response.reasoning_summary_text.delta",
        "response.function_call_arguments.delta",
        "response.custom_tool_call_input.delta",
        "response.mcp_call_arguments.delta",
    ]
    delta: str
    output_index: int = 0
    content_index: int = 0
    summary_index: int | msgspec.UnsetType = msgspec.UNSET
    error: None = None


_plain = msgspec.json.Decoder(_PlainPiece).decode

_CALL_ENDS = frozenset(
    {"response.function_call_arguments.done", "response.custom_tool_call_input.done"}
)
_ENDS = frozenset(
    {"response.completed", "response.incomplete", "response.failed", "response.cancelled"}
)


class ResponsesHearer:
    """Adds up the events of a response, or reads one response."""

    framed = False
    """Its events are numbered: no two are alike."""

    __slots__ = (
        *("_asked", "_error", "_finish", "_id", "_items", "_known", "_model", "_past", "_room"),
        "_usage",
    )

    def __init__(self, room: Room | None = None) -> None:
        self._room = room or Room()
        self._asked = False
        self._items: dict[int, _Item] = {}
        self._past: list[tuple[int, _Item]] = []
        self._known: set[tuple[str, AskedTool | str]] = set()
        self._model = ""
        self._id = ""
        self._finish = ""
        self._error = ""
        self._usage: Usage | None = None

    def take(self, data: JsonObject) -> None:
        """Take one event."""
        kind = word(data.get("type"))
        error = data.get("error")
        if error or kind == "error":
            # SDKs look at this first, and what stands beside it is read all the same.
            flat = {"code": data.get("code"), "message": data.get("message")}
            self._error = error_text(error or flat)
        if kind in _DELTAS:
            item = self._item(_number(data, "output_index"))
            if item is not None:
                item.add(_DELTAS[kind], _part(data), data.get("delta"))
                self._asked = self._asked or item.asked
        elif kind in ("response.output_item.added", "response.output_item.done"):
            self._take_item(data, done=kind.endswith("done"))
        elif kind in _CALL_ENDS:
            self._asked = True
        elif kind in _ENDS:
            self.take_whole(mapping(data.get("response")))
        elif kind in ("response.created", "response.in_progress"):
            self._take_head(mapping(data.get("response")))

    def take_pieces(self, texts: Iterator[bytes]) -> bytes | None:
        """See `hearer.Hearer.take_pieces`."""
        text = None
        of: tuple[str, int, int] | None = None
        pieces: list[str] = []
        try:
            for text in texts:
                event = _plain(text)
                part = event.summary_index
                if part is msgspec.UNSET:
                    part = event.content_index
                place = event.type, event.output_index, part
                if place != of:
                    self._add_all(of, pieces)
                    of, pieces = place, []
                if event.delta:
                    pieces.append(event.delta)
            text = None
        except NO_PIECE:
            pass
        self._add_all(of, pieces)
        return text

    def frame(self, head: bytes, event: bytes) -> None:
        """See `framed`."""

    def take_whole(self, body: JsonObject) -> None:
        """Take a response, or an error; what its items already said stands."""
        self._take_head(body)
        if body.get("error"):
            self._error = error_text(body.get("error"))
        reason = word(mapping(body.get("incomplete_details")).get("reason"))
        self._finish = reason or word(body.get("status"))
        for number, item in enumerate(objects(body.get("output"))):
            if _sign_of(item) in self._known:
                continue
            kept = self._item(number)
            if kept is not None and kept.done and word(item.get("type")) in _OWN_CALLS:
                kept = self._another(number, kept)
            if kept is not None and not kept.done:
                kept.become(item, done=True)
                self._asked = self._asked or kept.asked

    @property
    def room(self) -> Room:
        """Where its texts are kept."""
        return self._room

    @property
    def counted(self) -> int | None:
        """Tokens of output so far, by the server's own count."""
        return None if self._usage is None else self._usage.output

    def said(self) -> Said:
        """The items in order."""
        numbered = sorted([*self._past, *self._items.items()], key=lambda each: each[0])
        items = [item for _, item in numbered]
        return Said(
            model=self._model,
            text="".join(item.text() for item in items),
            reasoning=tuple(piece for item in items for piece in item.reasoning()),
            tool_calls=tuple(item.call() for item in items if item.kind in _OWN_CALLS),
            hosted_calls=tuple(item.call() for item in items if item.kind in _HOSTED_CALLS),
            usage=self._usage,
            finish=self._finish,
            id=self._id,
            error=self._error,
            cut=self._room.cut,
        )

    @property
    def asked(self) -> bool:
        """See `hearer.Hearer.asked`."""
        return self._asked or self._room.full

    def _take_head(self, body: JsonObject) -> None:
        self._model = word(body.get("model")) or self._model
        self._id = word(body.get("id")) or self._id
        counts = body.get("usage")
        if isinstance(counts, dict):
            into = mapping(counts.get("input_tokens_details"))
            self._usage = Usage(
                input=tokens(counts, "input_tokens"),
                cached=tokens(into, "cached_tokens"),
                output=tokens(counts, "output_tokens"),
                reasoning=tokens(mapping(counts.get("output_tokens_details")), "reasoning_tokens"),
                cache_written=tokens(into, "cache_write_tokens"),
            )

    def _add_all(self, of: tuple[str, int, int] | None, pieces: list[str]) -> None:
        """Take pieces of one type, item and part."""
        if of is None:
            return
        kind, number, part = of
        item = self._item(number)
        if item is not None:
            item.add_all(_DELTAS[kind], part, pieces)
            self._asked = self._asked or item.asked

    def _take_item(self, data: JsonObject, *, done: bool) -> None:
        """Take an item that begins or is done."""
        number, told = _number(data, "output_index"), mapping(data.get("item"))
        item = self._item(number)
        if item is not None and item.done:
            item = self._another(number, item)
        if item is None:
            return
        item.become(told, done=done)
        self._asked = self._asked or item.asked
        if done and (sign := _sign_of(told)) is not None:
            self._known.add(sign)

    def _another(self, number: int, done: _Item) -> _Item | None:
        """Another item under the number of one that is done: agents that take items as they come
        do not look at it, and not every server numbers them."""
        if not self._room.takes_part():
            return None
        self._past.append((number, done))
        item = self._items[number] = _Item(self._room)
        return item

    def _item(self, number: int) -> _Item | None:
        item = self._items.get(number)
        if item is None:
            if not self._room.takes_part():
                return None
            item = self._items[number] = _Item(self._room)
        return item


class _Item:
    """One output item."""

    __slots__ = (
        *("_arguments", "_brackets", "_head", "_parts", "_room", "_sealed"),
        *("asked", "done", "kind"),
    )

    def __init__(self, room: Room) -> None:
        self._room = room
        self._parts: dict[tuple[str, int], Text] = {}
        self._arguments = Text(room)
        self._sealed = Text(room)
        self._head = ("", "")
        self._brackets = Brackets()
        self.kind = ""
        self.done = False
        self.asked = False

    def add(self, where: str, part: int, piece: object) -> None:
        """Take a delta."""
        if self.done:
            return
        if where == "arguments":
            self._arguments.add(piece)
            # Until its kind is known it may be one for the agent.
            if self._brackets.add(piece) and self.kind not in _HOSTED_CALLS:
                self.asked = True
        else:
            text = self._part(where, part)
            if text is not None:
                text.add(piece)

    def add_all(self, where: str, part: int, pieces: list[str]) -> None:
        """As `add`, of deltas that belong together (`gathering.Text.add_all`)."""
        if self.done:
            return
        if where == "arguments":
            if pieces:
                self._arguments.add_all(pieces)
            if self._brackets.add("".join(pieces)) and self.kind not in _HOSTED_CALLS:
                self.asked = True
        else:
            text = self._part(where, part)
            if text is not None and pieces:
                text.add_all(pieces)

    def become(self, item: JsonObject, *, done: bool) -> None:
        """Take the item itself: when it begins, or when it is done and stands for its deltas."""
        if self.done:
            return
        self.done = done
        self.kind = word(item.get("type"))
        self._head = _head_of(item)
        self._sealed.become(item.get("encrypted_content"))
        if self.kind in _OWN_CALLS:
            self.asked = self.asked or done or bool(item.get(_OWN_CALLS[self.kind]))
        if not done:
            return
        where = _OWN_CALLS.get(self.kind) or _HOSTED_CALLS.get(self.kind)
        if where and item.get(where) is not None:
            self._arguments.become(as_text(item.get(where)))
        for number, part in enumerate(objects(item.get("summary"))):
            self._become("summary", number, part.get("text"))
        content = "full" if self.kind == "reasoning" else "text"
        for number, part in enumerate(objects(item.get("content"))):
            self._become(content, number, part.get("text", part.get("refusal")))

    def text(self) -> str:
        """What the item says to the user."""
        return "".join(self._texts("text"))

    def reasoning(self) -> Iterator[Reasoning]:
        """What the item shows of reasoning."""
        full, summary = "\n\n".join(self._texts("full")), "\n\n".join(self._texts("summary"))
        if full:
            yield Reasoning(Visibility.FULL, full)
        if summary:
            yield Reasoning(Visibility.SUMMARY, summary)
        if self._sealed and self.kind == "reasoning":
            yield Reasoning(Visibility.ENCRYPTED, str(self._sealed))
        elif self.kind == "reasoning" and not full and not summary:
            yield Reasoning(Visibility.OMITTED, "")

    def call(self) -> AskedTool:
        """The tool call that this item is."""
        return AskedTool(*self._head, str(self._arguments))

    def _texts(self, where: str) -> list[str]:
        return [str(self._parts[key]) for key in sorted(self._parts) if key[0] == where]

    def _become(self, where: str, number: int, whole: Json) -> None:
        text = self._part(where, number)
        if text is not None:
            text.become(whole)

    def _part(self, where: str, number: int) -> Text | None:
        text = self._parts.get((where, number))
        if text is None:
            if not self._room.takes_part():
                return None
            text = self._parts[where, number] = Text(self._room)
        return text


def _head_of(item: JsonObject) -> tuple[str, str]:
    """The id and the name by which an item asks for a tool."""
    name = name_in(word(item.get("namespace")), word(item.get("name")))
    identity = word(item.get("call_id")) or word(item.get("id"))
    return identity, name or word(item.get("type")).removesuffix("_call")


def _sign_of(item: JsonObject) -> tuple[str, AskedTool | str] | None:
    """By what an item is known again wherever it stands: its id, or all that a tool call without
    one asks for; None for any other."""
    kind, (identity, name) = word(item.get("type")), _head_of(item)
    if identity:
        return kind, identity
    if kind in _OWN_CALLS:
        return kind, AskedTool("", name, as_text(item.get(_OWN_CALLS[kind])))
    return None


def _part(data: JsonObject) -> int:
    return _number(data, "summary_index" if "summary_index" in data else "content_index")


def _number(data: JsonObject, name: str) -> int:
    return number_of(data.get(name)) or 0
