"""How many steps the interpreter takes for one governed call: exact, on a busy machine too.

A governed call has no hot spot, and times on a shared machine differ by a fifth from run to run.
The instructions of CPython's bytecode that a call goes through do not differ at all, so a change
that makes a call leaner shows here at once, and one that makes it heavier cannot hide
(tests/app/test_steps.py). What is done in C is not in it: whether fewer steps are less time is for
the table of `python -m bench` to show.

`python -m bench.steps OUT up …` runs the command line, counts, and writes OUT when it ends.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from bench.measure import Bench, take
from bench.processes import NotRunning
from bench.stages import place
from bench.targets import LIMITS, Site, Started, Unavailable, gateway

WARM_UP = 300
"""Calls before the counting begins: what is done once is not part of what each costs."""

_CALLS = 1_000
_CONNECTIONS = 8
"""So few that a traced call, fifty times as slow, is not taken for one that takes long."""

_SECONDS = 300.0
_ROWS = 30

_Trace = Callable[[FrameType, str, Any], Any]

Starting = Callable[[Sequence[str]], Callable[[Site], Started]]
"""Given the command line to run in place of `bailiwick`: how to start a gateway."""


@dataclass(frozen=True, slots=True)
class Steps:
    """What one kind of call takes.

    Attributes:
        kind: what was called.
        each: instructions of bytecode for one governed call, on the thread of the event loop.
        files: the same by file, most first.
        functions: by `file:function`.
    """

    kind: str
    each: float
    files: dict[str, float] = field(default_factory=dict)
    functions: dict[str, float] = field(default_factory=dict)


def steps(bench: Bench, kinds: Mapping[str, Starting], say: Callable[[str], None]) -> list[Steps]:
    """One for each kind of call, with what starts a gateway by a command and is called so.

    Those that won't run are left out, with the reason said.
    """
    found: list[Steps] = []
    for kind, starting in kinds.items():
        site = bench.site("steps")
        out = site.folder / "steps.json"
        try:
            found.append(
                count(kind, starting([sys.executable, "-m", "bench.steps", str(out)])(site), out)
            )
        except (Unavailable, NotRunning) as why:
            say(f"steps: {kind}: skipped: {why}")
    return found


def tool_calls() -> dict[str, Starting]:
    """A tool call, alone, and under a line of three mandates with four limits."""
    return {
        "tool call": lambda command: gateway("--no-fsync", command=command),
        "with four limits": lambda command: gateway(
            "--no-fsync", command=command, limits=LIMITS, deep=True
        ),
    }


def count(kind: str, started: Started, out: Path) -> Steps:
    """Drive a gateway that runs by this module, stop it, and read what it counted.

    Raises:
        NotRunning: it governed nothing, or gave a wrong answer.
    """
    out.unlink(missing_ok=True)  # the first start has written one too
    try:
        point = take("steps", started, _CONNECTIONS, _CALLS, _SECONDS)
    finally:
        started.watched.stop()
    if point.errors or not out.exists():
        raise NotRunning(f"{point.first_error}: {started.watched.last_words()}")
    return read(kind, json.loads(out.read_text()))


def read(kind: str, document: dict[str, Any]) -> Steps:
    """What `Counting.to_json` has written. Raises NotRunning when nothing was governed."""
    governed: int = document["governed"]
    if governed <= 0:
        raise NotRunning("no call was counted")
    files: Counter[str] = Counter()
    functions: Counter[str] = Counter()
    for file, function, times in document["steps"]:
        files[short(file)] += times
        functions[f"{short(file)}:{function}"] += times
    return Steps(
        kind,
        files.total() / governed,
        {name: times / governed for name, times in files.most_common()},
        {name: times / governed for name, times in functions.most_common()},
    )


def short(file: str) -> str:
    """A file's name without what differs between machines."""
    for mark in ("/site-packages/", "/src/", "/lib/"):
        if mark in file:
            return file.rpartition(mark)[2]
    return file


def print_steps(found: Sequence[Steps]) -> int:
    """Print the table; an exit code: 1 when nothing could be counted."""
    if found:
        print("steps of the interpreter for one governed call:\n" + steps_table(found))
    return 0 if found else 1


def steps_table(found: Sequence[Steps]) -> str:
    """A column for each kind of call; a row for each file of those that take most."""
    most = sorted({name for each in found for name in list(each.files)[:_ROWS]}, key=_rank(found))
    lines = ["".join(f"{each.kind:>26}" for each in found)]
    rows = [("all", [each.each for each in found])]
    rows += [(name, [each.files.get(name, 0.0) for each in found]) for name in most]
    lines += ["".join(f"{figure:>26,.0f}" for figure in figures) + f"  {name}"
              for name, figures in rows]  # fmt: skip
    return "\n".join(lines)


def _rank(found: Sequence[Steps]) -> Callable[[str], float]:
    return lambda name: -sum(each.files.get(name, 0.0) for each in found)


class Counting:
    """Counts steps, function by function, and how often `judged` was entered."""

    def __init__(self, judged: CodeType) -> None:
        self._judged = judged
        self._governed = 0
        self._steps: Counter[CodeType] = Counter()

    def enter(self, frame: FrameType, event: str, arg: Any) -> _Trace:
        """For `sys.settrace`."""
        if frame.f_code is self._judged:
            self._governed += 1
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return self._step

    def _step(self, frame: FrameType, event: str, arg: Any) -> _Trace:
        if event == "opcode":
            self._steps[frame.f_code] += 1
        return self._step

    def to_json(self) -> dict[str, object]:
        """How many calls were governed, and (file, function, steps) of all of them."""
        return {
            "governed": self._governed,
            "steps": [
                [code.co_filename, code.co_qualname, times] for code, times in self._steps.items()
            ],
        }


def begin_later(counting: Counting, holder: Any, name: str, warm_up: int = WARM_UP) -> None:
    """Have `counting` begin when `holder.name` is called for the `warm_up`-th time.

    Until then nothing is traced: a start under the tracer would take longer than all the calls.
    """
    function = getattr(holder, name)
    left = warm_up

    def until_warm(*args: Any, **kwargs: Any) -> Any:
        nonlocal left
        left -= 1
        if left == 0:
            setattr(holder, name, function)
            sys.settrace(counting.enter)
        return function(*args, **kwargs)

    setattr(holder, name, until_warm)


def _run(out: Path, arguments: list[str]) -> None:
    main = importlib.import_module("bailiwick.cli.main").main
    holder, name = place("bailiwick.gateway.pipeline:judge")
    counting = Counting(getattr(holder, name).__code__)
    begin_later(counting, holder, name)
    sys.argv = ["bailiwick", *arguments]
    try:
        main()
    finally:
        sys.settrace(None)
        out.write_text(json.dumps(counting.to_json()))


if __name__ == "__main__":
    _run(Path(sys.argv[1]), sys.argv[2:])
