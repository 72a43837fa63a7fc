"""The condition that a value comes from the person or from a trusted source."""

from __future__ import annotations

from dataclasses import dataclass

from bailiwick.core.argument_path import ArgumentPath
from bailiwick.core.canonical import Json
from bailiwick.core.conditions.base import Condition
from bailiwick.core.values import CANNOT_TELL, HOLDS, Truth


@dataclass(frozen=True, slots=True)
class Vouched(Condition):
    """The argument is given, and its value must be vouched for.

    Only allow rules may have it. The value alone does not say whether it is vouched for, so all
    that is asked here is that there is one; what the run has read is asked in `flowing.py`, and a
    value that nobody vouches for makes the call wait (`AllowRule.vouched`).
    """

    path: ArgumentPath
    optional: bool = False

    def of(self, value: Json) -> Truth:
        """Whether there is a value to ask about."""
        return CANNOT_TELL if value is None else HOLDS

    @property
    def phrase(self) -> str:
        """What must be so, to follow the argument's name."""
        return "vouched for"
