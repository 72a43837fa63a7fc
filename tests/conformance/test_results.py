"""How a run through the gateway is compared with the direct one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conformance.results import (
    Check,
    Outcome,
    Scenario,
    differing,
    lost,
    read_scenario,
)


def _outcome(*statuses: str, scored: bool = True, ended_well: bool = True) -> Outcome:
    checks = tuple(
        Check(f"check-{n}", "Check", status, "because" if status != "SUCCESS" else "")
        for n, status in enumerate(statuses)
    )
    return Outcome({"ping": Scenario("ping", checks, scored, ended_well)})


def test_two_equal_runs_lose_nothing() -> None:
    assert lost(_outcome("SUCCESS", "INFO"), _outcome("SUCCESS", "INFO")) == []


@pytest.mark.parametrize("status", ["FAILURE", "WARNING", "SKIPPED"])
def test_a_check_that_no_longer_succeeds_is_lost(status: str) -> None:
    assert lost(_outcome("SUCCESS"), _outcome(status)) == [
        f"ping: check-0 Check [{status}] because"
    ]


def test_a_check_that_is_no_longer_applicable_differs_and_is_not_lost() -> None:
    direct, through = _outcome("SUCCESS", "SUCCESS"), _outcome("SUCCESS", "INFO")
    assert lost(direct, through) == []
    assert differing(direct, through) == ["ping: check-1 Check [INFO] because"]
    assert differing(direct, _outcome("SUCCESS", "FAILURE")) == []


def test_a_check_that_went_missing_is_lost() -> None:
    assert lost(_outcome("SUCCESS", "SUCCESS"), _outcome("SUCCESS")) == [
        "ping: check-1 Check [missing]"
    ]


def test_a_scenario_that_was_not_run_is_lost() -> None:
    found = lost(_outcome("SUCCESS"), Outcome({}))
    assert found == ["ping: was not run through the gateway"]


def test_a_new_failing_check_is_lost() -> None:
    """A suite reports a crash or a timeout under an id of its own."""
    found = lost(_outcome("SUCCESS"), _outcome("SUCCESS", "FAILURE"))
    assert found == ["ping: check-1 Check [FAILURE] because"]


def test_a_client_that_ends_with_an_error_is_lost() -> None:
    assert lost(_outcome("SUCCESS"), _outcome("SUCCESS", ended_well=False)) == [
        "ping: did not end well"
    ]


def test_what_fails_directly_too_is_not_lost() -> None:
    assert lost(_outcome("FAILURE"), _outcome("FAILURE")) == []


def test_the_line_counts_scored_scenarios_apart() -> None:
    assert _outcome("SUCCESS", "FAILURE").line() == "0 passed, 1 failed (1 of 2 checks)"
    unscored = _outcome("FAILURE", scored=False)
    assert unscored.line() == "0 passed, 0 failed (0 of 0 checks); not scored: 0 passed, 1 failed"
    assert unscored.failed() == []


def test_a_result_folder_gives_its_scenario(tmp_path: Path) -> None:
    folder = tmp_path / "server-server-sse-polling-2026-11-22T10-15-35-870Z"
    folder.mkdir()
    checks = [{"id": "a", "name": "A", "status": "WARNING", "errorMessage": "late"}]
    (folder / "checks.json").write_text(json.dumps(checks))
    expected = Scenario("server-sse-polling", (Check("a", "A", "WARNING", "late"),), scored=False)
    assert read_scenario(folder, frozenset({"server-sse-polling"})) == expected


def test_a_folder_without_results_gives_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "server-ping-2026-11-22T10-15-35-870Z"
    folder.mkdir()
    assert read_scenario(folder) is None
