"""One account of a limit: what it holds, and how transfers move it.

What is kept of it, and where, is the business of `books.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
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
`amount`. A tuple, since every call under a limit makes some."""


class Posting(msgspec.Struct, frozen=True):
    """The transfers of one call that were decided together, and are written as one row.

    Attributes:
        legs: in order; those of the reservation where `whole` says what became of all of it.
        whole: where everything went that the call had reserved, just as it stood: PENDING → here.
            Nearly all calls end so, and nothing needs to be said of each leg again. None where the
            legs tell their own sources and targets.
    """

    call: str
    at_ms: int
    legs: Sequence[Leg]
    whole: Place | None = None

    def __len__(self) -> int:
        return len(self.legs)

    def moves(self) -> Sequence[Leg]:
        """The legs, each with the source and target it has in this posting."""
        whole = self.whole
        if whole is None:
            return self.legs
        return [(leg[0], leg[1], _PENDING, whole, leg[4]) for leg in self.legs]

    def __iter__(self) -> Iterator[Transfer]:
        """The transfers one by one, in order."""
        for charge, reserved_ms, source, target, amount in self.moves():
            yield Transfer(
                self.call,
                charge.account,
                charge.key,
                charge.member,
                self.at_ms,
                reserved_ms,
                source,
                target,
                amount,
                charge.ceiling,
                charge.since_ms,
                charge.pending_only,
            )


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


class Balance(msgspec.Struct, frozen=True):
    """What one account holds for one member, in steps; FREE is the negative of their sum."""

    member: str
    pending: int
    posted: int
    unknown: int


# A member of an enum is looked up by a Python call each time.
_FREE, _PENDING = Place.FREE, Place.PENDING
HELD = {Place.PENDING: 0, Place.POSTED: 1, Place.UNKNOWN: 2}
"""Where in `Account.held` stands what is at a place."""


def not_held(account: str, call: str) -> OurError:
    """What is raised when a transfer takes from a place more than is there."""
    return OurError("books_damaged", f"account `{account}` does not hold what `{call}` moves")


class Account:
    """One account under one key: what each member holds, and the window if it is a sliding one.

    Attributes:
        held: by member, what is pending, posted and unknown; members once seen stay.
        taken: members that hold anything.
        horizon_ms: the window knows what was reserved after this, and may lack what came before.
    """

    __slots__ = ("held", "horizon_ms", "sliding", "taken", "window")

    def __init__(self, *, sliding: bool) -> None:
        self.held: dict[str, list[int]] = {}
        self.taken: set[str] = set()
        self.horizon_ms = 0
        self.sliding = sliding
        self.window = SlidingWindow()

    def used(self, charge: Charge) -> int:
        """See `Counters.used`."""
        if self.sliding:
            return self.window.used(charge)
        member = charge.member
        if member:
            return len(self.taken) - (member in self.taken)
        held = self.held.get("")
        if held is None:
            return 0
        pending, posted, unknown = held
        return pending + unknown if charge.pending_only else pending + posted + unknown

    def reserve(self, call: str, charge: Charge, at_ms: int) -> tuple[Leg, list[int]]:
        """Set aside what is free: the leg that says so, and what is `held` for its member.

        As `move`, for what every call begins with.

        On a sliding account it counts as reserved no earlier than what is there already.
        """
        member, amount = charge.member, charge.amount
        held = self.held.get(member)
        if held is None:
            held = self.held[member] = [0, 0, 0]
        held[0] += amount
        if member and amount:
            self.taken.add(member)
        if self.sliding:
            at_ms = self.window.reserve(call, charge, at_ms)
        return (charge, at_ms, _FREE, _PENDING, amount), held

    def put(self, balance: Balance) -> None:
        """Take over a balance."""
        self.held[balance.member] = [balance.pending, balance.posted, balance.unknown]
        if balance.member and (balance.pending or balance.posted or balance.unknown):
            self.taken.add(balance.member)

    def take(self, transfer: Transfer) -> None:
        """Move what the transfer moves."""
        reserved_ms, amount = transfer.reserved_ms, transfer.amount
        leg = charge_of(transfer), reserved_ms, transfer.source, transfer.target, amount
        self.move(transfer.call, leg)

    def move(self, call: str, leg: Leg) -> None:
        """Move what a leg of `call` moves. INVARIANT: nothing but FREE is ever below zero.

        Raises:
            OurError: `books_damaged`; nothing has changed.
        """
        charge, _, source, target, amount = leg
        member = charge.member
        held = self.held.get(member)
        if held is None:
            held = self.held[member] = [0, 0, 0]
        if source is not _FREE:
            column = HELD[source]
            left = held[column] - amount
            if left < 0:
                raise not_held(charge.account, call)
            held[column] = left
        if target is not _FREE:
            held[HELD[target]] += amount
        if member:
            if any(held):
                self.taken.add(member)
            else:
                self.taken.discard(member)
        if self.sliding:
            self.window.move(call, leg)

    def go_back(self, since_ms: int, transfers: Sequence[Transfer]) -> None:
        """Remember from `since_ms` on, given all from then on that is written."""
        older = SlidingWindow()
        older.take_all(each for each in transfers if each.reserved_ms <= self.horizon_ms)
        self.window.put_before(older)
        self.horizon_ms = since_ms

    def drop_old(self) -> None:
        """Forget what has left the window."""
        self.horizon_ms = max(self.horizon_ms, self.window.drop_old())


