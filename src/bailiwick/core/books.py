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

from bailiwick.core.accounts import Account, Balance, Place, Transfer
from bailiwick.core.charging import exceeded
from bailiwick.core.errors import Conflict, LimitReached
from bailiwick.core.limits import Charge

__all__ = ["MAX_OLD", "Balance", "Books", "Loader", "Place", "Transfer"]

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
        return self._account(charge.account, charge.key, charge.since_ms).used(charge)

    def reserve(self, call: str, at_ms: int, charges: Sequence[Charge]) -> Sequence[Transfer]:
        """Set all `charges` aside for `call`, or none.

        Returns:
            What to append to the journal; nothing if the same was reserved before, whatever has
            become of it.

        Raises:
            LimitReached: `limit_exceeded`: one does not fit, in the words of `exceeded`.
            Conflict: `reserved_otherwise`: the call has reserved something else.
        """
        amounts = {(each.account, each.key, each.member): each.amount for each in charges}
        if len(amounts) != len(charges):
            raise Conflict("reserved_otherwise", f"call `{call}` charges one account twice")
        known = self._lines(call)
        if known:
            if {which: line.first.amount for which, line in known.items()} != amounts:
                raise Conflict("reserved_otherwise", f"call `{call}` has reserved something else")
            return ()
        over = exceeded(charges, self)
        if over is not None:
            raise LimitReached(over.code, over.because)
        transfers = [self._reserving(call, at_ms, charge) for charge in charges]
        if transfers:
            self._apply(self._calls.setdefault(call, {}), transfers)
        return transfers

    def settle(
        self,
        call: str,
        at_ms: int,
        to: Place,
        actual: Sequence[tuple[str, str, int]] = (),
        only: Collection[tuple[str, str]] = (),
    ) -> Sequence[Transfer]:
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
        taken = {(account, key): steps for account, key, steps in actual}
        transfers: list[Transfer] = []
        lines = self._lines(call)
        if not lines:
            return ()
        for line in lines.values():
            first = line.first
            if only and (first.account, first.key) not in only:
                continue
            if line.place is to:
                continue
            if line.place is Place.POSTED or (line.place is Place.FREE and to is Place.UNKNOWN):
                text = f"call `{call}` is {line.place.value} already and cannot become {to.value}"
                raise Conflict("settled_otherwise", text)
            steps = first.amount
            if taken and to is Place.POSTED and not first.member:
                steps = taken.get((first.account, first.key), steps)
            transfers += line.ended(call, at_ms, to, steps)
        self._apply(lines, transfers)
        if self._keep_settled or not all(line.is_final for line in lines.values()):
            self._calls[call] = lines
        else:
            self._calls.pop(call, None)
        return transfers

    def replay(self, transfers: Iterable[Transfer]) -> None:
        """Take over transfers that were written before, in their order."""
        for transfer in transfers:
            self._apply(self._calls.setdefault(transfer.call, {}), (transfer,))

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

    def _lines(self, call: str) -> _Lines:
        lines = self._calls.get(call)
        if lines is None:
            lines = {}
            for transfer in self._loader.call(call) if self._loader is not None else ():
                _take_line(lines, transfer)
        return lines

    def _reserving(self, call: str, at_ms: int, charge: Charge) -> Transfer:
        reserved_ms = at_ms
        if charge.since_ms:
            account = self._account(charge.account, charge.key, charge.since_ms)
            reserved_ms = max(at_ms, account.window.latest_ms)
        return Transfer(
            call,
            charge.account,
            charge.key,
            charge.member,
            at_ms,
            reserved_ms,
            Place.FREE,
            Place.PENDING,
            charge.amount,
            charge.ceiling,
            charge.since_ms,
            charge.pending_only,
        )

    def _apply(self, lines: _Lines, transfers: Sequence[Transfer]) -> None:
        for transfer in transfers:
            # Not `_account`: what is behind the horizon of a sliding account is of no consequence.
            account = self._accounts.get((transfer.account, transfer.key))
            if account is None:
                account = self._loaded(transfer.account, transfer.key, transfer.since_ms)
            account.take(transfer)
            if account.sliding and account.window.old > self._keep_old:
                self._long.add((transfer.account, transfer.key))
            _take_line(lines, transfer)


class _Line(msgspec.Struct):
    """One charge of one call: how it was reserved, and where it stands."""

    first: Transfer
    place: Place

    @property
    def is_final(self) -> bool:
        """Whether nothing but a late outcome can move it."""
        return self.place is Place.POSTED or self.place is Place.FREE

    def ended(self, call: str, at_ms: int, to: Place, steps: int) -> Iterator[Transfer]:
        """The transfers that end it; for POSTED with `steps` really taken."""
        if to is not Place.POSTED:
            yield self._transfer(call, at_ms, self.place, to, self.first.amount)
            return
        amount = self.first.amount
        within = 0 if self.place is Place.FREE else min(steps, amount)
        if self.place is not Place.FREE:
            yield self._transfer(call, at_ms, self.place, Place.POSTED, within)
            if within < amount:
                yield self._transfer(call, at_ms, self.place, Place.FREE, amount - within)
        # A late outcome of what was voided is written down also when it took nothing: it is final.
        if steps > within or self.place is Place.FREE:
            yield self._transfer(call, at_ms, Place.FREE, Place.POSTED, steps - within)

    def _transfer(
        self, call: str, at_ms: int, source: Place, target: Place, amount: int
    ) -> Transfer:
        first = self.first
        return Transfer(
            call,
            first.account,
            first.key,
            first.member,
            at_ms,
            first.reserved_ms,
            source,
            target,
            amount,
            first.ceiling,
            first.since_ms,
            first.pending_only,
        )


_Lines = dict[tuple[str, str, str], _Line]


def _take_line(lines: _Lines, transfer: Transfer) -> None:
    which = (transfer.account, transfer.key, transfer.member)
    line = lines.get(which)
    if line is None:
        lines[which] = _Line(transfer, transfer.target)
    elif line.place is not Place.POSTED:  # what was posted stays so, while its rest is freed
        line.place = transfer.target
