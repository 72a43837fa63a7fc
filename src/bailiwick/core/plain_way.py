"""The way that most calls go through a line of mandates, worked out once for all of them.

Most calls are let through by the first allow rule of each mandate, and concern no deny or stamp
rule: they name an account that is listed and ask for less than what would wait. To see that takes
less than to judge step by step:

1. arguments that must be one of some texts are looked up together;
2. of an argument that is one of these texts, a deny or stamp rule about other texts need not be
   asked any more;
3. what several mandates of the line ask alike is asked once.

A call that does not go this way may be allowed all the same, held or denied: `judge` says how. So
in doubt a way is not taken, or there is none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bailiwick.core.argument_path import NameTree, look_alikes, unnamed
from bailiwick.core.canonical import Json, JsonObject
from bailiwick.core.conditions import Anything, Condition, Quick
from bailiwick.core.identical import identical
from bailiwick.core.mandate import AllowRule, Asked, DenyRule, MandateState, StampRule
from bailiwick.core.values import FAILS, HOLDS, Truth, fold

if TYPE_CHECKING:
    from bailiwick.core.line import Stage

MAX_TEXTS = 64
"""Combinations of texts that are looked up together; conditions beyond it are asked one by one.
Agents write mandates, too, and each combination takes a hundred bytes."""

_EVER = 2**63


@dataclass(frozen=True, slots=True)
class PlainWay:
    """The way through the first allow rule of each mandate, past all deny and stamp rules.

    INVARIANT: a call that it takes is one that `judge` would let through, by just these rules,
    before it comes to policies and limits.

    Attributes:
        rules: ids of the allow rules, root first.
        since, until: when all mandates are in force, in Unix milliseconds; `until` exclusive.
        keys, texts: arguments, and what they may be together, each of them a text.
        asked: what else must hold.
        apart: must plainly fail, one for each deny and stamp rule that is not ruled out by `texts`.
        covered: arguments that are named, with all beneath them, by each rule that wants them
            named; no two may be taken for one. Empty without such a rule.
        trees: the names that these rules have.
    """

    rules: tuple[str, ...]
    since: int
    until: int
    keys: tuple[str, ...]
    texts: frozenset[tuple[Json, ...]]
    asked: tuple[Asked, ...]
    apart: tuple[Quick, ...]
    covered: frozenset[str]
    trees: tuple[NameTree, ...]

    def takes(self, arguments: JsonObject) -> bool:
        """Whether a call with these arguments plainly goes this way."""
        try:
            if tuple(map(arguments.get, self.keys)) not in self.texts:
                return False
        except TypeError:  # a list or an object, where a text is named
            return False
        for quick, condition in self.asked:
            if quick(arguments) is not HOLDS and not condition.permits(arguments):
                return False
        for quick in self.apart:
            if quick(arguments) is not FAILS:
                return False
        if self.covered.issuperset(arguments):
            return True
        if not self.trees:
            return look_alikes(arguments) is None
        # What these name is told apart, so where all is named there are no look-alikes.
        return not any(unnamed(tree, arguments) for tree in self.trees)


def plain_way(stages: Sequence[Stage]) -> PlainWay | None:
    """The way through the stages of one line; None where there is none that is plain."""
    firsts = [each.plan.allow[0] for each in stages if each.plan.allow]
    if len(firsts) < len(stages) or not all(map(_asks_of_arguments_alone, stages)):
        return None
    names = {name for rule in firsts for name in rule.names if isinstance(name, str)}
    if len(set(map(fold, names))) < len(names):
        return None
    narrow = [rule for rule in firsts if not rule.other_arguments]
    listed, asked = _sorted_out(_asked(stages), loose=not narrow)
    bars = [rule for rule in _bars(stages) if not _ruled_out(rule, listed)]
    if not all(listed.values()) or not all(rule.conditions for rule in bars):
        return None
    starts = [each.mandate.not_before for each in stages if each.mandate.not_before is not None]
    ends = [each.mandate.not_after for each in stages if each.mandate.not_after is not None]
    return PlainWay(
        rules=tuple(rule.id for rule in firsts),
        since=max(starts, default=-_EVER),
        until=min(ends, default=_EVER),
        keys=tuple(listed),
        texts=_together(listed),
        asked=tuple(asked),
        apart=tuple(_fails(rule) for rule in bars),
        covered=_in_all(narrow),
        trees=tuple(rule.names for rule in narrow),
    )


def _asks_of_arguments_alone(stage: Stage) -> bool:
    """Whether a mandate and its first allow rule ask of nothing but the time and arguments."""
    mandate, first = stage.mandate, stage.plan.allow[0]
    return mandate.state is MandateState.ACTIVE and not (
        mandate.circumstances or stage.flows or first.vouched or first.circumstances
    )


def _bars(stages: Sequence[Stage]) -> Iterator[DenyRule | StampRule]:
    for stage in stages:
        yield from stage.deny
        yield from stage.stamp


def _asked(stages: Sequence[Stage]) -> Iterator[Asked]:
    """What the first allow rules ask, each once."""
    known: dict[str, list[Condition]] = {}
    above: AllowRule | None = None
    for stage in stages:
        first = stage.plan.allow[0]
        repeated = above is not None and stage.again is above
        above = first
        for quick, condition in () if repeated else first.asked:
            # By how it is written out, as in `line._hash_of`: few are ever compared.
            alike = known.setdefault(repr(condition), [])
            if not any(identical(condition, other) for other in alike[:1]):
                alike.append(condition)
                yield quick, condition


def _sorted_out(
    asked: Iterator[Asked], *, loose: bool
) -> tuple[dict[str, frozenset[str]], list[Asked]]:
    """The texts that arguments must be one of, by name, and all other questions.

    What only names an argument asks nothing, where nothing unnamed gets through.
    """
    listed: dict[str, frozenset[str]] = {}
    others: list[Asked] = []
    size = 1
    for quick, condition in asked:
        key = condition.path[0]
        single = len(condition.path) == 1 and isinstance(key, str)
        texts = condition.exact_texts()
        if single and isinstance(key, str) and texts and not condition.optional:
            if key in listed:
                listed[key] &= texts
                continue
            if size * len(texts) <= MAX_TEXTS:
                listed[key] = texts
                size *= len(texts)
                continue
        if not (single and type(condition) is Anything and condition.optional and not loose):
            others.append((quick, condition))
    return listed, others


def _ruled_out(rule: DenyRule | StampRule, listed: dict[str, frozenset[str]]) -> bool:
    """Whether a rule concerns no call whose arguments are among the texts."""
    for condition in rule.conditions:
        key = condition.path[0]
        if len(condition.path) > 1 or not isinstance(key, str) or not condition.exact_texts():
            continue
        if key in listed and all(condition.of(text) is FAILS for text in listed[key]):
            return True
    return False


def _together(listed: dict[str, frozenset[str]]) -> frozenset[tuple[Json, ...]]:
    combined: list[tuple[Json, ...]] = [()]
    for texts in listed.values():
        combined = [(*before, text) for before in combined for text in texts]
    return frozenset(combined)


def _fails(rule: DenyRule | StampRule) -> Quick:
    """What says FAILS where one condition of the rule does, so that it does not apply."""
    quicks = [quick for quick, _ in rule.asked]
    if len(quicks) == 1:
        return quicks[0]

    def ask(arguments: JsonObject) -> Truth | None:
        for quick in quicks:
            if quick(arguments) is FAILS:
                return FAILS
        return None

    return ask


def _in_all(rules: Sequence[AllowRule]) -> frozenset[str]:
    covered = [rule.covered for rule in rules]
    return frozenset.intersection(*covered) if covered else frozenset()
