"""What calls take that are alike to every limit they come under, laid out once.

Which accounts a call charges follows from the limits, the minute, the run, and the few arguments
that limits count by, each of them a text. Calls that have these in common have one form: what they
take differs in amounts and moments alone, so only those are worked out for each. What is not as
simple goes the way that all can go (`charging.py`), and comes to the same.

The books leave with a form where they keep what its calls take, for as long as they remember it.
"""

from __future__ import annotations

from collections.abc import Sequence

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
    """Where the charges of a form are counted. Never changed: threads may share a form.

    Attributes:
        held: for each charge, what its member holds.
        sliding: where the charges are whose accounts count by time.
        members: where those are that count a value.
    """

    __slots__ = ("held", "members", "page", "sliding")

    def __init__(self, page: Page, taken: Sequence[Charge], held: list[Held]) -> None:
        self.page = page
        self.held = held
        self.sliding = [at for at, each in enumerate(held) if each.account.window is not None]
        self.members = [at for at, charge in enumerate(taken) if charge.member]


class _Summed:
    """A charge whose amount stands in an argument."""

    __slots__ = ("at", "minor_units", "name", "path", "unit")

    def __init__(self, at: int, limit: Limit, unit: str) -> None:
        self.at = at
        self.path = limit.of
        self.name = _name(limit.of)
        self.unit = unit
        self.minor_units = limit.minor_units

    def steps(self, arguments: JsonObject) -> int:
        """The amount; -1 if it is not plain."""
        if self.name:
            value = arguments.get(self.name)
        else:
            found = straight_to(self.path, arguments)
            if found is MISSING or found is BLOCKED:
                return -1
            value = found
        unit = self.unit
        steps = steps_of_money(value, unit) if self.minor_units else steps_of(value, unit)
        return steps if isinstance(steps, int) else -1


class _Sliding:
    """A charge that looks at what was reserved within so many ms."""

    __slots__ = ("at", "ms")

    def __init__(self, at: int, ms: int) -> None:
        self.at = at
        self.ms = ms


class ChargeForm:
    """What calls have in common that charge the same accounts.

    INVARIANT: each charge is on an account of its own.

    Attributes:
        latest: the charges of one of them, from which those of the next are made.
        known: where the counters count them that have reserved such a call last.
        varying: where the charges differ: the place of one, and whether it is by its moment, or
            else by its amount.
        text: for whoever writes them down: as they are written, but for what differs.
    """

    __slots__ = ("_sliding", "_summed", "known", "latest", "text", "varying")

    def __init__(
        self, taken: Sequence[Charge], summed: list[_Summed], sliding: list[_Sliding]
    ) -> None:
        self._summed = summed
        self._sliding = sliding
        self.known: Known | None = None
        self.latest = self._of(taken)
        by_amount = [(each.at, False) for each in summed]
        self.varying = sorted([*by_amount, *[(each.at, True) for each in sliding]])
        self.text = b""

    def filled(self, arguments: JsonObject, now: int) -> Charges | None:
        """What a call of this form takes; None if that is not so plain."""
        latest = self.latest
        made: list[Charge] | None = None
        for summed in self._summed:
            steps = summed.steps(arguments)
            if steps < 0:
                return None
            charge = latest[summed.at]
            if steps != charge.amount:
                if made is None:
                    made = list(latest)
                made[summed.at] = replace(charge, amount=steps)
        for sliding in self._sliding:
            since_ms = now - sliding.ms if now > sliding.ms else 1
            charge = latest[sliding.at] if made is None else made[sliding.at]
            if since_ms != charge.since_ms:
                if made is None:
                    made = list(latest)
                made[sliding.at] = replace(charge, since_ms=since_ms)
        if made is None:  # just as the call before
            return latest
        self.latest = latest = self._of(made)
        return latest

    def numbers(self, taken: Charges) -> tuple[int, ...]:
        """In what charges of this form differ from others, as `varying` has it."""
        found: list[int] = []
        for at, by_moment in self.varying:
            charge = taken[at]
            found.append(charge.since_ms if by_moment else charge.amount)
        return tuple(found)

    def _of(self, taken: Sequence[Charge]) -> Charges:
        charges = Charges(taken)
        charges.form = self
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
        summed: list[_Summed] = []
        sliding: list[_Sliding] = []
        for at, limit in enumerate(counted):
            if limit.measure is _SUM:
                summed.append(_Summed(at, limit, taken[at].unit))
            if limit.slides_ms:
                sliding.append(_Sliding(at, limit.slides_ms))
        return ChargeForm(taken, summed, sliding)


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
