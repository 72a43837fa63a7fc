"""What `judge` is told besides the call and its mandates, and the empty value of each.

`Labels` (what the run has read) is in `flow.py`, `Counters` (what is used of limits) in
`limits.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from bailiwick.core.call import Call
from bailiwick.core.flow.labels import NO_LABELS, Labels
from bailiwick.core.limits.limit import Charge, Counters
from bailiwick.core.verdict import Deny

if TYPE_CHECKING:
    from bailiwick.core.mandate import Mandate

__all__ = [
    "NO_COUNTERS",
    "NO_LABELS",
    "NO_POLICIES",
    "NO_STEP",
    "Counters",
    "Labels",
    "Policies",
    "Step",
]


class Policies(Protocol):
    """Organisation policies that stand above every mandate."""

    @property
    def version(self) -> str:
        """Digest of the whole set; "" when there are none. Stamps and records bind it."""
        ...

    @property
    def about_reading(self) -> bool:
        """Whether any of them looks at what a run has read: if not, nobody need remember it."""
        ...

    def decide(self, call: Call, chain: Sequence[Mandate], labels: Labels, now: int) -> Deny | None:
        """Why the organisation refuses this call, or None. Pure; an error inside is a refusal."""
        ...


@dataclass(frozen=True, slots=True)
class NoPolicies:
    """No organisation policy at all."""

    version: str = ""
    about_reading: bool = False

    def decide(self, call: Call, chain: Sequence[Mandate], labels: Labels, now: int) -> Deny | None:
        """Nothing is refused."""
        return None


@dataclass(frozen=True, slots=True)
class NoCounters:
    """Nothing is used yet."""

    def used(self, charge: Charge) -> int:
        """Nothing."""
        return 0


@dataclass(frozen=True, slots=True)
class Step:
    """Where the run stands in its process."""


NO_POLICIES = NoPolicies()
NO_COUNTERS = NoCounters()
NO_STEP = Step()
