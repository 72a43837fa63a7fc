"""The record of a run on a real store: exact, and erased with its person's key."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from bailiwick.app import run_record
from bailiwick.app.paths import Paths
from bailiwick.app.run_record import RunRecord
from bailiwick.console.story_steps import step_of
from bailiwick.core.call import Call, CallKind, Target
from bailiwick.core.canonical import Digest, JsonObject
from bailiwick.core.errors import TheirError
from bailiwick.core.flow.labels import NO_LABELS
from bailiwick.core.mandate import Mandate, MandateState
from bailiwick.core.run_words import RunWords
from bailiwick.core.thinking.said_and_did import SaidAndDid, Thought
from bailiwick.core.verdict import Allow
from bailiwick.gateway.recorder import CallContext, Recorder
from bailiwick.gateway.run_facts import as_payload, begun
from bailiwick.ledger.commitment import open_commitment
from bailiwick.ports import (
    CallMoved,
    CallOpened,
    CallState,
    RunOpened,
    StoredEntry,
    SubjectKey,
    UpstreamReply,
)
from bailiwick.protocols.llm.dialect import Reasoning, Said, Visibility
from bailiwick.protocols.llm.kept import keep
from bailiwick.stores.sqlite import SqliteJournal
from bailiwick.stores.sqlite_reads import SqliteRecords
from bailiwick.stores.text_seal import TextSeal
from bailiwick.stores.vault import Vault

SECRET = b"v" * 32
MANDATE = Mandate("work", 1, Digest("0" * 64), "ada", "clerk", "", MandateState.ACTIVE, ())
SAID = Said(
    model="tiny",
    text="I pay.",
    reasoning=(Reasoning(Visibility.FULL, "Rent é is due."), Reasoning(Visibility.OMITTED, "")),
)


@dataclass
class Room:
    journal: SqliteJournal
    records: SqliteRecords
    recorder: Recorder

    async def run(self) -> None:
        told = begun("01R", "clerk", "work", RunWords("Pay é.", "", (), ""))
        entry = self.recorder.run(told, as_payload(told, "key"), "ada", 1)
        opened = RunOpened("01R", "key", 1, "clerk", "work", supplier="agent", entry=0)
        await self.journal.commit([entry], [opened])

    async def call(self, ident: str, kind: CallKind, reply: UpstreamReply) -> None:
        arguments: JsonObject = {"z": 1, "a": {"y": 2.0, "b": "é"}}
        call = Call.of(ident, Target(kind, "there", "pay"), arguments)
        thought = Thought(SaidAndDid.MATCHED, "01A", "c1") if kind is CallKind.TOOL else None
        context = CallContext(
            *(call, "01R", "clerk", "ada", (MANDATE,), "edge", "", "token", NO_LABELS),
            thought=thought,
        )
        intent = self.recorder.intent(context, Allow(("work@1/allow/1",), "fine"), "allowed", 2)
        opened = CallOpened(
            *(ident, 2, "01R", "clerk", "work@1", "ada", kind.value, "there", "pay", ""),
            *(CallState.RUNNING, "allowed", "fine"),
        )
        await self.journal.commit([intent], [opened])
        outcome = self.recorder.outcome(context, CallState.DONE, "", 3, reply)
        await self.journal.commit([outcome], [CallMoved(ident, 3, CallState.DONE, entry=0)])

    async def lines(self, after: str = "", limit: int = 100) -> list[dict[str, Any]]:
        page = await RunRecord(self.records, self.recorder).page("01R", after, limit)
        return [json.loads(line) for line in page.lines]

    async def erased(self) -> Room:
        """The same, when ada's key is gone."""
        (key,) = await self.records.subject_keys()
        gone = SubjectKey(key.id, key.subject, b"", key.at_ms)
        vault = Vault(SECRET, [gone], self.journal)
        return Room(self.journal, self.records, Recorder(vault))


@pytest.fixture
async def room(tmp_path: Path) -> AsyncIterator[Room]:
    journal = SqliteJournal(tmp_path / "b.db", seal=TextSeal(SECRET))
    records = SqliteRecords(tmp_path / "b.db", seal=TextSeal(SECRET))
    vault = Vault(SECRET, [], journal)
    await vault.ensure("ada", 1)
    room = Room(journal, records, Recorder(vault))
    kept = keep(SAID)
    body = b'{"status":200,"body":{ "id" : "x", "n": 1.50 }}'
    await room.run()
    answer = UpstreamReply(
        result=body,
        said=kept.said,
        reasoning=kept.reasoning,
        facts={"http_status": 200, "reasoning": {"full": 1, "omitted": 1}},
    )
    await room.call("01A", CallKind.MODEL, answer)
    await room.call("01B", CallKind.TOOL, UpstreamReply(result=b'{"content": []}'))
    yield room
    await journal.close()
    await records.close()


