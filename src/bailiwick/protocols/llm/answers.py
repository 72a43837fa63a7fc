"""One door to the answers of every dialect."""

from __future__ import annotations

from collections.abc import Callable

from bailiwick.protocols.llm.chat_answer import ChatHearer
from bailiwick.protocols.llm.chat_plain import read_plain
from bailiwick.protocols.llm.dialect import Dialect, Said
from bailiwick.protocols.llm.embeddings import EmbeddingsHearer
from bailiwick.protocols.llm.hearer import MAX_EVENT_BYTES, Hearer, Reader, read_whole
from bailiwick.protocols.llm.messages_answer import MessagesHearer
from bailiwick.protocols.llm.responses_answer import ResponsesHearer

_HEARERS: dict[Dialect, Callable[[], Hearer]] = {
    Dialect.CHAT: ChatHearer,
    Dialect.RESPONSES: ResponsesHearer,
    Dialect.MESSAGES: MessagesHearer,
    Dialect.EMBEDDINGS: EmbeddingsHearer,
}


def read_answer(dialect: Dialect, body: bytes) -> Said:
    """What an answer said that was not streamed; an error's body is one too. Never raises."""
    said = read_plain(body) if dialect is Dialect.CHAT else None
    return read_whole(_HEARERS[dialect](), body) if said is None else said


def reader(dialect: Dialect, max_event_bytes: int = MAX_EVENT_BYTES) -> Reader:
    """A reader for one streamed answer."""
    return Reader(_HEARERS[dialect](), max_event_bytes)
