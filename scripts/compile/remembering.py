"""Try the inline caches of compiled code (inline_caches.h): do they ever remember what is no more?

Attributes, items and globals are read at the same few places, compiled and in Python, while their
classes and modules are changed at random: a property is laid over a slot and taken away, slots are
emptied, objects change class, classes go and new ones come, have other bases, answer for themselves
by turns; globals are set and deleted, entries of a dict move about. And a value that is replaced
reads, as it goes, what replaced it. What is read must be the same; of a global that is gone, Python
says so by another exception.

```
.compiled/bin/python scripts/compile/remembering.py [--seed N] [--rounds N]
```

Ends with 1 when one differs.
"""

from __future__ import annotations

import argparse
import importlib
import os
import random
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from types import MemberDescriptorType, ModuleType
from typing import Any

import msgspec
from hook import compile_into

_PLACES = """
from typing import Any

SHARED: Any = 0


def attribute(thing: Any) -> Any:
    return thing.value


def other_attribute(thing: Any) -> Any:
    return thing.other


def attribute_named(thing: Any, name: str) -> Any:
    return getattr(thing, name)


def item(table: dict[str, Any]) -> Any:
    return table["value"]


def item_named(table: dict[str, Any], name: str) -> Any:
    return table[name]


def shared() -> Any:
    return SHARED
"""


class _Slots:
    __slots__ = ("other", "value")

    def __init__(self, value: int, other: int) -> None:
        self.value, self.other = value, other


class _Alike:
    __slots__ = ("other", "value")


class _Below(_Slots):
    pass


class _Answering(_Slots):
    def __getattr__(self, name: str) -> str:
        return f"no {name}"


class _Intercepting(_Slots):
    def __getattribute__(self, name: str) -> str:
        return f"any {name}"


class _Open:
    def __init__(self, value: int, other: int) -> None:
        self.value, self.other = value, other


@dataclass(frozen=True, slots=True)
class _Frozen:
    value: int
    other: int


class _Struct(msgspec.Struct):
    value: int
    other: int


class _Nothing:
    __slots__ = ()


class _Late(_Slots, _Nothing):
    """Which, by turns, answers for itself and finds another base's property before the slot."""


class _Before(_Nothing):
    __slots__ = ()
    value = property(lambda self: "before", lambda self, value: None)


class _Equal:
    """A key that is no string, and is equal to one by turns."""

    is_so = False

    def __hash__(self) -> int:
        return hash("value")

    def __eq__(self, other: object) -> bool:
        return self.is_so and other == "value"


class _Name(str):
    """No constant, and not told from one by what it says."""

    __slots__ = ()


class _Reading:
    """Reads, as it goes, what has replaced what it was part of."""

    def __init__(self, read: Callable[[], Any], seen: list[str]) -> None:
        self._read, self._seen = read, seen

    def __del__(self) -> None:
        self._seen.append(type(self._read()).__name__)


class _Replaced:
    __slots__ = ("part",)

    def __init__(self, part: _Reading) -> None:
        self.part = part


class _Holder:
    value: Any


def _put(holder: _Holder, value: object) -> None:
    holder.value = value


_KINDS = (_Slots, _Below, _Answering, _Intercepting, _Open, _Frozen, _Struct, _Late)
_LASTING = (*_KINDS, _Alike)
_CHANGING = (_Slots, _Below, _Answering)
_KEYS = ("value", "other", *"abcdefgh")


