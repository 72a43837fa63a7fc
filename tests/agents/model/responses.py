"""The responses dialect, streamed: what Codex speaks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from tests.agents.model.script import Answer, CallTool, Offered, Turn

PATH = "/v1/responses"


def read(body: dict[str, Any]) -> Turn:
    """What the script needs of a request."""
    offered = []
    for tool in body.get("tools", []):
        if tool["type"] == "function":
            offered.append(Offered(tool["name"]))
        elif tool["type"] == "namespace":
            offered += [Offered(inner["name"], tool["name"]) for inner in tool["tools"]]
    results = [
        text(item["output"]) for item in body["input"] if item.get("type") == "function_call_output"
    ]
    return Turn(offered, results)


def text(output: object) -> str:
    """A tool result's text, given whole or in parts."""
    if isinstance(output, str):
        return output
    assert isinstance(output, list), output
    return "".join(part.get("text", "") for part in output)


def events(answer: Answer) -> Iterator[str]:
    """The answer as the lines of an event stream."""
    called = answer.id if isinstance(answer, CallTool) else "said"
    response = {"id": f"resp_{called}", "object": "response", "status": "in_progress", "output": []}
    yield _event("response.created", {"response": response})
    item: dict[str, Any]
    if isinstance(answer, CallTool):
        item = {
            "type": "function_call",
            "id": f"item_{answer.id}",
            "call_id": answer.id,
            "name": answer.tool.name,
            "arguments": json.dumps(answer.arguments),
            **({"namespace": answer.tool.namespace} if answer.tool.namespace else {}),
        }
        at = {"item_id": item["id"], "output_index": 0}
        yield _event("response.output_item.added", {"output_index": 0, "item": item})
        yield _event("response.function_call_arguments.delta", {**at, "delta": item["arguments"]})
    else:
        part = {"type": "output_text", "text": answer.text, "annotations": []}
        item = {"type": "message", "id": "item_said", "role": "assistant", "content": [part]}
        at = {"item_id": item["id"], "output_index": 0, "content_index": 0}
        yield _event("response.output_item.added", {"output_index": 0, "item": item})
        yield _event("response.output_text.delta", {**at, "delta": answer.text})
    yield _event("response.output_item.done", {"output_index": 0, "item": item})
    took = answer.input_tokens
    usage = {"input_tokens": took, "output_tokens": 1, "total_tokens": took + 1}
    ended = {**response, "status": "completed", "output": [item], "usage": usage}
    yield _event("response.completed", {"response": ended})


def _event(kind: str, value: dict[str, Any]) -> str:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **value})}\n\n"
