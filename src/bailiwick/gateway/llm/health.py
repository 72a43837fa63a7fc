"""How models are doing: which are given a rest, and what they last failed of.

A rest begins after so many failures in a row, or for as long as a server asks for (`retry-after`).
When it is over, one call is let through; the next ones follow when that was served.

INVARIANT: nothing here says what may be called. A model at rest is passed over where there is
another one to ask; a call that names a model itself is sent in any case.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bailiwick.gateway.llm.aliases import Breaker, Candidate
from bailiwick.gateway.llm.failures import COUNTED

MAX_REST_SECONDS = 300.0
"""Longest rest that a server may ask for."""


@dataclass(slots=True)
class Standing:
    """How one model is doing.

    Attributes:
        failures: in a row, of `failures.COUNTED`.
        failed_at, rests_until: by the monotonic clock; 0 if never.
        trying: a call is under way that is to show whether it serves again.
        last_failure: of `failures.FAILURES`, "" if there was none.
        last_failure_ms: when, in Unix milliseconds.
        served, failed: calls since the gateway started.
    """

    failures: int = 0
    failed_at: float = 0.0
    rests_until: float = 0.0
    trying: bool = False
    last_failure: str = ""
    last_failure_ms: int = 0
    served: int = 0
    failed: int = 0

    def rests(self, breaker: Breaker, now: float) -> bool:
        """Whether it is at rest."""
        if now < self.rests_until:
            return True
        broken = self.failures >= breaker.failures
        return broken and now < self.failed_at + breaker.seconds


class Health:
    """What is known of the models that aliases stand for. Belongs to one event loop."""

    def __init__(self) -> None:
        self._standings: dict[str, Standing] = {}

    @property
    def standings(self) -> Mapping[str, Standing]:
        """By `SERVER/MODEL`, as far as they were ever asked."""
        return self._standings

    def well(self, candidate: Candidate, breaker: Breaker, now: float) -> bool:
        """Whether it may be asked now."""
        standing = self._standings.get(candidate.name)
        if standing is None:
            return True
        if standing.rests(breaker, now):
            return False
        return not (standing.trying and standing.failures >= breaker.failures)

    def ready_in(self, candidate: Candidate, breaker: Breaker, now: float) -> float:
        """Seconds until it may be asked again; at least 1."""
        standing = self._standings.get(candidate.name, Standing())
        until = standing.rests_until
        if standing.failures >= breaker.failures:
            until = max(until, standing.failed_at + breaker.seconds)
        return max(1.0, until - now)

    def keep(self, names: frozenset[str]) -> None:
        """Forget all others: what is remembered is bounded by what is declared."""
        for name in self._standings.keys() - names:
            del self._standings[name]

    def begin(self, name: str) -> None:
        """It is being asked."""
        standing = self._standings.get(name)
        if standing is not None and standing.failures:
            standing.trying = True

    def end(self, name: str, failure: str | None, now: float, at_ms: int, rest: float) -> None:
        """It was asked.

        Args:
            name: `SERVER/MODEL`.
            failure: of `failures.FAILURES`, "" if it served, None if it was not asked after all.
            now: by the monotonic clock.
            at_ms: Unix milliseconds.
            rest: seconds for which the server asks not to be asked; 0 for none.
        """
        standing = self._standings.get(name)
        if standing is None:
            if failure is None:
                return
            standing = self._standings[name] = Standing()
        standing.trying = False
        if failure is None:
            return
        if not failure:
            standing.served += 1
            standing.failures = 0
            standing.rests_until = 0.0
            return
        standing.failed += 1
        standing.last_failure, standing.last_failure_ms = failure, at_ms
        if failure in COUNTED:
            standing.failures += 1
            standing.failed_at = now
            if rest > 0:
                standing.rests_until = now + min(rest, MAX_REST_SECONDS)
