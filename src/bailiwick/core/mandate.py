"""Mandates as `judge` sees them: compiled, immutable, versioned.

The declared form (YAML) is turned into these by `bailiwick.declared`; nothing else makes them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from bailiwick.core.argument_path import ArgumentPath, NameTree, name_tree
from bailiwick.core.call import Target
from bailiwick.core.canonical import Digest
from bailiwick.core.circumstances import Circumstance
from bailiwick.core.conditions import Anything, Condition, Quick, Vouched
from bailiwick.core.delegation import Delegation
from bailiwick.core.flow.labels import NO_FLOW, Flow
from bailiwick.core.limits.limit import Limit
from bailiwick.core.target_pattern import TargetPattern, covers
from bailiwick.core.thinking.offering import Offering
from bailiwick.core.values import FAILS, HOLDS

if TYPE_CHECKING:
    from bailiwick.core.line import Lines

MAX_PLANS = 4096
MAX_REMEMBERED_NAME = 512
"""Targets a mandate remembers its rules for, and the longest name among them: an agent can make up
resource URIs without end, of any length."""

MAX_PLANS_OF_CHILD = 256
"""The same of a mandate that was made by delegation: an agent can make a thousand of them, too."""


class MandateState(StrEnum):
    """Life of a mandate. Only ACTIVE lets anything through."""

    DRAFT = "draft"
    ACTIVE = "active"
    SUSPENDED = "suspended"
    REVOKED = "revoked"
    EXPIRED = "expired"


Asked = tuple[Quick, Condition]
"""A condition with its quick answer before it: where that says nothing, the condition is asked."""


@dataclass(frozen=True, slots=True)
class AllowRule:
    """Lets matching targets through when every condition holds.

    Attributes:
        id: `MANDATE@VERSION/allow/NAME` or `…/allow/1` (1-based) when unnamed.
        conditions: all must hold. An argument no condition names is refused unless
            `other_arguments` is true.
        line: where the rule stands in its file, for messages; 0 if unknown. Not part of what the
            rule means, so not compared.
        circumstances: must all hold, whatever the arguments.
        vouched: arguments whose values must be vouched for; one that is not makes the call wait.
            Each is also named by a condition, and each `Vouched` condition names one.
        names: the arguments that conditions name, derived.
        covered: the first names among them that cover all beneath, derived: arguments with no other
            names go through `unnamed` in any case.
        asked: `conditions` as a call is held to them, derived.
    """

    id: str
    targets: tuple[TargetPattern, ...]
    conditions: tuple[Condition, ...]
    other_arguments: bool = False
    circumstances: tuple[Circumstance, ...] = ()
    vouched: tuple[ArgumentPath, ...] = ()
    line: int = field(default=0, compare=False)
    names: NameTree = field(init=False, repr=False, compare=False)
    covered: frozenset[str] = field(init=False, repr=False, compare=False)
    asked: tuple[Asked, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Derive what follows from the conditions once."""
        whole = [rule.path for rule in self.conditions if isinstance(rule, Anything)]
        named = (path for rule in self.conditions for path in rule.paths)
        tree = name_tree(named, whole)
        object.__setattr__(self, "names", tree)
        covered = (key for key, below in tree.items() if below is None and isinstance(key, str))
        object.__setattr__(self, "covered", frozenset(covered))
        object.__setattr__(self, "asked", _asked(self.conditions))
        wanted = (rule.path for rule in self.conditions if isinstance(rule, Vouched))
        object.__setattr__(self, "vouched", tuple(dict.fromkeys((*self.vouched, *wanted))))


