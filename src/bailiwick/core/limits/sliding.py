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
    """What a sliding account holds of one moment, for one member.

    `old`: it is out of the window looked at last.
    """

    reserved_ms: int
    member: str
    amount: int = 0
    old: bool = False


class SlidingWindow:
    """What a sliding account holds, by the time of its reservation: one entry for all that was
    reserved in one millisecond, so that many calls take no more room than time does.

    `used` moves a mark between what is old and what counts; as time goes on that is a step now and
    then, not a look at everything.

    Attributes:
        old: so many entries are old.
        latest_ms: when the latest one was reserved.
    """

    __slots__ = (
        "_at", "_entries", "_from_ms", "_last", "_members", "_sum", "_until_ms", "latest_ms", "old"
    )  # fmt: skip

    def __init__(self) -> None:
        self._entries: list[_Entry] = []
        self._at: dict[tuple[int, str], _Entry] = {}
        self._last: _Entry | None = None
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

    def counted(self) -> int:
        """Values that were reserved after the moment that was looked at last."""
        return len(self._members)

    def reserve(self, charge: Charge, at_ms: int) -> int:
        """Add what has just been reserved; when it counts as reserved, in ms.

        INVARIANT: never before what is there already, and always within the window that it was held
        against. The clock may have gone back since the last reservation, or since this was judged;
        entries stay in order all the same, and none is added behind the horizon of its account.
        """
        if at_ms <= charge.since_ms:
            at_ms = charge.since_ms + 1
        if at_ms < self.latest_ms:
            at_ms = self.latest_ms
        last = self._last
        if last is not None and at_ms == last.reserved_ms and not (charge.member or last.old):
            last.amount += charge.amount
            self._sum += charge.amount
        else:
            self._add(at_ms, charge.member, charge.amount)
        return at_ms

    def take_all(self, transfers: Iterable[Transfer]) -> None:
        """Move what each of them moves."""
        for transfer in transfers:
            self.move(leg_of(transfer))

    def move(self, leg: Leg) -> None:
        """Move what a leg moves, unless it is too old to be remembered.

        INVARIANT: whatever was reserved in the millisecond of an entry that is remembered is in it:
        nothing is added behind the horizon of its account (`reserve`).
        """
        charge, reserved_ms, source, target, amount = leg
        if source is not _FREE and target is not _FREE:
            return  # it counts where it is as where it was
        if target is _PENDING:
            self._add(reserved_ms, charge.member, amount)
            return
        entry = self._at.get((reserved_ms, charge.member))
        if entry is not None:
            self._change(entry, amount if source is _FREE else -amount)

    def drop_old(self) -> int:
        """Forget what is old; how far back the window goes after that, in ms."""
        dropped = self._entries[: self.old]
        del self._entries[: self.old]
        self.old = 0
        self._from_ms = 0
        for entry in dropped:
            del self._at[entry.reserved_ms, entry.member]
        if not self._entries:
            self._last = None
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
        self._at.update(older._at)
        self._last = self._last or older._last
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

    def _add(self, reserved_ms: int, member: str, amount: int) -> None:
        which = reserved_ms, member
        entry = self._at.get(which)
        if entry is not None:
            self._change(entry, amount)
            return
        entry = self._at[which] = self._last = _Entry(reserved_ms, member, amount)
        self._entries.append(entry)
        self.latest_ms = reserved_ms
        if reserved_ms < self._until_ms:  # the only one that is not old
            self._until_ms = reserved_ms
        self._sum += amount
        if member and amount:
            self._members[member] = self._members.get(member, 0) + 1

    def _change(self, entry: _Entry, by: int) -> None:
        if not entry.old:
            self._count(entry, -1)
        entry.amount += by
        if not entry.old:
            self._count(entry, 1)

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
