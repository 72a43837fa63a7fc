"""The benchmark of `judge`: every case judges what it says, and its table is right."""

from __future__ import annotations

import pytest

from bench.judge import CASES, Measured, main, measure, table


@pytest.mark.parametrize("name", list(CASES))
def test_every_case_can_be_measured(name: str) -> None:
    measured = measure(name, 20)
    assert measured.name == name
    assert 0 < measured.median_us <= measured.p99_us


def test_a_missed_goal_is_marked() -> None:
    met, missed = table(
        [Measured("fast", 10.0, 20.0, 60.0), Measured("slow", 61.0, 99.0, 60.0)]
    ).splitlines()[1:]
    assert "MISSED" not in met
    assert missed.endswith("slow  MISSED")


def test_the_command_prints_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--only", "no policies", "--repeats", "10", "--json"]) == 0
    assert '"no policies"' in capsys.readouterr().out
