"""What of an answer may stand in a public leaf: which model served it, and counts of tokens, of
pieces of reasoning by how much of them is seen, and of the tool calls it asked for.
"""

from __future__ import annotations

import re
from collections import Counter
from operator import attrgetter

from bailiwick.core.canonical import MAX_SAFE_INTEGER
from bailiwick.ledger.leaf import LeafValue
from bailiwick.protocols.llm.dialect import Dialect, Said

_SERVED = re.compile(r"[!-~]{1,128}")

_COUNTS = ("input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens")
_counts_in = attrgetter("input", "output", "cached", "reasoning")


def facts_of(dialect: Dialect, said: Said, status: int) -> dict[str, LeafValue]:
    """The facts of an answer. Never raises: what is not known is left out."""
    facts: dict[str, LeafValue] = {"dialect": dialect._value_, "http_status": status}
    if _SERVED.fullmatch(said.model):
        facts["served"] = said.model
    if said.usage is not None:
        facts |= {
            name: count
            for name, count in zip(_COUNTS, _counts_in(said.usage), strict=True)
            if count is not None and count <= MAX_SAFE_INTEGER
        }
    if said.reasoning:
        seen = Counter(piece.visibility.value for piece in said.reasoning)
        facts["reasoning"] = dict(seen)
    if said.tool_calls:
        facts["tool_calls"] = len(said.tool_calls)
    if said.cut:
        facts["cut"] = True
    return facts
