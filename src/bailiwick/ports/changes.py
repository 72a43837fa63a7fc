"""What is written: entries, changes and the journal that makes them durable together."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import msgspec

from bailiwick.core.limits.limit import Charge, Counters


class Entry(msgspec.Struct, frozen=True):
    """One ledger entry, with the payload that is kept beside it.

    Attributes:
        leaf: canonical JSON, at most 65,535 bytes; holds commitments, never payloads.
        sealed: the encrypted payload, or b"" for none; opaque to the store.
    """

    leaf: bytes
    sealed: bytes = b""


class CallState(StrEnum):
    """Where a call stands. UNKNOWN: it was sent, and nothing is known to have come back."""

    DENIED = "denied"
    HELD = "held"
    REFUSED = "refused"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"


class Reserved(msgspec.Struct, frozen=True):
    """Set `charges` aside for a call. The whole commit is void (`LimitReached`) unless all fit.

    Idempotent by call: a second reservation of the same call with the same charges does nothing;
    with others it is a `Conflict`. One commit reserves once at most, or settles one call: all at
    once, or in parts (`only`) that do not overlap.
    """

    call: str
    at_ms: int
    charges: tuple[Charge, ...]


class Settlement(StrEnum):
    """How a reservation ends. UNKNOWN counts on, until it is POSTED or VOIDED."""

    POSTED = "posted"
    VOIDED = "voided"
    UNKNOWN = "unknown"


class Settled(msgspec.Struct, frozen=True):
    """End the reservation of a call; nothing happens if it has none, or has ended alike.

    Attributes:
        actual: for POSTED, what was really taken of some accounts, as (account, key, steps);
            of all others, what was reserved. More than was reserved is posted all the same.
        only: the (account, key) to settle; () is all of it, also what was voided before: it turns
            out to have happened.
    """

    call: str
    at_ms: int
    how: Settlement
    actual: tuple[tuple[str, str, int], ...] = ()
    only: tuple[tuple[str, str], ...] = ()


class CallOpened(msgspec.Struct, frozen=True):
    """A call was judged. Its intent is the entry `entry` (position within the same commit).

    Attributes:
        digest: only of held calls, else "".
        because: of a call that is RUNNING at once it quotes none of its arguments, so a store may
            keep it in clear; any other may quote them.
    """

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
    hold: str = ""
    entry: int = 0


class CallMoved(msgspec.Struct, frozen=True):
    """A call changed state, with the entry `entry` of the same commit (-1: none of its own).

    For RUNNING it is the entry that lets a stamped call run, else the outcome.
    """

    id: str
    at_ms: int
    state: CallState
    code: str = ""
    because: str = ""
    entry: int = -1


@dataclass(frozen=True, slots=True)
class RunOpened:
    """A run began. Ignored when the run is already there.

    Attributes:
        started_by: `person` or `agent`.
        person: name of the person who started it, "" for an agent's.
        supplier: who gave its instruction: `person`, `agent`, "" if it has none.
        token: id of the token that is bound to it, "" for none.
        entry: position of its entry within the same commit: what it was told lies sealed there,
            and nowhere else. -1 for none.
    """

    id: str
    key: str
    at_ms: int
    agent: str
    mandate: str
    started_by: str = "agent"
    person: str = ""
    supplier: str = ""
    token: str = ""
    entry: int = -1


@dataclass(frozen=True, slots=True)
class RunEnded:
    """A run was ended. The whole commit is void (`Conflict`) unless it is there and goes on."""

    id: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class SpansKept:
    """Spans that an agent sent are attached to its run: its own claim, sealed in their entry.

    Attributes:
        spans, size_bytes: how many, and how long their text is.
        token: id of the token they came with.
        entry: position of their entry within the same commit.
    """

    id: str
    run: str
    at_ms: int
    token: str
    spans: int
    size_bytes: int
    entry: int = 0


class HoldState(StrEnum):
    """WAITING → APPROVED → USED, or WAITING → REFUSED, EXPIRED or WITHDRAWN. Nothing goes back."""

    WAITING = "waiting"
    APPROVED = "approved"
    REFUSED = "refused"
    EXPIRED = "expired"
    USED = "used"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class HoldOpened:
    """A call waits for a person.

    Attributes:
        digest: of the call; with `mandate` it is what a retry is matched on.
        mandate: `NAME@VERSION` the call was judged under; a stamp holds for that version only.
        rendering: the exact text shown to people; the stamp binds its digest.
        policies: version of the organisation's policies it was judged under; a stamp holds for
            that version only. "" for none.
    """

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
    policies: str = ""


@dataclass(frozen=True, slots=True)
class Stamped:
    """One person's decision on a hold. One person stamps one hold at most once."""

    hold: str
    person: str
    decision: str
    reason: str
    method: str
    at_ms: int
    statement: str
    entry: int = 0


