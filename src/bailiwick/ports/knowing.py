"""What people are told of mandates and calls: a mandate in sentences, a call explained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bailiwick.core.explaining.whole import Explanation


@dataclass(frozen=True, slots=True)
class MandateRead:
    """One version of a mandate in plain sentences (`core.reading`).

    Attributes:
        above: the mandates it is a part of, nearest first, as `NAME@VERSION`: each judges its
            calls as well.
    """

    name: str
    version: int
    digest: str
    state: str
    sentences: Sequence[str]
    above: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class CallExplained:
    """Why a recorded call was judged as it was.

    Attributes:
        recorded: the decision as recorded: `allow`, `hold` or `deny`, its code and rules.
        because: the sentence recorded with it.
        explanation: the same comparisons made again under the recorded versions; None when they
            cannot be, for the reason in `doubts`.
        doubts: what is not known any more, or comes out otherwise than was recorded.
    """

    call: str
    at_ms: int
    recorded: str
    code: str
    rules: Sequence[str]
    because: str
    explanation: Explanation | None
    doubts: Sequence[str] = ()
