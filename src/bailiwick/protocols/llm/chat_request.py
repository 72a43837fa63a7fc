"""Requests of the Chat Completions dialect, as OpenAI, vLLM, llama.cpp and many more take them."""

from __future__ import annotations

from collections.abc import Mapping

from bailiwick.core.canonical import Json, JsonObject
from bailiwick.core.errors import TheirError
from bailiwick.core.values import show
from bailiwick.protocols.llm import asked
from bailiwick.protocols.llm.dialect import Asking, Dialect
from bailiwick.protocols.strict_json import encode

_LONGER = ("chat_template", "plugins")
"""Fields that make the input longer than they are: a template has loops, a plugin fetches."""

_BOUNDS = ("max_completion_tokens", "max_tokens")
_CHOICES = ("n", "best_of", "n_cmpl")
_one_choice = frozenset(_CHOICES).isdisjoint
_offers_nothing = frozenset({"tools", "functions", "web_search_options"}).isdisjoint
_JUDGED = frozenset(
    {
        "model", "messages", "stream", "stream_options", "tools", "functions", "tool_choice",
        "function_call", "n", "best_of", "temperature", "top_p", "response_format",
        "reasoning_effort", "web_search_options", "store", "user", "seed", "models", "fallbacks",
        *_BOUNDS, *_LONGER,
    }
)  # fmt: skip
_SIZED = frozenset({"text", "refusal", "thinking", "reasoning", "tool_use", "tool_result"})


def read_request(body: JsonObject) -> Asking:
    """What a chat completion asks. Pure.

    Raises:
        TheirError: with one of the codes of `asked`, or `n_not_integer`.
    """
    asked.check_spelling(body, _JUDGED)
    stream = asked.flag(body, "stream")
    own, hosted = ((), ()) if _offers_nothing(body) else _tools(body)
    choices = 1 if _one_choice(body) else _choices(body)
    unsized = asked.once((*_unsized(body), *hosted))
    bound = asked.bound_of(body, _BOUNDS)
    text = encode(body)
    return Asking(
        dialect=Dialect.CHAT,
        model=asked.model_of(body),
        stream=stream,
        tools=asked.once((*own, *hosted)),
        max_output=None if bound is None else bound * choices,
        input_bytes=len(text),
        text=text,
        hosted=hosted,
        unsized=unsized,
        choices=choices,
        dearer=asked.dearer(body, unsized),
        reports_usage=not stream or _asks_usage(body),
    )


def _tools(body: JsonObject) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The names of the agent's own tools, and the types of those that the server runs itself."""
    own: list[str] = []
    hosted: list[str] = []
    for tool in asked.tool_objects(body, "tools"):
        kind = tool.get("type", "function")
        if not isinstance(kind, str) or not kind:
            raise TheirError("tool_without_name", f"a tool's `type` is {show(kind)}")
        if kind in ("function", "custom"):
            own.append(asked.named(tool.get(kind)))
        else:
            hosted.append(kind)
    own += [asked.named(tool) for tool in asked.tool_objects(body, "functions")]
    if body.get("web_search_options") is not None:
        hosted.append("web_search")
    return tuple(own), asked.once(hosted)


def _choices(body: JsonObject) -> int:
    # `best_of` answers are made and paid, and the best `n` of them sent. llama.cpp has `n_cmpl`.
    counts = (asked.count(body, name, "n_not_integer") for name in _CHOICES)
    return max(1, asked.largest(counts) or 1)


def _unsized(body: JsonObject) -> list[str]:
    found: list[str] = []
    for message in asked.objects(body.get("messages")):
        content = message.get("content")
        if content is not None and type(content) is not str:  # as most is
            found += asked.unsized_parts(content, _SIZED)
            for part in asked.objects(content):
                # Servers that translate take another dialect's parts, with pictures inside.
                found += asked.unsized_parts(part.get("content"), _SIZED)
        if message.get("audio") is not None:
            found.append("audio")
    return found + asked.stands_for_more(body, _LONGER)


def _asks_usage(body: JsonObject) -> bool:
    options: Json = body.get("stream_options")
    return isinstance(options, Mapping) and options.get("include_usage") is True
