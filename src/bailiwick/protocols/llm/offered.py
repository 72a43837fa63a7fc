"""Taking offered tools out of a request, in each dialect. Pure.

What is left is what is judged, recorded and sent. A server refuses some of what only makes sense
with tools (`tool_choice: auto`, `parallel_tool_calls`), so it goes with the last of them. A choice
that cannot be met any more is told, and never changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from bailiwick.core.canonical import Json, JsonObject
from bailiwick.protocols.llm.dialect import Dialect, name_in
from bailiwick.protocols.llm.messages_request import runs_itself
from bailiwick.protocols.llm.responses_request import is_agents_own

Keeps = Callable[[str, bool], bool]
"""Whether a tool stays: its name, or if the model's server runs it (True) its type."""

_WITH_TOOLS = ("tools", "functions", "tool_choice", "function_call", "parallel_tool_calls")
_FREE = ("auto", "none")


@dataclass(slots=True)
class Kept:
    """What is left of a request.

    Attributes:
        body: the same object as before if nothing was taken out.
        removed: names (of hosted tools: types) of what was, each once, in order.
        unmet: what `tool_choice` asks for and is not offered any more; "" for nothing.
    """

    body: JsonObject
    removed: tuple[str, ...] = ()
    unmet: str = ""


@dataclass(slots=True)
class _Sieve:
    keeps: Keeps
    removed: dict[str, None] = field(default_factory=dict)

    def stays(self, name: Json, *, hosted: bool) -> bool:
        """Whether it stays; takes note of it if not."""
        told = name if isinstance(name, str) else ""
        if self.keeps(told, hosted):
            return True
        self.removed[told] = None
        return False


def without(dialect: Dialect, body: JsonObject, keeps: Keeps) -> Kept:
    """The request without the tools that do not stay. It was read without an error before."""
    sieve = _Sieve(keeps)
    match dialect:
        case Dialect.CHAT:
            changed = _chat(body, sieve)
        case Dialect.RESPONSES:
            changed = _responses(body, sieve)
        case Dialect.MESSAGES:
            changed = _messages(body, sieve)
        case Dialect.EMBEDDINGS:
            changed = {}
    if not sieve.removed:
        return Kept(body)
    left = {name: value for name, value in {**body, **changed}.items() if value is not _GONE}
    unmet = _unmet(left, sieve.removed)
    if not unmet and not (left.get("tools") or left.get("functions")):
        left = {name: value for name, value in left.items() if name not in _WITH_TOOLS}
    return Kept(left, tuple(sieve.removed), unmet)


_GONE: Json = object()  # type: ignore[assignment]  # a mark, never part of a request


def _chat(body: JsonObject, sieve: _Sieve) -> dict[str, Json]:
    changed: dict[str, Json] = {}
    changed.update(_filtered(body, "tools", lambda tool: _chat_stays(tool, sieve)))
    changed.update(
        _filtered(body, "functions", lambda tool: sieve.stays(tool.get("name"), hosted=False))
    )
    if body.get("web_search_options") is not None and not sieve.stays("web_search", hosted=True):
        changed["web_search_options"] = _GONE
    return changed


def _chat_stays(tool: JsonObject, sieve: _Sieve) -> bool:
    kind = tool.get("type", "function")
    if kind not in ("function", "custom"):
        return sieve.stays(kind, hosted=True)
    inner = tool.get(str(kind))
    return sieve.stays(inner.get("name") if isinstance(inner, Mapping) else "", hosted=False)


def _messages(body: JsonObject, sieve: _Sieve) -> dict[str, Json]:
    def stays(tool: JsonObject) -> bool:
        kind = tool.get("type")
        hosted = isinstance(kind, str) and runs_itself(kind)
        return sieve.stays(kind if hosted else tool.get("name"), hosted=hosted)

    changed = _filtered(body, "tools", stays)
    if body.get("mcp_servers") and not sieve.stays("mcp", hosted=True):
        changed["mcp_servers"] = _GONE
    return changed


def _responses(body: JsonObject, sieve: _Sieve) -> dict[str, Json]:
    changed: dict[str, Json] = {}
    tools = body.get("tools")
    if isinstance(tools, list | tuple):
        changed["tools"] = list(_response_tools(tools, sieve))
    given = body.get("input")
    if isinstance(given, list | tuple):
        # Items can offer more of them on the way.
        changed["input"] = [_item(item, sieve) for item in given]
    return changed


def _item(item: Json, sieve: _Sieve) -> Json:
    tools = item.get("tools") if isinstance(item, Mapping) else None
    if not isinstance(item, Mapping) or not isinstance(tools, list | tuple):
        return item
    return {**item, "tools": list(_response_tools(tools, sieve))}


def _response_tools(tools: list[Json] | tuple[Json, ...], sieve: _Sieve) -> Iterator[Json]:
    for tool in tools:
        if not isinstance(tool, Mapping):
            continue
        kind = tool.get("type")
        if kind == "namespace":
            inner = tool.get("tools")
            space = str(tool.get("name", ""))
            held = inner if isinstance(inner, list | tuple) else []
            left = [
                each
                for each in held
                if isinstance(each, Mapping)
                and sieve.stays(name_in(space, str(each.get("name", ""))), hosted=False)
            ]
            if left or not held:
                yield {**tool, "tools": left} if len(left) < len(held) else tool
        elif kind in ("function", "custom"):
            if sieve.stays(tool.get("name"), hosted=False):
                yield tool
        elif sieve.stays(kind, hosted=not is_agents_own(str(kind), tool)):
            yield tool


def _filtered(body: JsonObject, name: str, stays: Callable[[JsonObject], bool]) -> dict[str, Json]:
    tools = body.get(name)
    if not isinstance(tools, list | tuple):
        return {}
    return {name: [tool for tool in tools if isinstance(tool, Mapping) and stays(tool)]}


def _unmet(body: JsonObject, removed: Mapping[str, None]) -> str:
    """What a choice of tools asks for that is not there any more."""
    for name in ("tool_choice", "function_call"):
        choice = body.get(name)
        wanted = dict.fromkeys(_chosen(choice))
        for each in wanted:
            if each in removed:
                return each
        kind = choice.get("type") if isinstance(choice, Mapping) else choice
        none_left = not (body.get("tools") or body.get("functions"))
        if none_left and choice is not None and kind not in _FREE:
            return str(kind)
    return ""


def _chosen(choice: Json) -> Iterator[str]:
    """The names and types that a choice of tools mentions, wherever the dialect puts them."""
    if isinstance(choice, Mapping):
        for key, value in choice.items():
            if key in ("name", "type", "server_label") and isinstance(value, str):
                yield value
            else:
                yield from _chosen(value)
        space, name = choice.get("namespace"), choice.get("name")
        if isinstance(space, str) and isinstance(name, str):
            yield name_in(space, name)
    elif isinstance(choice, list | tuple):
        for each in choice:
            yield from _chosen(each)
