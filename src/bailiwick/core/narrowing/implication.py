"""Whether what one allow rule asks of a call implies what another asks.

Every answer is on the safe side: True only when it follows for every call.

A rule lets a call through when each of its conditions permits the arguments and none goes unnamed.
So a child's rule implies a parent's when, for each condition of the parent's:

1. the child has the very same one; or
2. the child lets no value be given there, and the parent asks for none; or
3. the child allows only a few values there, or around there, and each of them will do; or
4. what the child asks of the same argument implies it, by the kind of condition,

and every argument that the child names is named by the parent.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

from bailiwick.core.argument_path import (
    EACH,
    MISSING,
    ArgumentPath,
    Each,
    Found,
    NameTree,
    reach,
    unnamed,
)
from bailiwick.core.canonical import Json, JsonObject
from bailiwick.core.conditions import (
    Anything,
    AtLeast,
    AtMost,
    Condition,
    Equals,
    Money,
    MoneyBeside,
    OneOf,
    Present,
    Vouched,
)
from bailiwick.core.identical import identical
from bailiwick.core.mandate import AllowRule
from bailiwick.core.narrowing.kinds import amounts_within, implies
from bailiwick.core.values import fold

MAX_VALUES = 1_000
"""Most values of a list that are tried one by one."""

_PLAIN_KINDS = (Anything, AtLeast, AtMost, Equals, Money, OneOf, Present, Vouched)
"""Kinds for which a whole number and the same number with a point are one, wherever it stands."""


def permits_all(child: AllowRule, asked: Condition) -> bool:
    """Whether `asked` permits every call that the child's rule lets through."""
    if any(identical(mine, asked) for mine in child.conditions):  # 1
        return True
    if isinstance(asked, MoneyBeside):
        return any(
            isinstance(mine, MoneyBeside) and amounts_within(mine, asked)
            for mine in child.conditions
        )
    if not alone(asked):
        return False
    if never_given(child, asked.path):  # 2
        return asked.permitted(MISSING)
    if any(_few_values(mine, asked) for mine in child.conditions):  # 3
        return True
    here = [mine for mine in child.conditions if alone(mine) and identical(mine.path, asked.path)]
    if not here:
        # `any: true` asks only that something can be read there, as whoever reads deeper does.
        return isinstance(asked, Anything) and any(
            alone(mine) and identical(mine.path[: len(asked.path)], asked.path)
            for mine in child.conditions
        )
    return _implied(here, asked)  # 4


def names_no_more(child: AllowRule, parent: AllowRule) -> bool:
    """Whether every argument that the child's rule lets be given is named by the parent's."""
    if parent.other_arguments:
        return True
    if child.other_arguments:
        return False
    return all(
        _named(tree, path, below, child)
        for path, below, tree in _differing(child.names, parent.names, ())
    )


def never_given(rule: AllowRule, path: ArgumentPath) -> bool:
    """Whether no call that `rule` lets through has anything at `path`, or anything alike."""
    if rule.other_arguments:
        return False
    tree: NameTree | None = rule.names
    for step in path:
        if tree is None:
            return False
        if step in tree:
            tree = tree[step]
            continue
        if isinstance(step, Each) or EACH in tree:
            return False
        folded = fold(step)
        return not any(isinstance(key, str) and fold(key) == folded for key in tree)
    return False


def alone(condition: Condition) -> bool:
    """Whether it looks at one argument only, and at each value there by itself.

    Kinds that compare arguments, or look at a list as a whole, say so by doing more than that.
    """
    kind = type(condition)
    return (
        kind.cases is Condition.cases
        and kind.permits is Condition.permits
        and kind.permitted is Condition.permitted
        and kind.paths is Condition.paths
        and (kind.passes_over is Condition.passes_over or not condition.optional)
    )


def _differing(
    child: NameTree, parent: NameTree, above: ArgumentPath
) -> Iterator[tuple[ArgumentPath, NameTree | None, NameTree]]:
    """Where the child names what its parent does not: there, what the child and parent name."""
    for step, below in child.items():
        path = (*above, step)
        if step not in parent:
            yield path, below, {}
            continue
        named = parent[step]
        if named is None:
            continue
        if below is None:
            yield path, below, named
        else:
            yield from _differing(below, named, path)


def _named(tree: NameTree, path: ArgumentPath, below: NameTree | None, child: AllowRule) -> bool:
    """Whether the few values that the child allows at `path` hold only what `tree` names."""
    if below is not None or not tree:
        return False
    return any(
        all(not unnamed(tree, value) for value in values)
        for mine in child.conditions
        if identical(mine.path, path) and (values := _values(mine))
    )


def _values(condition: Condition) -> Sequence[Json]:
    """The few values that it leaves; none if they are many, or not known."""
    if isinstance(condition, Equals):
        return (condition.value,)
    if not isinstance(condition, OneOf):
        return ()
    few = len(condition.values) <= MAX_VALUES
    return condition.values if few or all(isinstance(v, str) for v in condition.values) else ()


def _few_values(mine: Condition, asked: Condition) -> bool:
    """Whether `mine` leaves only a few values at or above where `asked` looks, and all will do."""
    values = _values(mine)
    if not values or not identical(mine.path, asked.path[: len(mine.path)]):
        return False
    rest = ("x", *asked.path[len(mine.path) :])
    there = dataclasses.replace(asked, path=rest)  # type: ignore[type-var]  # each kind is one
    if mine.optional and not (there.permits({}) and there.permits({"x": None})):
        return False
    given: list[JsonObject] = [{"x": value} for value in values]
    if type(asked) not in _PLAIN_KINDS and any(
        _has_forms(found) for value in given for found in reach(rest, value)
    ):
        return False
    return all(there.permits(value) for value in given)


def _has_forms(value: Found) -> bool:
    """Whether a call may hold another value where this one is asked for: `1.0` for `1`."""
    if isinstance(value, Mapping | list | tuple):
        return True
    return isinstance(value, int | float) and not isinstance(value, bool)


def _implied(here: Sequence[Condition], asked: Condition) -> bool:
    """By kind: `here` are all of the child's conditions on the same argument; all must hold."""
    if all(mine.permitted(MISSING) for mine in here) and not asked.permitted(MISSING):
        return False
    if all(mine.permitted(None) for mine in here) and not asked.permitted(None):
        return False
    return any(_value_implied(mine, asked) for mine in here)


def _value_implied(mine: Condition, asked: Condition) -> bool:
    """Whether `asked` holds for every value but null for which `mine` holds."""
    if isinstance(asked, Anything | Vouched):
        return True
    if isinstance(mine, Present) and not mine.wanted:
        return True  # it holds for no value
    if isinstance(asked, Present):
        return asked.wanted
    return identical(_required(mine), _required(asked)) or implies(mine, asked)


def _required(condition: Condition) -> Condition:
    return dataclasses.replace(condition, optional=False)  # type: ignore[type-var]  # each kind is one
