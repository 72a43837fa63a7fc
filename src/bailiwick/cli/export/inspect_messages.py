"""Messages and answers of a model call in the form of Inspect AI.

Source: `inspect_ai.model` and `inspect_ai.tool` 0.3.285.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from bailiwick.cli.export.view import mapping, objects, word
from bailiwick.core.canonical import Json, JsonObject
from bailiwick.protocols.llm.dialect import AskedTool, Reasoning, Said, Visibility
from bailiwick.protocols.otlp.messages import input_messages, system_instructions

_ROLES = {"system": "system", "developer": "system", "assistant": "assistant", "tool": "tool"}
_STOPS = {
    "stop": "stop",
    "end_turn": "stop",
    "completed": "stop",
    "stop_sequence": "stop",
    "tool_calls": "tool_calls",
    "tool_use": "tool_calls",
    "length": "max_tokens",
    "max_tokens": "max_tokens",
    "max_output_tokens": "max_tokens",
    "content_filter": "content_filter",
    "refusal": "content_filter",
}


def chat_messages(body: JsonObject) -> list[JsonObject]:
    """What a request says, as Inspect's chat messages."""
    system = "\n".join(word(part, "content") for part in system_instructions(body))
    found: list[JsonObject] = [{"role": "system", "content": system}] if system else []
    for message in input_messages(body):
        found += _messages(message)
    return found


def assistant_message(said: Said) -> JsonObject:
    """What the model said."""
    content: list[JsonObject] = [reasoning(piece) for piece in said.reasoning]
    if said.text:
        content.append({"type": "text", "text": said.text})
    message: dict[str, Json] = {"role": "assistant", "content": content, "source": "generate"}
    if said.tool_calls:
        calls = enumerate(said.tool_calls)
        message["tool_calls"] = [tool_call(call, f"call_{number}") for number, call in calls]
    return message


def reasoning(piece: Reasoning) -> JsonObject:
    """One piece: `redacted` is what only the model's maker can read."""
    found: dict[str, Json] = {"type": "reasoning", "reasoning": piece.text, "redacted": False}
    if piece.visibility is Visibility.ENCRYPTED:
        found["redacted"] = True
    elif piece.visibility is Visibility.SUMMARY:
        found["reasoning"], found["summary"] = "", piece.text
    return found


def tool_call(call: AskedTool, otherwise: str = "") -> JsonObject:
    """One tool call that the model asked for; arguments that are no object stand as text."""
    try:
        arguments = json.loads(call.arguments or "{}")
    except ValueError:
        arguments = call.arguments
    found: dict[str, Json] = {"id": call.id or otherwise, "function": call.name}
    if isinstance(arguments, Mapping):
        return {**found, "arguments": arguments}
    error = "the arguments are no JSON object"
    return {**found, "arguments": {"text": call.arguments}, "parse_error": error}


def stop_reason(finish: str) -> str:
    """Inspect's word for why it ended."""
    return _STOPS.get(finish, "unknown")


def _messages(message: JsonObject) -> list[JsonObject]:
    """One message; results of tools each become one of their own."""
    role = _ROLES.get(word(message, "role"), "user")
    parts = objects(message.get("parts"))
    answers = [part for part in parts if part.get("type") == "tool_call_response"]
    found: list[JsonObject] = [
        {
            "role": "tool",
            "content": _text(part.get("response")),
            "tool_call_id": word(part, "id") or None,
        }
        for part in answers
    ]
    rest = [part for part in parts if part.get("type") != "tool_call_response"]
    if not rest and answers:
        return found
    return [*found, _message("user" if role == "tool" else role, rest)]


def _message(role: str, parts: Sequence[JsonObject]) -> JsonObject:
    calls = [part for part in parts if part.get("type") == "tool_call"]
    content = [_content(part) for part in parts if part.get("type") != "tool_call"]
    message: dict[str, Json] = {"role": role, "content": content or ""}
    if role == "assistant" and calls:
        asked = (
            AskedTool(word(part, "id"), word(part, "name"), _text(part.get("arguments")))
            for part in calls
        )
        message["tool_calls"] = [
            tool_call(call, f"call_{number}") for number, call in enumerate(asked)
        ]
    return message


def _content(part: JsonObject) -> JsonObject:
    if part.get("type") == "reasoning":
        return {"type": "reasoning", "reasoning": _text(part.get("content"))}
    if part.get("type") == "text":
        return {"type": "text", "text": word(part, "content")}
    # Pictures, sound and files: said to be there, and whole in the call's `request`.
    return {"type": "text", "text": f"[{word(part, 'type')[:64]}]"}


def _text(value: Json) -> str:
    if value is None:
        return ""
    if isinstance(value, list) and value and all("text" in mapping(each) for each in value):
        return "\n".join(word(mapping(each), "text") for each in value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
