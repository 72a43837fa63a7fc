"""What the results of a target are worth to a run: trusted or not, and how confidential.

The servers' declarations say it, and every mandate of the chain may; none can take back what
another one warns of:

* confidentiality labels add up;
* a result is trusted if the root mandate says so, or says nothing and the server's declaration says
  so, and nobody in the chain (nor that declaration) says that it is not. A mandate further down
  can only distrust: an agent made it;
* where only some fields are trusted, the rest of the result is not, and a run that reads it has
  read something untrusted.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bailiwick.core.call import Target
from bailiwick.core.flow.labels import Flow, ResultLabels
from bailiwick.core.target_pattern import MAX_COMPARED_NAME, covers
from bailiwick.core.values import FAILS, HOLDS

_MAX_REMEMBERED = 1_024


@dataclass(frozen=True, slots=True)
class Worth:
    """What results of one target are worth.

    Attributes:
        trusted: whether values in them are vouched for.
        fields: the only parts that are, for each of those who said so; () for all of it.
    """

    trusted: bool = False
    confidential: frozenset[str] = frozenset()
    fields: tuple[tuple[str, ...], ...] = ()

    @property
    def wholly_trusted(self) -> bool:
        """Whether a run that reads one has read nothing untrusted."""
        return self.trusted and not self.fields

    def vouches_at(self, path: str) -> bool:
        """Whether values at this place of a result are vouched for, if it is `trusted`."""
        return all(any(_beneath(path, field) for field in fields) for fields in self.fields)


class Worths:
    """What results are worth under one chain of mandates. Remembers what it has worked out.

    Args:
        declared: what the servers' declarations say of results.
        chain: the flow rules of each mandate, root first.
    """

    def __init__(self, declared: Sequence[ResultLabels], chain: Sequence[Flow]) -> None:
        self._declared = tuple(declared)
        self._chain = tuple(flow.results for flow in chain)
        self._known: dict[Target, Worth] = {}

    @property
    def every_label(self) -> frozenset[str]:
        """Every confidentiality label that any result could carry."""
        rules = [*self._declared, *(rule for rules in self._chain for rule in rules)]
        return frozenset[str]().union(*(rule.confidential for rule in rules))

    def of(self, target: Target) -> Worth:
        """What the results of `target` are worth."""
        worth = self._known.get(target)
        if worth is None:
            worth = self._work_out(target)
            if len(self._known) >= _MAX_REMEMBERED:
                self._known.clear()
            if len(target.name) <= MAX_COMPARED_NAME:
                self._known[target] = worth
        return worth

    def _work_out(self, target: Target) -> Worth:
        labels = [*self._declared, *(rule for rules in self._chain for rule in rules)]
        confidential = frozenset[str]().union(
            *(rule.confidential for rule in labels if covers(rule.targets, target) is not FAILS)
        )
        server = _opinion(self._declared, target)
        opinions = [_opinion(rules, target) for rules in self._chain]
        root = opinions[0] if opinions and opinions[0] is not None else server
        if root is None or any(
            each is not None and not each.trusted for each in (server, *opinions)
        ):
            return Worth(False, confidential)
        said = [root, *(each for each in opinions[1:] if each is not None)]
        return Worth(True, confidential, tuple(each.fields for each in said if each.fields))


@dataclass(frozen=True, slots=True)
class _Opinion:
    trusted: bool
    fields: tuple[str, ...] = ()


def _opinion(rules: Iterable[ResultLabels], target: Target) -> _Opinion | None:
    """Whether `rules` trust it; None if they say nothing. Distrust needs no certainty."""
    trusting: list[ResultLabels] = []
    for rule in rules:
        if rule.trusted is None:
            continue
        meant = covers(rule.targets, target)
        if not rule.trusted and meant is not FAILS:
            return _Opinion(trusted=False)
        if rule.trusted and meant is HOLDS:
            trusting.append(rule)
    if not trusting:
        return None
    if not all(rule.fields for rule in trusting):
        return _Opinion(trusted=True)
    return _Opinion(True, tuple(field for rule in trusting for field in rule.fields))


def _beneath(path: str, field: str) -> bool:
    return path == field or path.startswith((f"{field}.", f"{field}[]"))
