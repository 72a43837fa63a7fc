"""What the books give out to be written: postings, and the reservation that they are about."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import msgspec

from bailiwick.core.errors import Conflict
from bailiwick.core.limits.accounts import Held
from bailiwick.core.limits.limit import Charge
from bailiwick.core.limits.transfers import Leg, Place, Transfer

# A member of an enum is looked up by a Python call each time.
_FREE, _PENDING, _POSTED = Place.FREE, Place.PENDING, Place.POSTED


class Posting(msgspec.Struct, frozen=True):
    """The transfers of one call that were decided together, and are written as one row.

    Attributes:
        whole: where all of `reservation` went in one: FREE → PENDING, or PENDING → where it ended.
            Nearly all calls begin and end so. None where `legs` tell more.
        legs: the transfers, in order; none where `whole` tells all.
    """

    call: str
    at_ms: int
    whole: Place | None = None
    reservation: Reservation | None = None
    legs: Sequence[Leg] = ()

    def __bool__(self) -> bool:
        return self.whole is not None or bool(self.legs)

    def __len__(self) -> int:
        return len(self.moves())

    def moves(self) -> Sequence[Leg]:
        """The transfers without their call, in order."""
        whole, reservation = self.whole, self.reservation
        if whole is None or reservation is None:
            return self.legs
        source = _FREE if whole is _PENDING else _PENDING
        return [
            (charge, reserved_ms, source, whole, charge.amount)
            for charge, reserved_ms in zip(
                reservation.charges, reservation.reserved_ms, strict=True
            )
        ]

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


class Reservation(msgspec.Struct, eq=False):
    """What one call has reserved: how, and where it stands.

    Nearly all calls reserve once and post just that, so where each line stands is told one by one
    only once they differ.

    Attributes:
        charges: what was reserved together; so nearly always all there is.
        held: for each of them, what its member holds of its account. An account is never let go of
            before the calls that know it.
        reserved_ms: when each counts as reserved.
        sliding: which of them are of sliding accounts.
        together: where all of it is; None where `by_account` tells.
        row: for whoever writes it down: its lines as they were written; empty while they were not.
        by_account: the lines one by one, by account, key and member; made when first looked at.
    """

    charges: Sequence[Charge] = ()
    held: Sequence[Held] = ()
    reserved_ms: Sequence[int] = ()
    sliding: Sequence[int] = ()
    together: Place | None = None
    row: msgspec.Raw = msgspec.Raw()
    by_account: dict[tuple[str, str, str], Line] | None = None

    @property
    def is_final(self) -> bool:
        """Whether nothing but a late outcome can move any of it."""
        if self.together is not None:
            return self.together is _POSTED or self.together is _FREE
        return all(line.is_final for line in self.apart().values())

    def amounts(self) -> dict[tuple[str, str, str], int]:
        """What was reserved, by account."""
        return {which: line.amount for which, line in self.apart().items()}

    def apart(self) -> dict[tuple[str, str, str], Line]:
        """The lines, one by one."""
        if self.together is not None:
            self.by_account = {
                (charge.account, charge.key, charge.member): Line(
                    charge, reserved_ms, charge.amount, self.together
                )
                for charge, reserved_ms in zip(self.charges, self.reserved_ms, strict=True)
            }
        elif self.by_account is None:
            self.by_account = {}
        return self.by_account

    def post(self, actual: Sequence[tuple[str, str, int]]) -> Sequence[Leg]:
        """Post what was really taken of all that was reserved: the legs that say so; () if it is
        just what was reserved."""
        taken = {(account, key): steps for account, key, steps in actual}
        legs: list[Leg] = []
        differs = False
        for charge, held, reserved_ms in zip(
            self.charges, self.held, self.reserved_ms, strict=True
        ):
            steps = amount = charge.amount
            if not charge.member:
                steps = taken.get((charge.account, charge.key), amount)
            held.posted += steps  # no less and no more: the rest is free, or what is beyond it was
            of_charge = posted(charge, reserved_ms, _PENDING, amount, steps)
            if steps != amount:
                differs = True
                held.total += steps - amount
                if held.account.window is not None:
                    for leg in of_charge:
                        held.account.window.move(leg)
            legs += of_charge
        return legs if differs else ()

    def ended(
        self,
        call: str,
        to: Place,
        actual: Sequence[tuple[str, str, int]],
        only: Collection[tuple[str, str]],
    ) -> Sequence[Leg]:
        """The legs that end the lines; see `Books.settle`."""
        taken = {(account, key): steps for account, key, steps in actual}
        legs: list[Leg] = []
        for line in self.apart().values():
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
        """The lines have moved by `legs`."""
        lines = self.apart()
        self.together = None
        for charge, reserved_ms, _, target, amount in legs:
            which = (charge.account, charge.key, charge.member)
            line = lines.get(which)
            if line is None:
                lines[which] = Line(charge, reserved_ms, amount, target)
            elif line.place is not _POSTED:  # what was posted stays so, while its rest is freed
                line.place = target


class Line(msgspec.Struct):
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
        return posted(charge, at, place, amount, steps)


def posted(charge: Charge, at: int, place: Place, amount: int, steps: int) -> Sequence[Leg]:
    """The legs that post `steps`, where `amount` was reserved and stands at `place`."""
    if steps == amount:
        return ((charge, at, place, _POSTED, amount),)
    if steps < amount:
        rest = amount - steps
        return (charge, at, place, _POSTED, steps), (charge, at, place, _FREE, rest)
    beyond = steps - amount
    return (charge, at, place, _POSTED, amount), (charge, at, _FREE, _POSTED, beyond)
