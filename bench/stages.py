"""Where the time of one governed call goes: the real functions, timed in the real process.

`python -m bench.stages OUT up …` runs the command line with the functions below wrapped, and
writes what they took to OUT when the gateway ends. The wrapping itself costs about a microsecond a
stage, so figures of this process are for shares, never for the table.
"""

from __future__ import annotations

import importlib
import inspect
import json
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Stage:
    """One step of a call.

    Attributes:
        where: `module:name` or `module:Class.name`, as it is looked up when a call runs: for a
            function that is imported by name, the module that uses it.
        waits: whether it is awaited; its time is then the time that passed, not the CPU's.
    """

    name: str
    where: str
    waits: bool = False


STAGES = (
    Stage("the whole gate", "bailiwick.gateway.pipeline:Pipeline.govern", waits=True),
    Stage("authenticate", "bailiwick.identity.tokens:TokenAuthenticator.authenticate"),
    Stage("fix the call: canonical form", "bailiwick.gateway.pipeline:Call.of"),
    Stage("judge", "bailiwick.gateway.pipeline:judge"),
    Stage("intent: leaf, commitment, seal", "bailiwick.gateway.intents:Intents.write"),
    Stage("outcome: leaf, commitment, seal", "bailiwick.gateway.recorder:Recorder.outcome"),
    Stage("commit, waited for (twice)", "bailiwick.stores.sqlite:SqliteJournal.commit", waits=True),
    Stage("rows into the database", "bailiwick.stores.sqlite:SqliteJournal._apply_all"),
    Stage("dispatch", "bailiwick.gateway.http.client:HttpClient.send", waits=True),
)


@dataclass(slots=True)
class Spent:
    """What a stage took in all."""

    calls: int = 0
    seconds: float = 0.0


def place(where: str) -> tuple[Any, str]:
    """The object that holds the function, and its name there. Raises AttributeError."""
    module, _, path = where.partition(":")
    holder: Any = importlib.import_module(module)
    *outer, name = path.split(".")
    for part in outer:
        holder = getattr(holder, part)
    getattr(holder, name)
    return holder, name


def timed(function: Callable[..., Any], spent: Spent, waits: bool = False) -> Callable[..., Any]:
    """`function`, adding what each call takes to `spent`.

    Args:
        waits: what it gives is awaited, whether it is a coroutine function or gives a future.
    """
    clock = time.perf_counter

    if waits or inspect.iscoroutinefunction(function):

        @wraps(function)
        async def waited(*args: Any, **kwargs: Any) -> Any:
            begun = clock()
            try:
                awaitable: Awaitable[Any] = function(*args, **kwargs)
                return await awaitable
            finally:
                spent.calls += 1
                spent.seconds += clock() - begun

        return waited

    def called(*args: Any, **kwargs: Any) -> Any:
        begun = clock()
        try:
            return function(*args, **kwargs)
        finally:
            spent.calls += 1
            spent.seconds += clock() - begun

    return called


def per_call_us(measured: dict[str, dict[str, float]]) -> dict[str, float]:
    """Microseconds of each stage for one governed call; {} when none was governed."""
    governed = measured.get(STAGES[0].name, {}).get("calls", 0)
    if not governed:
        return {}
    return {name: spent["seconds"] / governed * 1e6 for name, spent in measured.items()}


def _run(out: Path, arguments: list[str]) -> None:
    spent = {stage.name: Spent() for stage in STAGES}
    for stage in STAGES:
        holder, name = place(stage.where)
        setattr(holder, name, timed(getattr(holder, name), spent[stage.name], stage.waits))
    main = importlib.import_module("bailiwick.cli.main").main
    sys.argv = ["bailiwick", *arguments]
    try:
        main()
    finally:
        found = {name: {"calls": s.calls, "seconds": s.seconds} for name, s in spent.items()}
        out.write_text(json.dumps(found))


if __name__ == "__main__":
    _run(Path(sys.argv[1]), sys.argv[2:])
