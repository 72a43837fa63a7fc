"""What `judge` answers: a value to match exhaustively, never a flag.

Every verdict names the rules that decided it and says why in one sentence for people. The
sentence reaches the agent: it never holds a secret or another person's data.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Never

import msgspec

if TYPE_CHECKING:
    from bailiwick.core.limits.limit import Charge


class _NoTruth(msgspec.Struct, frozen=True):
    def __bool__(self) -> Never:
        raise TypeError("a Verdict has no truth value: match on Allow, Hold and Deny")


@dataclass(frozen=True, slots=True)
class Requirement:
    """Whose stamp a held call needs.

    Attributes:
        role: the role a person must have to stamp; None means any person but the excluded.
        excluded: names of people who may not stamp this call (already resolved, never words
            such as `owner`).
        count: how many distinct people must approve; 1 or more.
        expires_after_seconds: how long the hold may wait; afterwards it is refused. None means
            the gateway's default.
    """

    role: str | None
    excluded: frozenset[str]
    count: int = 1
    expires_after_seconds: int | None = None


class Allow(_NoTruth, frozen=True):
    """The call may run now, once `charges` are reserved.

    Attributes:
        used: what was used before each of `charges` (`Counters.used`), when it was judged.
    """

    rules: tuple[str, ...]
    because: str
    charges: tuple[Charge, ...] = ()
    used: tuple[int, ...] = ()


class Hold(_NoTruth, frozen=True):
    """The call may run once a person has stamped it, and `charges` are reserved then.

    Attributes:
        used: see `Allow.used`.
    """

    requirement: Requirement
    rules: tuple[str, ...]
    because: str
    charges: tuple[Charge, ...] = ()
    used: tuple[int, ...] = ()


class Deny(_NoTruth, frozen=True):
    """The call may not run.

    Attributes:
        code: stable reason, snake case: `not_in_mandate`, `argument_refused`,
            `unknown_argument`, `denied_by_rule`, `mandate_not_active`, `mandate_revoked`,
            `judge_failed`, `ledger_unavailable`, … (docs/reference/verdicts.md lists all).
        because: what was refused and why.
        allowed: what would have been allowed, in words a model can act on; empty if nothing.
    """

    charges: ClassVar[tuple[Charge, ...]] = ()
    """As of the other verdicts: nothing is taken."""

    code: str
    rules: tuple[str, ...]
    because: str
    allowed: str = ""


Verdict = Allow | Hold | Deny
