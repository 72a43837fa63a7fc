"""What is read: rows of the durable state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from bailiwick.core.limits.transfers import Transfer
from bailiwick.ports.changes import CallState, HoldState, Pinned, SubjectKey

LET_RUN = frozenset({"allowed", "approved"})
"""Codes of calls that were let run. A call that then went well keeps its own."""

NOT_SENT = frozenset(
    {"upstream_down", "mandate_changed", "mandate_revoked", "token_revoked", "run_ended"}
)
"""Codes of calls that were let run, and of which nothing was sent: they take nothing of limits."""


@dataclass(frozen=True, slots=True)
class CallRow:
    """One recorded call, without its payloads. `digest` is there only of held calls, else ""."""

    id: str
    at_ms: int
    run: str
    agent: str
    mandate: str
    principal: str
    kind: str
    upstream: str
    name: str
    digest: str
    state: CallState
    code: str
    because: str
    hold: str
    ended_ms: int | None
    intent_index: int
    outcome_index: int | None
    approved_index: int | None = None
    """The entry written when a stamped call was let run; None for calls that were not held."""

    @property
    def ended_as(self) -> str:
        """Why it ended as it did; "" if it went well, or has no outcome."""
        return "" if self.outcome_index is None or self.code in LET_RUN else self.code


@dataclass(frozen=True, slots=True)
class StampRow:
    """One stamp on a hold."""

    hold: str
    person: str
    decision: str
    reason: str
    method: str
    at_ms: int
    statement: str
    entry_index: int


@dataclass(frozen=True, slots=True)
class HoldRow:
    """One hold with its stamps."""

    id: str
    call: str
    digest: str
    mandate: str
    agent: str
    run: str
    kind: str
    upstream: str
    name: str
    because: str
    rules: tuple[str, ...]
    role: str
    excluded: tuple[str, ...]
    count: int
    rendering: str
    nonce: str
    at_ms: int
    expires_ms: int
    state: HoldState
    decided_ms: int | None
    stamps: tuple[StampRow, ...] = ()
    policies: str = ""


@dataclass(frozen=True, slots=True)
class RunRow:
    """One run, with how its calls ended."""

    id: str
    key: str
    at_ms: int
    agent: str
    mandate: str
    calls: int
    states: Mapping[str, int] = field(default_factory=dict)
    started_by: str = "agent"
    person: str = ""
    supplier: str = ""
    token: str = ""
    ended_ms: int | None = None
    entry_index: int | None = None
    """The entry in which it began; None for runs from before there was one to open."""


@dataclass(frozen=True, slots=True)
class SpansRow:
    """Spans that an agent sent at once, attached to its run; they lie in their entry."""

    id: str
    run: str
    at_ms: int
    token: str
    spans: int
    size_bytes: int
    entry_index: int


@dataclass(frozen=True, slots=True)
class ObjectRow:
    """One version of a declared object."""

    kind: str
    name: str
    version: int
    digest: str
    document: str
    state: str
    at_ms: int
    by: str


@dataclass(frozen=True, slots=True)
class StoredEntry:
    """One ledger entry as stored."""

    index: int
    leaf: bytes
    sealed: bytes


@dataclass(frozen=True, slots=True)
class RecordPage:
    """A page of a run's record as it is exported (docs/reference/run-record.md).

    Attributes:
        lines: JSON texts without line ends: of the first page first the run, then its calls,
            oldest first.
        following: id of the last call, where more follow; else "".
    """

    lines: Sequence[bytes]
    following: str


@dataclass(frozen=True, slots=True)
class CallQuery:
    """Which calls to list, newest first. Empty strings do not restrict.

    Attributes:
        before, after: ids; calls that came before and after these.
        first: `newest`, or `oldest` for the other way round.
    """

    limit: int = 50
    before: str = ""
    after: str = ""
    first: str = "newest"
    run: str = ""
    agent: str = ""
    mandate: str = ""
    state: str = ""


@dataclass(frozen=True, slots=True)
class BalanceRow:
    """What one account holds for one key, in steps; see `core.limits.limit.Charge`.

    Of distinct values it is how many there are, each once: posted if any call with it was, else
    pending if any is, else unknown.
    """

    account: str
    key: str
    pending: int
    posted: int
    unknown: int


@dataclass(frozen=True, slots=True)
class UnsettledRow:
    """A call of whose reservation nothing is known since `at_ms`."""

    call: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class Difference:
    """Something in the books of limits that does not agree.

    Attributes:
        code: `balance_differs`, `account_missing`, `above_ceiling`, `call_differs`,
            `window_differs`, `posting_astray`, or `posting_unreadable` and then no other.
        where: the account or the call; of postings that cannot be read, their row.
    """

    code: str
    where: str
    text: str


@dataclass(frozen=True, slots=True)
class LimitAudit:
    """The books of limits, worked out again from their transfers.

    Attributes:
        transfers, accounts, calls, unsettled: how many there are.
        differences: none when all agree; at most 1,000.
    """

    transfers: int
    accounts: int
    calls: int
    unsettled: int
    differences: Sequence[Difference]


class Records(Protocol):
    """The durable state, read. Every method sees a consistent, committed snapshot.

    All raise StoreError when the store cannot be read.
    """

    async def calls(self, query: CallQuery) -> Sequence[CallRow]:
        """Calls that match, in the order asked for."""
        ...

    async def call(self, call_id: str) -> CallRow | None:
        """One call, or None."""
        ...

    async def last_calls(self) -> Sequence[CallRow]:
        """The newest call of each agent that made any, in no order. O(runs)."""
        ...

    async def runs(self, limit: int = 50) -> Sequence[RunRow]:
        """Runs, newest first."""
        ...

    async def run(self, run_id: str) -> RunRow | None:
        """One run, or None."""
        ...

    async def run_by_key(self, agent: str, mandate: str, key: str) -> RunRow | None:
        """The run an edge tells apart by this key, or None."""
        ...

    async def spans(self, run: str, after: str = "", limit: int = 50) -> Sequence[SpansRow]:
        """What spans were attached to a run, oldest first, those after the id `after`."""
        ...

    async def spans_kept(self, run: str) -> tuple[int, int]:
        """How many spans are attached to a run, and how many bytes they have."""
        ...

    async def holds(self, state: HoldState | None = None, limit: int = 200) -> Sequence[HoldRow]:
        """Holds, newest first; all states when None."""
        ...

    async def hold(self, hold_id: str) -> HoldRow | None:
        """One hold with its stamps, or None."""
        ...

    async def waiting_holds(self, agent: str) -> int:
        """How many holds of this agent are waiting."""
        ...

    async def hold_for(self, digest: str, mandate: str, agent: str) -> HoldRow | None:
        """The newest hold for this exact call that is waiting, approved, refused or expired.

        A hold that was used or withdrawn is never returned: a stamp serves once.
        """
        ...

    async def objects(self, kind: str = "") -> Sequence[ObjectRow]:
        """The newest version of each declared object."""
        ...

    async def versions(self, kind: str, name: str) -> Sequence[ObjectRow]:
        """Every version of one declared object, oldest first."""
        ...

    async def pins(self) -> Sequence[Pinned]:
        """Every pinned definition, oldest first for each thing."""
        ...

    async def subject_keys(self) -> Sequence[SubjectKey]:
        """People's payload keys, oldest first."""
        ...

    async def open_calls(self) -> Sequence[CallRow]:
        """Calls that are held or running: what a crash may have left behind."""
        ...

    async def revoked_tokens(self, now_ms: int) -> Sequence[str]:
        """Ids of revoked tokens that would still be valid."""
        ...

    async def entries(self, start: int, stop: int) -> Sequence[StoredEntry]:
        """Ledger entries with start <= index < stop, in order."""
        ...

    async def leaves(self, start: int, stop: int) -> Sequence[bytes]:
        """The leaves of those entries, without their payloads: what publishing needs."""
        ...

    async def entry_count(self) -> int:
        """How many ledger entries are durable."""
        ...

    async def balances(self, stem: str, limit: int = 500) -> Sequence[BalanceRow]:
        """Balances above zero of the accounts whose name begins with `stem`, newest first."""
        ...

    async def window(self, account: str, key: str, since_ms: int) -> Sequence[Transfer]:
        """Of a sliding account, the transfers of what was reserved after `since_ms`, in order."""
        ...

    async def transfers(self, call: str) -> Sequence[Transfer]:
        """Every transfer of one call, in order."""
        ...

    async def unsettled(self, after: str = "", limit: int = 500) -> Sequence[UnsettledRow]:
        """Calls of whose reservations something is unknown, by id, those after `after`."""
        ...

    async def audit_limits(self) -> LimitAudit:
        """Work every balance out again from the transfers, and compare. Takes seconds."""
        ...
