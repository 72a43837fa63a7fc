"""Conditions on the circumstances of a call: time of week, run, end user, network zone.

As with conditions on arguments, an allow rule needs HOLDS, and a deny or stamp rule applies unless
one plainly FAILS.
"""

from __future__ import annotations

from typing import Protocol

from bailiwick.core.flow import Facts
from bailiwick.core.values import FAILS, HOLDS, Truth


class Circumstance(Protocol):
    """One condition on the circumstances."""

    def of(self, facts: Facts, now: int) -> Truth:
        """Whether it holds; `now` in Unix milliseconds."""
        ...

    @property
    def phrase(self) -> str:
        """What must be so: "on working days from 8:00 to 18:00 (Europe/Zurich)"."""
        ...


def all_hold(circumstances: tuple[Circumstance, ...], facts: Facts, now: int) -> bool:
    """For an allow rule, and for a whole mandate."""
    return all(each.of(facts, now) is HOLDS for each in circumstances)


def none_fails(circumstances: tuple[Circumstance, ...], facts: Facts, now: int) -> bool:
    """For a deny or stamp rule."""
    return not any(each.of(facts, now) is FAILS for each in circumstances)
