r"""Naming an argument: `amount`, `payee.iban`, `items[].amount`.

A dot goes into an object, `[]` into every item of a list. A key that itself holds a dot, a bracket
or a backslash has a backslash before it: `file\.name`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from enum import Enum
from functools import lru_cache
from typing import Final, Literal

from bailiwick.core.canonical import Json, JsonObject
from bailiwick.core.values import fold

MAX_PATH_STEPS = 16

MAX_FOLDED_NAMES = 16_384
"""Most characters of names beyond ASCII that are folded to see whether one may pass for another:
beyond it, doubt is cheaper. Each condition of each rule may ask."""


class Each(Enum):
    """The step into every item of a list."""

    ITEM = "[]"


EACH: Final = Each.ITEM

ArgumentPath = tuple[str | Each, ...]
"""Steps from the arguments down; the first is always a key."""


class Gap(Enum):
    """What stands where there is no value.

    MISSING: the argument is not given. BLOCKED: it cannot be known, because something of another
    type stands in the way, or a key that some readers take for the same one.
    """

    MISSING = "missing"
    BLOCKED = "blocked"


MISSING: Final[Literal[Gap.MISSING]] = Gap.MISSING
BLOCKED: Final[Literal[Gap.BLOCKED]] = Gap.BLOCKED

Found = Json | Gap


def parse_argument_path(text: str) -> ArgumentPath:
    """Read a path as written in a mandate.

    Raises:
        ValueError: what is wrong with it, in words for people.
    """
    steps: list[str | Each] = []
    key: str | None = ""
    letters = iter(text)
    for letter in letters:
        if letter == ".":
            _close(steps, key)
            key = ""
        elif letter == "[":
            if next(letters, "") != "]":
                raise ValueError("`[` must be followed by `]`: write `items[].amount`")
            _close(steps, key)
            steps.append(EACH)
            key = None
        elif key is None:
            raise ValueError("`[]` must be followed by `.` or by the end")
        elif letter == "\\":
            key += next(letters, "")
        else:
            key += letter
    _close(steps, key)
    if len(steps) > MAX_PATH_STEPS:
        raise ValueError(f"more than {MAX_PATH_STEPS} steps deep")
    return tuple(steps)


def _close(steps: list[str | Each], key: str | None) -> None:
    """End a step; None means that it was `[]` and is there already."""
    if key == "":
        raise ValueError("a name is empty: write `payee.iban`")
    if key is not None:
        steps.append(key)


def format_argument_path(path: ArgumentPath) -> str:
    """The text that `parse_argument_path` reads back."""
    text = ""
    for step in path:
        if isinstance(step, Each):
            text += "[]"
        else:
            text += ("." if text else "") + escape_key(step)
    return text


def escape_key(key: str) -> str:
    """One key as it is written in a path."""
    for letter in "\\.[]":
        key = key.replace(letter, "\\" + letter)
    return key


def reach(path: ArgumentPath, arguments: JsonObject) -> list[Found]:
    """Everything `path` leads to: one element, or one for each item of each list on the way.

    Never empty: an empty list reads as MISSING, since many tools take "none given" for "all", and
    what would lie beneath a null is MISSING too.
    """
    value = straight_to(path, arguments)
    return _walk(path, arguments) if value is MISSING else [value]


def reach_beside(
    path: ArgumentPath, other: ArgumentPath, arguments: JsonObject
) -> list[tuple[Found, Found]]:
    """`reach(path)`, and beside each thing it leads to what `other` leads to there.

    Up to its last `[]`, `other` must be the same as `path`: it is read beside each item.
    """
    into = steps_into_lists(other)
    if not into:  # as for most: one beside all
        (beside,) = _walk(other, arguments)
        return [(found, beside) for found in _walk(path, arguments)]
    pairs: list[tuple[Found, Found]] = []
    for within in _walk(path[:into], arguments):
        (beside,) = _walk(other[into:], within)
        pairs += ((found, beside) for found in _walk(path[into:], within))
    return pairs


def steps_into_lists(path: ArgumentPath) -> int:
    """How many steps it takes to the last `[]`, itself included; 0 without any."""
    return max((at for at, step in enumerate(path, 1) if isinstance(step, Each)), default=0)


def straight_to(path: ArgumentPath, within: JsonObject) -> Found:
    """What `reach` finds, where nothing stands in the way and no key looks like another.

    That is nearly always so, and costs a fifth. MISSING only says that it is not so simple.
    """
    value: Found = within
    for step in path:
        if type(value) is not dict:
            return MISSING
        found: Found = value.get(step, MISSING)
        if found is MISSING:
            return MISSING
        if len(value) > 1 and tuple(value) not in _told_apart and not _stands_apart(step, value):
            return MISSING
        value = found
    return value


def _stands_apart(step: str | Each, within: JsonObject) -> bool:
    """Whether no other key of `within` may be taken for `step`; False if that is not so simple."""
    if _is_small(within):
        return look_alikes(within) is None  # and that is remembered
    if isinstance(step, Each) or not (step.isascii() and step.isidentifier()):
        return False
    length, lower = len(step), step.lower()
    for key in within:
        # Of two plain names `fold` changes the case alone.
        if key != step and (
            not (key.isascii() and key.isidentifier())
            or (len(key) == length and key.lower() == lower)
        ):
            return False
    return True


def _walk(path: ArgumentPath, within: Found) -> list[Found]:
    for at, step in enumerate(path):
        if isinstance(step, Each):
            return [found for item in _items(within) for found in _walk(path[at + 1 :], item)]
        within = _into(step, within)
    return [within]


def _into(key: str, value: Found) -> Found:
    """What stands at `key` of a value."""
    if isinstance(value, Mapping):
        return at_key(key, value)
    if value is None:
        return MISSING
    return value if isinstance(value, Gap) else BLOCKED


def _items(value: Found) -> Iterable[Found]:
    """Every item of a value."""
    if isinstance(value, list | tuple):
        return value or (MISSING,)
    if value is None:
        return (MISSING,)
    return (value if isinstance(value, Gap) else BLOCKED,)


def at_key(key: str, within: JsonObject) -> Found:
    """What stands at `key`; BLOCKED if some readers may take another key for it, or if there are
    more names that are hard to fold than are looked at (`MAX_FOLDED_NAMES`)."""
    folded = _folded(key)
    shape = _told_apart.get(tuple(within))
    if shape is not None:
        if key in within:
            return within[key]
        return BLOCKED if folded in shape else MISSING
    left = MAX_FOLDED_NAMES
    for other in within:
        if other == key:
            continue
        if not _is_plain(other):
            if not other.isascii():
                left -= len(other)
                if left < 0:
                    return BLOCKED
            other = fold(other)
        if other == folded:
            return BLOCKED
    return within.get(key, MISSING)


_folded = lru_cache(maxsize=4096)(fold)
"""`fold`, remembered for the names in mandates."""


def _is_plain(key: str) -> bool:
    """Whether folding leaves it as it is, as most names are."""
    return key.isascii() and key.isidentifier() and key.islower()


_told_apart: dict[tuple[str, ...], frozenset[str]] = {}
"""Names of objects no two of which may be taken for one, and what they fold to. The same few shapes
come again and again, and folding each name is what costs most. Bounded: see `_remember`."""

_MAX_SHAPES = 1024
_MAX_SHAPE_KEYS = 32
_MAX_SHAPE_CHARS = 512


def look_alikes(within: JsonObject) -> tuple[str, str] | None:
    """Two keys of `within` that some readers take for one (`amount`, `Amount`), or None."""
    if len(within) < 2 or tuple(within) in _told_apart:
        return None
    seen: dict[str, str] = {}
    for key in within:
        folded = key if _is_plain(key) else fold(key)
        other = seen.setdefault(folded, key)
        if other is not key:
            return other, key
    _remember(tuple(within), seen)
    return None


def _remember(names: tuple[str, ...], folded: Iterable[str]) -> None:
    if not _is_small(names):
        return
    if len(_told_apart) >= _MAX_SHAPES:  # whoever makes up names is not to fill it for good
        _told_apart.clear()
    _told_apart[names] = frozenset(folded)


def _is_small(names: Collection[str]) -> bool:
    return len(names) <= _MAX_SHAPE_KEYS and sum(map(len, names)) <= _MAX_SHAPE_CHARS


NameTree = dict["str | Each", "NameTree | None"]
"""Which arguments are named; None covers everything beneath."""


def name_tree(paths: Iterable[ArgumentPath], whole: Iterable[ArgumentPath] = ()) -> NameTree:
    """The tree of names in `paths`.

    A path covers all that lies beneath it, unless another one goes deeper: then what lies beneath
    must be named too. A path in `whole` covers everything beneath in any case.
    """
    tree: NameTree = {}
    for path in sorted(paths, key=len, reverse=True):
        _plant(tree, path)
    for path in sorted(whole, key=len):
        _plant(tree, path, prune=True)
    return tree


def _plant(tree: NameTree, path: ArgumentPath, *, prune: bool = False) -> None:
    for step in path[:-1]:
        below = tree.setdefault(step, {})
        if below is None:
            return
        tree = below
    if prune:
        tree[path[-1]] = None
    else:
        tree.setdefault(path[-1], None)


def unnamed(tree: NameTree, value: Json, above: str = "") -> str:
    """The first argument in `value` that `tree` does not name, as a path; "" if all are named."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            below = tree.get(key, MISSING)
            if below is None:
                continue
            name = f"{above}.{escape_key(key)}" if above else escape_key(key)
            if below is MISSING:
                return name
            deeper = unnamed(below, item, name)
            if deeper:
                return deeper
        return ""
    below = tree.get(EACH, MISSING)
    if isinstance(value, list | tuple) and below is not MISSING:
        if below is not None:
            for item in value:
                deeper = unnamed(below, item, f"{above}[]")
                if deeper:
                    return deeper
        return ""
    # A plain value (or a list) where the names say there is more structure: nothing in it is
    # named, and the condition that went deeper could not be told either.
    return above if tree and value is not None else ""
