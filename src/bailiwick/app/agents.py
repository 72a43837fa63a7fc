"""Agents as people see them: declared, given mandates, heard of."""

from __future__ import annotations

from collections.abc import Sequence

from bailiwick.core.mandate import Mandate, MandateState
from bailiwick.gateway.authority import Authority
from bailiwick.ledger.leaf import parse_leaf
from bailiwick.ports import AgentRow, CallRow, Clock, GivenMandate, LastCall, Records


class Agents:
    """Looks at what is in force, and at the newest call of each."""

    def __init__(self, records: Records, authority: Authority, clock: Clock) -> None:
        self._records = records
        self._authority = authority
        self._clock = clock

    async def all(self) -> Sequence[AgentRow]:
        """See `ports.Control.agents`."""
        last = {row.agent: row for row in await self._records.last_calls()}
        snapshot, now = self._authority.snapshot, self._clock.wall_ms()
        mandates: dict[str, list[GivenMandate]] = {}
        for name in sorted(snapshot.mandates):
            mandate = snapshot.mandates[name]
            mandates.setdefault(mandate.agent, []).append(self._given(mandate, now))
        return [
            AgentRow(
                name,
                facts.owner,
                facts.description,
                tuple(mandates.get(name, ())),
                await self._heard(last[name]) if name in last else None,
            )
            for name, facts in sorted(snapshot.agents.items())
        ]

    def _given(self, mandate: Mandate, now: int) -> GivenMandate:
        above = (each for each in self._authority.chain(mandate.name) if each is not mandate)
        stopped = next((each.ref for each in above if _state(each, now) != "active"), "")
        return GivenMandate(mandate.name, mandate.version, _state(mandate, now), stopped)

    async def _heard(self, call: CallRow) -> LastCall:
        (leaf,) = await self._records.leaves(call.intent_index, call.intent_index + 1)
        token = parse_leaf(leaf).fields.get("token")
        shown = token if isinstance(token, str) else ""
        return LastCall(call.id, call.at_ms, call.run, call.mandate, shown)


def _state(mandate: Mandate, now: int) -> str:
    if mandate.state is MandateState.ACTIVE and mandate.not_after is not None:
        return MandateState.EXPIRED if now >= mandate.not_after else mandate.state
    return mandate.state
