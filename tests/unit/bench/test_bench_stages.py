"""Taking a call apart: the stages exist, and their sums are right."""

import asyncio

import pytest

from bench.breakdown import Breakdown, stage_table
from bench.stages import STAGES, Spent, Stage, per_call_us, place, timed


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_every_stage_is_a_function_of_the_gateway(stage: Stage) -> None:
    holder, name = place(stage.where)
    assert callable(getattr(holder, name))


def test_a_stage_that_is_gone_is_an_error() -> None:
    with pytest.raises(AttributeError):
        place("bailiwick.core.judge:no_such_function")


def test_a_timed_function_answers_and_fails_as_before_and_is_counted() -> None:
    spent = Spent()
    double = timed(lambda value: value * 2, spent)
    assert double(21) == 42
    fail = timed(lambda: 1 // 0, spent)
    with pytest.raises(ZeroDivisionError):
        fail()
    assert spent.calls == 2
    assert spent.seconds > 0


async def test_a_timed_coroutine_counts_once_it_is_done() -> None:
    spent = Spent()

    async def answer() -> int:
        return 42

    waiting = timed(answer, spent)()
    assert spent.calls == 0
    assert await waiting == 42
    assert spent.calls == 1


async def test_what_gives_a_future_is_timed_until_that_is_done() -> None:
    spent = Spent()
    asked = asyncio.get_running_loop().create_future()
    waiting = asyncio.ensure_future(timed(lambda: asked, spent, waits=True)())
    await asyncio.sleep(0)
    assert spent.calls == 0
    asked.set_result(42)
    assert await waiting == 42
    assert spent.calls == 1


def test_stages_are_shared_out_over_governed_calls_not_over_their_own() -> None:
    whole, commit = STAGES[0].name, "commit, waited for (twice)"
    found = per_call_us(
        {whole: {"calls": 100, "seconds": 1.0}, commit: {"calls": 200, "seconds": 0.5}}
    )
    assert found == {whole: 10_000.0, commit: 5_000.0}


def test_without_a_governed_call_there_is_nothing_to_share_out() -> None:
    assert per_call_us({STAGES[0].name: {"calls": 0, "seconds": 0.0}}) == {}


def test_the_table_of_stages_shows_each_and_what_the_caller_saw() -> None:
    whole = STAGES[0].name
    text = stage_table([Breakdown(True, 1, {whole: 1234.0}, 2345.0, 345.0)])
    assert all(stage.name in text for stage in STAGES)
    assert "1,234" in text
    assert "2,345" in text
    assert "c=1, fsync on" in text
