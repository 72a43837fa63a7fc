"""What calls take that are alike to every limit they come under, laid out once.

Which accounts a call charges follows from the limits, the minute, the run, and the few arguments
that limits count by, each of them a text. Calls that have these in common have one form: what they
take differs in amounts and moments alone, so only those are worked out for each. What is not as
simple goes the way that all can go (`charging.py`), and comes to the same.

The books leave with a form where they keep what its calls take, for as long as they remember it.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter

from msgspec.structs import replace

from bailiwick.core.argument_path import BLOCKED, MISSING, ArgumentPath, straight_to
from bailiwick.core.call import Call
from bailiwick.core.canonical import JsonObject
from bailiwick.core.limits.accounts import Held
from bailiwick.core.limits.charging import are_apart, charged, compare, counts
from bailiwick.core.limits.countable import steps_of, steps_of_money
from bailiwick.core.limits.limit import Charge, Charges, Counters, Limit, Measure
from bailiwick.core.limits.windows import MINUTE_MS
from bailiwick.core.limits.wording import too_much
from bailiwick.core.verdict import Deny

MAX_FORMS = 64
"""Forms of some limits that are remembered: for so many runs, keys and values of their calls."""

MAX_TEXT_CHARS = 256
"""Most characters of all texts by which a form is remembered."""

_SUM, _DISTINCT = Measure.SUM, Measure.DISTINCT


class Page:
    """What some counters remember until they forget: what was found there stays where it was.

    Attributes:
        counters: whose it is; None once they have forgotten.
    """

    __slots__ = ("counters",)

    def __init__(self, counters: Counters) -> None:
        self.counters: Counters | None = counters


class Known:
    """Where the charges of a form are counted. Never changed but for `row`, by the one store whose
    page it is: threads may share a form.

    Attributes:
        held: for each charge, what its member holds.
        sliding: where the charges are whose accounts count by time.
        members: where those are that count a value.
        row: for whoever writes reservations down: as one is written, but for what differs, and
            which of `Charges.numbers` and the moments of reservation are put in.
    """

    __slots__ = ("held", "members", "page", "row", "sliding")

    def __init__(self, page: Page, taken: Sequence[Charge], held: list[Held]) -> None:
        self.page = page
        self.held = held
        self.sliding = [at for at, each in enumerate(held) if each.account.window is not None]
        self.members = [at for at, charge in enumerate(taken) if charge.member]
        self.row: tuple[bytes, itemgetter[tuple[int, ...]]] | None = None


class Varying:
    """A number in which calls of one form differ: the amount of a charge, or its moment.

    Attributes:
        at: where the charge is.
        slides_ms: how far back it looks, if this is its moment; else 0.
    """

    __slots__ = ("_minor_units", "_name", "_path", "_unit", "at", "slides_ms")

    def __init__(self, at: int, limit: Limit, unit: str, slides_ms: int) -> None:
        self.at = at
        self.slides_ms = slides_ms
        self._path = limit.of
        self._name = _name(limit.of)
        self._unit = unit
        self._minor_units = limit.minor_units

    def number(self, arguments: JsonObject, now: int) -> int:
        """What it is for a call; -1 if it is not plain."""
        if self.slides_ms:
            return now - self.slides_ms if now > self.slides_ms else 1
        if self._name:
            value = arguments.get(self._name)
        else:
            found = straight_to(self._path, arguments)
            if found is MISSING or found is BLOCKED:
                return -1
            value = found
        unit = self._unit
        steps = steps_of_money(value, unit) if self._minor_units else steps_of(value, unit)
        return steps if isinstance(steps, int) else -1


class ChargeForm:
    """What calls have in common that charge the same accounts.

    INVARIANT: each charge is on an account of its own.

    Attributes:
        varying: in what the charges differ, in order; of one charge the amount first.
        latest: the charges of one of them, from which those of the next are made.
        known: where the counters count them that have reserved such a call last.
        text: for whoever writes them down: as they are written, but for what differs.
    """

    __slots__ = ("known", "latest", "text", "varying")

    def __init__(self, taken: Sequence[Charge], varying: list[Varying]) -> None:
        self.varying = varying
        self.known: Known | None = None
        self.text = b""
        numbers = [
            taken[each.at].since_ms if each.slides_ms else taken[each.at].amount for each in varying
        ]
        self.latest = self._of(taken, numbers)

    def filled(self, arguments: JsonObject, now: int) -> Charges | None:
        """What a call of this form takes; None if that is not so plain."""
        numbers: list[int] = []
        for each in self.varying:
            number = each.number(arguments, now)
            if number < 0:
                return None
            numbers.append(number)
        latest = self.latest
        before = latest.numbers
        if numbers == before:  # just as the call before
            return latest
        made = list(latest)
        for each, number, other in zip(self.varying, numbers, before):  # noqa: B905 - as below
            if number != other:
                charge = made[each.at]
                if each.slides_ms:
                    made[each.at] = replace(charge, since_ms=number)
                else:
                    made[each.at] = replace(charge, amount=number)
        self.latest = latest = self._of(made, numbers)
        return latest

    def _of(self, taken: Sequence[Charge], numbers: list[int]) -> Charges:
        charges = Charges(taken)
        charges.form = self
        charges.numbers = numbers
        return charges


class Forms:
    """The forms of what calls take of some limits, remembered once they have come twice."""

    __slots__ = ("_by_clock", "_by_run", "_conditional", "_known", "_limits", "_names", "_paths")

    def __init__(self, limits: tuple[Limit, ...]) -> None:
        self._limits = limits
        self._by_clock = any(limit.by_clock for limit in limits)
        self._by_run = any(limit.by_run for limit in limits)
        self._conditional = [limit for limit in limits if limit.conditions]
        paths = dict.fromkeys(path for limit in limits for path in _told_by(limit))
        self._names = [_name(path) for path in paths if _name(path)]
        self._paths = [path for path in paths if not _name(path)]
        self._known: dict[tuple[object, ...], ChargeForm | None] = {}

    def taken(self, call: Call, run: str, now: int) -> tuple[Charge, ...] | Deny:
        """`charged` of a call to a target of these limits."""
        arguments = call.arguments
        which: list[object] = [
            now // MINUTE_MS if self._by_clock else 0,  # as `windows.period` has it
            run if self._by_run else "",
        ]
        for name in self._names:
            value = arguments.get(name)
            if type(value) is not str:  # of 1, 1.0 and true no two are one
                return charged(call, self._limits, run, now)
            which.append(value)
        if self._paths or self._conditional:
            for path in self._paths:
                found = straight_to(path, arguments)
                if type(found) is not str:
                    return charged(call, self._limits, run, now)
                which.append(found)
            which += [counts(limit, call) for limit in self._conditional]
        like = tuple(which)
        form = self._known.get(like)
        taken = None if form is None else form.filled(arguments, now)
        if taken is not None:
            return taken
        plainly = charged(call, self._limits, run, now)
        if form is None and not isinstance(plainly, Deny):
            self._remember(like, call, plainly)
        return plainly

    def _remember(self, like: tuple[object, ...], call: Call, taken: tuple[Charge, ...]) -> None:
        """Lay a form out for calls that have `like` in common, if this is not the first of them."""
        known = self._known
        if like in known:
            known[like] = self._form(call, taken)
            return
        if len(known) >= MAX_FORMS:
            known.clear()
        if sum(len(each) for each in like if isinstance(each, str)) <= MAX_TEXT_CHARS:
            known[like] = None

    def _form(self, call: Call, taken: tuple[Charge, ...]) -> ChargeForm | None:
        counted = [each for each in self._limits if not each.conditions or counts(each, call)]
        if [each.id for each in counted] != [each.rule for each in taken] or not are_apart(taken):
            return None
        varying: list[Varying] = []
        for at, limit in enumerate(counted):
            unit = taken[at].unit
            if limit.measure is _SUM:
                varying.append(Varying(at, limit, unit, 0))
            if limit.slides_ms:
                varying.append(Varying(at, limit, unit, limit.slides_ms))
        return ChargeForm(taken, varying)


def forms_of(limits: tuple[Limit, ...]) -> Forms | None:
    """Forms for calls under `limits`; None where one of them counts anything else than one amount
    or one value of each call, or is held to at once."""
    for limit in limits:
        if limit.takes or limit.rows or limit.window.kind == "call":
            return None
    return Forms(limits) if limits else None


def known_to(taken: Sequence[Charge], counters: Counters) -> Known | None:
    """Where `counters` count each of `taken`, if they have left that with its form."""
    known = taken.form.known if type(taken) is Charges else None
    return known if known is not None and known.page.counters is counters else None


def compared(taken: tuple[Charge, ...], counters: Counters) -> Deny | tuple[int, ...]:
    """`compare`, at once where it is known where the charges are counted."""
    known = known_to(taken, counters)
    if known is None:
        return compare(taken, counters)
    before: list[int] = []
    for charge, held in zip(taken, known.held):  # noqa: B905 - of one form; strict, it is not C
        used = held.used(charge)
        if used + charge.amount > charge.ceiling:
            return too_much(charge, used, charge.amount)
        before.append(used)
    return tuple(before)


def _told_by(limit: Limit) -> tuple[ArgumentPath, ...]:
    """By what the accounts of a limit are told apart, and values in them."""
    paths = [*limit.per]
    if limit.currency:
        paths.append(limit.currency)
    if limit.measure is _DISTINCT:
        paths.append(limit.of)
    return tuple(paths)


def _name(path: ArgumentPath) -> str:
    """The name of an argument that a path leads to; "" if it leads into one."""
    return path[0] if len(path) == 1 and isinstance(path[0], str) else ""
