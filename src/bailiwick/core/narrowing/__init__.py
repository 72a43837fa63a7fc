"""Whether one mandate allows no more than another, with a call that shows it when it does.

`narrower(child, parent)` is a proof by structure: None means that no call, by whatever arguments,
at whatever time, is let through by the child alone and not by the parent alone, nor with fewer
stamps. It is safe and not complete: a child that is narrower in a way it cannot follow is refused,
with words for what could not be shown. docs/delegation.md says what it follows.

Limits are not compared. A call is counted against every limit of every mandate of its chain, so a
child's own limits can only add to its parents'.
"""

from bailiwick.core.narrowing.covering import adds_nothing, applies_wherever_allowed
from bailiwick.core.narrowing.examples import Example
from bailiwick.core.narrowing.globs import includes, overlap
from bailiwick.core.narrowing.whole import Wider, about_same, narrower, repeats

__all__ = [
    "Example",
    "Wider",
    "about_same",
    "adds_nothing",
    "applies_wherever_allowed",
    "includes",
    "narrower",
    "overlap",
    "repeats",
]
