"""What would change if declarations were applied: for people, before anything is written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from bailiwick.core.canonical import Json
from bailiwick.core.values import show
from bailiwick.declared.objects import KINDS, Declaration
from bailiwick.declared.secrets import has_reference


class How(StrEnum):
    """What happens to an object."""

    ADDED = "added"
    CHANGED = "changed"
    REMOVED = "removed"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One value that changes: `before` and `after` as shown to people, "" for none."""

    path: str
    before: str
    after: str

    def __str__(self) -> str:
        if not self.before:
            return f"+ {self.path}: {self.after}"
        if not self.after:
            return f"- {self.path}: {self.before}"
        return f"~ {self.path}: {self.before} → {self.after}"


@dataclass(frozen=True, slots=True)
class ObjectChange:
    """What happens to one object, with every value that changes in it."""

    kind: str
    name: str
    how: How
    fields: tuple[FieldChange, ...] = ()

    def __str__(self) -> str:
        return f"{self.kind} `{self.name}` {self.how}"


def diff(current: Iterable[Declaration], new: Iterable[Declaration]) -> tuple[ObjectChange, ...]:
    """How `new` differs from `current`, object by object, in the order of kinds and names.

    Objects that only `current` has are REMOVED: it is for the caller to say whether leaving an
    object out of a file removes it.
    """
    before = {(each.kind, each.name): each for each in current}
    after = {(each.kind, each.name): each for each in new}
    keys = sorted(before.keys() | after.keys(), key=lambda key: (KINDS.index(key[0]), key[1]))
    return tuple(_change(key, before.get(key), after.get(key)) for key in keys)


def _change(
    key: tuple[str, str], before: Declaration | None, after: Declaration | None
) -> ObjectChange:
    kind, name = key
    old = dict(_flat(before.spec)) if before else {}
    new = dict(_flat(after.spec)) if after else {}
    if before and after and before.digest == after.digest:
        return ObjectChange(kind, name, How.UNCHANGED)
    how = How.CHANGED if before and after else How.ADDED if after else How.REMOVED
    fields = tuple(
        FieldChange(path, _shown(path, old), _shown(path, new, another=path in old))
        for path in dict.fromkeys((*old, *new))
        if path not in old or path not in new or _differ(old[path], new[path])
    )
    return ObjectChange(kind, name, how, fields)


def _flat(value: Json, path: str = "") -> Iterator[tuple[str, Json]]:
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from _flat(item, f"{path}.{key}" if path else key)
    elif isinstance(value, list | tuple) and value:
        for number, item in enumerate(value, start=1):
            yield from _flat(item, f"{path}[{number}]")
    else:
        yield path, value


def _differ(one: Json, other: Json) -> bool:
    # `True == 1` in Python, and not in a declaration.
    return type(one) is not type(other) or one != other


def _shown(path: str, values: Mapping[str, Json], *, another: bool = False) -> str:
    if path not in values:
        return ""
    value = values[path]
    if path.startswith(("env.", "headers.")) and not has_reference(str(value)):
        # Nobody promised that a value written out in full is no secret.
        return "(another value)" if another else "(a value)"
    return show(value)
