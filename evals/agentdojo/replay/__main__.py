"""`python -m replay`: measure everything, write results.json, and the tables of docs/agentdojo.md.

`python -m replay --check` measures and compares with what is published; other than that, it fails.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from replay.measuring import Measured, measure, nothing
from replay.report import with_tables
from replay.summing import results
from replay.worlds import SERVERS, suite_named

HERE = Path(__file__).parent.parent
RESULTS, CHANGED = HERE / "results.json", HERE / "results-changed.json"
PAGE = HERE.parent.parent / "docs" / "agentdojo.md"
_TASKS_A_GATE = 4

Job = tuple[str, tuple[str, ...], str]


def main() -> int:
    """Measure, and write or compare. Exit status: 0 all is well, 1 the results are others."""
    parser = argparse.ArgumentParser(prog="replay", description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare with what is published")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    asked = parser.parse_args()
    started = time.monotonic()
    found, changed = _measure_all(asked.processes)
    took = time.monotonic() - started
    print(f"measured in {took:.0f} s", file=sys.stderr)
    texts = {RESULTS: _as_text(found), CHANGED: _as_text(changed)}
    texts[PAGE] = with_tables(PAGE.read_text(), found, changed)
    if asked.check:
        others = [path.name for path, text in texts.items() if path.read_text() != text]
        if others:
            print(f"others than published: {', '.join(others)}", file=sys.stderr)
        return 1 if others else 0
    for path, text in texts.items():
        path.write_text(text)
    return 0


def _measure_all(processes: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """The results under the mandates as they were written, and under those changed since."""
    changed = sorted(path.stem for path in (HERE / "changed").glob("*.yaml"))
    jobs = [*_jobs(SERVERS, "mandates"), *_jobs(changed, "changed")]
    jobs.sort(key=lambda job: job[0] != "workspace")  # the slowest first
    sums: dict[str, Measured] = {"mandates": nothing(), "changed": nothing()}
    with ProcessPoolExecutor(processes) as pool:
        for job, measured in zip(jobs, pool.map(_run, jobs), strict=True):
            sums[job[2]].add(measured)
    return results(sums["mandates"], sorted(SERVERS)), results(sums["changed"], changed)


def _jobs(suites: Iterable[str], folder: str) -> list[Job]:
    found: list[Job] = []
    for suite in suites:
        tasks = list(suite_named(suite).user_tasks)
        found.extend(
            (suite, tuple(tasks[start : start + _TASKS_A_GATE]), folder)
            for start in range(0, len(tasks), _TASKS_A_GATE)
        )
    return found


def _run(job: Job) -> Measured:
    suite, tasks, folder = job
    return measure(suite, tasks, HERE / folder)


def _as_text(found: dict[str, Any]) -> str:
    return json.dumps(found, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.exit(main())
