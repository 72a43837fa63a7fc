"""Mandates as `judge` sees them: compiled, immutable, versioned.

The declared form (YAML) is turned into these by `bailiwick.declared`; nothing else makes them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from bailiwick.core.call import CallKind
from bailiwick.core.canonical import Digest
from bailiwick.core.conditions import Condition


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


@dataclass(frozen=True, slots=True)
class AllowRule:
    """Lets matching targets through when every condition holds.

    Attributes:
        id: `MANDATE@VERSION/allow/NAME` or `…/allow/1` (1-based) when unnamed.
        conditions: all must hold. An argument no condition names is refused unless
            `other_arguments` is true.
        line: where the rule stands in its file, for messages; 0 if unknown.
    """

    id: str
    targets: tuple[TargetPattern, ...]
    conditions: tuple[Condition, ...]
    other_arguments: bool = False
    line: int = 0


@dataclass(frozen=True, slots=True)
class DenyRule:
    """Refuses matching targets when every condition holds. Deny wins over everything."""

    id: str
    targets: tuple[TargetPattern, ...]
    conditions: tuple[Condition, ...]
    because: str = ""
    line: int = 0


@dataclass(frozen=True, slots=True)
class StampRule:
    """Holds matching targets for a person's stamp when every condition holds.

    Attributes:
        role: role the stamping person must have; None for any person.
        excluded: names of people who may not stamp, already resolved.
        count: distinct people needed.
    """

    id: str
    targets: tuple[TargetPattern, ...]
    conditions: tuple[Condition, ...]
    role: str | None = None
    excluded: frozenset[str] = frozenset()
    count: int = 1
    expires_after_seconds: int | None = None
    because: str = ""
    line: int = 0


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

    @property
    def ref(self) -> str:
        """`NAME@VERSION`, as written in records and rule ids."""
        return f"{self.name}@{self.version}"
