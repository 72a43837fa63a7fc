"""The spans that agents sent of their runs, opened for people."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from bailiwick.core.canonical import Json, JsonObject
from bailiwick.core.errors import VerificationError
from bailiwick.gateway.recorder import Recorder
from bailiwick.ports import Records, RunSpans, SpanBatch, SpansRow, StoredEntry

MAX_PAGE_BYTES = 8 * 1024 * 1024
MAX_PAGE_BATCHES = 100


class Spans:
    """Reads and opens."""

    def __init__(self, records: Records, recorder: Recorder) -> None:
        self._records = records
        self._recorder = recorder

    async def of_run(self, run: str, after: str = "") -> RunSpans | None:
        """See `ports.Control.spans`."""
        if await self._records.run(run) is None:
            return None
        rows = await self._records.spans(run, after, MAX_PAGE_BATCHES + 1)
        shown: list[SpansRow] = []
        size = 0
        for row in rows[:MAX_PAGE_BATCHES]:
            size += row.size_bytes
            if shown and size > MAX_PAGE_BYTES:
                break
            shown.append(row)
        batches = [await self._batch(row) for row in shown]
        return RunSpans(run, batches, shown[-1].id if len(shown) < len(rows) else "")

    async def _batch(self, row: SpansRow) -> SpanBatch:
        entries = await self._records.entries(row.entry_index, row.entry_index + 1)
        # Opening a batch takes as long as it is large; no call waits for it.
        spans, erased = await asyncio.to_thread(self._opened, entries[0])
        return SpanBatch(row.id, row.at_ms, row.token, row.entry_index, spans, erased)

    def _opened(self, stored: StoredEntry) -> tuple[list[JsonObject], bool]:
        try:
            opened = self._recorder.open(stored.leaf, stored.sealed)
        except VerificationError as error:
            if error.code == "payload_erased":
                return [], True
            raise
        told = opened.get("spans") if isinstance(opened, Mapping) else None
        told = told if isinstance(told, Mapping) else {}
        resources = _objects(told.get("resources"))
        found: list[JsonObject] = []
        for span in _objects(told.get("spans")):
            place = span.get("resource", 0)
            known = isinstance(place, int) and 0 <= place < len(resources)
            found.append({**span, "resource": resources[place] if known else {}})  # type: ignore[index]  # an int here
        return found, False


def _objects(value: Json) -> list[JsonObject]:
    items = value if isinstance(value, list | tuple) else ()
    return [each for each in items if isinstance(each, Mapping)]
