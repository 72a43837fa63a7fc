"""Conditions on argument values: typed, pure, explainable.

`base.py` says what a condition is and on which side doubt falls; each other module holds the kinds
for one sort of value. `bailiwick.declared.conditions` lists how each is written in a mandate.
"""

from bailiwick.core.conditions.base import (
    Condition,
    Quick,
    failure,
    name_of,
    permits,
    reason,
    sentence,
    standing,
    triggers,
)
from bailiwick.core.conditions.comparing import Beside, Compared, How
from bailiwick.core.conditions.lists import Items, Which
from bailiwick.core.conditions.money import Bounds, Money, MoneyBeside
from bailiwick.core.conditions.numbers import AtLeast, AtMost
from bailiwick.core.conditions.paths import Under
from bailiwick.core.conditions.ranges import Between, Count, Length
from bailiwick.core.conditions.texts import EndsWith, FitsRegex, Matches, StartsWith
from bailiwick.core.conditions.values import Anything, Equals, OneOf, Present
from bailiwick.core.conditions.vouched import Vouched

__all__ = [
    "Anything",
    "AtLeast",
    "AtMost",
    "Beside",
    "Between",
    "Bounds",
    "Compared",
    "Condition",
    "Count",
    "EndsWith",
    "Equals",
    "FitsRegex",
    "How",
    "Items",
    "Length",
    "Matches",
    "Money",
    "MoneyBeside",
    "OneOf",
    "Present",
    "Quick",
    "StartsWith",
    "Under",
    "Vouched",
    "Which",
    "failure",
    "name_of",
    "permits",
    "reason",
    "sentence",
    "standing",
    "triggers",
]
