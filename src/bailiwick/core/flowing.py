"""What a mandate's flow rules say of one call, given what its run has read."""

from __future__ import annotations

from collections.abc import Sequence

from bailiwick.core.call import Call
from bailiwick.core.flow import Labels
from bailiwick.core.mandate import AllowRule, Mandate, StampRule
from bailiwick.core.verdict import Deny


def against_flow(
    mandate: Mandate, allow: AllowRule, call: Call, labels: Labels
) -> Deny | Sequence[StampRule]:
    """A refusal, or the stamps that flow asks for; none when all is well.

    Args:
        allow: the allow rule that let the call through.
    """
    return ()
