"""The values of the books of limits: places, transfers between them, and balances."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from bailiwick.core.errors import OurError
from bailiwick.core.limits.limit import Charge


class Place(StrEnum):
    """Where steps are. All that is not FREE counts against a ceiling."""

    FREE = "free"
    PENDING = "pending"
    POSTED = "posted"
    UNKNOWN = "unknown"


class Transfer(msgspec.Struct, frozen=True):
    """One line of the journal.

    Attributes:
        account, key, member: see `Charge`.
        at_ms: when it was written.
        reserved_ms: when what it belongs to was reserved, which is what a sliding window looks at.
            Never before an earlier one of the same sliding account, whatever the clock does.
        amount: in steps, 0 or more.
        ceiling, since_ms, pending_only: of the charge, for audits.
    """

    call: str
    account: str
    key: str
    member: str
    at_ms: int
    reserved_ms: int
    source: Place
    target: Place
    amount: int
    ceiling: int = 0
    since_ms: int = 0
    pending_only: bool = False


Leg = tuple[Charge, int, Place, Place, int]
"""One transfer without its call: the charge it belongs to, `reserved_ms`, `source`, `target` and
`amount`."""


class Balance(msgspec.Struct, frozen=True):
    """What one account holds for one member, in steps; FREE is the negative of their sum.

    Attributes:
        row: where a store keeps it, if it says so; else 0.
    """

    member: str
    pending: int
    posted: int
    unknown: int
    row: int = 0


def charge_of(transfer: Transfer) -> Charge:
    """The charge that a reservation was made for, as far as its transfer tells it."""
    return Charge(
        "",
        transfer.account,
        transfer.amount,
        transfer.ceiling,
        transfer.key,
        transfer.member,
        transfer.since_ms,
        transfer.pending_only,
    )


def leg_of(transfer: Transfer) -> Leg:
    """A transfer as a leg."""
    charge = charge_of(transfer)
    return charge, transfer.reserved_ms, transfer.source, transfer.target, transfer.amount


def not_held(account: str, call: str) -> OurError:
    """What is raised when a transfer takes from a place more than is there."""
    return OurError("books_damaged", f"account `{account}` does not hold what `{call}` moves")
