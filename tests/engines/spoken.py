"""What the tiny model says, and the requests that make it say so."""

from __future__ import annotations

from typing import Any

SAID = "Two and forty make forty-two."
PIECES = ("Two", " and", " forty", " make", " forty-two.")
THOUGHT = "They want a sum; I add it."

ASKED = [{"role": "user", "content": "What is the sum?"}]
ENDLESS = [{"role": "user", "content": "go on without end"}]
TERMS = {
    "type": "object",
    "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
    "required": ["a", "b"],
    "additionalProperties": False,
}
# Nothing that the model says by itself has this shape: only a grammar makes it.
RECEIPT: dict[str, Any] = {
    "type": "object",
    "properties": {
        "paid": {"type": "boolean"},
        "currency": {"type": "string", "enum": ["CHF", "EUR"]},
        "parts": {"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 2},
    },
    "required": ["paid", "currency", "parts"],
    "additionalProperties": False,
}


def is_receipt(value: Any) -> bool:
    """Whether `value` is of the shape RECEIPT."""
    return (
        set(value) == {"paid", "currency", "parts"}
        and type(value["paid"]) is bool
        and value["currency"] in ("CHF", "EUR")
        and [type(part) for part in value["parts"]] == [int, int]
    )


def tool(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    """A tool as the chat dialect offers it."""
    return {
        "type": "function",
        "function": {"name": name, "parameters": schema, "strict": True},
    }


ADD = tool("add", TERMS)
PAY = tool("pay", RECEIPT)


def forced(name: str) -> dict[str, Any]:
    """The chat dialect's word for a call that must be made."""
    return {"type": "function", "function": {"name": name}}