class Trial:
    """Things that change, and two modules that read them."""

    def __init__(self, python: ModuleType, compiled: ModuleType, seed: int) -> None:
        self._both = python, compiled
        self._random = random.Random(seed)  # noqa: S311 - to be repeated, not to be secret
        self._things: list[Any] = [kind(1, 2) for kind in _KINDS]
        self._laid: dict[type[Any], MemberDescriptorType] = {}  # over which a property lies
        self._table: dict[Any, Any] = {}
        self.tried = self.differ = 0

    def round(self) -> None:
        """Change something, then read it all twice: the second time out of memory."""
        draw = self._random.random()
        if draw < 0.5:
            self._change(self._random.choice(self._things))
        elif draw < 0.6:
            self._change_shared()
        elif draw < 0.8:
            self._change_table()
        thing = self._random.choice(self._things)
        table: dict[str, Any] = {"value": self._random.random(), "other": 2}
        if draw > 0.9:
            del table[self._random.choice(("value", "other"))]
        for _ in range(2):
            self._read(lambda module: module.attribute(thing))
            self._read(lambda module: module.other_attribute(thing))
            self._read(lambda module: module.attribute_named(thing, "value"))
            self._read(lambda module: module.attribute_named(thing, "other"))
            self._read(lambda module: module.attribute_named(thing, _Name("value")))
            self._read(lambda module: module.item(table))
            self._read(lambda module: module.item_named(table, "value"))
            self._read(lambda module: module.item_named(table, "other"))
            self._read(lambda module: module.item(self._table))
            self._read(lambda module: module.item_named(self._table, "other"))
            self._read(lambda module: module.shared())
            table["value"] = self._random.random()

    def _change(self, thing: Any) -> None:
        kind = type(thing)
        match self._random.randint(0, 6):
            case 0 if kind in self._laid:
                kind.value = self._laid.pop(kind)
            case 0 if isinstance(vars(kind).get("value"), MemberDescriptorType):
                self._laid[kind] = vars(kind)["value"]
                kind.value = property(lambda self: "laid over", lambda self, value: None)
            case 1 if kind in _CHANGING:
                thing.value = self._random.random()
            case 2 if kind in _CHANGING:
                if _outcome(attrgetter("other"), thing) in ("no attribute", "no other"):
                    thing.other = self._random.random()
                else:
                    del thing.other
            case 3 if kind in (_Slots, _Alike):
                thing.__class__ = _Alike if kind is _Slots else _Slots
            case 4:
                self._things = [each for each in self._things if type(each) in _LASTING]
                self._laid = {each: slot for each, slot in self._laid.items() if each in _LASTING}
                self._things += [self._passing()(self._random.random(), 4) for _ in range(3)]
            case 5:
                self._change_late()
            case _:
                self._things.append(self._random.choice(_KINDS)(self._random.randint(0, 9), 3))
                del self._things[:-40]

    def _passing(self) -> type[Any]:
        """A class that is soon gone, so that another may lie at its address."""
        slots = self._random.choice((("value", "other"), ("other", "value"), ("more", "value")))
        return type("Passing", (_Open,), {"__slots__": slots})

    def _change_late(self) -> None:
        name = self._random.choice(("__getattribute__", "__getattr__", "__bases__"))
        if name == "__bases__":
            second = self._random.choice((_Nothing, _Before))
            both = (second, _Slots) if second is _Before else (_Slots, second)
            _Late.__bases__ = both
        elif name in vars(_Late):
            delattr(_Late, name)
        else:
            setattr(_Late, name, lambda self, name: f"late {name}")

    def _change_table(self) -> None:
        """Entries come, go and move; the same name may lie anywhere, or be found by another key."""
        _Equal.is_so = self._random.random() < 0.5
        match self._random.randint(0, 9):
            case 0:
                self._table.clear()
            case 1:
                self._table = dict(self._random.sample(list(self._table.items()), len(self._table)))
            case 2 if "value" not in self._table:
                self._table[_Equal()] = "of an equal key"
            case 3 if self._table:
                self._table.popitem()
            case 4 | 5:
                self._table.pop(self._random.choice(_KEYS), None)
            case _:
                self._table[self._random.choice(_KEYS)] = self._random.random()

    def replace(self) -> None:
        """Let go of values that read as they go, out of dicts of both sorts."""
        for fill in ({"value": 0}, None):
            seen: dict[ModuleType, list[str]] = {module: [] for module in self._both}
            for module in self._both:
                holder = _Holder()
                if fill is not None:  # else it shares its keys with others of its class
                    holder.__dict__ = dict(fill)
                for _ in range(100):
                    _put(holder, 0)  # which the interpreter does in place by now

                def read(module: ModuleType = module, holder: _Holder = holder) -> Any:
                    return module.item(vars(holder))

                _put(holder, _Replaced(_Reading(read, seen[module])))
                read(), read()
                _put(holder, None)
            self._read(lambda module: seen[module])  # noqa: B023 - called at once

    def _change_shared(self) -> None:
        value, gone = self._random.random(), self._random.random() < 0.3
        for module in self._both:
            vars(module).pop("SHARED", None)
            if not gone:
                module.SHARED = value  # type: ignore[attr-defined]

    def _read(self, read: Callable[[ModuleType], Any]) -> None:
        one, other = (_outcome(read, module) for module in self._both)
        self.tried += 1
        if one != other:
            self.differ += 1
            if self.differ < 6:
                print(f"Python {one}, compiled {other}")


def _outcome(read: Callable[[Any], Any], of: Any) -> object:
    try:
        return read(of)
    except AttributeError:
        return "no attribute"
    except (KeyError, NameError):
        return "no item"


def main() -> int:
    """Compile, change, read and compare. 0: all the same; 1: one differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=20_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bailiwick-remembering-") as folder:
        sources, library = Path(folder, "src"), Path(folder, "lib")
        sources.mkdir()
        names = ["places_compiled.py", "places_more.py"]  # one alone is not compiled as a group
        for name in (*names, "places_python.py"):
            (sources / name).write_text(_PLACES)
        os.environ["CFLAGS"] = "-DMAX_MISSES=4000000000u"  # no place is ever left alone
        compile_into(sources, library, names)
        (library / "places_python.py").write_text(_PLACES)
        sys.path.insert(0, str(library))
        python, compiled = map(importlib.import_module, ("places_python", "places_compiled"))
        if not str(compiled.__file__).endswith(".so"):
            print("nothing was compiled", file=sys.stderr)
            return 1
        trial = Trial(python, compiled, options.seed)
        trial.replace()
        for _ in range(options.rounds):
            trial.round()
    print(f"{trial.tried:,} read, {trial.differ:,} differ")
    return 1 if trial.differ or not trial.tried else 0


if __name__ == "__main__":
    sys.exit(main())
