"""Mandates as `judge` sees them: compiled, immutable, versioned.

The declared form (YAML) is turned into these by `bailiwick.declared`; nothing else makes them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache

from bailiwick.core.argument_path import NameTree, name_tree
from bailiwick.core.call import CallKind, Target
from bailiwick.core.canonical import Digest
from bailiwick.core.conditions import Anything, Condition
from bailiwick.core.glob import Glob
from bailiwick.core.paths import is_tricky_uri
from bailiwick.core.values import CANNOT_TELL, FAILS, HOLDS, Truth, fold

MAX_PLANS = 4096
MAX_REMEMBERED_NAME = 512
"""Targets a mandate remembers its rules for, and the longest name among them: an agent can make up
resource URIs without end, of any length."""

MAX_COMPARED_NAME = 8192
"""Longest name, in characters, that is looked at for being nearly what a pattern means: no server
has a longer one (`MAX_NAME_CHARS`, `MAX_PATH`), and an agent can make it up megabytes long."""


class MandateState(StrEnum):
    """Life of a mandate. Only ACTIVE lets anything through."""

    DRAFT = "draft"
    ACTIVE = "active"
    SUSPENDED = "suspended"
    REVOKED = "revoked"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class TargetPattern:
    """Globs over `upstream` and `name`; case matters, `*` matches any run of characters."""

    kind: CallKind
    upstream: str
    name: str

    def __str__(self) -> str:
        return f"{self.upstream}/{self.name}"

    def covers(self, target: Target) -> Truth:
        """Whether `target` is meant: an allow rule needs HOLDS, the others anything but FAILS.

        CANNOT_TELL when it fits but for case and alike, and for a resource whose URI may name
        something else than its text says (`file:///work/../etc/passwd` fits `file:///work/*`).
        """
        if target.kind is not self.kind:
            return FAILS
        upstream, name = _glob(self.upstream), _glob(self.name)
        if upstream.matches(target.upstream):
            if self.kind is CallKind.RESOURCE and is_tricky_uri(target.name):
                exact = name.literal and name.matches(target.name)
                return HOLDS if exact else CANNOT_TELL
            if name.matches(target.name):
                return HOLDS
        elif not upstream.nearly_matches(fold(target.upstream)):
            return FAILS
        if len(target.name) > MAX_COMPARED_NAME:
            return CANNOT_TELL
        return CANNOT_TELL if name.nearly_matches(fold(target.name)) else FAILS


_glob = lru_cache(maxsize=4096)(Glob)


@dataclass(frozen=True, slots=True)
class AllowRule:
    """Lets matching targets through when every condition holds.

    Attributes:
        id: `MANDATE@VERSION/allow/NAME` or `…/allow/1` (1-based) when unnamed.
        conditions: all must hold. An argument no condition names is refused unless
            `other_arguments` is true.
        line: where the rule stands in its file, for messages; 0 if unknown. Not part of what the
            rule means, so not compared.
        names: the arguments that conditions name, derived.
    """

    id: str
    targets: tuple[TargetPattern, ...]
    conditions: tuple[Condition, ...]
    other_arguments: bool = False
    line: int = field(default=0, compare=False)
    names: NameTree = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Derive `names` once."""
        whole = [rule.path for rule in self.conditions if isinstance(rule, Anything)]
        tree = name_tree((rule.path for rule in self.conditions), whole)
        object.__setattr__(self, "names", tree)


@dataclass(frozen=True, slots=True)
class DenyRule:
    """Refuses matching targets unless a condition plainly fails. Deny wins over everything."""

    id: str
    targets: tuple[TargetPattern, ...]
    conditions: tuple[Condition, ...]
    because: str = ""
    line: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class StampRule:
    """Holds matching targets for a person's stamp unless a condition plainly fails.

    Attributes:
        role: role the stamping person must have; None for any person.
        excluded: names of people who may not stamp, already resolved.
        count: distinct people needed.
        expires_after_seconds: how long the hold may wait; None for the gateway's default.
    """

    id: str
    targets: tuple[TargetPattern, ...]
    conditions: tuple[Condition, ...]
    role: str | None = None
    excluded: frozenset[str] = frozenset()
    count: int = 1
    expires_after_seconds: int | None = None
    because: str = ""
    line: int = field(default=0, compare=False)


Rule = AllowRule | DenyRule | StampRule


@dataclass(frozen=True, slots=True)
class Plan:
    """The rules of one mandate that concern one target, in their order."""

    allow: tuple[AllowRule, ...]
    deny: tuple[DenyRule, ...]
    stamp: tuple[StampRule, ...]


@dataclass(frozen=True, slots=True)
class Mandate:
    """Signed, versioned authority from a principal to an agent.

    Attributes:
        digest: over the declared document in canonical form; names this exact version.
        not_before, not_after: Unix milliseconds, inclusive and exclusive; None is unbounded.
    """

    name: str
    version: int
    digest: Digest
    principal: str
    agent: str
    purpose: str
    state: MandateState
    allow: tuple[AllowRule, ...]
    deny: tuple[DenyRule, ...] = ()
    stamp: tuple[StampRule, ...] = ()
    not_before: int | None = None
    not_after: int | None = None
    _plans: dict[Target, Plan] = field(
        init=False, repr=False, compare=False, hash=False, default_factory=dict
    )

    @property
    def ref(self) -> str:
        """`NAME@VERSION`, as written in records and rule ids."""
        return f"{self.name}@{self.version}"

    def plan(self, target: Target) -> Plan:
        """The rules that concern `target`. Remembered: it follows from the rules alone."""
        plan = self._plans.get(target)
        if plan is None:
            plan = Plan(
                allow=tuple(rule for rule in self.allow if covers(rule, target) is HOLDS),
                deny=tuple(rule for rule in self.deny if covers(rule, target) is not FAILS),
                stamp=tuple(rule for rule in self.stamp if covers(rule, target) is not FAILS),
            )
            if len(self._plans) >= MAX_PLANS:
                self._plans.clear()
            if len(target.name) <= MAX_REMEMBERED_NAME:
                self._plans[target] = plan
        return plan


def covers(rule: Rule, target: Target) -> Truth:
    """Whether one of the rule's patterns means `target`."""
    result = FAILS
    for pattern in rule.targets:
        truth = pattern.covers(target)
        if truth is HOLDS:
            return HOLDS
        if truth is CANNOT_TELL:
            result = CANNOT_TELL
    return result
