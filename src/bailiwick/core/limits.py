"""Limits: how much of something a mandate allows, and what one call takes of it.

A limit turns a call into *charges*: amounts against named accounts. `judge` compares them with what
is used already (`Counters`); the store compares them once more, under its lock, when it reserves
them, and that comparison is the one that holds (promise 4).

All amounts are whole numbers of the limit's smallest step: calls and distinct values count by one,
sums by the millionth (`SUM_SCALE`), so that money is never a float.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol, runtime_checkable

import msgspec

from bailiwick.core.argument_path import ArgumentPath
from bailiwick.core.call import Call
from bailiwick.core.conditions import Condition
from bailiwick.core.target_pattern import TargetPattern
from bailiwick.core.verdict import Deny

SUM_SCALE = 1_000_000
"""Steps in one whole unit of a sum: an amount has at most six decimals."""

MAX_AMOUNT = 9_000_000_000_000 * SUM_SCALE
"""Largest amount and ceiling, in steps: it fits a signed 64-bit integer."""


class Measure(StrEnum):
    """What of the calls is counted."""

    COUNT = "count"
    SUM = "sum"
    DISTINCT = "distinct"
    CONCURRENT = "concurrent"


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
        id: `MANDATE@VERSION/limit/NAME`.
        name: the last part of `id`; a limit always has one, since it names accounts.
        targets: patterns of what is counted.
        conditions: a call counts unless a condition plainly fails (doubt counts).
        of: the argument that is summed or whose distinct values count; () for the others.
        currency: argument that names the currency, a text for a fixed one, or "" for none.
        ceilings: highest value by unit, in steps. A unit that is not named here is refused.
        per: arguments by whose values the limit counts apart.
        actual: see `Charge.actual`.
    """

    id: str
    name: str
    targets: tuple[TargetPattern, ...]
    conditions: tuple[Condition, ...]
    measure: Measure
    window: Window
    ceilings: Mapping[str, int]
    of: ArgumentPath = ()
    currency: ArgumentPath | str = ""
    per: tuple[ArgumentPath, ...] = ()
    actual: ArgumentPath = ()
    line: int = field(default=0, compare=False)


class Limited(Protocol):
    """The part of a mandate that limits look at."""

    @property
    def name(self) -> str:
        """Its name, without version."""
        ...

    @property
    def limits(self) -> tuple[Limit, ...]:
        """Its limits."""
        ...


def charges(call: Call, chain: Sequence[Limited], run: str, now: int) -> tuple[Charge, ...] | Deny:
    """What `call` takes of every limit of every mandate of the chain; or why it cannot be told.

    Pure. Several amounts in one call (a list) are one charge with their sum.
    """
    return ()


def exceeded(taken: Sequence[Charge], counters: Counters) -> Deny | None:
    """The first charge that does not fit, as a refusal saying what is left; None if all fit."""
    return None
