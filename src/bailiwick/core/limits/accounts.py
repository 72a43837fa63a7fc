"""One account of a limit: what it holds, and how transfers move it.

What is kept of it, and where, is the business of `books.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bailiwick.core.limits.limit import Charge
from bailiwick.core.limits.sliding import SlidingWindow
from bailiwick.core.limits.transfers import Balance, Leg, Place, Transfer, not_held

# A member of an enum is looked up by a Python call each time.
_FREE, _POSTED, _UNKNOWN = Place.FREE, Place.POSTED, Place.UNKNOWN


class Account:
    """One account under one key, beside what its members hold.

    Attributes:
        members: how many of them hold anything, where they are told apart.
        window: what it holds by time, if it is a sliding one.
        horizon_ms: the window knows what was reserved after this, and may lack what came before.
        back: has the window remember as far back as a charge looks.
    """

    __slots__ = ("_kind", "back", "horizon_ms", "members", "window")

    def __init__(self, charge: Charge, back: Callable[[Charge, Account], None]) -> None:
        """The account of `charge`, of which nothing is known. What is measured is part of its
        name, so all charges on it are of one kind."""
        self.members = 0
        self.back = back
        self.horizon_ms = 0
        self.window: SlidingWindow | None = None
        self._kind = Held
        if charge.since_ms:
            self.window = SlidingWindow()
            self._kind = HeldInWindow
        elif charge.member:
            self._kind = HeldByMember
        elif charge.pending_only:
            self._kind = HeldAtOnce

    def held(self) -> Held:
        """What a member holds that has not been seen: nothing, yet."""
        return self._kind(self)

    def used(self, charge: Charge) -> int:
        """`Counters.used` for a member that holds nothing."""
        if self.window is not None:
            if charge.since_ms < self.horizon_ms:
                self.back(charge, self)
            return self.window.used(charge)
        return self.members if charge.member else 0

    def go_back(self, since_ms: int, transfers: Sequence[Transfer]) -> None:
        """Remember from `since_ms` on, given all from then on that is written."""
        assert self.window is not None
        older = SlidingWindow()
        older.take_all(each for each in transfers if each.reserved_ms <= self.horizon_ms)
        self.window.put_before(older)
        self.horizon_ms = since_ms

    def drop_old(self) -> None:
        """Forget what has left the window."""
        assert self.window is not None
        self.horizon_ms = max(self.horizon_ms, self.window.drop_old())


class Held:
    """What one member holds of one account under one key; "" is the member of most.

    INVARIANT: nothing but FREE is ever below zero.

    Attributes:
        total: what is pending, posted and unknown together: all that is not FREE.
        posted, unknown: of it. The rest is pending, so that to reserve and to post moves one
            number each.
        row: where a store keeps the balance, once it has said so; else 0.
    """

    __slots__ = ("account", "posted", "row", "total", "unknown")

    def __init__(self, account: Account) -> None:
        self.account = account
        self.total = 0
        self.posted = 0
        self.unknown = 0
        self.row = 0

    def used(self, charge: Charge) -> int:
        """See `Counters.used`."""
        return self.total

    def used_in_all(self, charge: Charge) -> int:
        """`used`, with the charge's own value counted."""
        return self.used(charge)

    def reserve(self, charge: Charge) -> bool:
        """Take a charge, FREE → PENDING, if it fits. A window is told of it by whoever calls."""
        total = self.total + charge.amount
        if total > charge.ceiling:
            return False
        self.total = total
        return True

    def give_back(self, charge: Charge) -> None:
        """Undo `reserve`."""
        self.total -= charge.amount

    @property
    def pending(self) -> int:
        """What is reserved, and not settled."""
        return self.total - self.posted - self.unknown

    def put(self, balance: Balance) -> None:
        """Take over a balance."""
        self.posted, self.unknown, self.row = balance.posted, balance.unknown, balance.row
        self.total = balance.pending + balance.posted + balance.unknown
        self.account.members += self.total > 0

    def move(self, call: str, leg: Leg) -> None:
        """Move what a leg of `call` moves.

        Raises:
            OurError: `books_damaged`; nothing has changed.
        """
        charge, _, source, target, amount = leg
        before = self.total
        if source is _FREE:
            self.total += amount
        elif source is _POSTED:
            if amount > self.posted:
                raise not_held(charge.account, call)
            self.posted -= amount
        elif source is _UNKNOWN:
            if amount > self.unknown:
                raise not_held(charge.account, call)
            self.unknown -= amount
        elif amount > self.pending:
            raise not_held(charge.account, call)
        if target is _FREE:
            self.total -= amount
        elif target is _POSTED:
            self.posted += amount
        elif target is _UNKNOWN:
            self.unknown += amount
        self.account.members += (self.total > 0) - (before > 0)
        if self.account.window is not None:
            self.account.window.move(leg)


class HeldAtOnce(Held):
    """Of an account of calls at once: what is posted has ended."""

    __slots__ = ()

    def used(self, charge: Charge) -> int:
        """See `Counters.used`."""
        return self.total - self.posted

    def reserve(self, charge: Charge) -> bool:
        """See `Held.reserve`."""
        total = self.total + charge.amount
        if total - self.posted > charge.ceiling:
            return False
        self.total = total
        return True


class HeldByMember(Held):
    """Of an account whose members count, and not what they hold."""

    __slots__ = ()

    def used(self, charge: Charge) -> int:
        """See `Counters.used`."""
        return self.account.members - (self.total > 0)

    def used_in_all(self, charge: Charge) -> int:
        """See `Held.used_in_all`."""
        return self.account.members

    def reserve(self, charge: Charge) -> bool:
        """See `Held.reserve`."""
        account, total, amount = self.account, self.total, charge.amount
        if account.members - (total > 0) + amount > charge.ceiling:
            return False
        if amount and not total:
            account.members += 1
        self.total = total + amount
        return True

    def give_back(self, charge: Charge) -> None:
        """See `Held.give_back`."""
        self.total -= charge.amount
        if charge.amount and not self.total:
            self.account.members -= 1


class HeldInWindow(Held):
    """Of an account that counts by time."""

    __slots__ = ()

    def used(self, charge: Charge) -> int:
        """See `Counters.used`."""
        account = self.account
        window = account.window
        if window is None or charge.since_ms < account.horizon_ms:
            return account.used(charge)
        return window.used(charge)

    def used_in_all(self, charge: Charge) -> int:
        """See `Held.used_in_all`."""
        used = self.account.used(charge)
        window = self.account.window
        assert window is not None
        return window.counted() if charge.member else used

    def reserve(self, charge: Charge) -> bool:
        """See `Held.reserve`."""
        amount = charge.amount
        if self.used(charge) + amount > charge.ceiling:
            return False
        self.total += amount
        return True
