"""What is shown of limits is what counts, and what is settled is settled once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bailiwick.app.limits import Limits
from bailiwick.core.errors import TheirError, UpstreamBroken
from bailiwick.core.limits.limit import SUM_SCALE, Limit, Measure, Window
from bailiwick.gateway.held import Waiting
from bailiwick.ledger.leaf import parse_leaf
from bailiwick.ports import CallQuery, CallState, LimitRow
from bailiwick.testing.clock import StoppedClock
from tests.gateway.house import READ, Dispatched, House, mandate
from tests.gateway.test_limits import balances, limit, read, under

DAY_MS = 24 * 3600 * 1000


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    house = House(tmp_path, Waiting(window_seconds=60, tick_seconds=5), StoppedClock())
    await house.open(mandate())
    yield house
    await house.close()


def desk(house: House) -> Limits:
    return Limits(
        journal=house.journal,
        records=house.records,
        recorder=house.recorder,
        authority=house.authority,
        clock=house.clock,
        events=house.events,
    )


async def shown(house: House, *limits: Limit) -> list[LimitRow]:
    return list((await desk(house).in_force("payments")).limits)


async def lose(house: House, arguments: dict[str, object] | None = None) -> str:
    """A call of which nothing comes back; its id."""

    async def broken() -> None:
        raise UpstreamBroken("server_broken", "it went away")

    answer = await house.ask(READ, arguments or {}, Dispatched(first=broken))  # type: ignore[arg-type]  # JSON in tests
    return answer.call


async def test_a_limit_that_nothing_is_used_of_is_shown_whole(house: House) -> None:
    await under(house, limit(Measure.SUM, 100, ceilings={"CHF": 100, "EUR": 50}))
    chf, eur = await shown(house)
    assert [(row.unit, row.used, row.left) for row in (chf, eur)] == [
        ("CHF", 0, 100),
        ("EUR", 0, 50),
    ]
    assert chf.account == ""


async def test_a_calendar_window_frees_when_it_ends_and_then_shows_the_next(house: House) -> None:
    await under(house, limit(Measure.SUM, 100, window=Window("day", "Europe/Zurich")))
    await read(house, {"amount": 40})
    (row,) = await shown(house)
    assert (row.posted, row.left) == (40 * SUM_SCALE, 60 * SUM_SCALE)
    assert row.frees_ms is not None
    assert 0 < row.frees_ms - house.clock.wall_ms() <= DAY_MS
    house.clock.wall = row.frees_ms
    (row,) = await shown(house)
    assert (row.used, row.frees_ms) == (0, None)


async def test_a_sliding_window_frees_when_its_oldest_leaves_it(house: House) -> None:
    await under(house, limit(Measure.COUNT, 5, window=Window("sliding", seconds=60)))
    first = house.clock.wall_ms()
    await read(house, {"n": 1})
    house.clock.advance(10)
    await lose(house, {"n": 2})
    (row,) = await shown(house)
    assert (row.posted, row.unknown, row.left) == (1, 1, 3)
    assert row.frees_ms == first + 60_000
    house.clock.advance(51)
    (row,) = await shown(house)
    assert (row.posted, row.unknown) == (0, 1)


async def test_what_runs_at_once_is_what_is_shown(house: House) -> None:
    await under(house, limit(Measure.CONCURRENT, 2))
    await read(house, {"n": 1})
    going, done = asyncio.Event(), asyncio.Event()

    async def busy() -> None:
        going.set()
        await done.wait()

    asking = asyncio.create_task(read(house, {"n": 2}, Dispatched(first=busy)))
    await going.wait()
    (row,) = await shown(house)
    assert (row.pending, row.posted, row.left) == (1, 0, 1)
    done.set()
    await asking
    (row,) = await shown(house)
    assert (row.used, row.left) == (0, 2)


@pytest.mark.parametrize("window", [Window("lifetime"), Window("sliding", seconds=60)])
async def test_distinct_values_count_once_each(house: House, window: Window) -> None:
    await under(house, limit(Measure.DISTINCT, 5, of=("payee",), window=window))
    for payee in ("bo", "bo", "cy"):
        await read(house, {"payee": payee})
    await lose(house, {"payee": "bo"})
    await lose(house, {"payee": "di"})
    (row,) = await shown(house)
    assert (row.pending, row.posted, row.unknown, row.left) == (0, 2, 1, 2)


async def test_each_key_and_each_run_is_shown_apart(house: House) -> None:
    await under(house, limit(Measure.SUM, 10, per=(("payee",),), window=Window("run")))
    await read(house, {"amount": 3, "payee": "Bo"})
    await read(house, {"amount": 4, "payee": "cy"})
    rows = await shown(house)
    assert {(row.key, row.posted) for row in rows} == {
        ("bo", 3 * SUM_SCALE),
        ("cy", 4 * SUM_SCALE),
    }
    (run,) = {row.run for row in rows}
    assert await house.records.run(run) is not None


async def test_a_limit_on_single_calls_is_shown_by_what_it_allows(house: House) -> None:
    await under(house, limit(Measure.SUM, 10, window=Window("call")))
    await read(house, {"amount": 3})
    (row,) = await shown(house)
    assert (row.account, row.used, row.ceiling) == ("", 0, 10 * SUM_SCALE)


async def test_a_mandate_that_is_not_there_has_no_limits(house: House) -> None:
    with pytest.raises(TheirError) as refused:
        await desk(house).in_force("nope")
    assert refused.value.code == "mandate_unknown"


# --- settling -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("happened", "left"), [(True, (0, 1, 0)), (False, (0, 0, 0))])
async def test_a_person_says_what_became_of_a_call(
    house: House, happened: bool, left: tuple[int, int, int]
) -> None:
    await under(house, limit(Measure.COUNT, 1))
    call = await lose(house)
    (unsettled,) = (await desk(house).in_force("")).unsettled
    assert unsettled.call == call
    row = await desk(house).settle("ada", call, happened, "the bank's statement")
    word = "settled_happened" if happened else "settled_did_not_happen"
    assert (row.state, row.code) == (CallState.UNKNOWN, word)
    assert "the bank's statement" in row.because
    assert await balances(house) == left
    assert (await desk(house).in_force("")).unsettled == []
    stored = await house.records.entries(0, await house.records.entry_count())
    leaf, sealed = stored[-1].leaf, stored[-1].sealed
    act = parse_leaf(leaf)
    assert (act.type, act.id) == ("settle", call)
    assert act.fields["how"] == ("posted" if happened else "voided")
    assert b"statement" not in leaf
    assert "ada" not in act.fields.values()
    opened = house.recorder.open(leaf, sealed)
    assert isinstance(opened, dict)
    content = opened["content"]
    assert isinstance(content, dict)
    assert (content["person"], content["reason"]) == ("ada", "the bank's statement")
    assert (await house.records.audit_limits()).differences == ()


async def test_a_call_is_settled_once_and_with_a_reason(house: House) -> None:
    await under(house, limit(Measure.COUNT, 3))
    call = await lose(house)
    done = await read(house, {"n": 1})
    for ident, reason, code in (
        (call, "  ", "reason_missing"),
        ("01KB0000000000000000000000", "x", "call_unknown"),
        (done.call, "x", "nothing_to_settle"),
    ):
        with pytest.raises(TheirError) as refused:
            await desk(house).settle("ada", ident, False, reason)
        assert refused.value.code == code
    ended = await asyncio.gather(
        desk(house).settle("ada", call, True, "x"),
        desk(house).settle("ben", call, False, "y"),
        return_exceptions=True,
    )
    assert sum(isinstance(each, TheirError) for each in ended) == 1
    assert await balances(house) == (0, 2, 0)


async def test_a_limit_settles_what_it_said_it_would_and_nothing_else(house: House) -> None:
    await under(
        house,
        limit(Measure.COUNT, 9, "kept"),
        limit(Measure.COUNT, 9, "spent", unknown_after_seconds=60),
        limit(Measure.COUNT, 9, "freed", unknown_after_seconds=120, unknown_as="voided"),
    )
    call = await lose(house)
    house.clock.advance(59)
    assert await desk(house).settle_due() == 0
    assert await balances(house) == (0, 0, 3)
    house.clock.advance(1)
    assert await desk(house).settle_due() == 1
    assert await balances(house) == (0, 1, 2)
    house.clock.advance(60)
    assert await desk(house).settle_due() == 1
    assert await balances(house) == (0, 1, 1)
    assert await desk(house).settle_due() == 0
    (unsettled,) = (await desk(house).in_force("")).unsettled
    assert unsettled.call == call
    (row,) = await house.records.calls(CallQuery(state=CallState.UNKNOWN))
    assert row.code == "outcome_unknown"  # nobody knows it, whatever its limits make of it
    assert (await house.records.audit_limits()).differences == ()
