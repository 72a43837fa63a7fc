"""An agent's own spans in the people's API."""

from __future__ import annotations

from bailiwick.core.canonical import JsonObject
from bailiwick.ports import RunSpans


def spans_json(told: RunSpans) -> JsonObject:
    """Batches of spans. `claimed_by` says whose word they are."""
    return {
        "run": told.run,
        "claimed_by": "agent",
        "batches": [
            {
                "id": batch.id,
                "at_ms": batch.at_ms,
                "token": batch.token,
                "entry": batch.entry_index,
                "erased": batch.erased,
                "spans": list(batch.spans),
            }
            for batch in told.batches
        ],
        "next": told.following or None,
    }
