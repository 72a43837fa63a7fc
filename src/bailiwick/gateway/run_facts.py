"""What is known of a run: what it was told when it began, by whom, and whether it has ended."""

from __future__ import annotations

import msgspec

from bailiwick.core.flow import Facts
from bailiwick.gateway.gate import Asked

PERSON = "person"
AGENT = "agent"


class RunFacts(msgspec.Struct, frozen=True):
    """A run as it was begun. Nothing of it changes afterwards but `ended`.

    Attributes:
        run: its id.
        instruction: what the run is to do, in the words given; "" if nothing was said.
        supplier: who gave the instruction: `person`, `agent` (its harness), "" without one.
        started_by: `person` or `agent`. It also says who gave `purpose` and `labels`.
        person: name of the person who started it, "" for an agent's.
        end_user: for whom the whole run is; "" leaves it to be said with each call.
        ended: nothing more is dispatched in it.
    """

    run: str
    agent: str
    mandate: str
    instruction: str = ""
    supplier: str = ""
    started_by: str = AGENT
    person: str = ""
    purpose: str = ""
    labels: frozenset[str] = frozenset()
    end_user: str = ""
    ended: bool = False


def facts_of(told: RunFacts, asked: Asked, zones: frozenset[str] | None) -> Facts:
    """What `judge` is told of a call's run and caller.

    Args:
        zones: names of the network zones the caller is in; None if its address is not known.
    """
    fixed = told.end_user
    said = "" if fixed else asked.said.end_user
    return Facts(
        run=told.run,
        purpose=told.purpose,
        run_labels=told.labels,
        end_user=fixed or said,
        end_user_by=told.started_by if fixed else AGENT if said else "",
        zones=zones,
        started_by=told.started_by,
    )
