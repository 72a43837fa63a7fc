"""What `judge` is told besides the call and its mandates.

Each has an empty value today: organisation policies, counters of limits, labels of what a run has
read, and the step of a process come with later work, and take these places in `judge`'s signature.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Policies:
    """Organisation policies that stand above every mandate."""


@dataclass(frozen=True, slots=True)
class Counters:
    """How much of each limit is reserved and spent."""


@dataclass(frozen=True, slots=True)
class Labels:
    """Where the values a run has seen came from."""


@dataclass(frozen=True, slots=True)
class Step:
    """Where the run stands in its process."""


NO_POLICIES = Policies()
NO_COUNTERS = Counters()
NO_LABELS = Labels()
NO_STEP = Step()
