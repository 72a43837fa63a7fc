"""What an agent tells a model that its tools returned.

Nothing makes an agent tell the truth here: what it says is compared with what the gateway saw.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from bailiwick.core.canonical import Json, JsonObject
from bailiwick.protocols.llm.asked import objects
from bailiwick.protocols.llm.dialect import AskedTool, Dialect, name_in
from bailiwick.protocols.llm.gathering import as_text, mapping, word

_TEXT = frozenset({"text", "input_text", "output_text"})
_Result = tuple[str, Json, bool]


class Told(msgspec.Struct, frozen=True):
    """One result as the agent tells it.

    Attributes:
        id: the model's id of the call, as in `AskedTool.id`; may be "".
        text: the texts of the result, one a line.
        complete: False when there is more to it than text: pictures, files.
        error: the agent says that the call failed.
    """

    id: str
    text: str
    complete: bool = True
    error: bool = False


class History(msgspec.Struct, frozen=True):
    """What a request repeats of the conversation, in order.

    Attributes:
        asked: the calls that the agent says the model asked for.
        told: the results that it tells.
    """

    asked: tuple[AskedTool, ...]
    told: tuple[Told, ...]


def read_history(dialect: Dialect, body: JsonObject) -> History:
    """The calls and results in a request. Never raises. O(size of the request)."""
    entries = list(_READERS[dialect](body)) if dialect in _READERS else []
    return History(
        asked=tuple(entry for entry in entries if isinstance(entry, AskedTool)),
        told=tuple(entry for entry in entries if isinstance(entry, Told)),
    )


def read_told(dialect: Dialect, body: JsonObject) -> list[Told]:
    """The results alone, in order. Never raises. O(size of the request), and little of it."""
    reader = _RESULTS.get(dialect)
    return [] if reader is None else [_told(*each) for each in reader(body)]


def _chat(body: JsonObject) -> Iterator[AskedTool | Told]:
    for message in objects(body.get("messages")):
        for call in objects(message.get("tool_calls")):
            function = mapping(call.get("function") or call.get("custom"))
            arguments = function.get("arguments", function.get("input", ""))
            yield AskedTool(word(call.get("id")), word(function.get("name")), as_text(arguments))
        if message.get("role") in ("tool", "function"):
            yield _told(word(message.get("tool_call_id")), message.get("content"))


def _responses(body: JsonObject) -> Iterator[AskedTool | Told]:
    for item in objects(body.get("input")):
        kind = word(item.get("type"))
        if kind in ("function_call", "custom_tool_call"):
            name = name_in(word(item.get("namespace")), word(item.get("name")))
            arguments = item.get("arguments", item.get("input", ""))
            yield AskedTool(word(item.get("call_id")), name, as_text(arguments))
        elif kind.endswith("_call_output"):
            yield _told(word(item.get("call_id")), item.get("output"))


def _messages(body: JsonObject) -> Iterator[AskedTool | Told]:
    for message in objects(body.get("messages")):
        for block in objects(message.get("content")):
            kind = block.get("type")
            if kind == "tool_use":
                arguments = as_text(block.get("input", {}))
                yield AskedTool(word(block.get("id")), word(block.get("name")), arguments)
            elif kind == "tool_result":
                failed = block.get("is_error") is True
                yield _told(word(block.get("tool_use_id")), block.get("content"), failed)


_READERS: dict[Dialect, Callable[[JsonObject], Iterator[AskedTool | Told]]] = {
    Dialect.CHAT: _chat,
    Dialect.RESPONSES: _responses,
    Dialect.MESSAGES: _messages,
}


def _of_chat(body: JsonObject) -> Iterator[_Result]:
    for message in objects(body.get("messages")):
        if message.get("role") in ("tool", "function"):
            yield word(message.get("tool_call_id")), message.get("content"), False


def _of_responses(body: JsonObject) -> Iterator[_Result]:
    for item in objects(body.get("input")):
        if word(item.get("type")).endswith("_call_output"):
            yield word(item.get("call_id")), item.get("output"), False


def _of_messages(body: JsonObject) -> Iterator[_Result]:
    for message in objects(body.get("messages")):
        for block in objects(message.get("content")):
            if block.get("type") == "tool_result":
                failed = block.get("is_error") is True
                yield word(block.get("tool_use_id")), block.get("content"), failed


_RESULTS: dict[Dialect, Callable[[JsonObject], Iterator[_Result]]] = {
    Dialect.CHAT: _of_chat,
    Dialect.RESPONSES: _of_responses,
    Dialect.MESSAGES: _of_messages,
}


def _told(identity: str, content: Json, failed: bool = False) -> Told:
    if content is None or isinstance(content, str):
        return Told(identity, content or "", error=failed)
    if not isinstance(content, list | tuple):
        return Told(identity, as_text(content), error=failed)
    parts = [part for part in objects(content) if word(part.get("type")) in _TEXT]
    texts = [text for part in parts if isinstance(text := part.get("text"), str)]
    return Told(identity, "\n".join(texts), len(texts) == len(content), failed)
