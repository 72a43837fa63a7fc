"""One request and one answer in the words of each dialect."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tests.engines.spoken import ASKED, ENDLESS, RECEIPT, TERMS
from tests.llm.sdks.calls import Going, Sdks

Body = Mapping[str, Any]

ENDLESS_TOKENS = 30_000
"""More than an engine can say within a test."""


@dataclass(frozen=True)
class Said:
    """What a whole answer says."""

    text: str
    reasoning: str
    calls: tuple[tuple[str, Any], ...]
    output_tokens: int


@dataclass(frozen=True)
class Dialect:
    """One dialect, as its own SDK speaks it.

    Attributes:
        sdk, name: the call; its helper for streams is `stream` in the place of the last word.
        body: the least that it takes.
        endless: makes the model go on until it is stopped.
        tools: `add` and `pay`, offered.
        forced: makes the model call `pay`.
        schema: binds the answer to RECEIPT.
        read: the whole answer, however it came together.
        delta: the text in one piece of a stream, of any kind.
    """

    path: str
    sdk: str
    name: str
    body: Body
    endless: Body
    tools: Body
    forced: Body
    schema: Body
    read: Callable[[Any], Said]
    delta: Callable[[Any], str]

    def begin(self, sdks: Sdks, model: str, *changes: Body, name: str = "", **more: Any) -> Going:
        """Ask, with what `changes` say instead of or beside the least."""
        body: dict[str, Any] = {**self.body, "model": model, **more}
        for change in changes:
            body |= change
        call = sdks.openai if self.sdk == "openai" else sdks.anthropic
        return call(name or self.name, body)

    def gather(self, sdks: Sdks, model: str, *changes: Body) -> Going:
        """Ask for a stream, and let the SDK's helper put it together."""
        helper = self.name.rpartition(".")[0] + ".stream"
        return self.begin(sdks, model, *changes, name=helper)


def _chat(answer: Any) -> Said:
    message = answer["choices"][0]["message"]
    calls = [call["function"] for call in message.get("tool_calls") or ()]
    return Said(
        message.get("content") or "",
        message.get("reasoning") or "",
        tuple((call["name"], json.loads(call["arguments"])) for call in calls),
        (answer.get("usage") or {}).get("completion_tokens", 0),
    )


def _responses(answer: Any) -> Said:
    def texts(kind: str) -> str:
        items = [item for item in answer["output"] if item["type"] == kind]
        return "".join(part["text"] for item in items for part in item["content"])

    calls = [item for item in answer["output"] if item["type"] == "function_call"]
    return Said(
        texts("message"),
        texts("reasoning"),
        tuple((call["name"], json.loads(call["arguments"])) for call in calls),
        answer["usage"]["output_tokens"],
    )


def _messages(answer: Any) -> Said:
    blocks = answer["content"]
    return Said(
        "".join(block["text"] for block in blocks if block["type"] == "text"),
        "".join(block["thinking"] for block in blocks if block["type"] == "thinking"),
        tuple((block["name"], block["input"]) for block in blocks if block["type"] == "tool_use"),
        answer["usage"]["output_tokens"],
    )


def _chat_delta(piece: Any) -> str:
    delta = piece["choices"][0]["delta"] if piece.get("choices") else {}
    return (delta.get("reasoning") or "") + (delta.get("content") or "")


def _responses_delta(piece: Any) -> str:
    return str(piece["delta"]) if piece["type"].endswith("_text.delta") else ""


def _messages_delta(piece: Any) -> str:
    delta = piece.get("delta") or {}
    return delta.get("thinking") or delta.get("text") or ""


_OFFERED = (("add", TERMS), ("pay", RECEIPT))
_NAMED = {"type": "json_schema", "name": "receipt", "strict": True, "schema": RECEIPT}

CHAT = Dialect(
    path="/v1/chat/completions",
    sdk="openai",
    name="chat.completions.create",
    body={"messages": ASKED},
    endless={"messages": ENDLESS, "max_tokens": ENDLESS_TOKENS},
    tools={
        "tools": [
            {
                "type": "function",
                "function": {"name": name, "parameters": schema, "strict": True},
            }
            for name, schema in _OFFERED
        ]
    },
    forced={"tool_choice": {"type": "function", "function": {"name": "pay"}}},
    schema={
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "receipt", "strict": True, "schema": RECEIPT},
        }
    },
    read=_chat,
    delta=_chat_delta,
)
RESPONSES = Dialect(
    path="/v1/responses",
    sdk="openai",
    name="responses.create",
    body={"input": ASKED},
    endless={"input": ENDLESS, "max_output_tokens": ENDLESS_TOKENS},
    tools={
        "tools": [
            {"type": "function", "name": name, "parameters": schema, "strict": True}
            for name, schema in _OFFERED
        ]
    },
    forced={"tool_choice": {"type": "function", "name": "pay"}},
    schema={"text": {"format": _NAMED}},
    read=_responses,
    delta=_responses_delta,
)
MESSAGES = Dialect(
    path="/v1/messages",
    sdk="anthropic",
    name="messages.create",
    body={"messages": ASKED, "max_tokens": 400},
    endless={"messages": ENDLESS, "max_tokens": ENDLESS_TOKENS},
    tools={
        "tools": [
            {"name": name, "input_schema": schema, "strict": True} for name, schema in _OFFERED
        ]
    },
    forced={"tool_choice": {"type": "tool", "name": "pay"}},
    schema={"output_config": {"format": {"type": "json_schema", "schema": RECEIPT}}},
    read=_messages,
    delta=_messages_delta,
)
DIALECTS = (CHAT, RESPONSES, MESSAGES)
