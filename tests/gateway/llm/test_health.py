"""Which model of an alias is drawn, and when one rests."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from bailiwick.gateway.llm.aliases import Breaker, Candidate, draw
from bailiwick.gateway.llm.failures import (
    BROKEN,
    BUSY,
    COUNTED,
    DEFAULT_FAIL_OVER,
    DENIED,
    FAILURES,
    NOTHING_DONE,
    OVERLOADED,
    RATE_LIMITED,
    SERVER_ERROR,
    TIMEOUT,
    failure_in,
)
from bailiwick.gateway.llm.health import MAX_REST_SECONDS, Health

ONE, TWO, THREE = (Candidate(name, "m", weight) for name, weight in (("a", 3), ("b", 1), ("c", 1)))
BREAKER = Breaker(failures=2, seconds=30.0)


def key(number: int) -> bytes:
    return number.to_bytes(8)


def test_weights_say_how_often_each_is_drawn() -> None:
    drawn = Counter(draw((ONE, TWO), lambda n=n: key(n)).name for n in range(4_000))  # type: ignore[misc]
    assert 2_850 < drawn["a/m"] < 3_150


@given(st.binary(max_size=64))
def test_the_same_key_draws_the_same_model_in_any_order(told: bytes) -> None:
    assert draw((ONE, TWO, THREE), lambda: told) == draw((THREE, ONE, TWO), lambda: told)


@given(st.binary(max_size=64))
def test_that_one_is_missing_changes_only_what_fell_on_it(told: bytes) -> None:
    whole = draw((ONE, TWO, THREE), lambda: told)
    without = draw((ONE, TWO), lambda: told)
    assert whole in (without, THREE)


def test_where_there_is_no_choice_nothing_is_asked_for_a_key() -> None:
    def never() -> bytes:
        raise AssertionError

    assert draw((TWO,), never) is TWO


def failed(health: Health, failure: str, now: float, rest: float = 0.0) -> None:
    health.begin(ONE.name)
    health.end(ONE.name, failure, now, 0, rest)


def test_a_model_rests_after_failures_in_a_row_and_is_then_tried_by_one_call() -> None:
    health = Health()
    failed(health, OVERLOADED, 0.0)
    assert health.well(ONE, BREAKER, 1.0)
    failed(health, TIMEOUT, 1.0)
    assert not health.well(ONE, BREAKER, 30.9)
    assert health.ready_in(ONE, BREAKER, 11.0) == 20.0
    assert health.well(ONE, BREAKER, 31.0)
    health.begin(ONE.name)
    assert not health.well(ONE, BREAKER, 31.0)  # one is under way
    health.end(ONE.name, "", 32.0, 0, 0.0)
    assert health.well(ONE, BREAKER, 32.0)
    failed(health, BROKEN, 33.0)
    assert health.well(ONE, BREAKER, 33.0)  # it begins anew


def test_a_model_that_flaps_rests_again_after_each_try_that_fails() -> None:
    health = Health()
    for moment in (0.0, 0.0, 30.0, 60.0):
        assert health.well(ONE, BREAKER, moment)
        failed(health, BROKEN, moment)
    assert not health.well(ONE, BREAKER, 89.0)
    assert health.well(ONE, BREAKER, 90.0)


def test_a_try_that_came_to_nothing_lets_the_next_one_try() -> None:
    health = Health()
    for _ in range(2):
        failed(health, BROKEN, 0.0)
    health.begin(ONE.name)
    health.end(ONE.name, None, 30.0, 0, 0.0)  # held, refused or gone: it was not asked
    assert health.well(ONE, BREAKER, 30.0)


def test_a_server_may_ask_for_a_rest_within_bounds() -> None:
    health = Health()
    failed(health, RATE_LIMITED, 0.0, rest=10.0)
    assert not health.well(ONE, BREAKER, 9.0)
    assert health.well(ONE, BREAKER, 10.0)
    failed(health, RATE_LIMITED, 10.0, rest=1e9)
    assert health.well(ONE, Breaker(9, 1.0), 10.0 + MAX_REST_SECONDS)


def test_what_one_odd_request_can_cause_rests_nobody() -> None:
    health = Health()
    for _ in range(9):
        failed(health, SERVER_ERROR, 0.0)
        failed(health, BUSY, 0.0)
        failed(health, DENIED, 0.0)
    assert health.well(ONE, BREAKER, 0.0)
    assert health.standings[ONE.name].failed == 27


def test_only_what_aliases_stand_for_is_remembered() -> None:
    health = Health()
    failed(health, BROKEN, 0.0)
    health.keep(frozenset())
    assert not health.standings


def test_every_failure_has_its_words_and_its_place() -> None:
    assert set(FAILURES) >= COUNTED | NOTHING_DONE | DEFAULT_FAIL_OVER
    assert [failure_in(status) for status in (200, 400, 429, 500, 502, 503, 529)] == [
        *("", "", RATE_LIMITED, SERVER_ERROR, SERVER_ERROR, OVERLOADED, OVERLOADED)
    ]
