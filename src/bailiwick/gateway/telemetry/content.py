"""What was asked and answered, as telemetry tells it where the operator lets content out."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from bailiwick.core.call import Call, CallKind
from bailiwick.core.canonical import Json
from bailiwick.ports import UpstreamReply
from bailiwick.protocols.otlp.messages import input_messages, output_messages, system_instructions

MAX_CONTENT_BYTES = 64 * 1024
"""Of one attribute. What is longer is left out whole: half of a JSON text is none."""

OMITTED = "bailiwick.content.omitted"

_encode = msgspec.json.Encoder().encode


def content_of_request(call: Call) -> Mapping[str, str]:
    """What a call asks."""
    model = call.target.kind is CallKind.MODEL
    if len(call.canonical) > MAX_CONTENT_BYTES:  # before any of it is built: calls wait for this
        name = "gen_ai.input.messages" if model else "gen_ai.tool.call.arguments"
        return {OMITTED: f"{name} ({len(call.canonical)} bytes)"}
    if not model:
        return _bounded({"gen_ai.tool.call.arguments": _encode(call.arguments)})
    found: dict[str, bytes] = {}
    messages, system = input_messages(call.arguments), system_instructions(call.arguments)
    if messages:
        found["gen_ai.input.messages"] = _encode(messages)
    if system:
        found["gen_ai.system_instructions"] = _encode(system)
    return _bounded(found)


def content_of(call: Call, reply: UpstreamReply) -> Mapping[str, str]:
    """What came back."""
    if call.target.kind is not CallKind.MODEL:
        body = reply.result if reply.result is not None else reply.error
        return _bounded({"gen_ai.tool.call.result": body}) if body else {}
    if not reply.said:
        return {}
    if len(reply.said) > MAX_CONTENT_BYTES:
        return {OMITTED: f"gen_ai.output.messages ({len(reply.said)} bytes)"}
    said: Json = msgspec.json.decode(reply.said)
    messages = output_messages(said) if isinstance(said, Mapping) else []
    return _bounded({"gen_ai.output.messages": _encode(messages)}) if messages else {}


def _bounded(found: Mapping[str, bytes]) -> dict[str, str]:
    told: dict[str, str] = {}
    for name, text in found.items():
        if len(text) <= MAX_CONTENT_BYTES:
            told[name] = text.decode(errors="replace")
        else:
            told[OMITTED] = f"{told.get(OMITTED, '')} {name} ({len(text)} bytes)".strip()
    return told
