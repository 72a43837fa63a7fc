"""What one model call takes of a limit in tokens or money: its bound, or why there is none.

A call of which nothing bounds what a limit counts has no room in it: what cannot be told in advance
could be anything.
"""

from __future__ import annotations

from bailiwick.core.call import ModelUse
from bailiwick.core.limits.limit import COST, Limit
from bailiwick.core.limits.wording import name_of_limit
from bailiwick.core.values import show


class Unbounded(Exception):
    """Nothing bounds what a call takes of a limit.

    Attributes:
        code: of Deny: `tokens_unbounded`, `cost_unbounded`, `price_unknown`,
            `currency_not_allowed`.
    """

    def __init__(self, code: str, because: str, allowed: str = "") -> None:
        super().__init__(code)
        self.code = code
        self.because = because
        self.allowed = allowed


def taken_by(use: ModelUse | None, limit: Limit) -> tuple[str, int]:
    """Unit, and steps, that a call with `use` takes of `limit` at most.

    Raises:
        Unbounded: that cannot be told.
    """
    if use is None:
        raise _unbounded(limit, "tokens_unbounded", "it does not say what it may take")
    if limit.takes == COST:
        return _cost(use, limit)
    steps = use.bounds.get(limit.takes)
    if steps is None:
        raise _unbounded(limit, "tokens_unbounded", _why(use))
    unit = limit.unit
    assert unit is not None
    return unit, steps


def _cost(use: ModelUse, limit: Limit) -> tuple[str, int]:
    bounds = use.bounds
    for unit in limit.ceilings:
        steps = bounds.get(COST + unit)
        if steps is not None:
            return unit, steps
    if bounds.get("tokens") == 0:  # counting tokens, say: whatever the price, nothing is taken
        return next(iter(limit.ceilings)), 0
    priced = [name.removeprefix(COST) for name in bounds if name.startswith(COST)]
    if priced:
        known = ", ".join(show(each) for each in limit.ceilings)
        because = f"it is priced in {show(priced[0])} (limit {name_of_limit(limit.id)})"
        raise Unbounded("currency_not_allowed", because, f"What is allowed: {known}")
    if "price" in use.unbounded:
        raise _unbounded(limit, "price_unknown", use.unbounded["price"])
    raise _unbounded(limit, "cost_unbounded", _why(use))


def _why(use: ModelUse) -> str:
    reasons = [text for name, text in use.unbounded.items() if name != "price"]
    return "; ".join(reasons) or "nothing bounds what it may take"


def _unbounded(limit: Limit, code: str, why: str) -> Unbounded:
    return Unbounded(code, f"{why} (limit {name_of_limit(limit.id)})")