@dataclass(frozen=True, slots=True)
class DenyRule:
    """Refuses matching targets unless a condition plainly fails. Deny wins over everything."""

    id: str
    targets: tuple[TargetPattern, ...]
    conditions: tuple[Condition, ...]
    because: str = ""
    circumstances: tuple[Circumstance, ...] = ()
    line: int = field(default=0, compare=False)
    asked: tuple[Asked, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Derive `asked` once."""
        object.__setattr__(self, "asked", _asked(self.conditions))


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
    circumstances: tuple[Circumstance, ...] = ()
    line: int = field(default=0, compare=False)
    asked: tuple[Asked, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Derive `asked` once."""
        object.__setattr__(self, "asked", _asked(self.conditions))


def _asked(conditions: tuple[Condition, ...]) -> tuple[Asked, ...]:
    return tuple((condition.quick(), condition) for condition in conditions)


Rule = AllowRule | DenyRule | StampRule

UNDER = " under "
"""Between a mandate and its parent, where the whole line is written out."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The rules of one mandate that concern one target, in their order."""

    allow: tuple[AllowRule, ...]
    deny: tuple[DenyRule, ...]
    stamp: tuple[StampRule, ...]
    limits: tuple[Limit, ...] = ()
    principal_limits: tuple[Limit, ...] = ()


@dataclass(frozen=True, slots=True)
class Mandate:
    """Signed, versioned authority from a principal to an agent.

    Attributes:
        digest: over the declared document in canonical form; names this exact version.
        not_before, not_after: Unix milliseconds, inclusive and exclusive; None is unbounded.
        circumstances: must all hold for any call under it.
        limits: how much it allows over time.
        principal_limits: how much its principal allows over time, by all of that person's mandates
            together: as declared now, and no part of this version.
        flow: what its tools' results are worth, and what its tools may be given.
        offering: which offered tools go on to models; None for all of them.
        first_message_instructs: a run that begins with a model call takes its instruction from the
            first message of it.
        parent: name of the mandate this one was made from by delegation; "" for a root.
        delegation: leave to pass on part of it; None for none.
        ref: `NAME@VERSION`, as written in records and rule ids; derived.
        lines: what `line_of` remembers; derived.
        plans: what `plan` remembers; derived.
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
    circumstances: tuple[Circumstance, ...] = ()
    limits: tuple[Limit, ...] = ()
    flow: Flow = NO_FLOW
    offering: Offering | None = None
    first_message_instructs: bool = False
    parent: str = ""
    delegation: Delegation | None = None
    principal_limits: tuple[Limit, ...] = ()
    ref: str = field(init=False, repr=False, compare=False)
    plans: dict[Target, Plan] = field(
        init=False, repr=False, compare=False, hash=False, default_factory=dict
    )
    lines: list[Lines] = field(
        init=False, repr=False, compare=False, hash=False, default_factory=list
    )

    def __post_init__(self) -> None:
        """Write `ref` once: every call names it several times."""
        object.__setattr__(self, "ref", f"{self.name}@{self.version}")

    @property
    def most_plans(self) -> int:
        """How many targets at most it remembers anything for."""
        return MAX_PLANS_OF_CHILD if self.parent else MAX_PLANS

    def plan(self, target: Target) -> Plan:
        """The rules that concern `target`. Remembered: it follows from the rules alone."""
        plan = self.plans.get(target)
        if plan is None:
            plan = Plan(
                allow=tuple(rule for rule in self.allow if covers(rule.targets, target) is HOLDS),
                deny=tuple(rule for rule in self.deny if covers(rule.targets, target) is not FAILS),
                stamp=tuple(
                    rule for rule in self.stamp if covers(rule.targets, target) is not FAILS
                ),
                limits=tuple(
                    limit for limit in self.limits if covers(limit.targets, target) is not FAILS
                ),
                principal_limits=tuple(
                    limit
                    for limit in self.principal_limits
                    if covers(limit.targets, target) is not FAILS
                ),
            )
            if len(self.plans) >= self.most_plans:
                self.plans.clear()
            if len(target.name) <= MAX_REMEMBERED_NAME:
                self.plans[target] = plan
        return plan


def authority(chain: Sequence[Mandate]) -> str:
    """Every mandate of a chain with its version: `pay:reader@1 under pay@3`, the leaf first.

    What a stamp is given for: with another version of any of them it would be another authority.
    """
    return UNDER.join(mandate.ref for mandate in reversed(chain))
