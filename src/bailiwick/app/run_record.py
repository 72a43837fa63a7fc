"""A run's record for export: everything that was committed to, byte for byte.

docs/reference/run-record.md has the form. Each line has the ledger entries of one call, and under
`shown`, for each commitment in an entry, its salt and exactly the text that it is to: with the
public entries an auditor checks the lines, and from the texts a run can be replayed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import asdict

import msgspec

from bailiwick.app.paths import indexes
from bailiwick.core.canonical import Json, as_judged, canonical
from bailiwick.core.errors import TheirError, VerificationError
from bailiwick.gateway.recorder import Recorder
from bailiwick.ledger.commitment import commit
from bailiwick.ledger.leaf import parse_leaf
from bailiwick.ports import (
    CallQuery,
    CallRow,
    HoldRow,
    RecordPage,
    Records,
    RunRow,
    SpansRow,
    StoredEntry,
)

VERSION = 1
MAX_PAGE_BYTES = 8 * 1024 * 1024
"""Of the lines of one page; the call that passes it is the last. Not of what lies sealed: packed,
little of that may be much."""

_SALTS = {"said": "said_salt", "reasoning": "reasoning_salt", "instruction": "instruction_salt"}
"""Commitments with a salt of their own; the others share `salt`."""

_COMMITTED = (
    *("arguments", "result", "error", "said", "reasoning", "content", "instruction"),
    "spans",
)

_SPANS = "spans:"
"""Behind the calls come the spans that the agent sent; `after` says so, and behind which batch."""

_BATCHES = 50

# INVARIANT: what msgspec knows of a type is made here, by one thread (see stores/sqlite_reads).
_parts = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_encode = msgspec.json.Encoder().encode


class RunRecord:
    """Reads and opens."""

    def __init__(self, records: Records, recorder: Recorder) -> None:
        self._records = records
        self._recorder = recorder

    async def page(self, run_id: str, after: str, limit: int) -> RecordPage:
        """See `ports.Control.record`."""
        run = await self._records.run(run_id)
        if run is None:
            raise TheirError("run_unknown", f"no run `{run_id[:64]}`")
        if after.startswith(_SPANS):
            return await self._spans(run_id, after.removeprefix(_SPANS))
        if after:
            call = await self._records.call(after)
            if call is None or call.run != run_id:
                raise TheirError("call_unknown", f"no call `{after[:64]}` in this run")
        query = CallQuery(limit=limit + 1, run=run_id, after=after, first="oldest")
        rows = await self._records.calls(query)
        lines = [] if after else [await self._run_line(run)]
        told, last = 0, ""
        for row in rows[:limit]:
            hold = await self._records.hold(row.hold) if row.hold else None
            entries = await self._entries(indexes(row, hold))
            lines.append(await asyncio.to_thread(self._call_line, row, hold, entries))
            told += len(lines[-1])
            last = row.id
            if told > MAX_PAGE_BYTES:
                break
        if rows and last != rows[-1].id:
            return RecordPage(lines, last)
        kept, _ = await self._records.spans_kept(run_id)
        return RecordPage(lines, _SPANS if kept else "")

    async def _spans(self, run_id: str, after: str) -> RecordPage:
        """A page of what the agent told of itself."""
        rows = await self._records.spans(run_id, after, _BATCHES + 1)
        lines: list[bytes] = []
        told, last = 0, ""
        for row in rows[:_BATCHES]:
            entries = await self._entries([row.entry_index])
            lines.append(await asyncio.to_thread(self._spans_line, row, entries))
            told += len(lines[-1])
            last = row.id
            if told > MAX_PAGE_BYTES:
                break
        return RecordPage(lines, _SPANS + last if rows and last != rows[-1].id else "")

    def _spans_line(self, row: SpansRow, entries: Sequence[StoredEntry]) -> bytes:
        whole = {"record": "spans", "v": VERSION, **asdict(row), "claimed_by": "agent"}
        return _encode({**whole, "entries": self._told(entries)})

    async def _run_line(self, run: RunRow) -> bytes:
        entries = [] if run.entry_index is None else await self._entries([run.entry_index])
        told = asdict(run)
        told["states"] = dict(run.states)
        return _encode({"record": "run", "v": VERSION, **told, "entries": self._told(entries)})

    def _call_line(
        self, row: CallRow, hold: HoldRow | None, entries: Sequence[StoredEntry]
    ) -> bytes:
        told = asdict(row)
        told["state"] = row.state.value
        del told["digest"]
        return _encode(
            {
                "record": "call",
                "v": VERSION,
                **told,
                "hold": None if hold is None else asdict(hold),
                "entries": self._told(entries),
            }
        )

    async def _entries(self, wanted: Sequence[int]) -> list[StoredEntry]:
        found: list[StoredEntry] = []
        for index in wanted:
            found += await self._records.entries(index, index + 1)
        return found

    def _told(self, entries: Sequence[StoredEntry]) -> list[object]:
        return [self._entry(each) for each in entries]

    def _entry(self, stored: StoredEntry) -> object:
        whole: dict[str, object] = {"index": stored.index, "leaf": msgspec.Raw(stored.leaf)}
        if not stored.sealed:
            return {**whole, "shown": {}, "more": {}}
        try:
            parts = _parts(self._recorder.text(stored.leaf, stored.sealed))
        except VerificationError as error:
            why = "erased" if error.code == "payload_erased" else "damaged"
            return {**whole, "shown": {}, "more": {}, "withheld": why}
        fields = parse_leaf(stored.leaf).fields
        shown: dict[str, object] = {}
        for name in _COMMITTED:
            commitment = fields.get(name)
            if isinstance(commitment, str):
                pair = _shown(name, commitment, parts)
                if pair is not None:
                    shown[name] = {"salt": pair[0].hex(), "text": pair[1].decode(errors="replace")}
        # What is shown is not told twice, but for a call: there in the order it was asked in.
        more = {
            name: value
            for name, value in parts.items()
            if name not in shown and not name.endswith("salt")
        }
        return {**whole, "shown": shown, "more": more}


def _shown(
    name: str, commitment: str, parts: Mapping[str, msgspec.Raw]
) -> tuple[bytes, bytes] | None:
    """The salt and the text of one commitment; None when the text was not kept whole."""
    salt_text = parts.get(_SALTS.get(name, "salt"))
    if salt_text is None:
        return None
    salt = bytes.fromhex(msgspec.json.decode(bytes(salt_text)))
    for text in _texts(name, parts):
        if commit(salt, text) == commitment:
            return salt, text
    return None


def _texts(name: str, parts: Mapping[str, msgspec.Raw]) -> list[bytes]:
    """What a commitment may be to."""
    if name == "arguments" and "call" in parts:
        asked = bytes(parts["call"])
        value: Json = msgspec.json.decode(asked)
        return [asked, canonical(as_judged(value))]
    if name == "reasoning" and "said" in parts:
        inside = _parts(bytes(parts["said"])).get("reasoning")
        return [] if inside is None else [bytes(inside)]
    if name == "instruction" and "content" in parts:
        content: Json = msgspec.json.decode(bytes(parts["content"]))
        words = content.get("instruction") if isinstance(content, Mapping) else None
        return [words.encode()] if isinstance(words, str) else []
    return [bytes(parts[name])] if name in parts else []
