"""Which tools a model is offered under a mandate, where a mandate says so."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from bailiwick.core.conditions.texts import fits
from bailiwick.core.texts.glob import Glob
from bailiwick.core.values import HOLDS


@dataclass(frozen=True, slots=True)
class Offering:
    """What of the tools that an agent offers goes on to the model.

    Tools behind the gateway go on if the mandate could let them through.

    Attributes:
        hosted: types of the tools run by the model's server that go on.
        others: whether tools go on that are not known to stand behind the gateway: the agent's
            own.
    """

    hosted: tuple[Glob, ...] = ()
    others: bool = True

    def keeps_hosted(self, kind: str) -> bool:
        """Whether a tool of this type, run by the model's server, goes on."""
        return fits(self.hosted, kind) is HOLDS


def keeps_hosted(offerings: Iterable[Offering], kind: str) -> bool:
    """Whether it goes on under every mandate of a chain."""
    return all(each.keeps_hosted(kind) for each in offerings)


def keeps_others(offerings: Iterable[Offering]) -> bool:
    """Whether tools that are not known go on under every mandate of a chain."""
    return all(each.others for each in offerings)
