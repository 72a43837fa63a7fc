"""After a crash: what was sent and never answered is recorded as unknown, never as nothing.

What it had reserved counts on, as unknown too, until a person or a rule settles it.
"""

from __future__ import annotations

from bailiwick.core.limits.limit import TAKEN
from bailiwick.core.limits.windows import account_parts
from bailiwick.gateway.recorder import Recorder
from bailiwick.ports import CallMoved, CallState, Clock, Journal, Records, Settled, Settlement

_TAKEN = frozenset(measure.value for measure in TAKEN)
_CODE = "gateway_stopped"
_BECAUSE = "the gateway stopped while this was under way: whether it happened is not known"


async def settle_unknown(
    records: Records, journal: Journal, recorder: Recorder, clock: Clock
) -> int:
    """Move every call that was running to `unknown`; returns how many. Held calls go on waiting."""
    running = [c for c in await records.open_calls() if c.state is CallState.RUNNING]
    now = clock.wall_ms()
    for call in running:
        entry = recorder.bare_outcome(call.id, call.run, CallState.UNKNOWN, _CODE, now)
        moved = CallMoved(call.id, now, CallState.UNKNOWN, _CODE, _BECAUSE, entry=0)
        bounded, others = await _reserved(records, call.id)
        settled = [Settled(call.id, now, Settlement.UNKNOWN, only=others)]
        if bounded:
            # What a model took is at most what was reserved: nobody could find out more.
            posted = Settled(call.id, now, Settlement.POSTED, only=bounded)
            settled = [posted, *(settled if others else ())]
        await journal.commit([entry], [moved, *settled])
    return len(running)


_Accounts = tuple[tuple[str, str], ...]


async def _reserved(records: Records, call: str) -> tuple[_Accounts, _Accounts]:
    """(account, key) of what a call has reserved of what models take, and of everything else."""
    bounded: dict[tuple[str, str], None] = {}
    others: dict[tuple[str, str], None] = {}
    for each in await records.transfers(call):
        taken = account_parts(each.account).measure in _TAKEN
        (bounded if taken else others)[each.account, each.key] = None
    return tuple(bounded), tuple(others)
