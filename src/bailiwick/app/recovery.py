"""After a crash: what was sent and never answered is recorded as unknown, never as nothing.

What it had reserved counts on, as unknown too, until a person or a rule settles it.
"""

from __future__ import annotations

from bailiwick.gateway.recorder import Recorder
from bailiwick.ports import CallMoved, CallState, Clock, Journal, Records, Settled, Settlement

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
        await journal.commit([entry], [moved, Settled(call.id, now, Settlement.UNKNOWN)])
    return len(running)
