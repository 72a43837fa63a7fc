"""What is used of limits, and the settling of what nobody knows the outcome of."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Sequence
from dataclasses import replace

from bailiwick.core.canonical import JsonObject
from bailiwick.core.errors import Conflict, TheirError
from bailiwick.core.limits.limit import Limit, Measure, holder_of
from bailiwick.core.limits.transfers import Place, Transfer
from bailiwick.core.limits.windows import account_parts, ends_at, period
from bailiwick.core.limits.wording import describe
from bailiwick.gateway.authority import Authority
from bailiwick.gateway.events import Events
from bailiwick.gateway.recorder import Recorder
from bailiwick.ledger.leaf import LeafType
from bailiwick.ports import (
    BalanceRow,
    CallMoved,
    CallRow,
    Change,
    Clock,
    Journal,
    LimitRow,
    LimitsInForce,
    Records,
    Settled,
    Settlement,
    UnsettledRow,
)

MAX_ACCOUNTS_SHOWN = 500
"""Most accounts that are shown of one limit, newest first: it may have one for each payee."""

MAX_UNSETTLED_SHOWN = 200

_SWEEP_SECONDS = 60.0
_PAGE = 500

_SETTLED = {
    Settlement.POSTED: ("settled_happened", "it counts as having happened"),
    Settlement.VOIDED: ("settled_did_not_happen", "it counts as not having happened"),
}


class Limits:
    """Shows limits and settles what is unknown."""

    def __init__(
        self,
        *,
        journal: Journal,
        records: Records,
        recorder: Recorder,
        authority: Authority,
        clock: Clock,
        events: Events,
    ) -> None:
        self._journal = journal
        self._records = records
        self._recorder = recorder
        self._authority = authority
        self._clock = clock
        self._events = events

    async def in_force(self, mandate: str) -> LimitsInForce:
        """See `ports.Control.limits`."""
        mandates = self._authority.snapshot.mandates
        if mandate and mandate not in mandates:
            raise TheirError("mandate_unknown", f"there is no mandate `{mandate}`")
        chosen = [mandates[mandate]] if mandate else [mandates[name] for name in sorted(mandates)]
        rows: list[LimitRow] = []
        for each in chosen:
            for limit in each.limits:
                rows += await self._rows(limit, each.name)
        for name in sorted({each.principal for each in chosen}):
            person = self._authority.snapshot.people.get(name)
            for limit in person.limits if person is not None else ():
                rows += await self._rows(limit, "", name)
        unsettled = await self._records.unsettled(limit=MAX_UNSETTLED_SHOWN)
        return LimitsInForce(rows, unsettled)

    # --- looking ---------------------------------------------------------------------------------

    async def _rows(self, limit: Limit, mandate: str, person: str = "") -> list[LimitRow]:
        """The accounts of one limit that a call would count in now; at least one row."""
        now = self._clock.wall_ms()
        rows: list[LimitRow] = []
        for unit, ceiling in limit.ceilings.items():
            row = replace(_empty(limit, unit, ceiling), mandate=mandate, person=person)
            made = [
                await self._row(row, limit, held, now)
                for held in await self._held(limit, unit, now)
            ]
            rows += [each for each in made if each.used] or [row]
        return rows

    async def _held(self, limit: Limit, unit: str, now: int) -> list[BalanceRow]:
        """Balances of the accounts in force. Runs do not end, so theirs all are."""
        if limit.window.kind == "call":
            return []
        tail = f":{unit}{limit.account_tail}"
        if limit.window.kind == "run":
            found = await self._records.balances(limit.account_stem, MAX_ACCOUNTS_SHOWN)
            return [each for each in found if each.account.endswith(tail)]
        account = f"{limit.account_stem}{period(limit.window, '', now).label}{tail}"
        found = await self._records.balances(account, MAX_ACCOUNTS_SHOWN)
        return [each for each in found if each.account == account]

    async def _row(self, row: LimitRow, limit: Limit, held: BalanceRow, now: int) -> LimitRow:
        """`row` with what one account holds."""
        frees: int | None = None
        if limit.window.kind == "sliding":
            since = max(1, now - limit.window.seconds * 1000)
            taken = _standing(await self._records.window(held.account, held.key, since))
            oldest = min((line.reserved_ms for line in taken if line.holds), default=None)
            frees = None if oldest is None else oldest + limit.window.seconds * 1000
            held = _in_window(held, taken)
        elif limit.measure is Measure.CONCURRENT:
            held = replace(held, posted=0)
        else:
            frees = ends_at(account_parts(held.account))
        return replace(
            row,
            account=held.account,
            run=account_parts(held.account).start if limit.window.kind == "run" else "",
            key=", ".join(str(part) for part in json.loads(held.key)) if held.key else "",
            pending=held.pending,
            posted=held.posted,
            unknown=held.unknown,
            frees_ms=frees,
        )

    # --- settling --------------------------------------------------------------------------------

    async def settle(self, person: str, call_id: str, happened: bool, reason: str) -> CallRow:
        """See `ports.Control.settle`; the person's right has been checked."""
        if not reason.strip():
            raise TheirError("reason_missing", "say how it was found out: a reason is recorded")
        call = await self._records.call(call_id)
        if call is None:
            raise TheirError("call_unknown", f"there is no call `{call_id}`")
        unknown = _unknown(await self._records.transfers(call_id))
        if not unknown:
            raise TheirError(
                "nothing_to_settle", f"nothing that call `{call_id}` has reserved is unknown"
            )
        how = Settlement.POSTED if happened else Settlement.VOIDED
        try:
            await self._commit(call, [(how, unknown)], person, reason)
        except Conflict as conflict:
            raise TheirError("nothing_to_settle", "it has just been settled") from conflict
        settled = await self._records.call(call_id)
        assert settled is not None
        return settled

    async def sweep(self) -> None:
        """Settle what a limit says is to be settled by itself, for as long as the gateway runs."""
        while True:
            await self.settle_due()
            await asyncio.sleep(_SWEEP_SECONDS)

    async def settle_due(self) -> int:
        """Settle what is due now; how many calls that was."""
        snapshot = self._authority.snapshot
        limits = [limit for each in snapshot.mandates.values() for limit in each.limits]
        limits += [limit for each in snapshot.people.values() for limit in each.limits]
        rules = {
            (holder_of(limit.id), limit.name): limit
            for limit in limits
            if limit.unknown_after_seconds is not None
        }
        settled, after = 0, ""
        while rules and (page := await self._records.unsettled(after, _PAGE)):
            after = page[-1].call
            for each in page:
                settled += await self._settle_due(each, rules)
        return settled

    async def _settle_due(
        self, unsettled: UnsettledRow, rules: dict[tuple[str, str], Limit]
    ) -> int:
        """Settle the part of one call that is due; 1 if there was any."""
        waited = self._clock.wall_ms() - unsettled.at_ms
        due: dict[Settlement, list[tuple[str, str]]] = {}
        for account, key in _unknown(await self._records.transfers(unsettled.call)):
            parts = account_parts(account)
            limit = rules.get((parts.mandate, parts.limit))
            if limit is None or limit.unknown_after_seconds is None:
                continue
            if waited >= limit.unknown_after_seconds * 1000:
                due.setdefault(Settlement(limit.unknown_as), []).append((account, key))
        call = await self._records.call(unsettled.call) if due else None
        if call is None:
            return 0
        reason = "its limits say what becomes of a call that nothing is known of for so long"
        try:
            await self._commit(call, list(due.items()), "", reason)
        except Conflict:
            return 0  # a person was faster
        return 1

    async def _commit(
        self,
        call: CallRow,
        parts: Sequence[tuple[Settlement, Sequence[tuple[str, str]]]],
        person: str,
        reason: str,
    ) -> None:
        now = self._clock.wall_ms()
        how = "+".join(sorted(each.value for each, _ in parts))
        payload: JsonObject = {
            "call": call.id,
            "person": person,
            "reason": reason,
            "settled": [
                {"how": each.value, "only": [list(which) for which in only]} for each, only in parts
            ],
        }
        await self._recorder.prepare([person], now)
        fields = {"how": how, "run": call.run}
        entry = self._recorder.act(LeafType.SETTLE, call.id, now, person, fields, payload)
        changes: list[Change] = [
            Settled(call.id, now, each, only=tuple(only)) for each, only in parts
        ]
        if person:
            # A person knows what became of the call; a rule says only what its limit makes of it.
            code, meaning = _SETTLED[parts[0][0]]
            ended = call.ended_ms if call.ended_ms is not None else now
            changes.append(CallMoved(call.id, ended, call.state, code, f"{meaning}: {reason}"))
        await self._journal.commit([entry], changes)
        self._events.publish(
            {
                "event": "call",
                "id": call.id,
                "state": call.state.value,
                "run": call.run,
                "agent": call.agent,
            }
        )


