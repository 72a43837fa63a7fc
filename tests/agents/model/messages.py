"""The messages dialect, streamed: what Claude Code speaks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from tests.agents.model.script import Answer, CallTool, Offered, Turn

PATH = "/v1/messages"


def read(body: dict[str, Any]) -> Turn:
    """What the script needs of a request."""
    offered = [Offered(tool["name"]) for tool in body.get("tools", [])]
    blocks = [
        block
        for message in body["messages"]
        if isinstance(message["content"], list)
        for block in message["content"]
    ]
    results = [text(block["content"]) for block in blocks if block["type"] == "tool_result"]
    return Turn(offered, results)


def text(content: object) -> str:
    """A tool result's text, given whole or in blocks."""
    if isinstance(content, str):
        return content
    assert isinstance(content, list), content
    return "".join(block.get("text", "") for block in content)


def events(answer: Answer) -> Iterator[str]:
    """The answer as the lines of an event stream, arguments in two pieces."""
    # Messages of one id are taken for one message told in parts: each has an id of its own.
    called = answer.id if isinstance(answer, CallTool) else "said"
    usage = {"input_tokens": answer.input_tokens, "output_tokens": 1}
    message: dict[str, Any] = {
        "id": f"msg_{called}",
        "type": "message",
        "role": "assistant",
        "model": "scripted",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": usage,
    }
    yield _event("message_start", {"message": message})
    if isinstance(answer, CallTool):
        block = {"type": "tool_use", "id": answer.id, "name": answer.tool.name, "input": {}}
        yield _event("content_block_start", {"index": 0, "content_block": block})
        whole = json.dumps(answer.arguments)
        half = len(whole) // 2
        for piece in (whole[:half], whole[half:]):
            delta = {"type": "input_json_delta", "partial_json": piece}
            yield _event("content_block_delta", {"index": 0, "delta": delta})
        reason = "tool_use"
    else:
        block = {"type": "text", "text": ""}
        yield _event("content_block_start", {"index": 0, "content_block": block})
        delta = {"type": "text_delta", "text": answer.text}
        yield _event("content_block_delta", {"index": 0, "delta": delta})
        reason = "end_turn"
    yield _event("content_block_stop", {"index": 0})
    ended = {"stop_reason": reason, "stop_sequence": None}
    yield _event("message_delta", {"delta": ended, "usage": {"output_tokens": 2}})
    yield _event("message_stop", {})


def _event(kind: str, value: dict[str, Any]) -> str:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **value})}\n\n"
