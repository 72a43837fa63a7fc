"""The books of limits: double entry, append-only, derivable.

Every account of a limit, for each key and each distinct value in it, has four places: FREE,
PENDING, POSTED and UNKNOWN. A `Transfer` moves steps from one to another, so the places of one
account always add up to zero, and FREE shows as a negative what the other three hold. Nothing but
transfers changes a balance: replaying all of them gives the same books.

```
reserve   FREE → PENDING
post      PENDING → POSTED   and the rest PENDING → FREE, or what is beyond it FREE → POSTED
void      PENDING → FREE
unknown   PENDING → UNKNOWN   and later UNKNOWN → POSTED or FREE
late      FREE → POSTED       a voided call turns out to have happened: recorded, not dropped
```

Pure. A store keeps the transfers and brings the books what they do not remember (`Loader`); without
one, as in a simulation, they remember everything.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Protocol

import msgspec

from bailiwick.core.errors import Conflict, LimitReached
from bailiwick.core.limits.accounts import (
    HELD,
    Account,
    Balance,
    Leg,
    Place,
    Posting,
    Transfer,
    charge_of,
    not_held,
)
from bailiwick.core.limits.charging import are_apart, exceeded
from bailiwick.core.limits.limit import Charge
from bailiwick.core.limits.wording import too_much

__all__ = ["MAX_OLD", "Balance", "Books", "Loader", "Place", "Posting", "Transfer"]

MAX_ACCOUNTS = 50_000
MAX_CALLS = 50_000
"""How many accounts and unsettled calls are remembered before all that a loader can bring back is
forgotten."""

MAX_OLD = 512
"""How many entries of a sliding account are kept after they have left its window."""


class Loader(Protocol):
    """What a store brings back. Includes every transfer that the books have given out before."""

    def account(self, account: str, key: str) -> Sequence[Balance]:
        """Its balances, one for each member; none for a new account."""
        ...

    def since(self, account: str, key: str, since_ms: int) -> Sequence[Transfer]:
        """Of a sliding account, every transfer with `reserved_ms` > `since_ms`, as written."""
        ...

    def call(self, call: str) -> Sequence[Transfer]:
        """Every transfer of a call, as written."""
        ...


class Books:
    """What is reserved, spent and unknown, of every account. Implements `Counters`.

    For one thread at a time. Nothing has changed after an exception.
    """

    def __init__(
        self, loader: Loader | None = None, *, keep_old: int = MAX_OLD, keep_settled: bool = True
    ) -> None:
        """Books that remember nothing yet.

        Args:
            loader: brings back what was written; without one, accounts are never let go of.
            keep_settled: without a loader, remember settled calls as well, so that reserving one
                again, or settling it otherwise, is noticed. A simulation can do without.
            keep_old: how much of a sliding account stays remembered out of its window.
        """
        self._loader = loader
        self._keep_old = keep_old
        self._keep_settled = keep_settled and loader is None
        self._accounts: dict[tuple[str, str], Account] = {}
        self._calls: dict[str, _Lines] = {}
        self._long: set[tuple[str, str]] = set()

    def used(self, charge: Charge) -> int:
        """See `Counters.used`. Loads the account if it is not remembered."""
        account = self._accounts.get((charge.account, charge.key))
        if account is None or charge.since_ms < account.horizon_ms:
            account = self._account(charge.account, charge.key, charge.since_ms)
        return account.used(charge)

    def held(self, charge: Charge) -> Sequence[int]:
        """Pending, posted and unknown steps of an account that something was moved on, for the
        charge's member. Remembered, and never loaded: KeyError otherwise."""
        return self._accounts[charge.account, charge.key].held[charge.member]

    def reserve(self, call: str, at_ms: int, charges: Sequence[Charge]) -> Posting:
        """Set all `charges` aside for `call`, or none.

        Returns:
            What to append to the journal; nothing if the same was reserved before, whatever has
            become of it.

        Raises:
            LimitReached: `limit_exceeded`: one does not fit, in the words of `exceeded`.
            Conflict: `reserved_otherwise`: the call has reserved something else.
        """
        lines = self._lines(call)
        if lines is not None:
            if lines.amounts() != _amounts(call, charges):
                raise Conflict("reserved_otherwise", f"call `{call}` has reserved something else")
            return _NOTHING
        if not charges:
            return _NOTHING
        if not are_apart(charges):  # what several take of one account is added up
            _amounts(call, charges)
            over = exceeded(charges, self)
            if over is not None:
                raise LimitReached(over.code, over.because)
        legs, places = [], []
        for charge, account in zip(charges, self._with_room(charges), strict=True):
            leg, held = account.reserve(call, charge, at_ms)
            legs.append(leg)
            places.append(held)
            if account.sliding and account.window.old > self._keep_old:
                self._long.add((charge.account, charge.key))
        self._calls[call] = _Lines(legs, places)
        return Posting(call, at_ms, legs)

    def settle(
        self,
        call: str,
        at_ms: int,
        to: Place,
        actual: Sequence[tuple[str, str, int]] = (),
        only: Collection[tuple[str, str]] = (),
    ) -> Posting:
        """End what `call` has reserved, or the part of it in the accounts `only`.

        Args:
            call: a call without a reservation is nothing to settle.
            at_ms: now.
            to: POSTED, FREE (void it) or UNKNOWN.
            actual: for POSTED, what was really taken, as (account, key, steps); of accounts that
                are not named, what was reserved.
            only: (account, key) of what to settle; () for all of it.

        Returns:
            What to append to the journal; nothing for what has ended alike. A transfer FREE →
            POSTED of more than nothing among them says that more was taken than was reserved.

        Raises:
            Conflict: `settled_otherwise`: what was posted cannot be taken back, and what was voided
                can only turn out to have happened.
        """
        lines = self._lines(call)
        if lines is None:
            return _NOTHING
        if lines.together is _PENDING and not only:
            legs: Sequence[Leg] = ()
            if actual and to is _POSTED:
                legs = lines.post(call, actual)
                for leg in legs:
                    if leg[0].since_ms:  # what is given back, or taken beside, counts there too
                        self._accounts[leg[0].account, leg[0].key].window.move(call, leg)
            elif to is not _FREE:
                lines.go_on(call, to)
            posting = Posting(call, at_ms, legs or lines.reserved, None if legs else to)
            if to is _FREE:
                self._move(call, posting.moves())
            lines.together = to
        else:
            legs = lines.ended(call, to, actual, only)
            self._move(call, legs)
            lines.take(legs)
            posting = Posting(call, at_ms, legs) if legs else _NOTHING
        if self._keep_settled or not lines.is_final:
            self._calls[call] = lines
        else:
            self._calls.pop(call, None)
        return posting

    def replay(self, transfers: Iterable[Transfer]) -> None:
        """Take over transfers that were written before, in their order."""
        for each in transfers:
            leg = charge_of(each), each.reserved_ms, each.source, each.target, each.amount
            self._move(each.call, (leg,))
            lines = self._calls.get(each.call)
            if lines is None:
                lines = self._calls[each.call] = _Lines()
            lines.take((leg,))

    def balances(self) -> Iterator[tuple[str, str, Balance]]:
        """Every remembered balance, as (account, key, balance)."""
        for (name, key), account in self._accounts.items():
            for member, held in account.held.items():
                yield name, key, Balance(member, *held)

    def forget(self) -> None:
        """Remember nothing any more: another process wrote, or a commit failed."""
        assert self._loader is not None, "nothing would bring it back"
        self._accounts.clear()
        self._calls.clear()
        self._long.clear()

    def trim(self) -> None:
        """Let go of what has become too much.

        Only while all that was given out is written: what is not lives in memory alone.
        """
        if self._loader is None:
            return
        if len(self._accounts) > MAX_ACCOUNTS or len(self._calls) > MAX_CALLS:
            self.forget()
        for which in self._long:
            self._accounts[which].drop_old()
        self._long.clear()

    def _with_room(self, charges: Sequence[Charge]) -> Sequence[Account]:
        """The account of each charge, each by itself held against its ceiling; LimitReached."""
        accounts, known = [], self._accounts
        for charge in charges:
            account = known.get((charge.account, charge.key))
            if account is None or charge.since_ms < account.horizon_ms:
                account = self._account(charge.account, charge.key, charge.since_ms)
            used = account.used(charge)
            if used + charge.amount > charge.ceiling:
                over = too_much(charge, used, charge.amount)
                raise LimitReached(over.code, over.because)
            accounts.append(account)
        return accounts

    def _account(self, name: str, key: str, since_ms: int) -> Account:
        """The account, remembered back to `since_ms` if it is a sliding one."""
        account = self._accounts.get((name, key))
        if account is None:
            return self._loaded(name, key, since_ms)
        if since_ms < account.horizon_ms and self._loader is not None:
            account.go_back(since_ms, self._loader.since(name, key, since_ms))
        return account

    def _loaded(self, name: str, key: str, since_ms: int) -> Account:
        account = Account(sliding=since_ms > 0)
        if self._loader is not None:
            for balance in self._loader.account(name, key):
                account.put(balance)
            if since_ms:
                account.horizon_ms = since_ms
                account.window.take_all(self._loader.since(name, key, since_ms))
        self._accounts[name, key] = account
        return account

    def _lines(self, call: str) -> _Lines | None:
        """What a call has reserved; None for nothing."""
        lines = self._calls.get(call)
        if lines is None and self._loader is not None:
            for each in self._loader.call(call):
                charge = charge_of(each)
                lines = lines or _Lines()
                lines.take(((charge, each.reserved_ms, each.source, each.target, each.amount),))
        return lines

    def _move(self, call: str, legs: Sequence[Leg]) -> None:
        accounts = self._accounts
        for leg in legs:
            charge = leg[0]
            which = (charge.account, charge.key)
            # Not `_account`: what is behind the horizon of a sliding account is of no consequence.
            account = accounts.get(which)
            if account is None:
                account = self._loaded(charge.account, charge.key, charge.since_ms)
            account.move(call, leg)
            if account.sliding and account.window.old > self._keep_old:
                self._long.add(which)


