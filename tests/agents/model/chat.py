"""The chat completions dialect, streamed: what goose and opencode speak."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from tests.agents.model.script import Answer, CallTool, Offered, Turn

PATH = "/v1/chat/completions"


def read(body: dict[str, Any]) -> Turn:
    """What the script needs of a request."""
    offered = [Offered(tool["function"]["name"]) for tool in body.get("tools", [])]
    results = [
        text(message["content"]) for message in body["messages"] if message["role"] == "tool"
    ]
    return Turn(offered, results)


def text(content: object) -> str:
    """A message's text, given whole or in parts."""
    if isinstance(content, str):
        return content
    assert isinstance(content, list), content
    return "".join(part.get("text", "") for part in content)


def events(answer: Answer) -> Iterator[str]:
    """The answer as the lines of an event stream, arguments in two pieces."""
    yield _chunk({"role": "assistant", "content": ""}, None)
    if isinstance(answer, CallTool):
        whole = json.dumps(answer.arguments)
        half = len(whole) // 2
        called = {"name": answer.tool.name, "arguments": whole[:half]}
        first = {"index": 0, "id": answer.id, "type": "function", "function": called}
        yield _chunk({"tool_calls": [first]}, None)
        rest = {"index": 0, "function": {"arguments": whole[half:]}}
        yield _chunk({"tool_calls": [rest]}, None)
        yield _chunk({}, "tool_calls")
    else:
        yield _chunk({"content": answer.text}, None)
        yield _chunk({}, "stop")
    took = answer.input_tokens
    usage = {"prompt_tokens": took, "completion_tokens": 1, "total_tokens": took + 1}
    yield _event({**_HEAD, "choices": [], "usage": usage})
    yield "data: [DONE]\n\n"


_HEAD = {"id": "chat-1", "object": "chat.completion.chunk", "created": 1, "model": "scripted"}


def _chunk(delta: dict[str, Any], finish: str | None) -> str:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return _event({**_HEAD, "choices": [choice]})


def _event(value: dict[str, Any]) -> str:
    return f"data: {json.dumps(value)}\n\n"
