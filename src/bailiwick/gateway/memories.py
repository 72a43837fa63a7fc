"""What each run has read: the memories behind `Labels`, bounded, one for each live run."""

from __future__ import annotations

from bailiwick.core.flow import Facts, FreshRun, Labels
from bailiwick.core.mandate import Mandate
from bailiwick.gateway.run_facts import RunFacts


class Memories:
    """The memories of runs."""

    def known(self, run: RunFacts, mandate: Mandate, facts: Facts) -> Labels:
        """What the run has read and was told; `facts` are what the labels' `facts` answer."""
        return FreshRun(facts)
