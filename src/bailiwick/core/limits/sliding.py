"""What a sliding account holds, by the time of its reservation."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from bailiwick.core.limits.limit import Charge
from bailiwick.core.limits.transfers import Leg, Place, Transfer, leg_of

# A member of an enum is looked up by a Python call each time.
_FREE, _PENDING = Place.FREE, Place.PENDING

_NEVER = 2**63


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

    Attributes:
        old: so many entries are old.
        latest_ms: when the latest one was reserved.
    """

    __slots__ = (
        "_by_call", "_entries", "_from_ms", "_members", "_sum", "_until_ms", "latest_ms", "old"
    )  # fmt: skip

    def __init__(self) -> None:
        self._entries: list[_Entry] = []
        self._by_call: dict[tuple[str, str], _Entry] = {}
        self.old = 0
        self._sum = 0
        self._members: dict[str, int] = {}
        self.latest_ms = 0
        # Between these moments the mark stands right: the last old entry's, and the next one's.
        self._from_ms = 0
        self._until_ms = _NEVER

    def used(self, charge: Charge) -> int:
        """What was reserved after `charge.since_ms`: steps, or values other than its own."""
        if not self._from_ms <= charge.since_ms < self._until_ms:
            self._look(charge.since_ms)
        if charge.member:
            return len(self._members) - (charge.member in self._members)
        return self._sum

    def reserve(self, call: str, charge: Charge, at_ms: int) -> int:
        """Add what a call has just reserved; when it counts as reserved, in ms: the latest there
        is, if the clock has gone back."""
        if at_ms < self.latest_ms:
            at_ms = self.latest_ms
        if (call, charge.member) in self._by_call:
            self.move(call, (charge, at_ms, _FREE, _PENDING, charge.amount))
        else:
            self._add(at_ms, call, charge.member, charge.amount)
        return at_ms

    def take_all(self, transfers: Iterable[Transfer]) -> None:
        """Move what each of them moves."""
        for transfer in transfers:
            self.move(transfer.call, leg_of(transfer))

    def move(self, call: str, leg: Leg) -> None:
        """Move what a leg of `call` moves, unless it is too old to be remembered."""
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

    def drop_old(self) -> int:
        """Forget what is old; how far back the window goes after that, in ms."""
        dropped = self._entries[: self.old]
        del self._entries[: self.old]
        self.old = 0
        self._from_ms = 0
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
        self._mark()

    def _look(self, since_ms: int) -> None:
        """Move the mark: what was reserved up to `since_ms` is old."""
        entries, old = self._entries, self.old
        while old < len(entries) and entries[old].reserved_ms <= since_ms:
            self._count(entries[old], -1)
            entries[old].old = True
            old += 1
        while old and entries[old - 1].reserved_ms > since_ms:
            old -= 1
            entries[old].old = False
            self._count(entries[old], 1)
        self.old = old
        self._mark()

    def _mark(self) -> None:
        entries, old = self._entries, self.old
        self._from_ms = entries[old - 1].reserved_ms if old else 0
        self._until_ms = entries[old].reserved_ms if old < len(entries) else _NEVER

    def _add(self, reserved_ms: int, call: str, member: str, amount: int) -> None:
        entry = self._by_call[call, member] = _Entry(reserved_ms, call, member, amount)
        self._entries.append(entry)
        self.latest_ms = reserved_ms
        if reserved_ms < self._until_ms:  # the only one that is not old
            self._until_ms = reserved_ms
        if member:
            self._count(entry, 1)
        else:
            self._sum += amount

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
