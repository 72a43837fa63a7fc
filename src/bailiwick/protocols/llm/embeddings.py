"""The Embeddings dialect: text in, vectors out. The vectors are not read."""

from __future__ import annotations

from collections.abc import Iterator

from bailiwick.core.canonical import JsonObject
from bailiwick.protocols.llm import asked
from bailiwick.protocols.llm.dialect import Asking, Dialect, Said, Usage
from bailiwick.protocols.llm.gathering import Room, error_text, mapping, tokens, word
from bailiwick.protocols.strict_json import encode

_JUDGED = frozenset({"model", "input", "dimensions", "encoding_format", "user"})


def read_request(body: JsonObject) -> Asking:
    """What an embedding asks: there is no output to bound, and nothing is said by a user.

    Raises:
        TheirError: with one of the codes of `asked`.
    """
    asked.check_spelling(body, _JUDGED)
    text = encode(body)
    return Asking(
        dialect=Dialect.EMBEDDINGS,
        model=asked.model_of(body),
        stream=False,
        tools=(),
        max_output=0,
        input_bytes=len(text),
        text=text,
        unsized=asked.once(_unsized(body)),
    )


def _unsized(body: JsonObject) -> list[str]:
    # Text, lists of text, and lists of token numbers, of which each takes a byte and more.
    # vLLM embeds conversations too, and pictures in them.
    found = asked.stands_for_more(body, ("messages", "content", "chat_template"))
    kinds = [item.get("type") for item in asked.objects(body.get("input"))]
    return found + [kind if isinstance(kind, str) else "unknown" for kind in kinds]


class EmbeddingsHearer:
    """Reads what an embedding took."""

    __slots__ = ("_said", "room")

    asked = False
    """There is nothing to act on."""

    framed = False
    """There are none."""

    counted = None
    """There is no output."""

    def __init__(self) -> None:
        self._said = Said()
        self.room = Room()

    def take(self, data: JsonObject) -> None:
        """As `take_whole`: this dialect does not stream."""
        self.take_whole(data)

    def take_pieces(self, texts: Iterator[bytes]) -> bytes | None:
        """It has no pieces."""
        return next(texts, None)

    def frame(self, head: bytes, event: bytes) -> None:
        """See `framed`."""

    def take_whole(self, body: JsonObject) -> None:
        """Take the answer, or an error."""
        counts = body.get("usage")
        used = Usage(input=tokens(mapping(counts), "prompt_tokens"), output=0)
        self._said = Said(
            model=word(body.get("model")),
            usage=used if isinstance(counts, dict) else None,
            error=error_text(body.get("error")) if body.get("error") else "",
        )

    def said(self) -> Said:
        """What it took; there is nothing said."""
        return self._said
