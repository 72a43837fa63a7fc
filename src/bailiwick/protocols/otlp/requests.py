"""What of a model call may stand in a span without telling what was said in it."""

from __future__ import annotations

import msgspec

from bailiwick.core.canonical import JsonObject
from bailiwick.protocols.otlp.spans import Value

_NUMBERS = {
    "temperature": "gen_ai.request.temperature",
    "top_p": "gen_ai.request.top_p",
    "top_k": "gen_ai.request.top_k",
    "frequency_penalty": "gen_ai.request.frequency_penalty",
    "presence_penalty": "gen_ai.request.presence_penalty",
}
_COUNTS = {
    "max_tokens": "gen_ai.request.max_tokens",
    "max_completion_tokens": "gen_ai.request.max_tokens",
    "max_output_tokens": "gen_ai.request.max_tokens",
    "n": "gen_ai.request.choice.count",
    "seed": "gen_ai.request.seed",
    "dimensions": "gen_ai.embeddings.dimension.count",
}
_MAX_INTEGER = 2**63 - 1
_MAX_WORD_CHARS = 64


class _Ended(msgspec.Struct):
    finish: str = ""


_ended = msgspec.json.Decoder(_Ended)
"""Of what is kept of an answer only this one word: the rest is skipped, not built."""


def request_attributes(body: JsonObject) -> dict[str, Value]:
    """The parameters of a request, in any dialect: numbers and switches, and no text."""
    found: dict[str, Value] = {}
    for name, attribute in _NUMBERS.items():
        value = body.get(name)
        if type(value) is float or (type(value) is int and abs(value) <= _MAX_INTEGER):
            found[attribute] = float(value)
    for name, attribute in _COUNTS.items():
        value = body.get(name)
        if type(value) is int and abs(value) <= _MAX_INTEGER:
            found[attribute] = value
    if body.get("stream") is True:
        found["gen_ai.request.stream"] = True
    return found


def finish_reasons(said: bytes) -> tuple[str, ...]:
    """Why the model ended, from what is kept of its answer; () where nothing is."""
    if not said:
        return ()
    try:
        word = _ended.decode(said).finish
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ()
    return (word[:_MAX_WORD_CHARS],) if word else ()
