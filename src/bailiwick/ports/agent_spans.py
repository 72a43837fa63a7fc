"""The spans that an agent sent of its own work, as people read them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bailiwick.core.canonical import JsonObject


@dataclass(frozen=True, slots=True)
class SpanBatch:
    """What came at once. It is the agent's own claim, which nobody has checked.

    Attributes:
        at_ms: when it came.
        token: id of the token it came with.
        entry_index: the ledger entry that commits to it.
        spans: as `protocols.otlp.claims.ClaimedSpan` writes them, `resource` being the attributes
            of where each comes from.
        erased: it was destroyed with its person's key.
    """

    id: str
    at_ms: int
    token: str
    entry_index: int
    spans: Sequence[JsonObject]
    erased: bool = False


@dataclass(frozen=True, slots=True)
class RunSpans:
    """Some of the batches of a run, oldest first; `following` is where to go on, "" at the end."""

    run: str
    batches: Sequence[SpanBatch]
    following: str = ""
