"""Limits: how much of something a mandate allows, and what one call takes of it.

A limit turns a call into *charges*: amounts against named accounts (`charging.py`). `judge`
compares them with what is used already (`Counters`); the store compares them once more, under its
lock, when it reserves them, and that comparison is the one that holds (promise 4).

All amounts are whole numbers of the limit's smallest step: calls and distinct values count by one,
sums by the millionth (`SUM_SCALE`), so that money is never a float.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import msgspec

from bailiwick.core.argument_path import EACH, ArgumentPath, format_argument_path
from bailiwick.core.canonical import Json, canonical
from bailiwick.core.conditions import Condition
from bailiwick.core.target_pattern import TargetPattern

if TYPE_CHECKING:
    from bailiwick.core.limits.forms import ChargeForm

SUM_DIGITS = 6
SUM_SCALE: int = 10**SUM_DIGITS
"""Steps in one whole unit of a sum: an amount has at most six decimals."""

MAX_AMOUNT = 9_000_000_000_000 * SUM_SCALE
"""Largest amount and ceiling, in steps: it fits a signed 64-bit integer."""


ZONED = frozenset({"hour", "day", "week", "month"})
"""Kinds of windows that begin by the clock of a time zone."""


class Measure(StrEnum):
    """What of the calls is counted."""

    COUNT = "count"
    SUM = "sum"
    DISTINCT = "distinct"
    CONCURRENT = "concurrent"
    TOKENS = "tokens"
    INPUT_TOKENS = "input_tokens"
    OUTPUT_TOKENS = "output_tokens"
    COST = "cost"


COST = "cost:"
"""Begins the name of what a model call costs (`ModelUse.bounds`); the currency follows."""

TAKEN = {
    Measure.TOKENS: "tokens",
    Measure.INPUT_TOKENS: "input_tokens",
    Measure.OUTPUT_TOKENS: "output_tokens",
    Measure.COST: COST,
}
"""What only a model call takes, by its name in `ModelUse.bounds`: reserved as that bounds it,
posted as the model's server reports it."""

PERSON = "@"
"""Begins the id of a limit of a person's: `@ada/limit/a-day`. No mandate's name begins so."""


class Charge(msgspec.Struct, frozen=True):
    """What one call takes of one limit.

    Attributes:
        rule: id of the limit, `MANDATE@VERSION/limit/NAME`, for verdicts and records.
        account: where it is counted. Names mandate (without version), limit, what is measured,
            window and unit, never a value of the call, so a store may keep it in clear. A new
            version of a mandate goes on counting in the same accounts.
        amount: in steps, 0 or more; of DISTINCT always 1.
        ceiling: highest sum of amounts the account may reach, in steps.
        key: for a limit per value (per recipient, say), that value as canonical JSON, else "".
            Quotes the call: never at rest in clear.
        member: for DISTINCT, the value as canonical JSON; it counts once however often it comes.
            Quotes the call.
        since_ms: for a sliding window, only what was reserved after this moment counts; else 0.
        pending_only: for CONCURRENT: what has ended counts no more.
        unit: `CHF`, `calls`, …: for messages, and part of the account.
        scale: steps in one unit, for messages.
        actual: where a result says what was really spent, or () if the estimate is what counts.
        over, until: the window in words, and when it ends: "on 2026-11-22 (Europe/Zurich)",
            "2026-11-23 00:00". Only for messages.
        failed_frees: a call whose tool reports an error takes nothing.
        actual_scale: steps in one of what `actual` says (a centime, say); 0 for `scale`.
        takes: for what a model call takes, the name of it (`ModelUse.bounds`), by which the
            upstream says how much it really was; else "".
    """

    rule: str
    account: str
    amount: int
    ceiling: int
    key: str = ""
    member: str = ""
    since_ms: int = 0
    pending_only: bool = False
    unit: str = ""
    scale: int = 1
    actual: ArgumentPath = ()
    over: str = ""
    until: str = ""
    failed_frees: bool = False
    actual_scale: int = 0
    takes: str = ""


class Charges(tuple[Charge, ...]):
    """What one call takes of every limit, with the form by which that was told.

    Attributes:
        form: what it has in common with other calls (`forms.py`).
        numbers: what it has not: `ChargeForm.varying`.
    """

    form: ChargeForm
    numbers: list[int]


@runtime_checkable
class Counters(Protocol):
    """What is used already, as far as is known here. The store's own look at `Reserved` decides."""

    def used(self, charge: Charge) -> int:
        """Steps that count against `charge`'s ceiling before it: pending, posted and unknown.

        Within `since_ms` if that is set, without what has ended if `pending_only`; for DISTINCT
        the number of values other than `charge.member`.
        """
        ...


@dataclass(frozen=True, slots=True)
class Window:
    """Over what time a limit counts.

    Attributes:
        kind: `call`, `run`, `hour`, `day`, `week`, `month`, `lifetime` or `sliding`.
        zone: IANA time zone in which hours to months begin, such as `Europe/Zurich`; weeks begin
            on Monday.
        seconds: length of a sliding window, else 0.
    """

    kind: str
    zone: str = "UTC"
    seconds: int = 0


