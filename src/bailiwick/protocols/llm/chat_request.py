"""Requests of the Chat Completions dialect, as OpenAI, vLLM, llama.cpp and many more take them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from bailiwick.core.canonical import Json, JsonObject
from bailiwick.core.errors import TheirError
from bailiwick.core.values import show
from bailiwick.protocols.llm import asked
from bailiwick.protocols.llm.dialect import Asking, Dialect
from bailiwick.protocols.strict_json import encode

_LONGER = ("chat_template", "plugins")
"""Fields that make the input longer than they are: a template has loops, a plugin fetches."""

_BOUNDS = ("max_completion_tokens", "max_tokens")
_JUDGED = frozenset(
    {
        "model", "messages", "stream", "stream_options", "tools", "functions", "tool_choice",
        "function_call", "n", "best_of", "temperature", "top_p", "response_format",
        "reasoning_effort", "web_search_options", "store", "user", "seed", "models", "fallbacks",
        *_BOUNDS, *_LONGER,
    }
)  # fmt: skip
_TEXT = frozenset({"text"})
_SIZED = frozenset({"text", "refusal", "thinking", "reasoning", "tool_use", "tool_result"})


def read_request(body: JsonObject) -> Asking:
    """What a chat completion asks. Pure.

    Raises:
        TheirError: with one of the codes of `asked`, or `n_not_integer`.
    """
    asked.check_spelling(body, _JUDGED)
    stream = asked.flag(body, "stream")
    hosted = asked.once(_hosted(body))
    own = (
        *_functions(body),
        *(asked.named(tool) for tool in asked.tool_objects(body, "functions")),
    )
    choices = _choices(body)
    unsized = asked.once(_unsized(body, hosted))
    bound = asked.bound_of(body, _BOUNDS)
    return Asking(
        dialect=Dialect.CHAT,
        model=asked.model_of(body),
        stream=stream,
        tools=asked.once((*own, *hosted)),
        max_output=None if bound is None else bound * choices,
        input_bytes=len(encode(body)),
        first_user_text=_first_user_text(body),
        hosted=hosted,
        unsized=unsized,
        choices=choices,
        dearer=asked.once(asked.dearer(body, unsized)),
        reports_usage=not stream or _asks_usage(body),
    )


def _functions(body: JsonObject) -> Iterator[str]:
    for tool in asked.tool_objects(body, "tools"):
        kind = tool.get("type", "function")
        if kind in ("function", "custom"):
            yield asked.named(tool.get(str(kind)))


def _hosted(body: JsonObject) -> Iterator[str]:
    for tool in asked.tool_objects(body, "tools"):
        kind = tool.get("type", "function")
        if not isinstance(kind, str) or not kind:
            raise TheirError("tool_without_name", f"a tool's `type` is {show(kind)}")
        if kind not in ("function", "custom"):
            yield kind
    if body.get("web_search_options") is not None:
        yield "web_search"


def _choices(body: JsonObject) -> int:
    # `best_of` answers are made and paid, and the best `n` of them sent. llama.cpp has `n_cmpl`.
    counts = (asked.count(body, name, "n_not_integer") for name in ("n", "best_of", "n_cmpl"))
    return max(1, asked.largest(counts) or 1)


def _first_user_text(body: JsonObject) -> str:
    for message in asked.objects(body.get("messages")):
        if message.get("role") == "user":
            return asked.joined_text(message.get("content"), _TEXT)
    return ""


def _unsized(body: JsonObject, hosted: tuple[str, ...]) -> Iterator[str]:
    for message in asked.objects(body.get("messages")):
        content = message.get("content")
        yield from asked.unsized_parts(content, _SIZED)
        for part in asked.objects(content):
            # Servers that translate take another dialect's parts, with pictures inside.
            yield from asked.unsized_parts(part.get("content"), _SIZED)
        if message.get("audio") is not None:
            yield "audio"
    yield from asked.stands_for_more(body, _LONGER)
    yield from hosted


def _asks_usage(body: JsonObject) -> bool:
    options: Json = body.get("stream_options")
    return isinstance(options, Mapping) and options.get("include_usage") is True
