"""One door to the requests of every dialect."""

from __future__ import annotations

from collections.abc import Callable

from bailiwick.core.canonical import JsonObject
from bailiwick.protocols.llm import (
    chat_request,
    embeddings,
    messages_request,
    responses_request,
)
from bailiwick.protocols.llm.dialect import Asking, Dialect

_READERS: dict[Dialect, Callable[[JsonObject], Asking]] = {
    Dialect.CHAT: chat_request.read_request,
    Dialect.RESPONSES: responses_request.read_request,
    Dialect.MESSAGES: messages_request.read_request,
    Dialect.EMBEDDINGS: embeddings.read_request,
}


def read_request(dialect: Dialect, body: JsonObject) -> Asking:
    """What `body` asks; it was parsed by `strict_json`. Pure.

    Raises:
        TheirError: what is judged or counted cannot be told: `model_not_text`,
            `stream_not_boolean`, `max_output_not_integer`, `n_not_integer`, `tools_not_list`,
            `too_many_tools`, `tool_without_name`, `name_misspelt`, `more_than_one_model`,
            `background_not_supported`, `background_not_boolean`.
    """
    return _READERS[dialect](body)
