"""Counting the interpreter's steps: exact, only after the warm-up, by file and function."""

from __future__ import annotations

import dis
import sys
from typing import Any

import pytest

from bench.processes import NotRunning
from bench.steps import Counting, Steps, begin_later, read, short, steps_table


def judged() -> int:
    return 1


class Work:
    """Holds a function by name, as a module does."""

    def __init__(self) -> None:
        self.judged = judged

    def do(self, times: int) -> None:
        for _ in range(times):
            self.judged()


def counted(warm_up: int, times: int) -> dict[str, Any]:
    work, counting = Work(), Counting(judged.__code__)
    begin_later(counting, work, "judged", warm_up)
    before = sys.gettrace()
    try:
        work.do(times)
    finally:
        sys.settrace(before)
    return counting.to_json()


def test_what_is_counted_is_the_same_each_time() -> None:
    assert counted(5, 25) == counted(5, 25)


def test_a_function_counts_for_as_many_steps_as_its_bytecode_has() -> None:
    found = read("work", counted(5, 25)).functions
    (steps,) = [each for name, each in found.items() if name.endswith(":judged")]
    entered = {"RESUME"}  # how a frame begins: not a step of its own
    assert steps == len(
        [each for each in dis.get_instructions(judged) if each.opname not in entered]
    )


def test_nothing_counts_before_the_warm_up_is_over() -> None:
    assert counted(5, 25)["governed"] == 21
    assert counted(26, 25) == {"governed": 0, "steps": []}


def test_a_gateway_that_governed_nothing_has_no_figure() -> None:
    with pytest.raises(NotRunning, match="no call was counted"):
        read("tool call", {"governed": 0, "steps": []})


def test_steps_are_shared_out_over_the_calls_by_file_and_function() -> None:
    document = {
        "governed": 10,
        "steps": [["/x/src/bailiwick/a.py", "f", 20], ["/x/src/bailiwick/a.py", "g", 70],
                  ["/x/src/bailiwick/b.py", "f", 10]],
    }  # fmt: skip
    found = read("tool call", document)
    assert found == Steps(
        "tool call",
        10.0,
        {"bailiwick/a.py": 9.0, "bailiwick/b.py": 1.0},
        {"bailiwick/a.py:g": 7.0, "bailiwick/a.py:f": 2.0, "bailiwick/b.py:f": 1.0},
    )


def test_the_table_has_a_column_for_each_kind_and_begins_with_the_whole() -> None:
    one = Steps("tool call", 1234.0, {"a.py": 1000.0})
    two = Steps("model call", 5678.0, {"a.py": 1.0, "b.py": 5000.0})
    head, whole, *rows = steps_table([one, two]).splitlines()
    assert head.split() == ["tool", "call", "model", "call"]
    assert whole.split() == ["1,234", "5,678", "all"]
    assert [row.split() for row in rows] == [["0", "5,000", "b.py"], ["1,000", "1", "a.py"]]


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("/a/src/bailiwick/core/judge.py", "bailiwick/core/judge.py"),
        ("/a/lib/python3.11/site-packages/uvicorn/server.py", "uvicorn/server.py"),
        ("/a/lib/python3.11/asyncio/tasks.py", "python3.11/asyncio/tasks.py"),
        ("<string>", "<string>"),
    ],
)
def test_names_of_files_say_nothing_of_the_machine(file: str, name: str) -> None:
    assert short(file) == name
