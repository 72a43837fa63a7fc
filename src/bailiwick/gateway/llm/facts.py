"""What of an answer may stand in a public leaf: which model served it, and counts of tokens, of
pieces of reasoning by how much of them is seen, and of the tool calls it asked for.
"""

from __future__ import annotations

import re
from collections import Counter

from bailiwick.core.canonical import MAX_SAFE_INTEGER
from bailiwick.ledger.leaf import LeafValue
from bailiwick.protocols.llm.dialect import Dialect, Said, Usage

_SERVED = re.compile(r"[!-~]{1,128}")


def facts_of(dialect: Dialect, said: Said, status: int) -> dict[str, LeafValue]:
    """The facts of an answer. Never raises: what is not known is left out."""
    facts: dict[str, LeafValue] = {"dialect": dialect._value_, "http_status": status}
    if _SERVED.fullmatch(said.model):
        facts["served"] = said.model
    if said.usage is not None:
        _count(facts, said.usage)
    if said.reasoning:
        seen = Counter(piece.visibility.value for piece in said.reasoning)
        facts["reasoning"] = dict(seen)
    if said.tool_calls:
        facts["tool_calls"] = len(said.tool_calls)
    if said.cut:
        facts["cut"] = True
    return facts


def _count(facts: dict[str, LeafValue], usage: Usage) -> None:
    # One by one: a loop over four names takes twice as long, and each answer comes by here.
    if usage.input is not None and usage.input <= MAX_SAFE_INTEGER:
        facts["input_tokens"] = usage.input
    if usage.output is not None and usage.output <= MAX_SAFE_INTEGER:
        facts["output_tokens"] = usage.output
    if usage.cached is not None and usage.cached <= MAX_SAFE_INTEGER:
        facts["cached_tokens"] = usage.cached
    if usage.reasoning is not None and usage.reasoning <= MAX_SAFE_INTEGER:
        facts["reasoning_tokens"] = usage.reasoning
