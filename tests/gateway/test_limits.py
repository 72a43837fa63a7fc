"""Limits through the whole gate: reserved with the intent, settled with the outcome, hard."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from bailiwick.core.call import CallKind
from bailiwick.core.canonical import Json
from bailiwick.core.errors import StoreError, UpstreamBroken, UpstreamDown
from bailiwick.core.limits.limit import SUM_SCALE, Limit, Measure, Window
from bailiwick.core.mandate import Mandate, MandateState
from bailiwick.core.target_pattern import TargetPattern
from bailiwick.gateway.gate import Answer, Answered, Refused
from bailiwick.gateway.held import Waiting
from bailiwick.gateway.recorder import GATEWAY
from bailiwick.ledger.leaf import parse_leaf
from bailiwick.ports import (
    CallQuery,
    CallState,
    Change,
    Entry,
    HoldRow,
    HoldState,
    ObjectPut,
    SubjectKey,
    UpstreamReply,
)
from bailiwick.testing.clock import StoppedClock
from tests.gateway.house import BEN, PAY, READ, REPLY, Dispatched, House, mandate, snapshot

BANK = (
    TargetPattern(CallKind.TOOL, "bank", "pay"),
    TargetPattern(CallKind.TOOL, "bank", "read"),
)


def limit(measure: Measure, most: int, name: str = "limit", **more: object) -> Limit:
    scale = SUM_SCALE if measure is Measure.SUM else 1
    fields: dict[str, object] = {
        "window": Window("lifetime"),
        "ceilings": {"": most * scale},
        **more,
    }
    if measure in (Measure.SUM, Measure.DISTINCT):
        fields.setdefault("of", ("amount",))
    return Limit(f"payments@1/limit/{name}", name, BANK, (), measure, **fields)  # type: ignore[arg-type]  # a table of a limit's own fields


def limited(*limits: Limit) -> Mandate:
    return replace(mandate(), limits=limits)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    house = House(tmp_path, Waiting(window_seconds=60, tick_seconds=5), StoppedClock())
    await house.open(mandate())
    yield house
    await house.close()


async def under(house: House, *limits: Limit) -> None:
    """Put a mandate with these limits in force, stored as applying it would store it."""
    current = limited(*limits)
    put = ObjectPut("mandate", "payments", 1, "d", "{}", "active", 1, "ada")
    await house.journal.commit([], [put])
    house.authority.install(snapshot(current))


async def read(
    house: House, arguments: Mapping[str, Json] | None = None, dispatch: Dispatched | None = None
) -> Answer:
    return await house.ask(READ, arguments or {}, dispatch or Dispatched())


async def balances(house: House) -> tuple[int, int, int]:
    """Pending, posted and unknown steps, over all accounts."""
    db = house.store._db
    sql = "SELECT coalesce(sum(pending), 0), sum(posted), sum(unknown) FROM balances"
    pending, posted, unknown = db.execute(sql).fetchone()
    return pending, posted or 0, unknown or 0


def code_of(answer: Answer) -> str:
    return answer.code if isinstance(answer, Refused) else "answered"


# --- hard ---------------------------------------------------------------------------------------


async def test_of_64_calls_at_once_against_a_limit_of_10_exactly_10_run(house: House) -> None:
    await under(house, limit(Measure.COUNT, 10))
    dispatch = Dispatched()
    answers = await asyncio.gather(*(read(house, {"n": n}, dispatch) for n in range(64)))
    codes = [code_of(answer) for answer in answers]
    assert (codes.count("answered"), codes.count("limit_exceeded")) == (10, 54)
    assert dispatch.count == 10
    calls = await house.records.calls(CallQuery(limit=100))
    states = [call.state for call in calls]
    assert (states.count(CallState.DONE), states.count(CallState.DENIED)) == (10, 54)
    assert await balances(house) == (0, 10, 0)


async def test_of_many_at_once_only_as_many_run_as_may_at_a_time(house: House) -> None:
    await under(house, limit(Measure.CONCURRENT, 3))
    running, most = 0, 0
    full = asyncio.Event()

    async def work() -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        if running == 3:
            full.set()
        async with asyncio.timeout(10):
            await full.wait()
        running -= 1

    answers = await asyncio.gather(
        *(read(house, {"n": n}, Dispatched(first=work)) for n in range(20))
    )
    assert most == 3
    assert sum(isinstance(answer, Answered) for answer in answers) >= 3
    assert isinstance(await read(house), Answered)  # what has ended holds nobody up


async def test_a_call_that_is_refused_for_one_limit_takes_nothing_of_another(house: House) -> None:
    await under(
        house, limit(Measure.COUNT, 100, "many"), limit(Measure.SUM, 10, "little", of=("amount",))
    )
    assert isinstance(await read(house, {"amount": 9}), Answered)
    assert code_of(await read(house, {"amount": 2})) == "limit_exceeded"
    assert await balances(house) == (0, 1 + 9 * SUM_SCALE, 0)


async def test_four_payments_do_not_slip_under_a_sum(house: House) -> None:
    await under(house, limit(Measure.SUM, 10_000))
    codes = [code_of(await read(house, {"amount": 9_000, "n": n})) for n in range(4)]
    assert codes == ["answered", *["limit_exceeded"] * 3]


async def test_a_denial_says_what_is_left_and_is_on_record(house: House) -> None:
    await under(house, limit(Measure.SUM, 10))
    await read(house, {"amount": 4})
    refused = await read(house, {"amount": 7})
    assert isinstance(refused, Refused)
    call = await house.records.call(refused.call)
    assert call is not None
    assert (call.state, call.code) == (CallState.DENIED, "limit_exceeded")
    assert " 6 " in f"{refused.text} "


async def test_a_reservation_that_cannot_be_recorded_lets_nothing_run(house: House) -> None:
    await under(house, limit(Measure.COUNT, 10))
    await read(house)
    house.journal.error, house.journal.fail_after = StoreError("store_unavailable", "full"), 0
    dispatch = Dispatched()
    assert code_of(await read(house, {"n": 1}, dispatch)) == "ledger_unavailable"
    assert (dispatch.count, await balances(house)) == (0, (0, 1, 0))


# --- how it ends --------------------------------------------------------------------------------


async def test_a_tool_that_reports_an_error_has_taken_what_it_reserved(house: House) -> None:
    await under(house, limit(Measure.COUNT, 10))
    reply = UpstreamReply(result=b'{"isError":true,"content":[]}')
    await read(house, {}, Dispatched(reply))
    await read(house, {"n": 1}, Dispatched(UpstreamReply(error=b'{"code":-32000}')))
    assert await balances(house) == (0, 2, 0)


async def test_a_limit_may_say_that_an_error_takes_nothing(house: House) -> None:
    await under(
        house,
        limit(Measure.COUNT, 10, "counted"),
        limit(Measure.SUM, 10, "freed", failed_frees=True),
        limit(Measure.DISTINCT, 10, "payees", failed_frees=True),
    )
    reply = UpstreamReply(result=b'{"isError":true,"content":[]}')
    await read(house, {"amount": 5}, Dispatched(reply))
    assert await balances(house) == (0, 1, 0)
    await read(house, {"amount": 5})
    assert await balances(house) == (0, 2 + 5 * SUM_SCALE + 1, 0)


@pytest.mark.parametrize(
    "result",
    [
        b'{"structuredContent":{"memo":{"isError":true}},"content":[],"isError":false}',
        b'{"content":[{"type":"text","text":"paid","_meta":{"isError":true}}]}',
        b'{"content":[],"isError":"true"}',
        b'{"content":' + b"[" * 100_000 + b'"isError":true',
    ],
    ids=["memo", "meta", "text", "deep"],
)
async def test_no_error_that_a_tool_merely_repeats_gives_room_back(
    house: House, result: bytes
) -> None:
    await under(house, limit(Measure.SUM, 10, "freed", failed_frees=True))
    dispatch = Dispatched(UpstreamReply(result=result))
    codes = [code_of(await read(house, {"amount": 9, "n": n}, dispatch)) for n in range(3)]
    assert codes == ["answered", "limit_exceeded", "limit_exceeded"]
    assert await balances(house) == (0, 9 * SUM_SCALE, 0)


async def test_what_was_never_sent_takes_nothing(house: House) -> None:
    await under(house, limit(Measure.COUNT, 10))

    async def down() -> None:
        raise UpstreamDown("server_down", "it is not running")

    assert code_of(await read(house, {}, Dispatched(first=down))) == "upstream_down"
    assert await balances(house) == (0, 0, 0)


async def test_what_came_to_nothing_known_counts_on(house: House) -> None:
    await under(house, limit(Measure.COUNT, 1))

    async def broken() -> None:
        raise UpstreamBroken("server_broken", "it went away")

    assert code_of(await read(house, {}, Dispatched(first=broken))) == "outcome_unknown"
    assert await balances(house) == (0, 0, 1)
    assert code_of(await read(house, {"n": 1})) == "limit_exceeded"


async def test_a_client_that_goes_away_after_sending_frees_nothing(house: House) -> None:
    await under(house, limit(Measure.CONCURRENT, 1))
    sent, never = asyncio.Event(), asyncio.Event()

    async def hang() -> None:
        sent.set()
        await never.wait()

    asking = asyncio.create_task(read(house, {}, Dispatched(first=hang)))
    await sent.wait()
    assert await balances(house) == (1, 0, 0)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    assert await balances(house) == (0, 0, 1)
    assert code_of(await read(house, {"n": 1})) == "limit_exceeded"


async def test_a_client_that_goes_away_before_sending_frees_all(house: House) -> None:
    await under(house, limit(Measure.COUNT, 2))
    await read(house)
    dispatch = Dispatched()
    asking = asyncio.create_task(read(house, {"n": 0}, dispatch))
    for _ in range(50):  # up to where its intent is being written
        if house.store._pending or house.store._busy:
            break
        await asyncio.sleep(0)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    assert (dispatch.count, await balances(house)) == (0, (0, 1, 0))
    (call,) = await house.records.calls(CallQuery(state=CallState.CANCELLED))
    assert [each.target for each in await house.records.transfers(call.id)] == ["pending", "free"]
    assert isinstance(await read(house, {"n": 1}), Answered)


async def test_a_call_whose_mandate_was_revoked_at_the_last_moment_takes_nothing(
    house: House,
) -> None:
    await under(house, limit(Measure.COUNT, 1))
    commit = house.journal.journal.commit

    async def revoke_meanwhile(entries, changes=()):  # type: ignore[no-untyped-def]
        written = await commit(entries, changes)
        house.authority.set_state("payments", MandateState.REVOKED)
        return written

    house.journal.journal.commit = revoke_meanwhile  # type: ignore[method-assign,assignment]
    dispatch = Dispatched()
    assert code_of(await read(house, {}, dispatch)) == "mandate_revoked"
    assert (dispatch.count, await balances(house)) == (0, (0, 0, 0))


async def test_an_answer_that_cannot_be_recorded_stays_reserved(house: House) -> None:
    await under(house, limit(Measure.COUNT, 2))
    await read(house)
    house.journal.error, house.journal.fail_after = StoreError("store_unavailable", "full"), 1
    assert code_of(await read(house, {"n": 1})) == "outcome_not_recorded"
    house.journal.error = None
    assert await balances(house) == (1, 1, 0)
    assert code_of(await read(house, {"n": 2})) == "limit_exceeded"


# --- what was really spent ----------------------------------------------------------------------


def spent(text: str) -> Dispatched:
    return Dispatched(UpstreamReply(result=b'{"structuredContent":{"spent":%s}}' % text.encode()))


async def test_what_the_result_says_was_spent_is_what_counts(house: House) -> None:
    await under(house, limit(Measure.SUM, 100, actual=("spent",)))
    await read(house, {"amount": 90}, spent("12.34"))
    assert await balances(house) == (0, 12_340_000, 0)
    assert isinstance(await read(house, {"amount": 87}, spent('"80"')), Answered)
    assert await balances(house) == (0, 92_340_000, 0)


@pytest.mark.parametrize("said", ['"much"', "null", "-5", '{"x":1}', "1e999", "true"])
async def test_what_cannot_be_read_leaves_the_estimate(house: House, said: str) -> None:
    await under(house, limit(Measure.SUM, 100, actual=("spent",)))
    assert isinstance(await read(house, {"amount": 90}, spent(said)), Answered)
    assert await balances(house) == (0, 90 * SUM_SCALE, 0)


async def test_more_than_was_reserved_is_posted_and_stops_the_mandate(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    await under(house, limit(Measure.SUM, 100, actual=("spent",)))
    told: list[object] = []

    async def watch() -> None:
        async for event in house.events.subscribe():
            if event["event"] == "mandate":
                told.append((event["id"], event["state"]))
                return

    watching = asyncio.create_task(watch())
    await asyncio.sleep(0)
    answer = await read(house, {"amount": 10}, spent("250"))
    assert isinstance(answer, Answered)  # it happened: hiding it would not undo it
    assert await balances(house) == (0, 250 * SUM_SCALE, 0)
    assert code_of(await read(house, {"amount": 0})) == "mandate_not_active"
    await asyncio.wait_for(watching, 5)
    assert told == [("payments", "suspended")]
    (row,) = await house.records.objects("mandate")
    assert row.state == "suspended"
    stored = await house.records.entries(0, await house.records.entry_count())
    (act,) = [leaf for each in stored if (leaf := parse_leaf(each.leaf)).type == "suspend"]
    assert act.fields["call"] == answer.call
    assert act.fields["by"] == "gateway"
    assert caplog.messages == [
        f"the mandate `payments` is suspended: call {answer.call} took more than it had reserved; "
        "look at it, then `bailiwick resume payments`"
    ]


async def test_a_revoked_mandate_is_not_brought_back_by_being_stopped(house: House) -> None:
    await under(house, limit(Measure.SUM, 100, actual=("spent",)))

    async def revoke() -> None:
        house.authority.set_state("payments", MandateState.REVOKED)

    dispatch = replace(spent("250"), first=revoke)
    assert isinstance(await read(house, {"amount": 10}, dispatch), Answered)
    assert house.authority.chain("payments")[-1].state is MandateState.REVOKED
    assert await balances(house) == (0, 250 * SUM_SCALE, 0)


# --- held calls ---------------------------------------------------------------------------------


async def waiting_hold(house: House) -> HoldRow:
    async with asyncio.timeout(10):
        await house.ticked.wait()
    house.ticked.clear()
    (hold,) = await house.records.holds(HoldState.WAITING)
    return hold


async def test_a_held_call_reserves_when_its_stamp_is_used(house: House) -> None:
    await under(house, limit(Measure.COUNT, 1))
    dispatch = Dispatched()
    asking = asyncio.create_task(house.ask(PAY, {}, dispatch))
    hold = await waiting_hold(house)
    assert await balances(house) == (0, 0, 0)
    await house.holds.stamp(BEN, hold.id, True, "")
    assert isinstance(await asking, Answered)
    assert (dispatch.count, await balances(house)) == (1, (0, 1, 0))


async def test_an_approval_is_not_used_up_while_there_is_no_room(house: House) -> None:
    await under(house, limit(Measure.CONCURRENT, 1))
    dispatch, going, done = Dispatched(), asyncio.Event(), asyncio.Event()
    asking = asyncio.create_task(house.ask(PAY, {}, dispatch))
    hold = await waiting_hold(house)

    async def busy() -> None:
        going.set()
        await done.wait()

    other = asyncio.create_task(read(house, {}, Dispatched(first=busy)))
    await going.wait()
    await house.holds.stamp(BEN, hold.id, True, "")
    assert code_of(await asking) == "limit_exceeded"
    done.set()
    assert isinstance(await other, Answered)
    again = await house.ask(PAY, {}, dispatch)
    assert isinstance(again, Answered)
    assert (again.call, again.reply, dispatch.count) == (hold.call, REPLY, 1)
    used = await house.records.hold(hold.id)
    assert used is not None
    assert used.state is HoldState.USED


# --- for auditors -------------------------------------------------------------------------------


async def test_the_sealed_intent_says_what_it_reserves_and_the_leaf_does_not(house: House) -> None:
    await under(
        house,
        limit(Measure.SUM, 100, "money", actual=("spent",), per=(("payee",),)),
        limit(Measure.DISTINCT, 3, "payees", of=("payee",)),
    )
    answer = await read(house, {"amount": 10, "payee": "bo"}, spent("7"))
    assert isinstance(answer, Answered)
    call = await house.records.call(answer.call)
    assert call is not None
    assert call.outcome_index is not None
    (intent,) = await house.records.entries(call.intent_index, call.intent_index + 1)
    (outcome,) = await house.records.entries(call.outcome_index, call.outcome_index + 1)
    for stored in (intent, outcome):
        assert b"bo" not in stored.leaf
        assert b"10000000" not in stored.leaf
        assert b"7000000" not in stored.leaf
    opened = house.recorder.open(intent.leaf, intent.sealed)
    assert isinstance(opened, dict)
    money, payees = opened["reserved"]
    assert money["rule"] == "payments@1/limit/money"
    assert (money["amount"], money["ceiling"], money["key"]) == (10_000_000, 100_000_000, '["bo"]')
    assert (payees["amount"], payees["member"]) == (1, '"bo"')
    whole = ["rule", "account", "amount", "ceiling"]
    assert list(money) == [*whole, "scale", "key"], "and nothing that is as usual"
    assert list(payees) == [*whole, "member"]
    ended = house.recorder.open(outcome.leaf, outcome.sealed)
    assert isinstance(ended, dict)
    assert ended["settled"] == [
        {"how": "posted", "actual": [[money["account"], '["bo"]', 7_000_000]]}
    ]


async def test_a_call_without_limits_writes_nothing_about_them(house: House) -> None:
    await read(house)
    db = house.store._db
    assert db.execute("SELECT count(*) FROM transfers").fetchone() == (0,)
    (call,) = await house.records.calls(CallQuery())
    (intent,) = await house.records.entries(call.intent_index, call.intent_index + 1)
    opened = house.recorder.open(intent.leaf, intent.sealed)
    assert isinstance(opened, dict)
    assert "reserved" not in opened


async def test_who_hangs_up_while_a_mandate_is_stopped_keeps_nothing_from_the_record(
    house: House,
) -> None:
    await under(house, limit(Measure.SUM, 10, of=("amount",), actual=("spent",)))
    waits, go_on = asyncio.Event(), asyncio.Event()
    commit = house.store.commit

    async def slow(entries: Sequence[Entry], changes: Sequence[Change] = ()) -> range:
        if any(isinstance(each, SubjectKey) and each.subject == GATEWAY for each in changes):
            waits.set()  # the gateway has no key yet to seal what it does by itself
            await go_on.wait()
        return await commit(entries, changes)

    house.store.commit = slow  # type: ignore[method-assign,assignment]
    over = UpstreamReply(result=b'{"structuredContent":{"spent":99}}')
    call = asyncio.ensure_future(read(house, {"amount": 1}, Dispatched(over)))
    await waits.wait()
    call.cancel()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await call
    await asyncio.gather(*asyncio.all_tasks() - {asyncio.current_task()})
    (row,) = await house.records.calls(CallQuery())
    assert row.state is CallState.DONE
    assert await balances(house) == (0, 99 * SUM_SCALE, 0)
    (stopped,) = await house.records.objects("mandate")
    assert stopped.state == MandateState.SUSPENDED.value
