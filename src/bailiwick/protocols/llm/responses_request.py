"""Requests of the Responses dialect."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from bailiwick.core.canonical import Json, JsonObject
from bailiwick.core.errors import TheirError
from bailiwick.core.values import show
from bailiwick.protocols.llm import asked
from bailiwick.protocols.llm.dialect import Asking, Dialect, name_in
from bailiwick.protocols.strict_json import encode

_ELSEWHERE = ("previous_response_id", "conversation", "prompt", "chat_template")
"""Fields that stand for input which is kept at the upstream, or is longer than they are."""

_JUDGED = frozenset(
    {
        "model", "input", "instructions", "stream", "tools", "tool_choice", "max_output_tokens",
        "max_tool_calls", "temperature", "top_p", "reasoning", "text", "include", "store",
        "background", "user", "truncation", "models", "fallbacks", "context_management",
        *_ELSEWHERE,
    }
)  # fmt: skip
_SIZED_PARTS = frozenset(
    {"input_text", "output_text", "text", "refusal", "reasoning_text", "summary_text"}
)
_SIZED_ITEMS = frozenset(
    {
        "message", "reasoning", "function_call", "function_call_output", "custom_tool_call",
        "custom_tool_call_output", "local_shell_call", "local_shell_call_output", "shell_call",
        "shell_call_output", "apply_patch_call", "apply_patch_call_output", "web_search_call",
        "tool_search_call", "tool_search_output", "additional_tools", "compaction",
    }
)  # fmt: skip
_AGENTS_OWN = frozenset({"local_shell", "apply_patch"})
"""Types without a name that the agent always runs itself, never the upstream."""


def read_request(body: JsonObject) -> Asking:
    """What a response asks. Pure.

    Raises:
        TheirError: with one of the codes of `asked`, or `background_not_supported`: such an
            answer would be fetched later, past what records and counts it.
    """
    asked.check_spelling(body, _JUDGED)
    if asked.flag(body, "background"):
        raise TheirError("background_not_supported", "`background` answers are not passed on")
    own, hosted = _tools(body)
    unsized = asked.once((*_unsized(body), *hosted))
    text = encode(body)
    return Asking(
        dialect=Dialect.RESPONSES,
        model=asked.model_of(body),
        stream=asked.flag(body, "stream"),
        tools=asked.once((*own, *hosted)),
        max_output=asked.bound_of(body, ("max_output_tokens",)),
        input_bytes=len(text),
        text=text,
        hosted=asked.once(hosted),
        unsized=unsized,
        dearer=asked.dearer(body, unsized),
    )


def _tools(body: JsonObject) -> tuple[list[str], list[str]]:
    own: list[str] = []
    hosted: list[str] = []
    for tool in _offered(body):
        kind = tool.get("type")
        if not isinstance(kind, str) or not kind:
            raise TheirError("tool_without_name", f"a tool's `type` is {show(kind)}")
        if kind in ("function", "custom"):
            own.append(asked.named(tool))
        elif kind == "namespace":
            own.extend(_in_namespace(tool))
        elif is_agents_own(kind, tool):
            own.append(kind)
        else:
            hosted.append(kind)
    return own, hosted


def is_agents_own(kind: str, tool: Mapping[str, Json]) -> bool:
    """Whether the agent runs a tool of this type, and not the model's server."""
    if kind == "shell":  # in a container of the upstream's unless told otherwise
        environment = tool.get("environment")
        return isinstance(environment, Mapping) and environment.get("type") == "local"
    return kind in _AGENTS_OWN or (kind == "tool_search" and tool.get("execution") == "client")


def _offered(body: JsonObject) -> Iterator[Mapping[str, Json]]:
    yield from asked.tool_objects(body, "tools")
    # Items can offer more of them on the way: `additional_tools`, `tool_search_output`.
    for item in asked.objects(body.get("input")):
        if "tools" in item:
            yield from asked.tool_objects(item, "tools")


def _in_namespace(space: Mapping[str, Json]) -> Iterator[str]:
    namespace = asked.named(space)
    for tool in asked.tool_objects(space, "tools"):
        yield name_in(namespace, asked.named(tool))


def _is_told(reasoning: Mapping[str, Json]) -> bool:
    return bool(reasoning.get("encrypted_content") or reasoning.get("content"))


def _unsized(body: JsonObject) -> list[str]:
    found = asked.stands_for_more(body, _ELSEWHERE)
    for item in asked.objects(body.get("input")):
        kind = item.get("type", "message")
        if not isinstance(kind, str):
            found.append("unknown")
        elif kind not in _SIZED_ITEMS:
            found.append(kind)
        if kind == "reasoning" and item.get("id") and not _is_told(item):
            found.append("reasoning")  # the server has kept it, and reads it by its id
        found += asked.unsized_parts(item.get("content"), _SIZED_PARTS)
        if kind in ("function_call_output", "custom_tool_call_output"):
            found += asked.unsized_parts(item.get("output"), _SIZED_PARTS)
    return found
