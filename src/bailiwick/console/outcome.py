"""What came back from an upstream, as blocks a person can read."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from bailiwick.console.wording import pretty
from bailiwick.core.canonical import Json

FOLD_CHARACTERS = 1_200
FOLD_LINES = 14
_WRAPPERS = ("content", "output", "result", "text")


@dataclass(frozen=True, slots=True)
class Block:
    """One piece of a result. `label` says what it is when `text` alone would not."""

    text: str
    label: str = ""

    @property
    def long(self) -> bool:
        """Whether to fold it away at first."""
        return len(self.text) > FOLD_CHARACTERS or self.text.count("\n") > FOLD_LINES


@dataclass(frozen=True, slots=True)
class Readable:
    """An outcome for people.

    Attributes:
        failed: the upstream answered with an error, or the tool said `isError`.
        structured: the result's own structured content, when it gave some.
        cut_from_bytes: how large the whole was, when only its beginning was kept; else 0.
    """

    failed: bool
    blocks: Sequence[Block]
    structured: Json = None
    cut_from_bytes: int = 0


def readable(outcome: Json) -> Readable | None:
    """An opened outcome payload for people; None when nothing came back."""
    if not isinstance(outcome, Mapping):
        return None
    if (error := outcome.get("error")) is not None:
        return Readable(True, tuple(_error(error)))
    head, whole_bytes = outcome.get("head"), outcome.get("bytes")
    if isinstance(head, str) and isinstance(whole_bytes, int):
        return Readable(outcome.get("kind") == "error", (Block(head),), None, whole_bytes)
    result = outcome.get("result")
    if result is None:
        return None
    if not isinstance(result, Mapping):
        return Readable(False, (Block(pretty(result)),))
    structured = result.get("structuredContent")
    content = result.get("content", result.get("contents", result.get("messages")))
    blocks = tuple(block for block in _blocks(content) if not _repeats(block, structured))
    if len(blocks) == 1 and _only_text(structured) == blocks[0].text:
        structured = None
    if not blocks and structured is None:
        blocks = (Block(pretty(result)),)
    return Readable(result.get("isError") is True, blocks, structured)


def _repeats(block: Block, structured: Json) -> bool:
    # MCP asks servers to give structured content also as text; once is enough for a reader.
    if structured is None or block.label:
        return False
    try:
        return bool(json.loads(block.text) == structured)
    except ValueError:
        return False


def _only_text(structured: Json) -> str | None:
    # The other common repetition: the same text, wrapped under a key that says nothing.
    if isinstance(structured, Mapping) and len(structured) == 1:
        ((key, value),) = structured.items()
        return value if isinstance(value, str) and key in _WRAPPERS else None
    return None


def _error(error: Json) -> Iterator[Block]:
    if isinstance(error, Mapping) and isinstance(error.get("message"), str):
        yield Block(str(error["message"]), f"error {error.get('code', '')}".strip())
        if error.get("data") is not None:
            yield Block(pretty(error["data"]), "details")
    else:
        yield Block(pretty(error), "error")


def _blocks(content: Json) -> Iterator[Block]:
    if not isinstance(content, list | tuple):
        return
    for item in content:
        yield _block(item)


def _block(item: Json) -> Block:
    if not isinstance(item, Mapping):
        return Block(pretty(item))
    inner = item.get("content")
    if isinstance(inner, Mapping):  # a prompt message: {"role", "content"}
        block = _block(inner)
        return Block(block.text, f"{item.get('role', '')} {block.label}".strip())
    resource = item.get("resource")
    if isinstance(resource, Mapping):
        item = resource
    text, data = item.get("text", item.get("uri")), item.get("data", item.get("blob"))
    if isinstance(data, str):
        kind = item.get("mimeType", item.get("type", "data"))
        return Block(f"{kind}, {len(data) * 3 // 4} bytes", "not shown")
    if isinstance(text, str):
        return Block(text, str(item.get("uri", "")) if "text" in item else "link")
    return Block(pretty(item), str(item.get("type", "")))
