"""Finding a call that a child lets through and its parent does not, by trying likely ones.

Nothing here is believed: each example is judged under both mandates, by `judge` itself.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from bailiwick.core.argument_path import ArgumentPath, Each
from bailiwick.core.call import Call, CallKind, Target
from bailiwick.core.canonical import Json, JsonObject
from bailiwick.core.conditions import AtLeast, AtMost, Condition, Equals, Matches, OneOf, Under
from bailiwick.core.context import NO_COUNTERS, NO_LABELS, NO_POLICIES, NO_STEP
from bailiwick.core.errors import TheirError
from bailiwick.core.identical import identical
from bailiwick.core.judge import judge
from bailiwick.core.mandate import AllowRule, DenyRule, Mandate, MandateState, StampRule
from bailiwick.core.narrowing.globs import examples
from bailiwick.core.target_pattern import TargetPattern
from bailiwick.core.texts.glob import Glob
from bailiwick.core.values import HOLDS, Number
from bailiwick.core.verdict import Deny, Hold, Requirement, Verdict

MAX_TRIED = 600
"""Most calls judged in search of one example; each takes some 30 µs."""

_MAX_LISTED = 20
"""Most values of one list that are tried."""

_CALL_ID = "00000000000000000000000000"
_NOTHING = object()
"""Stands for an argument that is left out."""

_PLAIN_VALUES: tuple[Json, ...] = ("x", 1, 0, -1, "", True, None, 0.5, "1", [], {}, ["x"], {"x": 1})


@dataclass(frozen=True, slots=True)
class Example:
    """A call that the child lets through and the parent does not; both were judged.

    Attributes:
        at: Unix milliseconds; when the call would be made.
        because: what the parent says.
    """

    target: Target
    arguments: JsonObject
    at: int
    because: str


@dataclass(frozen=True, slots=True)
class Pair:
    """A child and its parent, made ready to be judged each by itself, without limits."""

    child: Mandate
    parent: Mandate

    @classmethod
    def of(cls, child: Mandate, parent: Mandate) -> Pair:
        """Limits are left out: they count over the whole chain, so neither is judged alone."""
        alone = {"state": MandateState.ACTIVE, "limits": ()}
        return cls(dataclasses.replace(child, **alone), dataclasses.replace(parent, **alone))  # type: ignore[arg-type]  # fields of a mandate

    def try_call(self, target: Target, arguments: JsonObject, at: int) -> Example | None:
        """The call as an example, if it is one."""
        try:
            call = Call.of(_CALL_ID, target, arguments)
        except TheirError:
            return None
        own = _verdict(call, self.child, at)
        if isinstance(own, Deny):
            return None
        above = _verdict(call, self.parent, at)
        if not less(own, above):
            return None
        return Example(target, arguments, at, above.because)


def less(own: Verdict, above: Verdict) -> bool:
    """Whether `own` asks for less than `above` does."""
    if isinstance(own, Deny):
        return False
    if isinstance(above, Deny):
        return True
    if not isinstance(above, Hold):
        return False
    return not (isinstance(own, Hold) and covers(own.requirement, above.requirement))


def covers(own: Requirement, above: Requirement) -> bool:
    """Whether whatever meets `own` meets `above`."""
    waits = above.expires_after_seconds is None or (
        own.expires_after_seconds is not None
        and own.expires_after_seconds <= above.expires_after_seconds
    )
    return (
        above.role in (None, own.role)
        and own.excluded >= above.excluded
        and own.count >= above.count
        and waits
    )


def find(
    pair: Pair, rule: AllowRule, pattern: TargetPattern, times: Sequence[int]
) -> Example | None:
    """An example among the calls that one target of one of the child's rules lets through."""
    left = MAX_TRIED
    for target in _targets(pattern, pair.parent):
        for arguments in _arguments(rule, pair.parent):
            for at in times:
                if left == 0:
                    return None
                left -= 1
                found = pair.try_call(target, arguments, at)
                if found is not None:
                    return found
    return None


def _verdict(call: Call, mandate: Mandate, at: int) -> Verdict:
    return judge(call, (mandate,), NO_POLICIES, NO_COUNTERS, NO_LABELS, NO_STEP, at)


# --- targets -------------------------------------------------------------------------------------


def _targets(pattern: TargetPattern, parent: Mandate) -> Iterator[Target]:
    rules: tuple[AllowRule | DenyRule | StampRule, ...] = (
        *parent.deny,
        *parent.stamp,
        *parent.allow,
    )
    others = [each for rule in rules for each in rule.targets if each.kind is pattern.kind]
    upstreams = list(examples(Glob(pattern.upstream), (Glob(each.upstream) for each in others)))
    names = list(examples(Glob(pattern.name), (Glob(each.name) for each in others)))
    if pattern.kind is CallKind.CLIENT:
        names.extend(("sampling", "elicitation", "roots"))
    seen: set[tuple[str, str]] = set()
    for name, upstream in itertools.islice(itertools.product(names, upstreams), 64):
        if upstream and name and (upstream, name) not in seen:
            seen.add((upstream, name))
            yield Target(pattern.kind, upstream, name)


