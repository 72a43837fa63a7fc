"""Aliases: one name for several models, and which of them is asked next.

A group of an alias is tried before the next one. Within a group, weights say how often each is
drawn. The draw follows from what is asked (or from the run), so that the same request, asked again
while it waits for a person, comes to the same model and finds its own hold.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bailiwick.gateway.llm.failures import DEFAULT_FAIL_OVER


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model that an alias may stand for. `weight` is at least 1."""

    server: str
    model: str
    weight: int = 1

    @property
    def name(self) -> str:
        """`SERVER/MODEL`."""
        return f"{self.server}/{self.model}"


@dataclass(frozen=True, slots=True)
class Breaker:
    """When a model is given a rest: after so many failures in a row, for so many seconds."""

    failures: int = 5
    seconds: float = 30.0


@dataclass(frozen=True, slots=True)
class Alias:
    """One declared alias.

    Attributes:
        groups: candidates; all of a group before any of the next. No candidate stands twice.
        fail_over: failures (of `failures.FAILURES`) after which another candidate is tried.
        attempts: most candidates that one request is sent to.
        first_byte_seconds: longest wait for the first piece of a streamed answer; None for the
            server's own.
        whole_seconds: longest time for one whole answer; None for the server's own.
        by_run: all calls of a run are drawn alike, and not each call by itself.
    """

    name: str
    groups: tuple[tuple[Candidate, ...], ...]
    fail_over: frozenset[str] = DEFAULT_FAIL_OVER
    attempts: int = 3
    breaker: Breaker = Breaker()
    first_byte_seconds: float | None = None
    whole_seconds: float | None = None
    by_run: bool = False


def draw(group: Sequence[Candidate], key: Callable[[], bytes]) -> Candidate:
    """One of a group, which is not empty: over many keys as often as its weight says.

    Weighted rendezvous hashing: that a member is missing changes only the draws that fell on it.

    Args:
        key: what decides; asked only when there is a choice.
    """
    if len(group) == 1:
        return group[0]
    told = key()
    return min(group, key=lambda each: (_score(told, each), each.name))


def _score(key: bytes, candidate: Candidate) -> float:
    digest = hashlib.sha256(key + b"\0" + candidate.name.encode()).digest()
    # Never 0 and never 1: the logarithm is finite and below 0.
    fraction = (int.from_bytes(digest[:8]) + 1) / (2**64 + 2)
    return -math.log(fraction) / candidate.weight