class _Line:
    """What one call holds of one account, and where."""

    __slots__ = ("holds", "member", "place", "reserved_ms")

    def __init__(self, first: Transfer) -> None:
        self.reserved_ms = first.reserved_ms
        self.member = first.member
        self.place = first.target
        self.holds = 0


def _standing(transfers: Iterable[Transfer]) -> list[_Line]:
    """Where each call's charge on one account stands."""
    lines: dict[tuple[str, str, str, str], _Line] = {}
    for each in transfers:
        which = (each.call, each.account, each.key, each.member)
        line = lines.setdefault(which, _Line(each))
        if line.place is not Place.POSTED:
            line.place = each.target
        line.holds += each.amount * (each.target is not Place.FREE)
        line.holds -= each.amount * (each.source is not Place.FREE)
    return list(lines.values())


def _unknown(transfers: Sequence[Transfer]) -> list[tuple[str, str]]:
    """The (account, key) in which something of a call is unknown."""
    last = {(each.account, each.key, each.member): each.target for each in transfers}
    return list(
        dict.fromkeys(
            (account, key) for (account, key, _), at in last.items() if at is Place.UNKNOWN
        )
    )


def _in_window(held: BalanceRow, lines: Sequence[_Line]) -> BalanceRow:
    """What an account holds of a sliding window; distinct values as `BalanceRow` counts them."""
    totals = {Place.PENDING: 0, Place.POSTED: 0, Place.UNKNOWN: 0}
    places: dict[str, set[Place]] = {}
    for line in lines:
        if line.member and line.holds:
            places.setdefault(line.member, set()).add(line.place)
        elif line.holds:
            totals[line.place] += line.holds
    for found in places.values():
        first = (place for place in (Place.POSTED, Place.PENDING, Place.UNKNOWN) if place in found)
        totals[next(first)] += 1
    pending, posted, unknown = totals.values()
    return replace(held, pending=pending, posted=posted, unknown=unknown)


def _empty(limit: Limit, unit: str, ceiling: int) -> LimitRow:
    return LimitRow(
        mandate="",
        limit=limit.name,
        words=describe(limit),
        unit=unit,
        scale=limit.scale,
        ceiling=ceiling,
        account="",
        key="",
        pending=0,
        posted=0,
        unknown=0,
        frees_ms=None,
    )
