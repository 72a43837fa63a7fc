"""What of an answer may stand in a public leaf: which model served it, and counts of tokens."""

from __future__ import annotations

import re

from bailiwick.core.canonical import MAX_SAFE_INTEGER
from bailiwick.ledger.leaf import LeafValue
from bailiwick.protocols.llm.answers import read_answer, reader
from bailiwick.protocols.llm.dialect import Dialect, Said, Usage

_SERVED = re.compile(r"[!-~]{1,128}")


def facts_of(dialect: Dialect, answer: bytes, status: int) -> dict[str, LeafValue]:
    """The facts of a whole answer. Never raises: what cannot be read is left out."""
    return _facts(dialect, read_answer(dialect, answer), status)


def facts_of_stream(dialect: Dialect, events: bytes) -> dict[str, LeafValue]:
    """The facts of a stream, of what of it was kept. Never raises."""
    listening = reader(dialect)
    listening.feed(events)
    return _facts(dialect, listening.said(), 200)


def _facts(dialect: Dialect, said: Said, status: int) -> dict[str, LeafValue]:
    facts: dict[str, LeafValue] = {"dialect": dialect.value, "http_status": status}
    if _SERVED.fullmatch(said.model):
        facts["served"] = said.model
    usage = said.usage or Usage()
    counts = {
        "input_tokens": usage.input,
        "output_tokens": usage.output,
        "cached_tokens": usage.cached,
        "reasoning_tokens": usage.reasoning,
    }
    told = {name: count for name, count in counts.items() if count is not None}
    facts.update((name, count) for name, count in told.items() if count <= MAX_SAFE_INTEGER)
    return facts
