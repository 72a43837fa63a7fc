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
    if said.reasoning:
        seen = Counter(piece.visibility.value for piece in said.reasoning)
        facts["reasoning"] = dict(seen)
    if said.tool_calls:
        facts["tool_calls"] = len(said.tool_calls)
    if said.cut:
        facts["cut"] = True
    return facts