_NOTHING = Posting("", 0, ())
_FREE, _PENDING, _POSTED = Place.FREE, Place.PENDING, Place.POSTED


def _amounts(call: str, charges: Sequence[Charge]) -> dict[tuple[str, str, str], int]:
    """What `charges` take of which account; each may be charged once."""
    amounts = {(each.account, each.key, each.member): each.amount for each in charges}
    if len(amounts) != len(charges):
        raise Conflict("reserved_otherwise", f"call `{call}` charges one account twice")
    return amounts


class _Lines:
    """The charges of one call: how each was reserved, and where it stands.

    Nearly all calls reserve once and post just that, so where each line stands is told one by one
    only once they differ.
    """

    __slots__ = ("_by_account", "_places", "reserved", "together")

    def __init__(self, reserved: Sequence[Leg] = (), places: Sequence[list[int]] = ()) -> None:
        """Lines that were reserved together just now, or none yet.

        Args:
            places: for each leg, what its account holds for its member (`Account.held`). An account
                is never let go of before the calls that know it.
        """
        self.reserved = reserved
        self._places = places
        self.together: Place | None = _PENDING
        self._by_account: dict[tuple[str, str, str], _Line] = {}

    @property
    def is_final(self) -> bool:
        """Whether nothing but a late outcome can move any of them."""
        if self.together is not None:
            return self.together is _POSTED or self.together is _FREE
        return all(line.is_final for line in self._by_account.values())

    def amounts(self) -> dict[tuple[str, str, str], int]:
        """What was reserved, by account."""
        return {which: line.amount for which, line in self._apart().items()}

    def go_on(self, call: str, to: Place) -> None:
        """Move all that was reserved from PENDING to where it goes on counting.

        Only between two places that both count, what an account knows besides (which members hold
        anything, what a window holds) stays as it is.
        """
        column = HELD[to]
        for held, (charge, _, _, _, amount) in zip(self._places, self.reserved, strict=True):
            left = held[0] - amount
            if left < 0:
                raise not_held(charge.account, call)
            held[0] = left
            held[column] += amount

    def post(self, call: str, actual: Sequence[tuple[str, str, int]]) -> Sequence[Leg]:
        """Post what was really taken of all that was reserved, but in windows that slide: the legs
        that say so; () if it is just what was reserved."""
        taken = {(account, key): steps for account, key, steps in actual}
        legs: list[Leg] = []
        differs = False
        for held, (charge, at, _, _, amount) in zip(self._places, self.reserved, strict=True):
            steps = amount
            if not charge.member:
                steps = taken.get((charge.account, charge.key), amount)
                if steps != amount:
                    differs = True
            left = held[0] - amount
            if left < 0:
                raise not_held(charge.account, call)
            held[0] = left
            held[1] += steps  # no less and no more: the rest is free, or what is beyond it was
            legs += _posted(charge, at, _PENDING, amount, steps)
        return legs if differs else ()

    def ended(
        self,
        call: str,
        to: Place,
        actual: Sequence[tuple[str, str, int]],
        only: Collection[tuple[str, str]],
    ) -> Sequence[Leg]:
        """The legs that end them; see `Books.settle`."""
        taken = {(account, key): steps for account, key, steps in actual}
        legs: list[Leg] = []
        for line in self._apart().values():
            charge = line.charge
            if only and (charge.account, charge.key) not in only:
                continue
            if line.place is to:
                continue
            if line.place is _POSTED or (line.place is _FREE and to is Place.UNKNOWN):
                text = f"call `{call}` is {line.place.value} already and cannot become {to.value}"
                raise Conflict("settled_otherwise", text)
            steps = line.amount
            if taken and to is _POSTED and not charge.member:
                steps = taken.get((charge.account, charge.key), steps)
            legs += line.ended(to, steps)
        return legs

    def take(self, legs: Sequence[Leg]) -> None:
        """They have moved by `legs`."""
        lines = self._apart()
        self.together = None
        for charge, reserved_ms, _, target, amount in legs:
            which = (charge.account, charge.key, charge.member)
            line = lines.get(which)
            if line is None:
                lines[which] = _Line(charge, reserved_ms, amount, target)
            elif line.place is not _POSTED:  # what was posted stays so, while its rest is freed
                line.place = target

    def _apart(self) -> dict[tuple[str, str, str], _Line]:
        """Them one by one."""
        if self.together is not None:
            self._by_account = {
                (leg[0].account, leg[0].key, leg[0].member): _Line(
                    leg[0], leg[1], leg[4], self.together
                )
                for leg in self.reserved
            }
        return self._by_account


