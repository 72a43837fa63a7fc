"""Short ways to write mandates and judge calls in tests."""

from __future__ import annotations

from bailiwick.core.argument_path import parse_argument_path
from bailiwick.core.call import Call, CallKind, Target
from bailiwick.core.canonical import Digest, JsonObject
from bailiwick.core.conditions import Condition
from bailiwick.core.context import NO_COUNTERS, NO_LABELS, NO_POLICIES, NO_STEP
from bailiwick.core.judge import judge
from bailiwick.core.mandate import (
    AllowRule,
    DenyRule,
    Mandate,
    MandateState,
    StampRule,
)
from bailiwick.core.target_pattern import TargetPattern
from bailiwick.core.verdict import Verdict

NOW = 1_790_000_000_000
"""September 2026, in Unix milliseconds."""

at = parse_argument_path


def pattern(text: str, kind: CallKind = CallKind.TOOL) -> TargetPattern:
    upstream, _, name = text.partition("/")
    return TargetPattern(kind, upstream, name)


def allow(
    target: str, *conditions: Condition, id_: str = "allow", other: bool = False
) -> AllowRule:
    return AllowRule(id_, (pattern(target),), conditions, other_arguments=other)


def deny(target: str, *conditions: Condition, because: str = "", id_: str = "deny") -> DenyRule:
    return DenyRule(id_, (pattern(target),), conditions, because)


def stamp(
    target: str,
    *conditions: Condition,
    role: str | None = None,
    excluded: tuple[str, ...] = (),
    count: int = 1,
    expires: int | None = None,
    id_: str = "stamp",
) -> StampRule:
    return StampRule(id_, (pattern(target),), conditions, role, frozenset(excluded), count, expires)


def mandate(
    *rules: AllowRule | DenyRule | StampRule,
    state: MandateState = MandateState.ACTIVE,
    not_before: int | None = None,
    not_after: int | None = None,
    name: str = "pay",
) -> Mandate:
    return Mandate(
        name=name,
        version=1,
        digest=Digest("0" * 64),
        principal="ada",
        agent="clerk",
        purpose="",
        state=state,
        allow=tuple(rule for rule in rules if isinstance(rule, AllowRule)),
        deny=tuple(rule for rule in rules if isinstance(rule, DenyRule)),
        stamp=tuple(rule for rule in rules if isinstance(rule, StampRule)),
        not_before=not_before,
        not_after=not_after,
    )


def call(target: str, arguments: JsonObject, kind: CallKind = CallKind.TOOL) -> Call:
    upstream, _, name = target.partition("/")
    return Call.of("01JZ0000000000000000000000", Target(kind, upstream, name), arguments)


def verdict(asked: Call, *chain: Mandate, now: int = NOW) -> Verdict:
    return judge(asked, chain, NO_POLICIES, NO_COUNTERS, NO_LABELS, NO_STEP, now)