async def test_every_commitment_is_shown_with_exactly_its_text(room: Room) -> None:
    run, model, tool = await room.lines()
    for line in (run, model, tool):
        for entry in line["entries"]:
            commitments = {
                name
                for name in ("arguments", "result", "said", "reasoning", "content", "instruction")
                if name in entry["leaf"]
            }
            assert set(entry["shown"]) == commitments
            for name, each in entry["shown"].items():
                salt = bytes.fromhex(each["salt"])
                open_commitment(entry["leaf"][name], salt, each["text"].encode())
    assert run["entries"][0]["shown"]["instruction"]["text"] == "Pay é."
    intent, outcome = model["entries"]
    assert list(intent["more"]["call"]["arguments"]) == ["z", "a"]
    assert outcome["shown"]["result"]["text"] == '{"status":200,"body":{ "id" : "x", "n": 1.50 }}'
    assert json.loads(outcome["shown"]["reasoning"]["text"])[0]["text"] == "Rent é is due."
    assert tool["entries"][0]["more"]["thought"] == {
        "match": "matched",
        "model_call": "01A",
        "tool_call": "c1",
    }


async def test_with_the_key_destroyed_entries_stay_and_their_texts_are_withheld(room: Room) -> None:
    before = await room.lines()
    after = await (await room.erased()).lines()
    for was, line in zip(before, after, strict=True):
        assert [e["leaf"] for e in line["entries"]] == [e["leaf"] for e in was["entries"]]
        for entry in line["entries"]:
            assert (entry["shown"], entry["more"], entry["withheld"]) == ({}, {}, "erased")
    assert "Rent" not in json.dumps(after)


async def test_a_story_of_what_was_erased_keeps_what_the_ledger_says(room: Room) -> None:
    gone = await room.erased()
    path = await Paths(gone.records, gone.recorder).one("01A")
    assert path is not None
    step = step_of(path)
    assert step.erased == ("asked", "answered")
    assert step.model is not None
    assert step.model.reasoning is None
    assert step.model.counts == {"full": 1, "omitted": 1}
    assert step.decision == "allow"


async def test_a_damaged_payload_is_said_to_be_damaged(room: Room) -> None:
    (damaged,) = await room.records.entries(1, 2)
    read = room.records.entries

    async def altered(start: int, stop: int) -> list[StoredEntry]:
        return [
            replace(each, sealed=each.sealed[:-1] + bytes([each.sealed[-1] ^ 1]))
            if each.leaf == damaged.leaf
            else each
            for each in await read(start, stop)
        ]

    room.records.entries = altered  # type: ignore[method-assign]  # one entry altered on disk
    _, model, _ = await room.lines()
    assert model["entries"][0]["withheld"] == "damaged"
    assert model["entries"][1]["shown"]


async def test_an_answer_too_long_to_keep_is_there_by_its_beginning(room: Room) -> None:
    long = json.dumps({"content": "x" * 300_000}).encode()
    await room.call("01C", CallKind.TOOL, UpstreamReply(result=long))
    (line,) = await room.lines(after="01B")
    outcome = line["entries"][1]
    assert outcome["shown"] == {}
    assert outcome["more"]["bytes"] == len(long)
    assert long.decode().startswith(outcome["more"]["head"])


async def test_pages_follow_each_other_and_end_where_much_was_opened(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = RunRecord(room.records, room.recorder)
    first = await record.page("01R", "", 1)
    assert [json.loads(line)["record"] for line in first.lines] == ["run", "call"]
    assert first.following == "01A"
    second = await record.page("01R", "01A", 1)
    assert [json.loads(line)["id"] for line in second.lines] == ["01B"]
    assert second.following == ""
    monkeypatch.setattr(run_record, "MAX_PAGE_BYTES", 1)
    assert (await record.page("01R", "", 100)).following == "01A"


async def test_what_is_no_run_or_no_call_of_it_is_refused(room: Room) -> None:
    record = RunRecord(room.records, room.recorder)
    for run, after, code in (("01X", "", "run_unknown"), ("01R", "01X", "call_unknown")):
        with pytest.raises(TheirError) as refused:
            await record.page(run, after, 10)
        assert refused.value.code == code
