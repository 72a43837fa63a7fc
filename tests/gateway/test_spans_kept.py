"""Spans of agents, kept: bounds of a run, erasure, and a store that fails."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

import bailiwick.gateway.telemetry.keeping as keeping_module
from bailiwick.app.run_record import RunRecord
from bailiwick.app.spans import Spans
from bailiwick.core.errors import StoreError
from bailiwick.gateway.gate import Asked
from bailiwick.gateway.held import Waiting
from bailiwick.gateway.ids import Ulids
from bailiwick.gateway.telemetry.attaching import MAX_NAMES, MAX_TRACES, Attaching, Traces
from bailiwick.gateway.telemetry.keeping import MAX_MINUTE_SPANS, Flood, Keeping
from bailiwick.ledger.commitment import commit
from bailiwick.ledger.leaf import parse_leaf
from bailiwick.ports import RunRow
from bailiwick.protocols.otlp.claims import ClaimedSpan, Claims
from bailiwick.testing.clock import StoppedClock
from tests.gateway.house import CLERK, READ, Dispatched, House, mandate


@dataclass
class Kept:
    """A house that keeps spans, with one run."""

    house: House
    traces: Traces
    attaching: Attaching
    keeping: Keeping
    run: str

    async def send(self, *spans: ClaimedSpan) -> Claims:
        claims = Claims([{"service.name": "agent"}], list(spans))
        runs = await self.attaching.attach(CLERK, "", "", claims)
        await self.keeping.keep(CLERK, runs, claims)
        return claims


@pytest.fixture
async def kept(tmp_path: Path) -> AsyncIterator[Kept]:
    house = House(tmp_path, Waiting(), StoppedClock())
    await house.open(mandate())
    traces = Traces(house.records)
    asked = Asked(CLERK, READ, {}, f"token:{CLERK.token}", "mcp")
    await house.gate.govern(asked, Dispatched(), house.on_tick)
    (run,) = await house.records.runs()
    keeping = Keeping(
        journal=house.journal,
        records=house.records,
        recorder=house.recorder,
        vault=house.recorder._vault,
        clock=house.clock,
        new_id=Ulids(house.clock),
    )
    yield Kept(house, traces, Attaching(house.records, traces), keeping, run.id)
    await house.close()


def span(trace: str = "a" * 32, **attributes: str) -> ClaimedSpan:
    return ClaimedSpan(trace, "b" * 16, "x", "1", "2", attributes=dict(attributes))


async def test_the_leaf_commits_to_exactly_what_is_sealed(kept: Kept) -> None:
    await kept.send(span(why="because"))
    (row,) = await kept.house.records.spans(kept.run)
    (entry,) = await kept.house.records.entries(row.entry_index, row.entry_index + 1)
    leaf = parse_leaf(entry.leaf)
    opened = kept.keeping._vault.open(entry.leaf, entry.sealed)
    sealed = json.loads(opened)
    text = opened[opened.index(b'"spans":') + 8 : -1]
    assert leaf.fields["spans"] == commit(bytes.fromhex(sealed["salt"]), text)
    assert json.loads(text)["spans"][0]["attributes"] == {"why": "because"}
    assert b"because" not in entry.leaf + entry.sealed


async def test_a_run_has_room_for_so_many_spans_and_no_more(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping_module, "MAX_RUN_SPANS", 3)
    assert (await kept.send(span(), span())).rejected == {}
    claims = await kept.send(span(), span())
    assert claims.rejected == {f"run `{kept.run}` has no room for more spans": 2}
    assert (await kept.send(span())).rejected == {}
    assert (await kept.house.records.spans_kept(kept.run))[0] == 3
    # A restarted gateway knows from the record.
    kept.keeping._kept.clear()
    assert len((await kept.send(span())).rejected) == 1


async def test_a_run_has_room_for_so_many_bytes_and_no_more(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping_module, "MAX_RUN_BYTES", 2_000)
    assert (await kept.send(span(long="x" * 1_000))).rejected == {}
    assert len((await kept.send(span(long="x" * 1_000))).rejected) == 1


async def test_what_could_not_be_written_is_not_counted(kept: Kept) -> None:
    kept.house.journal.fail_after = 0
    kept.house.journal.error = StoreError("store_unavailable", "the disk is full")
    with pytest.raises(StoreError):
        await kept.send(span())
    kept.house.journal.fail_after = None
    await kept.send(span())
    assert (await kept.house.records.spans_kept(kept.run))[0] == 1


async def test_spans_are_read_page_by_page(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bailiwick.app.spans.MAX_PAGE_BATCHES", 2)
    for number in range(3):
        kept.house.clock.advance(1)
        await kept.send(span(n=str(number)))
    reader = Spans(kept.house.records, kept.house.recorder)
    first = await reader.of_run(kept.run)
    assert first is not None
    assert len(first.batches) == 2
    rest = await reader.of_run(kept.run, first.following)
    assert rest is not None
    assert (len(rest.batches), rest.following) == (1, "")
    told = [batch.spans[0] for batch in (*first.batches, *rest.batches)]
    assert [each["attributes"] for each in told] == [{"n": "0"}, {"n": "1"}, {"n": "2"}]
    assert told[0]["resource"] == {"service.name": "agent"}
    assert await reader.of_run("none") is None


async def test_a_page_ends_where_it_gets_large(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bailiwick.app.spans.MAX_PAGE_BYTES", 10)
    for _ in range(2):
        kept.house.clock.advance(1)
        await kept.send(span())
    page = await Spans(kept.house.records, kept.house.recorder).of_run(kept.run)
    assert page is not None
    assert len(page.batches) == 1
    assert page.following == page.batches[0].id


async def test_an_agent_cannot_push_out_what_is_known_of_another(kept: Kept) -> None:
    robot = replace(CLERK, agent="robot", mandate="other")
    kept.traces.learn("robot", "other", "c" * 32, "robots")
    for number in range(MAX_TRACES + 10):
        kept.traces.learn("clerk", "payments", f"{number:032x}", "clerks")
    assert await kept.traces.run_of(robot, "c" * 32) == "robots"
    assert await kept.traces.run_of(CLERK, f"{0:032x}") == ""
    assert await kept.traces.run_of(CLERK, f"{MAX_TRACES:032x}") == "clerks"


async def test_no_later_word_moves_a_trace_to_another_run(kept: Kept) -> None:
    kept.traces.learn("clerk", "payments", "c" * 32, "first")
    kept.traces.learn("clerk", "payments", "c" * 32, "second")
    assert await kept.traces.run_of(CLERK, "c" * 32) == "first"


async def test_only_so_many_names_are_looked_up(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    by_key = kept.house.records.run_by_key

    async def counting(agent: str, mandate: str, key: str) -> RunRow | None:
        asked.append(key)
        return await by_key(agent, mandate, key)

    monkeypatch.setattr(kept.house.records, "run_by_key", counting)
    named = [span(f"{number + 1:032x}", **{"session.id": f"s-{number}"}) for number in range(99)]
    claims = await kept.send(*named)
    assert len(asked) == MAX_NAMES
    assert claims.rejected == {}  # there is still the run of the token


def test_an_agent_may_send_so_many_spans_in_a_minute() -> None:
    clock = StoppedClock()
    flood = Flood(clock)
    other = replace(CLERK, mandate="other")
    assert flood.takes(CLERK, MAX_MINUTE_SPANS)
    assert not flood.takes(CLERK, 1)
    assert flood.takes(replace(CLERK, token="t2", run="r2"), 0)
    assert not flood.takes(replace(CLERK, token="t2", run="r2"), 1)
    assert flood.takes(other, 1)
    assert 1 <= flood.seconds_left() <= 60
    clock.advance(60)
    assert flood.takes(CLERK, 1)


async def test_the_record_of_a_run_ends_with_what_its_agent_told(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = RunRecord(kept.house.records, kept.house.recorder)
    assert (await record.page(kept.run, "", 10)).following == ""
    for number in range(3):
        kept.house.clock.advance(1)
        await kept.send(span(n=str(number)))
    monkeypatch.setattr("bailiwick.app.run_record._BATCHES", 2)
    calls = await record.page(kept.run, "", 10)
    first = await record.page(kept.run, calls.following, 10)
    rest = await record.page(kept.run, first.following, 10)
    assert (len(first.lines), len(rest.lines), rest.following) == (2, 1, "")
    for line in (*first.lines, *rest.lines):
        told = json.loads(line)
        assert (told["record"], told["claimed_by"], told["run"]) == ("spans", "agent", kept.run)
        (entry,) = told["entries"]
        shown = entry["shown"]["spans"]
        salt, text = bytes.fromhex(shown["salt"]), shown["text"].encode()
        assert commit(salt, text) == entry["leaf"]["spans"]
        assert len(json.loads(text)["spans"]) == told["spans"] == 1