# --- arguments -----------------------------------------------------------------------------------


def _arguments(rule: AllowRule, parent: Mandate) -> Iterator[JsonObject]:
    """Arguments the rule lets through: plain ones, each varied by itself, then together."""
    near = [each for other in parent.allow for each in other.conditions]
    near += [each for other in parent.deny for each in other.conditions]
    near += [each for other in parent.stamp for each in other.conditions]
    paths: list[ArgumentPath] = []
    for condition in rule.conditions:
        for path in condition.paths:
            if not any(identical(path, known) for known in paths):
                paths.append(path)
    # A path that leads to another is written by the deeper one.
    paths = [
        path
        for path in paths
        if not any(
            len(other) > len(path) and identical(other[: len(path)], path) for other in paths
        )
    ]
    choices = [_values(path, rule, near) for path in paths]
    plain = [values[0] for values in choices]
    yield _built(paths, plain)
    for place, values in enumerate(choices):
        for value in values[1:]:
            yield _built(paths, [*plain[:place], value, *plain[place + 1 :]])
    if rule.other_arguments:
        for condition in near:
            for value in _sampled([condition], ()):
                yield _built([*paths, condition.path], [*plain, value])
        yield {**_built(paths, plain), "other": "x"}
    for together in itertools.islice(itertools.product(*choices), MAX_TRIED):
        yield _built(paths, together)


def _values(path: ArgumentPath, rule: AllowRule, near: Sequence[Condition]) -> list[object]:
    """Values for one argument that the rule may permit; never empty."""
    own = [each for each in rule.conditions if any(identical(path, p) for p in each.paths)]
    others = [each for each in near if any(identical(path, p) for p in each.paths)]
    found: list[object] = [
        value
        for value in _sampled(own, others)
        if all(each.permitted(value) for each in own if identical(each.path, path))
    ]
    if all(each.optional or each.of_missing() is HOLDS for each in own):
        found.append(_NOTHING)
    return found or ["x"]


def _sampled(own: Iterable[Condition], others: Iterable[Condition]) -> Iterator[Json]:
    """Likely values: just past what the others stop at, then what is asked for, then anything."""
    for condition in others:
        yield from _around(condition)
    for condition in own:
        yield from _around(condition)
    yield from _PLAIN_VALUES


def _around(condition: Condition) -> Iterator[Json]:
    match condition:
        case AtMost(bound=bound):
            yield from _numbers(bound, 1)
        case AtLeast(bound=bound):
            yield from _numbers(bound, -1)
        case OneOf(values=values):
            yield from values[:_MAX_LISTED]
            yield from (text.swapcase() for text in values[:_MAX_LISTED] if isinstance(text, str))
        case Equals(value=value):
            yield value
        case Matches(globs=globs):
            for glob in globs[:_MAX_LISTED]:
                yield from examples(glob, ())
        case Under(roots=roots):
            for root in roots[:_MAX_LISTED]:
                yield from (root.rstrip("/") + "/x", root)


def _numbers(bound: Number, step: int) -> Iterator[Json]:
    """The whole number just past a bound, one within, and the bound."""
    whole = int(bound)
    yield from (whole + step, whole - step, whole)
    if isinstance(bound, Decimal) and bound != whole:
        yield str(bound)


def _built(paths: Sequence[ArgumentPath], values: Iterable[object]) -> JsonObject:
    arguments: dict[str, Json] = {}
    for path, value in zip(paths, values, strict=True):
        if value is not _NOTHING:
            _put(arguments, path, value)  # type: ignore[arg-type]  # only `_NOTHING` is not JSON
    return arguments


def _put(within: dict[str, Json], path: ArgumentPath, value: Json) -> None:
    """Write `value` at `path`, as far as what stands there lets it."""
    key, rest = path[0], path[1:]
    assert isinstance(key, str)
    lists = 0
    while rest and isinstance(rest[0], Each):
        lists, rest = lists + 1, rest[1:]
    if not rest:
        for _ in range(lists):
            value = [value]
        within[key] = value
        return
    below = within.get(key)
    for _ in range(lists):
        below = below[0] if isinstance(below, list) and below else None
    inner: dict[str, Json] = below if isinstance(below, dict) else {}
    _put(inner, rest, value)
    wrapped: Json = inner
    for _ in range(lists):
        wrapped = [wrapped]
    within[key] = wrapped
