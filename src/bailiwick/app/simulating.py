"""Simulating in a process of its own, so that no call waits for it.

`python -m bailiwick.app.simulating DATA` reads one request (JSON) from its standard input and
writes one report to its output. It reads the data folder beside the running gateway and writes
nothing. `run` starts it.

Request: `files` (declarations by file name; empty for what is in force), `mandate` (whose form is
tried), `against` (whose recorded calls), `since_ms`, `now_ms`. Report: docs/reference/api.md.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sqlite3
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from time import perf_counter, process_time

import msgspec

from bailiwick.app.data_folder import DataFolder
from bailiwick.app.declare import compile_snapshot, planned
from bailiwick.app.policies import PolicyBook
from bailiwick.app.repricing import Repricing
from bailiwick.app.simulation import Asked, Ended, Simulation, asked_of
from bailiwick.core.canonical import Json, JsonObject
from bailiwick.core.context import NO_COUNTERS, Counters
from bailiwick.core.errors import (
    BailiwickError,
    OurError,
    StoreError,
    TheirError,
    VerificationError,
)
from bailiwick.declared import DeclarationError, from_document, load_texts
from bailiwick.gateway.authority import Authority
from bailiwick.gateway.ids import first_id_at
from bailiwick.gateway.recorder import read_payload
from bailiwick.gateway.run_facts import RunFacts, from_payload
from bailiwick.ledger.leaf import LeafType
from bailiwick.ports import CallState, Change, Entry, UpstreamReply
from bailiwick.stores.entry_rows import next_index, read_entries
from bailiwick.stores.sqlite import connect
from bailiwick.stores.sqlite_reads import SqliteRecords
from bailiwick.stores.text_seal import TextSeal
from bailiwick.stores.vault import Vault

MAX_SECONDS = 600
"""Longest a simulation may take; a longer period is asked for in parts."""

_LEAF = b'"type":"call.'
_decode = msgspec.json.decode


class _Result(msgspec.Struct):
    """What is sealed beside an outcome, as far as it matters here; the result as its bytes."""

    result: msgspec.Raw = msgspec.Raw()
    error: msgspec.Raw = msgspec.Raw()
    used: dict[str, int] = msgspec.field(default_factory=dict)


class _NoJournal:
    """A vault that only opens writes nothing."""

    counters: Counters = NO_COUNTERS

    async def commit(self, entries: Sequence[Entry], changes: Sequence[Change] = ()) -> range:
        raise StoreError("read_only", "a simulation writes nothing")


async def run(data: Path, request: JsonObject) -> JsonObject:
    """Simulate in a process of its own, at the lowest priority.

    Raises:
        TheirError: `mandate_unknown`, `declaration_invalid`: as the process found.
        OurError: `simulation_failed`: it ended without a report, or took too long.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "bailiwick.app.simulating", str(data)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(MAX_SECONDS):
            answer, _ = await process.communicate(json.dumps(request).encode())
    except TimeoutError:
        text = "simulating took too long: ask for a shorter time"
        raise OurError("simulation_failed", text) from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    try:
        report: JsonObject = json.loads(answer)
    except ValueError as error:
        raise OurError("simulation_failed", "the simulation ended without a report") from error
    fault = report.get("fault")
    if isinstance(fault, Mapping):
        raise TheirError(str(fault["code"]), str(fault["message"]))
    return report


async def simulate(folder: DataFolder, request: Mapping[str, Json]) -> JsonObject:
    """The report of one request.

    Raises:
        TheirError: `mandate_unknown`, `declaration_invalid`.
        StoreError: the record cannot be read.
    """
    begun = perf_counter()
    name = str(request["mandate"])
    against = str(request.get("against") or name)
    since = int(str(request.get("since_ms") or 0))
    secret = folder.vault_secret()
    records = SqliteRecords(folder.database, seal=TextSeal(secret))
    try:
        rows = {(row.kind, row.name): row for row in await records.objects()}
        stored = [from_document(row.document) for row in rows.values()]
        pins = await records.pins()
        vault = Vault(secret, await records.subject_keys(), _NoJournal(), lambda size: bytes(size))
    finally:
        await records.close()
    files = request.get("files") or {}
    if not isinstance(files, Mapping):
        raise TheirError("bad_request", "`files` is a table of texts by name")
    try:
        declared = load_texts({str(k): str(v) for k, v in files.items()}, stored=stored)
    except DeclarationError as error:
        raise TheirError("declaration_invalid", str(error)) from error
    objects = planned(declared, rows, "", int(str(request.get("now_ms") or 0)))
    book = PolicyBook()
    book.learn(pins)
    snapshot = replace(compile_snapshot(objects), policies=book.policies(objects))
    authority = Authority()
    authority.install(snapshot)
    chain = authority.chain(name)
    if not chain:
        raise TheirError("mandate_unknown", f"there is no mandate `{name}`")
    with contextlib.closing(connect(folder.database, read_only=True)) as db:
        past = _Past(db, vault, against, since, Repricing(objects))
        simulation = Simulation(chain, snapshot, past.run)
        for event in past.events():
            if isinstance(event, Asked):
                simulation.asked(event)
            else:
                simulation.ended(event)
    if not simulation.calls and not past.unreadable and not authority.chain(against):
        raise TheirError("mandate_unknown", f"there is no mandate `{against}`")
    return {
        "mandate": chain[-1].ref,
        "against": against,
        "since_ms": since,
        "calls": simulation.calls,
        "unreadable": past.unreadable,
        "seconds": round(perf_counter() - begun, 3),
        "cpu_seconds": round(process_time(), 3),
        "verdicts": dict(simulation.counts),
        "flips": sum(group.count for group in simulation.groups()),
        "groups": [
            {
                "before": group.before,
                "after": group.after,
                "target": group.target,
                "why": group.why,
                "count": group.count,
                "examples": list(group.examples),
            }
            for group in simulation.groups()
        ],
    }


