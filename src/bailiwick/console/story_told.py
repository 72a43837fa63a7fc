"""What a model was asked and told, of a request in whatever dialect: short enough to be read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from bailiwick.core.canonical import Json, JsonObject
from bailiwick.ports.story import ClippedText, Message

MAX_TOLD = 16
MAX_TOLD_CHARS = 4_096
MAX_TOOLS = 256
MAX_PARAMETER_BYTES = 512

_LONG = frozenset(
    {"model", "messages", "input", "system", "instructions", "tools", "functions", "prompt"}
)
_OWN_ROLES = frozenset({"assistant", "model"})
_OWN_ITEMS = frozenset({"reasoning"})
_TEXTS = ("text", "content", "output", "input_text")


@dataclass(frozen=True, slots=True)
class Request:
    """What of a request is told: see `ports.story.ModelSaid`."""

    parameters: JsonObject = field(default_factory=dict)
    messages: int = 0
    told: Sequence[Message] = ()
    tools: Sequence[str] = ()


def request_of(asked: JsonObject) -> Request:
    """The readable part of a model request. Never raises. O(size of the request)."""
    given = asked.get("messages", asked.get("input"))
    messages = given if isinstance(given, list | tuple) else () if given is None else (given,)
    parameters = {
        name: value
        for name, value in asked.items()
        if name not in _LONG and len(msgspec.json.encode(value)) <= MAX_PARAMETER_BYTES
    }
    return Request(parameters, len(messages), _newest(messages), tuple(_tools(asked)))


def _newest(messages: Sequence[Json]) -> tuple[Message, ...]:
    """What follows the model's own last words."""
    found: list[Message] = []
    for message in reversed(messages):
        if _is_own(message) or len(found) == MAX_TOLD:
            break
        text = _text(message)
        found.append(Message(_role(message), ClippedText(text[:MAX_TOLD_CHARS], len(text))))
    return tuple(reversed(found))


def _is_own(message: Json) -> bool:
    if not isinstance(message, Mapping):
        return False
    kind = message.get("type")
    if isinstance(kind, str) and (kind in _OWN_ITEMS or kind.endswith("_call")):
        return True
    return message.get("role") in _OWN_ROLES


def _role(message: Json) -> str:
    if not isinstance(message, Mapping):
        return "user"
    role = message.get("role", message.get("type"))
    return role[:64] if isinstance(role, str) else ""


def _text(message: Json) -> str:
    """The texts of one message; of anything that is none, its kind in brackets."""
    if isinstance(message, str):
        return message
    return "\n".join(_texts(message, 0))


def _texts(value: Json, depth: int) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item, depth + 1)
    elif isinstance(value, Mapping) and depth < 6:
        for name in _TEXTS:
            if value.get(name) is not None:
                yield from _texts(value[name], depth + 1)
                return
        kind = value.get("type", value.get("role"))
        yield f"[{kind[:64]}]" if isinstance(kind, str) else "[?]"


def _tools(asked: JsonObject) -> Iterator[str]:
    tools = asked.get("tools", asked.get("functions"))
    for tool in (tools if isinstance(tools, list | tuple) else ())[:MAX_TOOLS]:
        if not isinstance(tool, Mapping):
            continue
        inner = tool.get("function", tool.get("custom"))
        named = inner if isinstance(inner, Mapping) else tool
        name = named.get("name", tool.get("type"))
        if isinstance(name, str):
            yield name[:256]
