"""The comparison of two whole mandates.

1. The child does not begin before its parent, nor outlast it.
2. It asks for every circumstance that its parent asks for.
3. What it may pass on is less.
4. Its flow rules are its parent's, or stricter.
5. For each target of each of its allow rules, one allow rule of the parent includes the target,
   asks for nothing that the child's does not imply, and lets no fewer arguments go unasked.
6. Each deny and stamp rule of the parent stands in the child as well, unless it is about nothing
   that the child allows.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from bailiwick.core.call import CallKind
from bailiwick.core.circumstances import Circumstance
from bailiwick.core.flow.labels import Accepts, Flow
from bailiwick.core.identical import identical
from bailiwick.core.mandate import AllowRule, DenyRule, Mandate, StampRule
from bailiwick.core.narrowing.circumstances import implied
from bailiwick.core.narrowing.examples import Example, Pair, find
from bailiwick.core.narrowing.globs import glob_of, includes, overlap
from bailiwick.core.narrowing.implication import names_no_more, permits_all
from bailiwick.core.target_pattern import TargetPattern
from bailiwick.core.texts.paths import is_tricky_uri
from bailiwick.core.values import show

_HALF_HOUR_MS = 1_800_000
_HALF_HOURS_OF_A_WEEK = 336


@dataclass(frozen=True, slots=True)
class Wider:
    """Why a child was not found to be narrower.

    Attributes:
        because: one sentence for people.
        example: a call that proves it; None when it could not be shown either way.
    """

    because: str
    example: Example | None = None


def narrower(child: Mandate, parent: Mandate, now: int) -> Wider | None:
    """None if whatever the child lets through, its parent lets through with no fewer stamps.

    Pure. Each mandate is looked at by itself, as if active and without its limits; who gives and
    who acts is not looked at. Takes about (targets of the child × allow rules of the parent ×
    conditions), and at most `MAX_TRIED` judgements when something is wider.

    Args:
        now: Unix milliseconds; examples are for this time, or the nearest at which both hold.
    """
    pair = Pair.of(child, parent)
    for gap in _gaps(pair.child, pair.parent, now):
        return _told(pair, gap, now)
    return None


def about_same(rule: DenyRule | StampRule, rules: Sequence[AllowRule]) -> bool:
    """Whether a deny or stamp rule may be about something that one of the allow rules allows."""
    return any(
        _touches(pattern, allowed)
        for pattern in rule.targets
        for other in rules
        for allowed in other.targets
    )


def repeats(child: Mandate, above: DenyRule | StampRule) -> bool:
    """Whether a rule of the child applies wherever `above` does, and asks for as much."""
    if isinstance(above, DenyRule):
        return any(_applies_wherever(own, above) for own in child.deny)
    return any(_applies_wherever(own, above) and _asks_as_much(own, above) for own in child.stamp)


@dataclass(frozen=True, slots=True)
class _Gap:
    """Something that could not be shown.

    Attributes:
        what: to follow "it cannot be shown that"; without `tries`, a sentence by itself.
        tries: where an example is looked for: rules of the child, each with a target.
        times: moments to try; () for now.
    """

    what: str
    tries: tuple[tuple[AllowRule, TargetPattern], ...]
    times: tuple[int, ...] = ()


def _gaps(child: Mandate, parent: Mandate, now: int) -> Iterator[_Gap]:
    everything = tuple((rule, target) for rule in child.allow for target in rule.targets)
    yield from _outlasting(child, parent, everything)  # 1
    missing = _missing(parent.circumstances, child.circumstances)  # 2
    if missing is not None:
        what = f"it is used only {missing.phrase}, as `{parent.ref}` is"
        yield _Gap(what, everything, _week(child, parent, now))
    yield from _passing_on(child, parent)  # 3
    if not _stricter_flow(child.flow, parent.flow):  # 4
        yield _Gap(f"its flow rules are at least those of `{parent.ref}`", everything)
    for rule in child.allow:  # 5
        for target in rule.targets:
            why = _uncovered(rule, target, child, parent)
            if why is not None:
                yield _Gap(why, ((rule, target),), _week(child, parent, now))
    for kind, rules in (("deny", parent.deny), ("stamp", parent.stamp)):  # 6
        for above in rules:
            assert isinstance(above, DenyRule | StampRule)
            if not about_same(above, child.allow) or repeats(child, above):
                continue
            met = tuple(
                (rule, target)
                for rule, target in everything
                if any(_touches(pattern, target) for pattern in above.targets)
            )
            yield _Gap(f"it keeps the {kind} rule `{above.id}` of its parent", met)


def _told(pair: Pair, gap: _Gap, now: int) -> Wider:
    child, parent = pair.child, pair.parent
    times = gap.times or (_both(child, parent, now),)
    for rule, target in gap.tries:
        found = find(pair, rule, target, times)
        if found is not None:
            given = f" with {show(found.arguments, 240)}" if found.arguments else ""
            return Wider(
                f"it would allow {show(str(found.target))}{given}, and under `{parent.ref}` "
                f"{found.because}",
                found,
            )
    return Wider(f"it cannot be shown that {gap.what}" if gap.tries else gap.what)


# --- 1 to 4: time, circumstances, leave, flow ----------------------------------------------------


def _outlasting(
    child: Mandate, parent: Mandate, everything: tuple[tuple[AllowRule, TargetPattern], ...]
) -> Iterator[_Gap]:
    start, end = parent.not_before, parent.not_after
    if start is not None and (child.not_before is None or child.not_before < start):
        first = start - 1 if child.not_before is None else child.not_before
        yield _Gap(f"it does not begin before `{parent.ref}`", everything, (first, start - 1))
    if end is not None and (child.not_after is None or child.not_after > end):
        last = end if child.not_after is None else child.not_after - 1
        yield _Gap(f"it does not outlast `{parent.ref}`", everything, (end, last))


def _missing(asked: Iterable[Circumstance], given: Sequence[Circumstance]) -> Circumstance | None:
    """The first circumstance asked for that does not follow from those given."""
    return next((each for each in asked if not implied(given, each)), None)


def _passing_on(child: Mandate, parent: Mandate) -> Iterator[_Gap]:
    own, above = child.delegation, parent.delegation
    if own is None:
        return
    if above is None or own.depth >= above.depth:
        depth = 0 if above is None else above.depth
        yield _Gap(
            f"it would let others delegate to a depth of {own.depth}, which is not below that of "
            f"`{parent.ref}`, {depth}",
            (),
        )
        return
    for glob in own.to:
        if not any(includes(wide, glob) for wide in above.to):
            text = f"it would let others delegate to {show(glob.text)}, `{parent.ref}` does not"
            yield _Gap(text, ())
    if own.children > above.children:
        text = f"it would have {own.children} children, `{parent.ref}` has {above.children}"
        yield _Gap(text, ())


def _stricter_flow(own: Flow, above: Flow) -> bool:
    """Whether results count for no more, and whatever may be given is given no more freely."""
    if not identical(own.results, above.results):
        return False
    accepts = [_without_id(each) for each in own.accepts]
    kept = all(
        any(identical(_without_id(each), other) for other in accepts) for each in above.accepts
    )
    role = above.vouch_role in (None, own.vouch_role)
    return kept and role and own.person_instructs >= above.person_instructs


def _without_id(accepts: Accepts) -> Accepts:
    return dataclasses.replace(accepts, id="")


# --- 5: allow rules ------------------------------------------------------------------------------


def _uncovered(
    rule: AllowRule,
    target: TargetPattern,
    child: Mandate,
    parent: Mandate,
) -> str | None:
    """Why no allow rule of the parent implies the child's `rule` for `target`; None if one does."""
    nearest = f"`{parent.ref}` allows {show(str(target))}"
    for above in parent.allow:
        if not any(_touches(pattern, target) for pattern in above.targets):
            continue
        if not any(target_within(target, pattern) for pattern in above.targets):
            nearest = f"`{parent.ref}` allows all of {show(str(target))}"
            continue
        why = not_implied(rule, above, (*rule.circumstances, *child.circumstances))
        if why is None and not vouches(rule, above):
            # Of several rules, one that leaves nothing to vouch for is enough, whatever their
            # order: so the parent's must leave nothing wherever the child's does.
            why = f"`{rule.id}` has values vouched for as `{above.id}` has"
        if why is None:
            return None
        nearest = why
    return nearest