class _Entry(msgspec.Struct):
    """What one call holds of a sliding account. `old`: it is out of the window looked at last."""

    reserved_ms: int
    call: str
    member: str
    amount: int = 0
    old: bool = False


class SlidingWindow:
    """What a sliding account holds, by the time of its reservation.

    `used` moves a mark between what is old and what counts; as time goes on that is a step now and
    then, not a look at everything.
    """

    __slots__ = ("_by_call", "_entries", "_members", "_sum", "latest_ms", "old")

    def __init__(self) -> None:
        self._entries: list[_Entry] = []
        self._by_call: dict[tuple[str, str], _Entry] = {}
        self.old = 0
        self._sum = 0
        self._members: dict[str, int] = {}
        self.latest_ms = 0

    def used(self, charge: Charge) -> int:
        """What was reserved after `charge.since_ms`: steps, or values other than its own."""
        entries, old, since_ms = self._entries, self.old, charge.since_ms
        while old < len(entries) and entries[old].reserved_ms <= since_ms:
            self._count(entries[old], -1)
            entries[old].old = True
            old += 1
        while old and entries[old - 1].reserved_ms > since_ms:
            old -= 1
            entries[old].old = False
            self._count(entries[old], 1)
        self.old = old
        if charge.member:
            return len(self._members) - (charge.member in self._members)
        return self._sum

    def reserve(self, call: str, charge: Charge, at_ms: int) -> int:
        """Add what a call has just reserved; when it counts as reserved, in ms: the latest there
        is, if the clock has gone back."""
        at_ms = max(at_ms, self.latest_ms)
        if (call, charge.member) in self._by_call:
            self.move(call, (charge, at_ms, _FREE, _PENDING, charge.amount))
            return at_ms
        self._add(at_ms, call, charge.member, charge.amount)
        return at_ms

    def take_all(self, transfers: Iterable[Transfer]) -> None:
        """Move what each of them moves."""
        for transfer in transfers:
            self.take(transfer)

    def take(self, transfer: Transfer) -> None:
        """Move what the transfer moves, unless it is too old to be remembered."""
        reserved_ms, amount = transfer.reserved_ms, transfer.amount
        leg = charge_of(transfer), reserved_ms, transfer.source, transfer.target, amount
        self.move(transfer.call, leg)

    def move(self, call: str, leg: Leg) -> None:
        """As `take`, a leg of `call`."""
        charge, reserved_ms, source, target, amount = leg
        if source is not _FREE and target is not _FREE:
            return  # it counts where it is as where it was
        entry = self._by_call.get((call, charge.member))
        if entry is None:
            if target is _PENDING:
                self._add(reserved_ms, call, charge.member, amount)
            return
        if not entry.old:
            self._count(entry, -1)
        entry.amount += amount if source is _FREE else -amount
        if not entry.old:
            self._count(entry, 1)

    def _add(self, reserved_ms: int, call: str, member: str, amount: int) -> None:
        entry = self._by_call[call, member] = _Entry(reserved_ms, call, member, amount)
        self._entries.append(entry)
        self.latest_ms = reserved_ms
        if member:
            self._count(entry, 1)
        else:
            self._sum += amount

    def drop_old(self) -> int:
        """Forget what is old; how far back the window goes after that, in ms."""
        dropped = self._entries[: self.old]
        del self._entries[: self.old]
        self.old = 0
        for entry in dropped:
            del self._by_call[entry.call, entry.member]
        return dropped[-1].reserved_ms if dropped else 0

    def put_before(self, older: SlidingWindow) -> None:
        """Put what another window holds before all of this."""
        for entry in self._entries[: self.old]:
            entry.old = False
            self._count(entry, 1)
        for entry in older._entries:
            self._count(entry, 1)
        self.old = 0
        self._entries[:0] = older._entries
        self._by_call.update(older._by_call)
        self.latest_ms = max(self.latest_ms, older.latest_ms)

    def _count(self, entry: _Entry, sign: int) -> None:
        if not entry.amount:
            return
        self._sum += sign * entry.amount
        if entry.member:
            count = self._members.get(entry.member, 0) + sign
            if count:
                self._members[entry.member] = count
            else:
                del self._members[entry.member]
