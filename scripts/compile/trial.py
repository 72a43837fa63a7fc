"""Try the compiler on coroutines written at random: compiled, do they do what Python does?

ADR 13 lets a compiled coroutine await inside `try` and `with`, and not where it handles an
exception. This is what that rests on: functions that await inside nested `try`, `else`, `with`,
loops and each other, with handlers and `finally` all over, are compiled, and driven beside the same
functions in Python, with values sent, exceptions thrown in (a cancellation among them) and the
coroutine closed at any await. What they log, await, return and raise must be the same.

```
.compiled/bin/python scripts/compile/trial.py [--seed N] [--functions N] [--rounds N]
```

Ends with 1 when one differs. `__context__` is left out: mypyc sets it less often.
"""

from __future__ import annotations

import argparse
import importlib
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable, Coroutine
from pathlib import Path
from types import ModuleType
from typing import Any

_SUPPORT = """
from typing import Any, Generator

LOG: list[object] = []
SEED: list[int] = [0]
MOST = 3_000


class Near(Exception): ...
class Far(Exception): ...
class Cancelled(BaseException): ...
class TooLong(BaseException): ...


def log(what: object) -> None:
    LOG.append(what)
    if len(LOG) > MOST:
        raise TooLong


def flag(number: int) -> bool:
    return hash(number * 2654435761 ^ SEED[0]) % 100 < 12


class Wait:
    def __init__(self, number: int) -> None:
        self.number = number

    def __await__(self) -> Generator[Any, Any, int]:
        got = yield self.number
        return got


class Within:
    def __init__(self, number: int) -> None:
        self.number = number

    def __enter__(self) -> None:
        log(("in", self.number))

    def __exit__(self, kind: Any, error: Any, trace: Any) -> bool:
        log(("out", self.number, kind.__name__ if kind else None))
        return bool(kind is Near and flag(self.number))
"""
_HEAD = """from __future__ import annotations

from trial_support import Cancelled, Far, Near, Wait, Within, flag, log
"""
_CAUGHT = ("Near", "(Near, Far)", "Exception", "BaseException", "Cancelled")
_STEPS = 60