class _Past:
    """The recorded calls under one mandate, read in the order of the ledger."""

    def __init__(
        self,
        db: sqlite3.Connection,
        vault: Vault,
        mandate: str,
        since_ms: int,
        repricing: Repricing,
    ) -> None:
        self._db = db
        self._repricing = repricing
        self._vault = vault
        self._mandate = mandate
        self._since = since_ms
        self._live: set[str] = set()
        self.unreadable = 0

    def events(self) -> Iterator[Asked | Ended]:
        """Intents and their outcomes. What was erased, or cannot be read, is counted instead."""
        query = "SELECT min(intent_index) FROM opened_calls WHERE id >= ?"
        (start,) = self._db.execute(query, (first_id_at(self._since),)).fetchone()
        if start is None:
            return
        for _, leaf, sealed in read_entries(self._db, start, next_index(self._db)):
            if _LEAF in leaf:
                event = self._event(leaf, sealed)
                if event is not None:
                    yield event

    def run(self, run: str) -> RunFacts:
        """What a run was told when it began."""
        query = "SELECT agent, mandate, entry_index FROM runs WHERE id = ?"
        row = self._db.execute(query, (run,)).fetchone()
        if row is None:
            return RunFacts(run, "", "")
        agent, mandate, index = row
        payload: Json = None
        if index is not None:
            ((_, leaf, sealed),) = read_entries(self._db, index, index + 1)
            with contextlib.suppress(VerificationError):  # erased: it counts as never said
                payload = _decode(self._vault.open(leaf, sealed))
        return from_payload(run, agent, mandate, payload, ended=False)

    def _event(self, leaf: bytes, sealed: bytes) -> Asked | Ended | None:
        fields = _decode(leaf)
        if fields["type"] == LeafType.CALL_OUTCOME:
            return self._ended(fields, leaf, sealed) if fields["id"] in self._live else None
        if fields["mandate"].rpartition("@")[0] != self._mandate:
            return None
        try:
            payload = read_payload(self._vault.open(leaf, sealed))
            event = asked_of(fields, payload if isinstance(payload, Mapping) else {})
        except (VerificationError, TheirError, KeyError, TypeError, ValueError):
            self.unreadable += 1
            return None
        self._live.add(event.call.id)
        return self._repricing.asked(event, str(fields.get("edge", "")))

    def _ended(self, fields: Mapping[str, Json], leaf: bytes, sealed: bytes) -> Ended:
        call = str(fields["id"])
        self._live.discard(call)
        reply = None
        if sealed:
            try:
                found = _decode(self._vault.open(leaf, sealed), type=_Result)
            except (VerificationError, msgspec.ValidationError):
                self.unreadable += 1
            else:
                result, error = bytes(found.result), bytes(found.error)
                if result or error:
                    used = self._repricing.used(call, found.used)
                    reply = UpstreamReply(result or None, error or None, used=used)
        at = fields["at"]
        assert isinstance(at, int)
        state = CallState(str(fields["state"]))
        return Ended(call, at, state, str(fields.get("code", "")), reply)


def main() -> int:
    """Serve one request; a fault is part of the report."""
    os.nice(10)
    folder = DataFolder(Path(sys.argv[1]), "")
    try:
        report = asyncio.run(simulate(folder, json.load(sys.stdin)))
    except BailiwickError as error:
        report = {"fault": {"code": error.code, "message": error.message}}
    json.dump(report, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