def vouches(rule: AllowRule, above: AllowRule) -> bool:
    """Whether the child's rule asks for every value to be vouched for of which `above` asks it."""
    return all(any(identical(path, own) for own in rule.vouched) for path in above.vouched)


def not_implied(
    rule: AllowRule, above: AllowRule, circumstances: Sequence[Circumstance]
) -> str | None:
    """What keeps `above` from letting through all that `rule` does, where `circumstances` hold;
    None if nothing does."""
    missing = _missing(above.circumstances, circumstances)
    if missing is not None:
        return f"`{rule.id}` holds only {missing.phrase}, as `{above.id}` does"
    for condition in above.conditions:
        if not permits_all(rule, condition):
            return f"`{rule.id}` asks for what `{above.id}` does, that {condition.sentence()}"
    if not names_no_more(rule, above):
        return f"`{rule.id}` lets no argument be given that `{above.id}` refuses"
    return None


def target_within(narrow: TargetPattern, wide: TargetPattern) -> bool:
    """Whether everything `narrow` plainly covers, `wide` plainly covers."""
    if narrow.kind is not wide.kind:
        return False
    if not includes(glob_of(wide.upstream), glob_of(narrow.upstream)):
        return False
    name, names = glob_of(narrow.name), glob_of(wide.name)
    if narrow.kind is CallKind.RESOURCE and name.literal and is_tricky_uri(name.parts[0]):
        return names.literal and names.matches(name.parts[0])
    return includes(names, name)


