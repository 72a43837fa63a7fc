"""Conditions on argument values: typed, pure, explainable.

`base.py` says what a condition is and on which side doubt falls; each other module holds the kinds
for one sort of value. `bailiwick.declared.conditions` lists how each is written in a mandate.
"""

from bailiwick.core.conditions.base import (
    Condition,
    failure,
    name_of,
    permits,
    reason,
    sentence,
    standing,
    triggers,
)
from bailiwick.core.conditions.numbers import AtLeast, AtMost
from bailiwick.core.conditions.paths import Under
from bailiwick.core.conditions.texts import Matches
from bailiwick.core.conditions.values import Anything, Equals, OneOf, Present

__all__ = [
    "Anything",
    "AtLeast",
    "AtMost",
    "Condition",
    "Equals",
    "Matches",
    "OneOf",
    "Present",
    "Under",
    "failure",
    "name_of",
    "permits",
    "reason",
    "sentence",
    "standing",
    "triggers",
]
