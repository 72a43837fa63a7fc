"""The model calls that everything is measured with, as bytes: chat completions in four kinds.

As with tools each call carries its own number, in its prompt and back in its answer: no cache of
answers or decisions can flatter a target, and an answer given to the wrong caller is seen.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace

from bench.wire import FIRST_NUMBER, MARKER, CallTemplate, Headers

FAST = "fast"
"""The model that answers at once."""
PACED = "paced"
"""The model that streams a piece every `PACE_SECONDS`, stamped with the time it was sent."""
LONG = "long"
"""The model that streams `LONG_BYTES` at once."""

SERVED = (FAST, PACED, LONG)

PIECES = 50
PACE_SECONDS = 0.01
LONG_BYTES = 256 * 1024
LONG_PIECES = 1_024
LARGE_MESSAGES = 100
LARGE_BYTES = 200_000

STAMP = re.compile(rb"sent (\d+) ns")
"""In each piece of `PACED`: `CLOCK_MONOTONIC`, which all processes of a machine share."""

PATH = "/v1/chat/completions"

WHOLE, STREAMED, LARGE = "whole", "streamed", "large"
KINDS = (WHOLE, STREAMED, LARGE)
"""Whole: some 450 bytes in one piece. Streamed: `PIECES` pieces. Large: a prompt of an agent at
work, `LARGE_MESSAGES` messages in `LARGE_BYTES`, with a whole answer."""

_NUMBER = "NUMBER"
_ASKED = f"Has invoice INV-{_NUMBER} been paid? Answer for {_NUMBER} in one sentence."
_SYSTEM = "You keep the books of a small company. Say what the statement says, and nothing else."
_ANSWER = (
    f"Invoice INV-{_NUMBER}: {MARKER.decode()}, it was paid in full on the third of March and the "
    "receipt has been filed with the bank's statement."
)
USAGE = {"prompt_tokens": 52, "completion_tokens": 50, "total_tokens": 102}


@dataclass(frozen=True, slots=True)
class ModelEndpoint:
    """Where and how a target wants to be asked.

    Attributes:
        model: the name under which the target offers the fast model.
        pieces: see `Callee`; not 0 asks for a stream.
        large: whether the prompt is that of an agent at work.
    """

    port: int
    path: str = PATH
    headers: Headers = ()
    model: str = FAST
    pieces: int = 0
    large: bool = False

    def of_kind(self, kind: str) -> ModelEndpoint:
        """The same target, asked in one of `KINDS`."""
        return replace(self, pieces=PIECES if kind == STREAMED else 0, large=kind == LARGE)

    def asking(self, model: str, pieces: int) -> ModelEndpoint:
        """The same target, asked for a stream of another of the upstream's models."""
        return replace(self, model=self.model.removesuffix(FAST) + model, pieces=pieces)

    def templates(self, connections: int) -> tuple[CallTemplate, ...]:
        """See `Callee`."""
        return (self.template(),)

    def template(self) -> CallTemplate:
        """The request but for its number."""
        number = str(FIRST_NUMBER)
        body = json.dumps(self._body(), separators=(",", ":")).replace(_NUMBER, number)
        fields = [("Content-Type", "application/json"), ("Accept", "application/json")]
        lines = [f"POST {self.path} HTTP/1.1", f"Host: 127.0.0.1:{self.port}"]
        lines += [f"{name}: {value}" for name, value in [*fields, *self.headers]]
        lines += [f"Content-Length: {len(body)}", "", body]
        before, between, after = "\r\n".join(lines).encode().split(number.encode())
        return CallTemplate(before, between, after)

    def _body(self) -> dict[str, object]:
        messages: list[dict[str, object]] = [{"role": "system", "content": _SYSTEM}]
        if self.large:
            messages += _history()
        messages.append({"role": "user", "content": _ASKED})
        body: dict[str, object] = {"model": self.model, "messages": messages}
        # A stream beyond its bound is cut.
        body |= {"temperature": 0.2, "max_tokens": max(256, self.pieces)}
        if self.pieces:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        return body


def _history() -> list[dict[str, object]]:
    """What an agent drags along: what it asked its tools to do, and what they returned."""
    line = 'drwxr-xr-x 2 clerk staff 4096 "2026-11-22 10:01" invoices/2026/'
    each = LARGE_BYTES * 2 // LARGE_MESSAGES // (len(line) + 12)
    messages: list[dict[str, object]] = []
    for number in range(LARGE_MESSAGES // 2):
        ident, arguments = f"call_{number:04d}", json.dumps({"command": f"ls -l {number}"})
        function = {"name": "shell", "arguments": arguments}
        call = {"id": ident, "type": "function", "function": function}
        messages.append({"role": "assistant", "content": None, "tool_calls": [call]})
        listed = "\n".join(f"{line}{number:03d}-{n:03d}" for n in range(each))
        messages.append({"role": "tool", "tool_call_id": ident, "content": listed})
    return messages


def whole_answer() -> bytes:
    """The answer that is not streamed, with `NUMBER` in the place of the number."""
    message = {"role": "assistant", "content": _ANSWER}
    body = {
        "id": f"chatcmpl-{_NUMBER}",
        "object": "chat.completion",
        "created": 1_790_000_000,
        "model": FAST,
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": USAGE,
    }
    return json.dumps(body, separators=(",", ":")).encode()


def event(content: str | None, finish: str | None = None, usage: object = None) -> bytes:
    """One event of a stream; without `content` one that has no choices."""
    delta = {} if finish else {"content": content}
    choices = [{"index": 0, "delta": delta, "finish_reason": finish}]
    body = {
        "id": f"chatcmpl-{_NUMBER}",
        "object": "chat.completion.chunk",
        "created": 1_790_000_000,
        "model": FAST,
        "choices": [] if content is None and not finish else choices,
        "usage": usage,
    }
    return b"data: " + json.dumps(body, separators=(",", ":")).encode() + b"\n\n"


def streamed_answer(pieces: int, of_bytes: int = 0) -> list[bytes]:
    """The events of a stream of `pieces` pieces of text, with `NUMBER`, and those that end it.

    Args:
        of_bytes: how long all of them are to be together, about.
    """
    words = [f" word {number:02d}" for number in range(pieces)]
    if of_bytes:
        each = max(8, of_bytes // pieces - len(event("")))
        # No two alike: some gateways take a piece that comes again and again for a loop.
        words = [f"lorem {number:06d} ".ljust(each, "x") for number in range(pieces)]
    words[1], words[2] = f" {MARKER.decode()}", f" INV-{_NUMBER}"
    last = [event(None, "stop"), event(None, usage=USAGE), b"data: [DONE]\n\n"]
    return [event(word) for word in words] + last


def numbered(text: bytes, number: bytes) -> bytes:
    """`text` with the number of the call."""
    return text.replace(_NUMBER.encode(), number)