@dataclass(frozen=True, slots=True)
class Limit:
    """One limit of a mandate.

    Attributes:
        id: `MANDATE@VERSION/limit/NAME`, or `@PERSON/limit/NAME`.
        name: the last part of `id`; a limit always has one, since it names accounts.
        targets: patterns of what is counted.
        conditions: a call counts unless a condition plainly fails (doubt counts).
        of: the argument that is summed or whose distinct values count; () for the others.
        currency: argument that names the currency, or "" for none or a fixed one.
        ceilings: highest value by unit, in steps. A currency that is not named here is refused.
            Without a currency from an argument there is exactly one unit: `calls`, `values`, the
            fixed currency, or "".
        minor_units: amounts count centimes, or what the currency has.
        per: arguments by whose values the limit counts apart.
        actual: see `Charge.actual`.
        failed_frees: see `Charge.failed_frees`.
        unknown_after_seconds: when a call of which nothing is known is settled by itself; None for
            never.
        unknown_as: how it then is: `posted` or `voided`.
        rows: the list through which `of`, `per` and `currency` go, derived; () if none does.
        account_stem, account_tail: of the names of its accounts, derived.
        scale: steps in one unit, derived.
        unit: the one unit there is, or None where the call decides, derived.
        per_words: `per` for messages, derived.
        takes: the name of what is counted of a model call (`TAKEN`), or "", derived.
        looks_at: the one argument that tells what a call takes, where a plain amount or a plain
            text tells all; "" where the call says nothing of it, and each takes one; else None.
            Derived.
        sums: what stands there is an amount, derived.
        by_clock, by_run: what tells its windows apart, derived.
        slides_ms: length of a sliding window, else 0, derived.
        made: charges on it that calls were given, remembered by `charging.py`: by window, unit, key
            and value, or by window and what stands in the argument it looks at.

    Raises:
        ValueError: `of`, `per` and `currency` go into different lists.
    """

    id: str
    name: str
    targets: tuple[TargetPattern, ...]
    conditions: tuple[Condition, ...]
    measure: Measure
    window: Window
    ceilings: Mapping[str, int]
    of: ArgumentPath = ()
    currency: ArgumentPath = ()
    per: tuple[ArgumentPath, ...] = ()
    actual: ArgumentPath = ()
    minor_units: bool = False
    failed_frees: bool = False
    unknown_after_seconds: int | None = None
    unknown_as: str = "posted"
    line: int = field(default=0, compare=False)
    rows: ArgumentPath = field(init=False, repr=False, compare=False)
    account_stem: str = field(init=False, repr=False, compare=False)
    account_tail: str = field(init=False, repr=False, compare=False)
    per_words: str = field(init=False, repr=False, compare=False)
    scale: int = field(init=False, repr=False, compare=False)
    unit: str | None = field(init=False, repr=False, compare=False)
    takes: str = field(init=False, repr=False, compare=False)
    looks_at: str | None = field(init=False, repr=False, compare=False)
    sums: bool = field(init=False, repr=False, compare=False)
    by_clock: bool = field(init=False, repr=False, compare=False)
    by_run: bool = field(init=False, repr=False, compare=False)
    slides_ms: int = field(init=False, repr=False, compare=False)
    made: dict[tuple[Json, ...], Charge] = field(
        init=False, repr=False, compare=False, hash=False, default_factory=dict
    )

    def __post_init__(self) -> None:
        """Derive what every call needs once."""
        lists = {rows_of(path) for path in (self.of, self.currency, *self.per)} - {()}
        if len(lists) > 1:
            raise ValueError("amounts, keys and currencies must come from one and the same list")
        object.__setattr__(self, "rows", next(iter(lists), ()))
        mandate = holder_of(self.id)
        window, zone = self.window, self.window.zone if self.window.kind in ZONED else ""
        length = f"-{window.seconds}" if window.seconds else ""
        stem = f"{mandate}:{self.name}:{self.measure.value}:{window.kind}{length}:{zone}:"
        object.__setattr__(self, "account_stem", stem)
        object.__setattr__(self, "account_tail", f":{self._shape()}")
        money = self.measure is Measure.SUM or self.measure is Measure.COST
        object.__setattr__(self, "scale", SUM_SCALE if money else 1)
        by_call = self.currency or self.measure is Measure.COST
        unit = None if by_call else next(iter(self.ceilings))
        object.__setattr__(self, "unit", unit)
        names = ", ".join(f"`{format_argument_path(path)}`" for path in self.per)
        object.__setattr__(self, "takes", TAKEN.get(self.measure, ""))
        object.__setattr__(self, "per_words", f" for this {names}" if names else "")
        object.__setattr__(self, "looks_at", self._looks_at())
        object.__setattr__(self, "sums", self.measure is Measure.SUM)
        object.__setattr__(self, "by_clock", window.kind in ZONED)
        object.__setattr__(self, "by_run", window.kind == "run")
        object.__setattr__(self, "slides_ms", window.seconds * 1000)

    def _looks_at(self) -> str | None:
        if self.per or self.rows or self.unit is None or self.window.kind == "call":
            return None
        if self.measure in (Measure.COUNT, Measure.CONCURRENT):
            return ""
        plain = self.measure in (Measure.SUM, Measure.DISTINCT) and not self.minor_units
        return str(self.of[0]) if plain and len(self.of) == 1 else None

    def _shape(self) -> str:
        """What makes amounts comparable, beside what the account's name tells: eight hex digits.

        INVARIANT: no ceiling, target or condition is in it, so that a new version of a mandate goes
        on counting from where the last one was.
        """
        paths = [
            format_argument_path(self.of),
            format_argument_path(self.currency),
            *(format_argument_path(path) for path in self.per),
        ]
        if self.minor_units:
            paths.append("[minor_units]")
        return hashlib.sha256(canonical(paths)).hexdigest()[:8]


def holder_of(limit_id: str) -> str:
    """Whose limit it is: the name of the mandate, or `@` and that of the person."""
    if limit_id.startswith(PERSON):
        return limit_id.partition("/")[0]
    return limit_id.partition("@")[0]


def rows_of(path: ArgumentPath) -> ArgumentPath:
    """The beginning of `path` up to the last list it goes into; () if it goes into none."""
    for length in range(len(path), 0, -1):
        if path[length - 1] is EACH:
            return path[:length]
    return ()