# --- 6: deny and stamp rules ---------------------------------------------------------------------


def _touches(pattern: TargetPattern, allowed: TargetPattern) -> bool:
    """Whether a rule about `pattern` may be about something that `allowed` allows."""
    if pattern.kind is not allowed.kind:
        return False
    if not overlap(glob_of(pattern.upstream), glob_of(allowed.upstream)):
        return False
    # A URI that may lead elsewhere is met by every rule for resources of its server.
    return pattern.kind is CallKind.RESOURCE or overlap(
        glob_of(pattern.name), glob_of(allowed.name)
    )


def _applies_wherever(own: DenyRule | StampRule, above: DenyRule | StampRule) -> bool:
    return (
        all(any(identical(p, q) for q in own.targets) for p in above.targets)
        and all(any(identical(c, d) for d in above.conditions) for c in own.conditions)
        # The very same: what only follows from another may be in doubt where that one fails.
        and all(any(identical(c, d) for d in above.circumstances) for c in own.circumstances)
    )


def _asks_as_much(own: StampRule, above: StampRule) -> bool:
    longest = above.expires_after_seconds
    waits = own.expires_after_seconds
    return (
        above.role in (None, own.role)
        and own.excluded >= above.excluded
        and own.count >= above.count
        and (longest is None or (waits is not None and waits <= longest))
    )


# --- times ---------------------------------------------------------------------------------------


def _both(child: Mandate, parent: Mandate, now: int) -> int:
    """`now`, or the nearest moment at which both are in their time."""
    starts = [each for each in (child.not_before, parent.not_before) if each is not None]
    ends = [each for each in (child.not_after, parent.not_after) if each is not None]
    return max([min([now, *(end - 1 for end in ends)]), *starts])


def _week(child: Mandate, parent: Mandate, now: int) -> tuple[int, ...]:
    """The half hours of a week, if it matters when a call is made."""
    at = _both(child, parent, now)
    rules = (*child.allow, *parent.allow)
    anywhere = not (child.circumstances or parent.circumstances)
    if anywhere and not any(rule.circumstances for rule in rules):
        return (at,)
    return tuple(at + _HALF_HOUR_MS * number for number in range(_HALF_HOURS_OF_A_WEEK))
