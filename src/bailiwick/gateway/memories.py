"""What each run has read: the memories behind `Labels`, bounded, one for each live run."""

from __future__ import annotations

from bailiwick.core.flow import Facts, FreshRun, Labels
from bailiwick.core.mandate import Mandate


class Memories:
    """The memories of runs."""

    def known(self, run: str, mandate: Mandate) -> Labels:
        """What the run has read and was told."""
        return FreshRun(Facts(run=run))