class _Line(msgspec.Struct):
    """One charge of one call: how it was reserved, and where it stands."""

    charge: Charge
    reserved_ms: int
    amount: int
    place: Place

    @property
    def is_final(self) -> bool:
        """Whether nothing but a late outcome can move it."""
        return self.place is _POSTED or self.place is _FREE

    def ended(self, to: Place, steps: int) -> Sequence[Leg]:
        """The legs that end it; for POSTED with `steps` really taken."""
        charge, at, place, amount = self.charge, self.reserved_ms, self.place, self.amount
        if to is not _POSTED:
            return [(charge, at, place, to, amount)]
        if place is _FREE:
            # A late outcome is written down also when it took nothing: it is final.
            return [(charge, at, _FREE, _POSTED, steps)]
        return _posted(charge, at, place, amount, steps)


def _posted(charge: Charge, at: int, place: Place, amount: int, steps: int) -> Sequence[Leg]:
    """The legs that post `steps`, where `amount` was reserved and stands at `place`."""
    if steps == amount:
        return ((charge, at, place, _POSTED, amount),)
    if steps < amount:
        rest = amount - steps
        return (charge, at, place, _POSTED, steps), (charge, at, place, _FREE, rest)
    beyond = steps - amount
    return (charge, at, place, _POSTED, amount), (charge, at, _FREE, _POSTED, beyond)