@dataclass(frozen=True, slots=True)
class HoldMoved:
    """Move a hold. The whole commit is void (`Conflict`) unless it now is in `expected`."""

    id: str
    expected: HoldState
    state: HoldState
    at_ms: int


@dataclass(frozen=True, slots=True)
class ObjectPut:
    """A new version of a declared object (`server`, `person`, `agent`, `mandate`).

    `document` is the canonical JSON of the declaration with secrets as references, never values.
    """

    kind: str
    name: str
    version: int
    digest: str
    document: str
    state: str
    at_ms: int
    by: str


@dataclass(frozen=True, slots=True)
class ObjectState:
    """Change the life state of the newest version of a declared object."""

    kind: str
    name: str
    state: str
    at_ms: int
    by: str


class PinState(StrEnum):
    """A definition seen first is ACCEPTED; one that changed is HELD until a person accepts it. One
    that people declared may be taken back: then it is WITHDRAWN."""

    ACCEPTED = "accepted"
    HELD = "held"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class Pinned:
    """The hash of one definition (tool, resource, template, prompt) as one server gave it."""

    upstream: str
    kind: str
    name: str
    digest: str
    definition: str
    state: PinState
    at_ms: int
    by: str = ""


@dataclass(frozen=True, slots=True)
class TokenRevoked:
    """A token id that is refused from now on; kept until `expires_ms`."""

    id: str
    expires_ms: int
    by: str


@dataclass(frozen=True, slots=True)
class SubjectKey:
    """A person's payload key, wrapped by the vault's own key. `wrapped` is b"" once destroyed."""

    id: int
    subject: str
    wrapped: bytes
    at_ms: int


Change = (
    Reserved
    | Settled
    | CallOpened
    | CallMoved
    | RunOpened
    | RunEnded
    | SpansKept
    | HoldOpened
    | Stamped
    | HoldMoved
    | ObjectPut
    | ObjectState
    | Pinned
    | TokenRevoked
    | SubjectKey
)


class Journal(Protocol):
    """The durable state, written. One writer; readers use `Records`.

    What quotes payloads (`digest`, `because`, `rendering`, `reason`, `statement`, and the name of
    a resource) is never at rest in clear: who has the store's files alone cannot read or guess it.
    """

    @property
    def counters(self) -> Counters:
        """What is used of limits, as of the last commit here. Synchronous and cheap."""
        ...

    def commit(self, entries: Sequence[Entry], changes: Sequence[Change] = ()) -> Awaitable[range]:
        """Append `entries` and apply `changes`, all or nothing, durably.

        It is under way once this returns, whether or not anybody waits. When what it returns has
        been awaited, everything in it survives a crash of the process and of the machine, and the
        entries stand at the indexes that came of it, contiguous. Concurrent commits share one
        fsync. Cancelling the waiter does not undo the commit.

        Raises:
            Conflict: a conditional change did not find what it expected; nothing was written.
            LimitReached: a kind of Conflict: a reservation did not fit.
            StoreError: nothing may be relied upon; the commit may or may not have happened.
                After a restart it is there wholly or not at all.
        """
        ...
