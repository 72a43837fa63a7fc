"""Requests of the Messages dialect, and of its token counting."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from bailiwick.core.canonical import Json, JsonObject
from bailiwick.core.errors import TheirError
from bailiwick.core.values import show
from bailiwick.protocols.llm import asked
from bailiwick.protocols.llm.dialect import Asking, Dialect
from bailiwick.protocols.strict_json import encode

_ELSEWHERE = ("container", "thread", "chat_template")
"""Fields that stand for input which is kept at the upstream, or is longer than they are."""

_JUDGED = frozenset(
    {
        "model", "messages", "system", "stream", "tools", "tool_choice", "max_tokens", "thinking",
        "temperature", "top_p", "top_k", "stop_sequences", "metadata", "mcp_servers", "models",
        "fallbacks", "context_management", *_ELSEWHERE,
    }
)  # fmt: skip
_SIZED = frozenset(
    {
        "text", "thinking", "redacted_thinking", "tool_use", "tool_result", "server_tool_use",
        "mcp_tool_use", "mcp_tool_result", "search_result", "web_search_tool_result",
    }
)  # fmt: skip
_AGENTS_OWN = ("bash_", "text_editor_", "computer_", "memory_")
"""Starts of the dated types that the agent runs; their names are fixed with their types."""


def read_request(body: JsonObject) -> Asking:
    """What a message asks. Pure.

    Raises:
        TheirError: with one of the codes of `asked`.
    """
    asked.check_spelling(body, _JUDGED)
    own, hosted = _tools(body)
    unsized = asked.once((*_unsized(body), *hosted))
    text = encode(body)
    return Asking(
        dialect=Dialect.MESSAGES,
        model=asked.model_of(body),
        stream=asked.flag(body, "stream"),
        tools=asked.once((*own, *hosted)),
        max_output=_max_output(body),
        input_bytes=len(text),
        text=text,
        hosted=asked.once(hosted),
        unsized=unsized,
        dearer=asked.dearer(body, unsized),
    )


def read_count_request(body: JsonObject) -> Asking:
    """What a token count asks: the input of a message and no answer.

    Raises:
        TheirError: as `read_request`.
    """
    return msgspec.structs.replace(read_request(body), max_output=0, stream=False)


def _tools(body: JsonObject) -> tuple[list[str], list[str]]:
    own: list[str] = []
    hosted: list[str] = []
    for tool in asked.tool_objects(body, "tools"):
        kind = tool.get("type")
        if kind is None:
            own.append(asked.named(tool))
        elif not isinstance(kind, str) or not kind:
            raise TheirError("tool_without_name", f"a tool's `type` is {show(kind)}")
        elif runs_itself(kind):
            hosted.append(kind)
        else:
            own.append(asked.named(tool))
    if body.get("mcp_servers"):
        hosted.append("mcp")
    return own, hosted


def runs_itself(kind: str) -> bool:
    """Whether the model's server runs tools of this type, and not the agent."""
    return kind != "custom" and not kind.startswith(_AGENTS_OWN)


def _max_output(body: JsonObject) -> int | None:
    bound = asked.bound_of(body, ("max_tokens",))
    thinking = body.get("thinking")
    if bound is None or not isinstance(thinking, Mapping):
        return bound
    # Thinking between tool calls may take more than `max_tokens` (interleaved thinking).
    return asked.largest((bound, asked.count(thinking, "budget_tokens")))


def _unsized(body: JsonObject) -> list[str]:
    found = _unsized_blocks(body.get("system"))
    for message in asked.objects(body.get("messages")):
        content = message.get("content")
        if type(content) is not str:
            found += _unsized_blocks(content)
    return found + asked.stands_for_more(body, _ELSEWHERE)


def _unsized_blocks(content: Json) -> list[str]:
    found = asked.unsized_parts(content, _SIZED)
    for block in asked.objects(content):
        if block.get("type") in ("tool_result", "mcp_tool_result"):
            found += asked.unsized_parts(block.get("content"), _SIZED)
    return found
