"""What a governed call costs in steps of the interpreter, which no busy machine can blur.

The bounds are what was counted last, and a tenth: whoever makes a call heavier than that says so
here, and why.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.breakdown import take_apart
from bench.measure import Bench
from bench.models.__main__ import model_calls
from bench.models.targets import start_upstream as start_model_server
from bench.stages import STAGES
from bench.steps import steps, tool_calls
from bench.targets import start_upstream

pytestmark = pytest.mark.slow

MOST = {
    "tool call": 5_000,
    "with four limits": 7_300,
    "model call, whole": 10_600,
    "model call, streamed": 15_300,
}


def complain(line: str) -> None:
    raise AssertionError(line)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    upstream = start_upstream(tmp_path / "upstream")
    yield Bench(upstream, tmp_path, complain)
    upstream.watched.stop()


@pytest.fixture
def model_bench(tmp_path: Path) -> Iterator[Bench]:
    upstream = start_model_server(tmp_path / "upstream")
    yield Bench(upstream, tmp_path, complain)
    upstream.watched.stop()


def test_a_tool_call_takes_no_more_steps_than_it_did(bench: Bench) -> None:
    for found in steps(bench, tool_calls(), complain):
        assert found.each < MOST[found.kind], found.files


def test_a_model_call_takes_no_more_steps_than_it_did(model_bench: Bench) -> None:
    for found in steps(model_bench, model_calls(), complain):
        assert found.each < MOST[found.kind], found.files


def test_each_stage_of_a_call_can_be_timed_in_the_real_process(bench: Bench) -> None:
    found = take_apart(bench, fsync=False, connections=1, calls=20)
    assert {stage.name for stage in STAGES} == set(found.stages_us)
    assert all(spent > 0 for spent in found.stages_us.values())
