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
from operator import attrgetter
from typing import Protocol

from bailiwick.core.errors import Conflict, LimitReached
from bailiwick.core.limits.accounts import Account, Held
from bailiwick.core.limits.charging import are_apart, exceeded
from bailiwick.core.limits.forms import Known, Page
from bailiwick.core.limits.limit import Charge, Charges
from bailiwick.core.limits.postings import Posting, Reservation
from bailiwick.core.limits.transfers import Balance, Leg, Place, Transfer, leg_of
from bailiwick.core.limits.wording import too_much

__all__ = ["MAX_OLD", "NOTHING", "Balance", "Books", "Loader", "Place", "Posting", "Transfer"]

MAX_ACCOUNTS = 50_000
MAX_CALLS = 50_000
"""How many accounts and unsettled calls are remembered before all that a loader can bring back is
forgotten."""

NOTHING = Posting("", 0)
"""What there is to write where nothing has changed."""

MAX_OLD = 512
"""How many entries of a sliding account are kept after they have left its window."""


class Loader(Protocol):
    """What a store brings back. Includes every transfer that the books have given out before."""

    def account(self, account: str, key: str) -> Sequence[Balance]:
        """Its balances, one for each member that holds anything; none for a new account."""
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
        self._held: dict[tuple[str, str, str], Held] = {}
        self._calls: dict[str, Reservation] = {}
        self._long: set[Account] = set()
        self._page = Page(self)

    def used(self, charge: Charge) -> int:
        """See `Counters.used`. Loads the account if it is not remembered."""
        held = self._held.get((charge.account, charge.key, charge.member))
        if held is None:
            return self._used_unseen(charge)
        return held.used(charge)

    def held(self, charge: Charge) -> Held:
        """What the member of a charge holds of its account; loads that if it is not remembered."""
        held = self._held.get(_name_of(charge))
        if held is None:
            account = self._account(charge)
            held = self._held.get(_name_of(charge)) or account.held()
        return held

    def reserve(
        self, call: str, at_ms: int, charges: Sequence[Charge], *, is_new: bool = False
    ) -> Posting:
        """Set all `charges` aside for `call`, or none.

        Args:
            is_new: nothing was ever written of the call.

        Returns:
            What to append to the journal; nothing if the same was reserved before, whatever has
            become of it.

        Raises:
            LimitReached: `limit_exceeded`: one does not fit, in the words of `exceeded`.
            Conflict: `reserved_otherwise`: the call has reserved something else.
        """
        before = self._calls.get(call)
        if before is None and not is_new:
            before = self._loaded_call(call)
        if before is not None:
            if before.amounts() != _amounts(call, charges):
                raise Conflict("reserved_otherwise", f"call `{call}` has reserved something else")
            return NOTHING
        if not charges:
            return NOTHING
        reservation = self._taken(call, at_ms, charges)
        self._calls[call] = reservation
        return Posting(call, at_ms, _PENDING, reservation)

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
        reservation = self._calls.get(call)
        if reservation is None:
            reservation = self._loaded_call(call)
            if reservation is None:
                return NOTHING
        if reservation.together is not _PENDING or only:
            legs = reservation.ended(call, to, actual, only)
            self._move(call, legs)
            reservation.take(legs)
            if self._keep_settled or not reservation.is_final:
                self._calls[call] = reservation
            else:
                self._calls.pop(call, None)
            return Posting(call, at_ms, legs=legs) if legs else NOTHING
        posting = Posting(call, at_ms, to, reservation)
        if to is _FREE:
            self._move(call, posting.moves())
        elif to is _UNKNOWN:
            for charge, held in zip(reservation.charges, reservation.held, strict=True):
                held.unknown += charge.amount
        elif actual:
            legs = reservation.post(actual)
            if legs:
                posting = Posting(call, at_ms, legs=legs)
        else:
            # It was reserved here and goes on counting: all else of its accounts stays as it is.
            for charge, held in zip(reservation.charges, reservation.held):  # noqa: B905
                held.posted += charge.amount
        reservation.together = to
        if not self._keep_settled and to is not _UNKNOWN:
            del self._calls[call]
        return posting

    def replay(self, transfers: Iterable[Transfer]) -> None:
        """Take over transfers that were written before, in their order."""
        for each in transfers:
            legs = (leg_of(each),)
            self._move(each.call, legs)
            self._calls.setdefault(each.call, Reservation()).take(legs)

    def balances(self) -> Iterator[tuple[str, str, Balance]]:
        """Every remembered balance, as (account, key, balance)."""
        for (name, key, member), held in self._held.items():
            yield name, key, Balance(member, held.pending, held.posted, held.unknown)

    def forget(self) -> None:
        """Remember nothing any more: another process wrote, or a commit failed."""
        assert self._loader is not None, "nothing would bring it back"
        self._accounts.clear()
        self._held.clear()
        self._calls.clear()
        self._long.clear()
        self._page.counters = None  # whoever has found something on it looks again
        self._page = Page(self)

    def trim(self) -> None:
        """Let go of what has become too much.

        Only while all that was given out is written: what is not lives in memory alone.
        """
        if self._loader is None:
            return
        if len(self._accounts) > MAX_ACCOUNTS or len(self._calls) > MAX_CALLS:
            self.forget()
        if self._long:
            for account in self._long:
                account.drop_old()
            self._long.clear()

    def _taken(self, call: str, at_ms: int, charges: Sequence[Charge]) -> Reservation:
        """All `charges`, moved from FREE to PENDING; LimitReached if one of them does not fit."""
        known = charges.form.known if type(charges) is Charges else None
        if known is None or known.page is not self._page:
            known = self._known(call, charges)
        holding = known.held
        try:
            for charge, held in zip(charges, holding):  # noqa: B905 - as in `compared`
                if not held.reserve(charge):
                    over = too_much(charge, held.used(charge), charge.amount)
                    raise LimitReached(over.code, over.because)
        except BaseException:  # a loader may fail, too
            for taken, by in zip(charges, holding, strict=True):  # all or nothing
                if taken is charge:
                    break
                by.give_back(taken)
            raise
        reserved_ms = [at_ms] * len(holding)
        for at in known.sliding:
            account = holding[at].account
            window = account.window
            assert window is not None
            reserved_ms[at] = window.reserve(charges[at], at_ms)
            if window.old > self._keep_old:
                self._long.add(account)
        return Reservation(charges, holding, reserved_ms, known.sliding, _PENDING)

    def _known(self, call: str, charges: Sequence[Charge]) -> Known:
        """Where each charge is counted; loaded if it is not remembered. Their form remembers it.

        LimitReached if several charges of one account do not fit together.
        """
        if not are_apart(charges):  # what several take of one account is added up
            _amounts(call, charges)
            refused = exceeded(charges, self)
            if refused is not None:
                raise LimitReached(refused.code, refused.because)
        remembered = self._held
        found: list[Held] = []
        for charge in charges:
            held = remembered.get((charge.account, charge.key, charge.member))
            if held is None:
                held = remembered[_name_of(charge)] = self.held(charge)
            found.append(held)
        known = Known(self._page, charges, found)
        if type(charges) is Charges:
            charges.form.known = known
        return known

    def _used_unseen(self, charge: Charge) -> int:
        """`used` where nothing is remembered of the member: not by `held`, since whoever only
        looks must not fill the memory."""
        account = self._account(charge)
        held = self._held.get(_name_of(charge))
        return account.used(charge) if held is None else held.used(charge)

    def _account(self, charge: Charge) -> Account:
        """The account of a charge; loaded, with what its members hold, if it is not remembered."""
        which = charge.account, charge.key
        account = self._accounts.get(which)
        if account is None:
            account = Account(charge, self._go_back)
            if self._loader is not None:
                for balance in self._loader.account(*which):
                    held = self._held[(*which, balance.member)] = account.held()
                    held.put(balance)
                if account.window is not None:
                    account.horizon_ms = charge.since_ms
                    account.window.take_all(self._loader.since(*which, charge.since_ms))
            self._accounts[which] = account
        return account

    def _go_back(self, charge: Charge, account: Account) -> None:
        """Have a sliding account remember as far back as `charge` looks."""
        if self._loader is not None:
            since = self._loader.since(charge.account, charge.key, charge.since_ms)
            account.go_back(charge.since_ms, since)

    def _loaded_call(self, call: str) -> Reservation | None:
        """What a call that is not remembered has reserved; None for nothing."""
        written = () if self._loader is None else self._loader.call(call)
        if not written:
            return None
        reservation = Reservation()
        reservation.take([leg_of(each) for each in written])
        return reservation

    def _move(self, call: str, legs: Sequence[Leg]) -> None:
        for leg in legs:
            name = _name_of(leg[0])
            held = self._held.get(name)
            if held is None:
                # What is behind the horizon of a sliding account is of no consequence here.
                held = self._held[name] = self.held(leg[0])
            held.move(call, leg)
            window = held.account.window
            if window is not None and window.old > self._keep_old:
                self._long.add(held.account)


_FREE, _PENDING, _UNKNOWN = Place.FREE, Place.PENDING, Place.UNKNOWN

_name_of = attrgetter("account", "key", "member")


def _amounts(call: str, charges: Sequence[Charge]) -> dict[tuple[str, str, str], int]:
    """What `charges` take of which account; each may be charged once."""
    amounts = {(each.account, each.key, each.member): each.amount for each in charges}
    if len(amounts) != len(charges):
        raise Conflict("reserved_otherwise", f"call `{call}` charges one account twice")
    return amounts
