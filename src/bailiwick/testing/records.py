"""`Records` in memory: the port's contract without a store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from bailiwick.core.limits.transfers import Transfer
from bailiwick.ports import (
    BalanceRow,
    CallQuery,
    CallRow,
    CallState,
    HoldRow,
    HoldState,
    LimitAudit,
    ObjectRow,
    Pinned,
    RunRow,
    SpansRow,
    StoredEntry,
    SubjectKey,
    UnsettledRow,
)


@dataclass(slots=True)
class MemoryRecords:
    """`Records` over plain lists and dicts, which a test may change at will."""

    call_rows: dict[str, CallRow] = field(default_factory=dict)
    hold_rows: dict[str, HoldRow] = field(default_factory=dict)
    run_rows: dict[str, RunRow] = field(default_factory=dict)
    object_rows: list[ObjectRow] = field(default_factory=list)
    pin_rows: list[Pinned] = field(default_factory=list)
    spans_rows: list[SpansRow] = field(default_factory=list)
    entry_rows: list[StoredEntry] = field(default_factory=list)
    audit: LimitAudit = field(default_factory=lambda: LimitAudit(0, 0, 0, 0, ()))

    async def calls(self, query: CallQuery) -> Sequence[CallRow]:
        """Calls that match, in the order asked for."""
        wanted = {
            name: value
            for name in ("run", "agent", "mandate", "state")
            if (value := getattr(query, name))
        }
        rows = [
            row
            for row in sorted(self.call_rows.values(), key=lambda row: row.id, reverse=True)
            if all(getattr(row, name) == value for name, value in wanted.items())
            and (not query.before or row.id < query.before)
            and (not query.after or row.id > query.after)
        ]
        rows = rows[::-1] if query.first == "oldest" else rows
        return rows[: query.limit]

    async def call(self, call_id: str) -> CallRow | None:
        """One call."""
        return self.call_rows.get(call_id)

    async def last_calls(self) -> Sequence[CallRow]:
        """The newest call of each agent."""
        return list({row.agent: row for _, row in sorted(self.call_rows.items())}.values())

    async def runs(self, limit: int = 50) -> Sequence[RunRow]:
        """Runs, newest first."""
        return sorted(self.run_rows.values(), key=lambda row: row.at_ms, reverse=True)[:limit]

    async def run(self, run_id: str) -> RunRow | None:
        """One run."""
        return self.run_rows.get(run_id)

    async def run_by_key(self, agent: str, mandate: str, key: str) -> RunRow | None:
        """The run a caller's key names."""
        for row in self.run_rows.values():
            if (row.agent, row.mandate, row.key) == (agent, mandate, key):
                return row
        return None

    async def spans(self, run: str, after: str = "", limit: int = 50) -> Sequence[SpansRow]:
        """See `ports.Records.spans`."""
        rows = [row for row in self.spans_rows if row.run == run and row.id > after]
        return sorted(rows, key=lambda row: row.id)[:limit]

    async def spans_kept(self, run: str) -> tuple[int, int]:
        """See `ports.Records.spans_kept`."""
        rows = [row for row in self.spans_rows if row.run == run]
        return sum(row.spans for row in rows), sum(row.size_bytes for row in rows)

    async def holds(self, state: HoldState | None = None, limit: int = 200) -> Sequence[HoldRow]:
        """Holds in a state, or all; newest first."""
        rows = sorted(self.hold_rows.values(), key=lambda row: row.id, reverse=True)
        return [row for row in rows if state is None or row.state is state][:limit]

    async def hold(self, hold_id: str) -> HoldRow | None:
        """One hold."""
        return self.hold_rows.get(hold_id)

    async def waiting_holds(self, agent: str) -> int:
        """How many wait."""
        waiting = await self.holds(HoldState.WAITING, len(self.hold_rows))
        return sum(row.agent == agent for row in waiting)

    async def hold_for(self, digest: str, mandate: str, agent: str) -> HoldRow | None:
        """The hold a repeated call picks up."""
        over = (HoldState.USED, HoldState.WITHDRAWN)
        for row in await self.holds():
            same = (row.digest, row.mandate, row.agent) == (digest, mandate, agent)
            if same and row.state not in over:
                return row
        return None

    async def objects(self, kind: str = "") -> Sequence[ObjectRow]:
        """The newest version of each object."""
        newest: dict[tuple[str, str], ObjectRow] = {}
        for row in sorted(self.object_rows, key=lambda row: row.version):
            if not kind or row.kind == kind:
                newest[row.kind, row.name] = row
        return [newest[key] for key in sorted(newest)]

    async def versions(self, kind: str, name: str) -> Sequence[ObjectRow]:
        """Every version of one object, oldest first."""
        rows = (row for row in self.object_rows if (row.kind, row.name) == (kind, name))
        return sorted(rows, key=lambda row: row.version)

    async def pins(self) -> Sequence[Pinned]:
        """Every pin."""
        return list(self.pin_rows)

    async def subject_keys(self) -> Sequence[SubjectKey]:
        """None: nothing here is sealed."""
        return ()

    async def open_calls(self) -> Sequence[CallRow]:
        """Calls that are held or running."""
        still = (CallState.HELD, CallState.RUNNING)
        return [row for row in self.call_rows.values() if row.state in still]

    async def revoked_tokens(self, now_ms: int) -> Sequence[str]:
        """None: tokens are not what these fakes are about."""
        return ()

    async def entries(self, start: int, stop: int) -> Sequence[StoredEntry]:
        """Ledger entries in order."""
        return self.entry_rows[start:stop]

    async def leaves(self, start: int, stop: int) -> Sequence[bytes]:
        """Their leaves."""
        return [entry.leaf for entry in self.entry_rows[start:stop]]

    async def entry_count(self) -> int:
        """How many."""
        return len(self.entry_rows)

    async def balances(self, stem: str, limit: int = 500) -> Sequence[BalanceRow]:
        """None: limits are not what these fakes are about."""
        return ()

    async def window(self, account: str, key: str, since_ms: int) -> Sequence[Transfer]:
        """None."""
        return ()

    async def transfers(self, call: str) -> Sequence[Transfer]:
        """None."""
        return ()

    async def unsettled(self, after: str = "", limit: int = 500) -> Sequence[UnsettledRow]:
        """None."""
        return ()

    async def audit_limits(self) -> LimitAudit:
        """What a test put into `audit`."""
        return self.audit
