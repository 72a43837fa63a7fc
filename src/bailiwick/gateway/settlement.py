"""How the reservation of a call ends: what it really took, and which mandates that freezes.

What a result says was spent is read from where a limit's `actual` points in the structured content
of a tool's result, exactly. Not from its text, which may quote anybody. What cannot be read leaves
the estimate standing; what is above the estimate is posted all the same, and the mandate whose
limit it is stops (a limit that calls can talk themselves past is no limit).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import ROUND_CEILING, Decimal, localcontext
from operator import attrgetter

import msgspec

from bailiwick.core.argument_path import ArgumentPath, Gap, reach
from bailiwick.core.canonical import Json
from bailiwick.core.errors import TheirError
from bailiwick.core.limits.limit import Charge, holder_of
from bailiwick.core.values import number_of
from bailiwick.ports import Settled, Settlement, UpstreamReply
from bailiwick.protocols.strict_json import parse

MAX_ACTUAL = 10**17
"""Most steps one result can say: what is above it is posted as this, and freezes the mandate."""

MAX_READ_BYTES = 1024 * 1024
"""Longest result in which an amount is looked for."""


class Ending(msgspec.Struct, frozen=True):
    """How one reservation ends.

    Attributes:
        settled: for the commit of the outcome.
        over: whose limits it took more of than was reserved (`core.limits.limit.holder_of`).
    """

    settled: tuple[Settled, ...] = ()
    over: tuple[str, ...] = ()


NOTHING = Ending()
_POSTED = Settlement.POSTED


class _Result(msgspec.Struct):
    isError: bool = False  # noqa: N815  # the protocol's spelling


_actual_of = attrgetter("actual")
_result_of = msgspec.json.Decoder(_Result).decode


def failed_by(reply: UpstreamReply) -> bool:
    """Whether the upstream says that it did not work.

    Only at the top of a result: deeper down a tool may repeat what the agent sent it, and a limit
    may give back what a failed call has taken.
    """
    if reply.error is not None:
        return True
    result = reply.result or b""
    # `in` takes what it looks for as a number first, and makes an exception of it each time.
    if result.find(b'"isError"') < 0:  # as in most
        return False
    try:
        return _result_of(result).isError
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False


def ended(call: str, charges: Sequence[Charge], how: Settlement, at_ms: int) -> Ending:
    """The ending of a call of which no result is known.

    What a model takes is bounded, so the unknown of it is no more than its bound, and is posted as
    that: people are asked of what only they can find out.
    """
    return _ended(
        call, charges, how, Settlement.POSTED if how is Settlement.UNKNOWN else how, at_ms
    )


def key_refused(call: str, charges: Sequence[Charge], at_ms: int) -> Ending:
    """The ending of a call whose server refused the gateway's key: no model has answered."""
    return _ended(call, charges, Settlement.UNKNOWN, Settlement.VOIDED, at_ms)


def _ended(
    call: str,
    charges: Sequence[Charge],
    how: Settlement,
    of_models: Settlement,
    at_ms: int,
) -> Ending:
    """All of it ended `how`, but for what a model takes."""
    if not charges:
        return NOTHING
    bounded = [each for each in charges if each.takes]
    if not bounded or of_models is how:
        return Ending((Settled(call, at_ms, how),))
    others = [each for each in charges if not each.takes]
    parts = ((of_models, bounded), (how, others))
    return Ending(
        tuple(Settled(call, at_ms, state, only=_only(part)) for state, part in parts if part)
    )


def answered(
    call: str, charges: Sequence[Charge], reply: UpstreamReply, *, failed: bool, at_ms: int
) -> Ending:
    """The ending of a call that was answered.

    An error is no proof that nothing happened, so a failed call takes what it reserved, but for
    the limits that say otherwise (`Charge.failed_frees`). Of what a model takes, the answer says
    how much it was, also when it failed (`UpstreamReply.used`); what it does not say is the bound.
    """
    if not charges:
        return NOTHING
    if not (failed or reply.used or any(map(_actual_of, charges))):
        # As mostly: nothing says that it took anything else.
        return Ending((Settled(call, at_ms, _POSTED),))
    actual: list[tuple[str, str, int]] = []
    over: dict[str, None] = {}
    if reply.used:  # by a model
        actual, over = _used(charges, reply)
    if failed:
        frees = [each for each in charges if each.failed_frees]
        if not frees:
            return Ending((Settled(call, at_ms, _POSTED, tuple(actual)),), tuple(over))
        voided = Settled(call, at_ms, Settlement.VOIDED, only=_only(frees))
        keeps = [each for each in charges if not each.failed_frees]
        if not keeps:
            return Ending((voided,))
        kept = Settled(call, at_ms, _POSTED, tuple(actual), _only(keeps))
        return Ending((voided, kept), tuple(over))
    by_limit: dict[str, list[Charge]] = {}
    for charge in charges:
        if charge.actual:
            by_limit.setdefault(charge.rule, []).append(charge)
    for rule, parts in by_limit.items():
        steps = spent(reply, parts[0].actual, parts[0].actual_scale or parts[0].scale)
        if steps is None:
            continue
        beyond = steps - sum(part.amount for part in parts)
        if len(parts) == 1 or beyond > 0:
            # One number for several amounts says nothing of each: only what is beyond all of them
            # together is told, and it counts for the first.
            actual.append((parts[0].account, parts[0].key, parts[0].amount + beyond))
        if beyond > 0:
            over[holder_of(rule)] = None
    return Ending((Settled(call, at_ms, _POSTED, tuple(actual)),), tuple(over))


def _used(
    charges: Sequence[Charge], reply: UpstreamReply
) -> tuple[list[tuple[str, str, int]], dict[str, None]]:
    """What a model really took, for each account, and whose limits it was too much for."""
    actual: list[tuple[str, str, int]] = []
    over: dict[str, None] = {}
    for charge in charges:
        steps = reply.used.get(charge.takes) if charge.takes else None
        if steps is None:
            continue
        steps = min(steps, MAX_ACTUAL)
        actual.append((charge.account, charge.key, steps))
        if steps > charge.amount:
            over[holder_of(charge.rule)] = None
    return actual, over


def _only(charges: Sequence[Charge]) -> tuple[tuple[str, str], ...]:
    return tuple(dict.fromkeys((each.account, each.key) for each in charges))


def spent(reply: UpstreamReply, path: ArgumentPath, scale: int) -> int | None:
    """Steps that a result says were taken, several values added up; None when it does not say.

    A part of a step counts as a whole one.
    """
    found = _content(reply)
    if not isinstance(found, Mapping):
        return None
    total = Decimal(0)
    with localcontext(prec=200):
        for value in reach(path, found):
            number = None if isinstance(value, Gap) else number_of(value)
            if number is None or number < 0:
                return None
            total += number
        steps = int((total * scale).to_integral_value(ROUND_CEILING))
    return min(steps, MAX_ACTUAL)


def _content(reply: UpstreamReply) -> Json:
    """The structured content of a tool's result; None when there is none."""
    result = _parsed(reply.result)
    return result.get("structuredContent") if isinstance(result, Mapping) else None


def _parsed(body: bytes | None) -> Json:
    if body is None or len(body) > MAX_READ_BYTES:
        return None
    try:
        return parse(body)
    except TheirError:  # two meanings are none
        return None
