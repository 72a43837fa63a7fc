"""The whole path of one call, its payloads opened."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace

from bailiwick.core.canonical import Json, JsonObject, digest_of
from bailiwick.core.errors import VerificationError
from bailiwick.gateway.recorder import Recorder, read_payload
from bailiwick.ledger.leaf import parse_leaf
from bailiwick.ports import CallPath, CallRow, HoldRow, Records, StoredEntry

_QUICK_BYTES = 64 * 1024


class Paths:
    """Reads and opens."""

    def __init__(self, records: Records, recorder: Recorder) -> None:
        self._records = records
        self._recorder = recorder

    async def one(self, call_id: str) -> CallPath | None:
        """See `ports.Control.path`."""
        call = await self._records.call(call_id)
        if call is None:
            return None
        hold = await self._records.hold(call.hold) if call.hold else None
        entries: list[StoredEntry] = []
        for index in indexes(call, hold):
            entries += await self._records.entries(index, index + 1)
        if sum(len(each.sealed) for each in entries) <= _QUICK_BYTES:
            return self._open_all(call, hold, entries)
        # Long conversations take long to open; no call waits for it.
        return await asyncio.to_thread(self._open_all, call, hold, entries)

    def _open_all(
        self, call: CallRow, hold: HoldRow | None, entries: Sequence[StoredEntry]
    ) -> CallPath:
        leaves: list[tuple[int, JsonObject]] = []
        opened: dict[int, Json] = {}
        opened_bytes = 0
        for stored in entries:
            leaf = parse_leaf(stored.leaf)
            head: dict[str, Json] = {"type": leaf.type, "id": leaf.id, "at": leaf.at_ms}
            leaves.append((stored.index, {**head, **leaf.fields}))
            if stored.sealed:
                opened[stored.index], size = self._open(stored.leaf, stored.sealed)
                opened_bytes += size
        intent = opened.get(call.intent_index)
        outcome = None if call.outcome_index is None else opened.get(call.outcome_index)
        call = call if call.digest else replace(call, digest=_digest(intent))
        return CallPath(call, hold, intent, outcome, leaves, opened_bytes)

    def _open(self, leaf: bytes, sealed: bytes) -> tuple[Json, int]:
        """What a payload says, and how long it is in clear: packed, little of it may be much."""
        try:
            text = self._recorder.text(leaf, sealed)
        except VerificationError as error:
            gone = error.code == "payload_erased"
            return None if gone else {"unreadable": error.message}, len(sealed)
        return read_payload(text), len(text)


def indexes(call: CallRow, hold: HoldRow | None) -> list[int]:
    """Of a call's entries in the ledger, in order."""
    found = [call.intent_index]
    if hold is not None:
        found += [stamp.entry_index for stamp in hold.stamps]
    found += [i for i in (call.approved_index, call.outcome_index) if i is not None]
    return sorted(set(found))


def _digest(intent: Json) -> str:
    """The digest of the call in an opened intent; "" when it was erased or is damaged."""
    asked = intent.get("call") if isinstance(intent, Mapping) else None
    return digest_of(asked) if isinstance(asked, Mapping) else ""
