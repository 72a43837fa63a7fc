"""The benchmark's table, comparison and aims."""

import json
import math
from pathlib import Path

import pytest

from bench.goals import goals
from bench.measure import Measured, Row
from bench.report import comparison, goal_lines, save, table
from bench.soak import Soak
from bench.targets import BAILIWICK, COMPILED, COMPILED_NO_FSYNC, LIMITED, LIMITED_COMPILED


def _row(target: str, connections: int, rate: float, added: float = 0.2) -> Row:
    return Row(target, connections, rate, 0.5, 1.0, added, 3.0, 0.1, 1000, 0)


def _measured(target: str, *rows: Row, start: float | None = 1.0) -> Measured:
    return Measured(target, "about it", rows=list(rows), first_call_seconds=start)


def _document(*measured: Measured) -> dict[str, object]:
    return {"machine": {"cores": 2}, "targets": [result.to_json() for result in measured]}


def _soak(calls: int, last: float) -> Soak:
    samples = ((0, 50.0), (calls // 2, 60.0), (calls * 3 // 4, 60.0), (calls, last))
    return Soak(BAILIWICK, samples, 0, "", 1.0)


def test_the_table_has_a_row_for_each_measurement_and_a_reason_for_each_absence() -> None:
    text = table(
        [_measured("direct", _row("direct", 8, 50_000)), Measured("x", "", skipped="gone")]
    )
    assert "c = 8" in text
    assert "50,000" in text
    assert "not measured: gone" in text


def test_a_comparison_shows_the_change_of_the_rows_that_both_runs_have() -> None:
    old = _document(_measured("a", _row("a", 8, 1000)), _measured("b", _row("b", 8, 1000)))
    new = _document(_measured("a", _row("a", 8, 1250), _row("a", 64, 1)))
    text = comparison(old, new)
    assert "+25%" in text
    assert len(text.splitlines()) == 2


def test_a_comparison_survives_the_way_through_a_file(tmp_path: Path) -> None:
    document = _document(_measured("a", _row("a", 8, 1000)))
    save(tmp_path / "deep" / "r.json", document)
    text = comparison(json.loads((tmp_path / "deep" / "r.json").read_text()), document)
    assert "+0%" in text


def test_a_comparison_between_machines_says_so() -> None:
    old = _document(_measured("a", _row("a", 8, 1000)))
    assert "not the same machine" not in comparison(old, dict(old))
    assert "not the same machine" in comparison(old, {**old, "machine": {"cores": 64}})


def test_a_figure_that_does_not_exist_is_null_in_the_file_and_left_out_of_comparisons(
    tmp_path: Path,
) -> None:
    broken = _document(_measured("a", _row("a", 8, math.nan)))
    save(tmp_path / "r.json", broken)
    stored = json.loads((tmp_path / "r.json").read_text())
    assert stored["targets"][0]["rows"][0]["requests_per_second"] is None
    assert len(comparison(stored, stored).splitlines()) == 1


@pytest.mark.parametrize(("rate", "met"), [(4_999, False), (5_000, True)])
def test_the_aim_for_durable_throughput_is_five_thousand(rate: float, met: bool) -> None:
    found = goals({COMPILED: _measured(COMPILED, _row(COMPILED, 64, rate))}, None)
    assert found[0].met is met


@pytest.mark.parametrize(("rate", "met"), [(9_999, False), (10_000, True)])
def test_the_aim_without_fsync_is_ten_thousand(rate: float, met: bool) -> None:
    row = _row(COMPILED_NO_FSYNC, 64, rate)
    found = goals({COMPILED_NO_FSYNC: _measured(COMPILED_NO_FSYNC, row)}, None)
    assert found[1].met is met


@pytest.mark.parametrize(("added", "met"), [(0.5, True), (0.51, False)])
def test_the_aim_for_one_caller_is_half_a_millisecond(added: float, met: bool) -> None:
    row = _row(COMPILED_NO_FSYNC, 1, 1, added)
    found = goals({COMPILED_NO_FSYNC: _measured(COMPILED_NO_FSYNC, row)}, None)
    assert found[2].met is met


@pytest.mark.parametrize(("start", "met"), [(1.5, True), (1.6, False)])
def test_the_aim_for_the_first_call_is_a_second_and_a_half(start: float, met: bool) -> None:
    assert goals({COMPILED: _measured(COMPILED, start=start)}, None)[3].met is met


@pytest.mark.parametrize(
    ("calls", "last", "met"),
    [
        (1_000_000, 61.0, True),
        (1_000_000, 119.0, False),
        (20_000, 61.0, None),
    ],
)
def test_the_aim_for_memory_needs_a_million_calls_and_a_flat_line(
    calls: int, last: float, met: bool | None
) -> None:
    assert goals({}, _soak(calls, last))[4].met is met


def test_with_limits_the_aim_is_the_same_and_the_share_is_told() -> None:
    rows = {COMPILED: 8_000, LIMITED_COMPILED: 6_000, LIMITED: 5_500}
    measured = {name: _measured(name, _row(name, 64, rate)) for name, rate in rows.items()}
    found = goals(measured, None)[5]
    assert (found.met, found.measured) == (True, "6,000/s, 75% of without (5,500/s as sources)")
    alone = {LIMITED_COMPILED: _measured(LIMITED_COMPILED, _row(LIMITED_COMPILED, 64, 4_999))}
    assert (goals(alone, None)[5].met, goals(alone, None)[5].measured) == (False, "4,999/s")


def test_the_aims_are_held_to_the_compiled_wheel_and_the_sources_stand_beside() -> None:
    sources = {BAILIWICK: _measured(BAILIWICK, _row(BAILIWICK, 64, 9_000))}
    alone = goals(sources, None)[0]
    assert (alone.met, alone.measured) == (None, "not measured (9,000/s as sources)")
    both = goals({**sources, COMPILED: _measured(COMPILED, _row(COMPILED, 64, 4_000))}, None)[0]
    assert (both.met, both.measured) == (False, "4,000/s (9,000/s as sources)")


def test_what_was_not_measured_is_neither_met_nor_missed() -> None:
    found = goals({}, None)
    assert [goal.met for goal in found] == [None] * 7
    assert "NOT MET" not in goal_lines(found)
