"""What the calls of one caller stand on, made once while nothing that is declared changes."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from bailiwick.core.links import asks_of_files
from bailiwick.core.thinking.offering import Offering
from bailiwick.gateway.authority import Authority
from bailiwick.gateway.memories import Chain, Memories, Plan
from bailiwick.ports import Caller

_MAX_KNOWN = 4_096
"""Callers remembered at once: one for each token that is in use."""


class Footing(msgspec.Struct, frozen=True):
    """What follows from a caller and what is declared.

    Not whether the caller may call: that is authenticated, judged and looked at again for each
    call.

    Attributes:
        caller: the very one it is of.
        chain: the mandates above the caller's, and its own; () when there is none of that name.
        owner: who answers for the agent; "" when it is not declared.
        plan: what the memory of its runs is for.
        offerings: what the chain says of the tools that models are offered.
        asks_of_files: whether some rule of the chain holds file paths to folders.
        counts_tokens: whether some limit of the chain counts what model calls take.
    """

    caller: Caller
    chain: Chain
    owner: str
    plan: Plan
    offerings: Sequence[Offering]
    asks_of_files: bool
    counts_tokens: bool


class Footings:
    """The footings of all callers."""

    def __init__(self, authority: Authority, memories: Memories) -> None:
        self._authority = authority
        self._memories = memories
        self._snapshot = authority.snapshot
        self._known: dict[str, Footing] = {}

    def of(self, caller: Caller) -> Footing:
        """Its footing now.

        INVARIANT: any change of what is declared or in force is another snapshot, and another
        token another caller. So what is found here is what would be made anew.
        """
        if self._snapshot is not self._authority.snapshot:
            self._snapshot = self._authority.snapshot
            self._known.clear()
        found = self._known.get(caller.token)
        if found is None or found.caller is not caller:
            found = self._make(caller)
        return found

    def _make(self, caller: Caller) -> Footing:
        if len(self._known) >= _MAX_KNOWN:
            self._known.clear()
        chain = self._authority.chain(caller.mandate)
        limits = [limit for each in chain for limit in (*each.limits, *each.principal_limits)]
        footing = self._known[caller.token] = Footing(
            caller=caller,
            chain=chain,
            owner=self._authority.owner(caller.agent),
            plan=self._memories.plan(chain),
            offerings=[each.offering for each in chain if each.offering is not None],
            asks_of_files=asks_of_files(chain),
            counts_tokens=any(limit.takes for limit in limits),
        )
        return footing
