"""Keeps the spans of an agent: committed to in the ledger, sealed for the principal, bounded.

They are the agent's own claim. Nothing is judged by them, and nothing else is moved by them.
"""

from __future__ import annotations

import asyncio
import math
import os
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence

import msgspec

from bailiwick.core.canonical import Json
from bailiwick.gateway.recorder import Recorder
from bailiwick.ledger.commitment import SALT_BYTES, commit
from bailiwick.ledger.leaf import LeafType, LeafValue, encode_leaf
from bailiwick.ports import Caller, Change, Clock, Entry, Journal, Records, SpansKept, Vault
from bailiwick.protocols.otlp.claims import ClaimedSpan, Claims

MAX_RUN_SPANS = 20_000
MAX_RUN_BYTES = 32 * 1024 * 1024
MAX_MINUTE_SPANS = 10_000
MAX_MINUTE_REQUESTS = 300
_MINUTE_MS = 60_000
_MAX_REMEMBERED = 10_000

_encode = msgspec.json.Encoder(order="sorted").encode


class Flood:
    """How much each agent sent in this minute.

    Args:
        clock: time.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._minute = 0
        self._sent: dict[str, list[int]] = {}

    def admits(self, caller: Caller) -> bool:
        """Count a request; whether it is within the bounds."""
        counts = self._counts(caller)
        counts[0] += 1
        return counts[0] <= MAX_MINUTE_REQUESTS

    def takes(self, caller: Caller, spans: int) -> bool:
        """Count spans; whether they are within the bounds."""
        counts = self._counts(caller)
        if counts[1] + spans > MAX_MINUTE_SPANS:
            return False
        counts[1] += spans
        return True

    def seconds_left(self) -> int:
        """Until the next minute begins."""
        return math.ceil((_MINUTE_MS - self._clock.wall_ms() % _MINUTE_MS) / 1000)

    def _counts(self, caller: Caller) -> list[int]:
        minute = self._clock.wall_ms() // _MINUTE_MS
        if minute != self._minute:
            self._minute = minute
            self._sent.clear()
        # By agent and mandate, not by token or run: those an agent's side can have many of.
        return self._sent.setdefault(f"{caller.agent}|{caller.mandate}", [0, 0])


class Keeping:
    """Writes batches of spans."""

    def __init__(
        self,
        *,
        journal: Journal,
        records: Records,
        recorder: Recorder,
        vault: Vault,
        clock: Clock,
        new_id: Callable[[], str],
        random: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._journal = journal
        self._records = records
        self._recorder = recorder
        self._vault = vault
        self._clock = clock
        self._new_id = new_id
        self._random = random
        self._kept: OrderedDict[str, tuple[int, int]] = OrderedDict()
        self._one_at_a_time = asyncio.Lock()

    async def keep(
        self, caller: Caller, runs: Mapping[str, Sequence[ClaimedSpan]], claims: Claims
    ) -> None:
        """Make spans durable with their runs; what a run has no room for is rejected in `claims`.

        Raises:
            StoreError: nothing of it is kept.
        """
        now = self._clock.wall_ms()
        entries: list[Entry] = []
        changes: list[Change] = []
        totals: dict[str, tuple[int, int]] = {}
        async with self._one_at_a_time:
            for run, spans in runs.items():
                count, size = await self._so_far(run)
                text = await asyncio.to_thread(_text, spans, claims)
                if count + len(spans) > MAX_RUN_SPANS or size + len(text) > MAX_RUN_BYTES:
                    claims.reject(f"run `{run}` has no room for more spans", len(spans))
                    continue
                ident = self._new_id()
                kept = SpansKept(ident, run, now, caller.token, len(spans), len(text), len(entries))
                entries.append(self._entry(ident, caller, run, len(spans), text, now))
                changes.append(kept)
                totals[run] = count + len(spans), size + len(text)
            if not entries:
                return
            await self._recorder.prepare([caller.principal], now)
            await self._journal.commit(entries, changes)
            self._kept.update(totals)
            while len(self._kept) > _MAX_REMEMBERED:
                self._kept.popitem(last=False)

    async def _so_far(self, run: str) -> tuple[int, int]:
        known = self._kept.get(run)
        return await self._records.spans_kept(run) if known is None else known

    def _entry(
        self, ident: str, caller: Caller, run: str, count: int, text: bytes, now: int
    ) -> Entry:
        salt = self._random(SALT_BYTES)
        fields: dict[str, LeafValue] = {
            "agent": caller.agent,
            "mandate": caller.mandate,
            "principal": self._vault.pseudonym(caller.principal),
            "run": run,
            "token": caller.token,
            "count": count,
            "spans": commit(salt, text),
        }
        leaf = encode_leaf(LeafType.AGENT_SPANS, ident, now, fields)
        sealed = _encode({"salt": salt.hex(), "spans": msgspec.Raw(text)})
        return Entry(leaf, self._vault.seal(caller.principal, leaf, sealed))


def _text(spans: Sequence[ClaimedSpan], claims: Claims) -> bytes:
    """What is committed to: the spans, and of the resources those that they name."""
    used = sorted({span.resource for span in spans})
    places = {before: after for after, before in enumerate(used)}
    moved = [msgspec.structs.replace(span, resource=places[span.resource]) for span in spans]
    resources: list[dict[str, Json]] = [claims.resources[each] for each in used]
    return _encode({"resources": resources, "spans": moved})
