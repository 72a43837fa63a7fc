"""Messages of a model call in the form of the conventions: roles, with parts of known types.

Source: `gen-ai-input-messages.json` and `gen-ai-output-messages.json` of the repository
`semantic-conventions-genai`. Parts that have no type there go in under their own. Only for
operators who let content out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bailiwick.core.canonical import Json, JsonObject

_TEXTS = ("text", "input_text", "output_text", "refusal")


def input_messages(body: JsonObject) -> list[JsonObject]:
    """What a request says, in any dialect, in order. What is of no dialect is left out."""
    told = body.get("messages", body.get("input"))
    if isinstance(told, str):
        return [_message("user", [_text(told)])]
    if not isinstance(told, list):
        return []
    found: list[JsonObject] = []
    for each in told:
        if isinstance(each, str):
            found.append(_message("user", [_text(each)]))
        elif isinstance(each, Mapping):
            found.append(_item(each))
    return found


def system_instructions(body: JsonObject) -> list[JsonObject]:
    """What stands apart from the messages (`system`, `instructions`)."""
    told = body.get("system", body.get("instructions"))
    if isinstance(told, str):
        return [_text(told)]
    return _parts(told) if isinstance(told, list) else []


def output_messages(said: JsonObject) -> list[JsonObject]:
    """What the model said, from what is kept of its answer (`protocols.llm.kept`)."""
    parts = [_reasoning(each) for each in _objects(said.get("reasoning"))]
    text = said.get("text")
    if isinstance(text, str) and text:
        parts.append(_text(text))
    parts += [
        _tool_call(each.get("id"), each.get("name"), each.get("arguments"))
        for each in _objects(said.get("tool_calls"))
    ]
    if not parts:
        return []
    return [{**_message("assistant", parts), "finish_reason": said.get("finish", "")}]


def _reasoning(piece: JsonObject) -> JsonObject:
    """What of it a person could read; of the rest only that it was there."""
    visibility = piece.get("visibility")
    readable = visibility in ("full", "summary")
    text = piece.get("text", "") if readable else ""
    return {"type": "reasoning", "content": text, "visibility": visibility}


def _item(item: JsonObject) -> JsonObject:
    """A message, or an item of a responses request that stands for one."""
    kind, role = item.get("type"), item.get("role")
    if kind == "function_call":
        call = _tool_call(item.get("call_id"), item.get("name"), item.get("arguments"))
        return _message("assistant", [call])
    if kind == "function_call_output":
        return _message("tool", [_tool_answer(item.get("call_id"), item.get("output"))])
    if kind == "reasoning":
        return _message("assistant", _parts(item.get("summary")) or [_own(item)])
    if role == "tool":
        return _message("tool", [_tool_answer(item.get("tool_call_id"), item.get("content"))])
    content = item.get("content")
    parts = [_text(content)] if isinstance(content, str) else _parts(content)
    for call in _objects(item.get("tool_calls")):
        function = call.get("function")
        told = function if isinstance(function, Mapping) else {}
        parts.append(_tool_call(call.get("id"), told.get("name"), told.get("arguments")))
    return _message(role if isinstance(role, str) else "user", parts)


def _parts(content: Json) -> list[JsonObject]:
    return [_part(each) for each in _objects(content)]


def _part(part: JsonObject) -> JsonObject:
    kind, text = part.get("type"), part.get("text")
    if kind in _TEXTS and isinstance(text, str):
        return _text(text)
    if kind == "thinking":
        return {"type": "reasoning", "content": part.get("thinking", "")}
    if kind == "summary_text":
        return {"type": "reasoning", "content": text}
    if kind == "tool_use":
        return _tool_call(part.get("id"), part.get("name"), part.get("input"))
    if kind == "tool_result":
        return _tool_answer(part.get("tool_use_id"), part.get("content"))
    return _own(part)


def _message(role: str, parts: Sequence[JsonObject]) -> JsonObject:
    return {"role": role, "parts": list(parts)}


def _text(text: str) -> JsonObject:
    return {"type": "text", "content": text}


def _own(part: JsonObject) -> JsonObject:
    return {**part, "type": str(part.get("type", "unknown"))}


def _tool_call(ident: Json, name: Json, arguments: Json) -> JsonObject:
    return {"type": "tool_call", "id": ident, "name": name, "arguments": arguments}


def _tool_answer(ident: Json, response: Json) -> JsonObject:
    return {"type": "tool_call_response", "id": ident, "response": response}


def _objects(value: Json) -> list[JsonObject]:
    return (
        [each for each in value if isinstance(each, Mapping)]
        if isinstance(value, list | tuple)
        else []
    )