class Writer:
    """Writes functions `f0`, `f1` …, each of which may call some before it."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 - to be repeated, not to be secret
        self._number = 0

    def module(self, functions: int) -> str:
        """All of it, with a list `ALL`."""
        lines = [_HEAD]
        names: list[str] = []
        for number in range(functions):
            body = self._block(4, 1, names[-6:], loop=False, handling=False)
            lines += [f"async def f{number}(x: int) -> int:", *body, "    return x", ""]
            names.append(f"f{number}")
        return "\n".join([*lines, f"ALL = [{', '.join(names)}]", ""])

    def _block(
        self, depth: int, indent: int, known: list[str], *, loop: bool, handling: bool
    ) -> list[str]:
        lines: list[str] = []
        for _ in range(self._random.randint(1, 3)):
            lines += self._statement(depth, indent, known, loop=loop, handling=handling)
        return lines

    def _statement(
        self, depth: int, indent: int, known: list[str], *, loop: bool, handling: bool
    ) -> list[str]:
        self._number += 1
        number, pad = self._number, "    " * indent
        kinds = ["log", "raise", "return"]
        kinds += [] if handling else ["await"] * 4 + ["call"] * 3 * bool(known)
        kinds += (["try"] * 4 + ["with"] * 2 + ["if"] * 2 + ["for"]) if depth else []
        kinds += ["again"] * 2 if handling else []
        kinds += ["break", "continue"] if loop else []
        kind = self._random.choice(kinds)
        deeper = (depth - 1, indent + 1, known)
        match kind:
            case "log":
                return [f"{pad}log({number})"]
            case "await" | "call":
                what = f"{self._random.choice(known)}(x + {number})" if kind == "call" else ""
                what = what or f"Wait({number})"
                return [f"{pad}x = await {what}", f"{pad}log((x, {number}))"]
            case "if":
                then = self._block(*deeper, loop=loop, handling=handling)
                other = self._block(*deeper, loop=loop, handling=handling)
                return [f"{pad}if flag({number}):", *then, f"{pad}else:", *other]
            case "for":
                body = self._block(*deeper, loop=True, handling=handling)
                return [f"{pad}for i{number} in range(2):", *body]
            case "with":
                body = self._block(*deeper, loop=False, handling=handling)
                return [f"{pad}with Within({number}):", *body]
            case "try":
                return self._try(pad, deeper, loop=loop, handling=handling)
        raised = self._random.choice(("Near", "Far", "Cancelled"))
        ends = {
            "raise": f"raise {raised}({number})",
            "again": "raise",
            "return": f"return {number}",
        }
        return [f"{pad}if flag({number}):", f"{pad}    {ends.get(kind, kind)}"]

    def _try(
        self, pad: str, deeper: tuple[int, int, list[str]], *, loop: bool, handling: bool
    ) -> list[str]:
        """With one handler or two, `finally`, or both; nothing awaits in either (the rule)."""
        form = self._random.choice(("e", "e", "ee", "f", "ef"))
        number = self._number
        loop = loop and "f" not in form  # mypyc refuses to leave a loop out of `try … finally`
        lines = [f"{pad}try:", *self._block(*deeper, loop=loop, handling=handling)]
        for caught in self._random.sample(_CAUGHT, form.count("e")):
            lines += [f"{pad}except {caught} as e{number}:"]
            lines += [f"{pad}    log((type(e{number}).__name__, {number}))"]
            # A coroutine that goes on after it was closed is wrong in either.
            lines += [f"{pad}    if isinstance(e{number}, GeneratorExit):", f"{pad}        raise"]
            lines += self._block(*deeper, loop=loop, handling=True)
        if "e" in form and self._random.random() < 0.3:
            lines += [f"{pad}else:", *self._block(*deeper, loop=loop, handling=handling)]
        if "f" in form:
            lines += [f"{pad}finally:", f"{pad}    log(('finally', {number}))"]
        return lines


def driven(
    function: Callable[[int], Coroutine[Any, Any, int]], support: ModuleType, seed: int
) -> tuple[list[object], list[object]]:
    """What a coroutine awaited and came to, and what it logged, as `seed` has it go."""
    support.LOG.clear()
    support.SEED[0] = seed * 7919
    chance = random.Random(seed)  # noqa: S311 - as above
    coroutine, came_to = function(1), []
    try:
        waits = coroutine.send(None)
        for _ in range(_STEPS):
            came_to.append(waits)
            drawn = chance.random()
            if drawn > 0.94:
                break
            thrown = {7: support.Near, 8: support.Cancelled, 9: support.Far}.get(int(drawn * 10))
            if thrown is None:
                waits = coroutine.send(chance.randint(0, 9))
            else:
                waits = coroutine.throw(thrown("thrown"))
        coroutine.close()
        came_to.append("closed")
    except StopIteration as end:
        came_to.append(("returned", end.value))
    except BaseException as error:  # noqa: BLE001 - whatever it is, both must raise it
        came_to.append((type(error).__name__, error.args))
    came_to.append(sys.exc_info()[0])
    return came_to, list(support.LOG)


def main() -> int:
    """Write, compile, drive and compare. 0: all the same; 1: one differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--functions", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=300)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bailiwick-trial-") as folder:
        there = Path(folder)
        written = Writer(options.seed).module(options.functions)
        (there / "trial_support.py").write_text(_SUPPORT)
        (there / "trial_python.py").write_text(written)
        (there / "trial_compiled.py").write_text(written)
        command = [sys.executable, "-m", "mypyc", "--config-file=", "trial_compiled.py"]
        command += ["--ignore-missing-imports"]
        subprocess.run(  # noqa: S603 - our own compiler
            command,
            cwd=there,
            check=True,
            stdout=subprocess.DEVNULL,
            env={**os.environ, "MYPYC_OPT_LEVEL": "0"},
        )
        sys.path.insert(0, folder)
        return _compare(options.rounds)


def _compare(rounds: int) -> int:
    support = importlib.import_module("trial_support")
    python, compiled = map(importlib.import_module, ("trial_python", "trial_compiled"))
    if not str(compiled.__file__).endswith(".so"):
        print("nothing was compiled", file=sys.stderr)
        return 1
    tried = differ = 0
    for number, pair in enumerate(zip(python.ALL, compiled.ALL, strict=True)):
        for seed in range(number, number + rounds * 1_000, 1_000):
            one, other = (driven(function, support, seed) for function in pair)
            tried += 1
            if one != other:
                differ += 1
                print(f"f{number}, seed {seed}:\n  Python   {one}\n  compiled {other}")
    print(f"{tried:,} tried, {differ:,} differ")
    return 1 if differ or not tried else 0


if __name__ == "__main__":
    sys.exit(main())
