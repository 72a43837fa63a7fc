"""Definitions pinned: recorded when first seen, held when changed, until a person accepts.

INVARIANT: a definition is usable only while its digest is the accepted one, and an acceptance is
durable before it counts. If it cannot be recorded, it is not usable (promise 6).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass

from bailiwick.core.errors import StoreError, TheirError
from bailiwick.ports import Clock, Pinned, PinState

Record = Callable[[Sequence[Pinned]], Awaitable[None]]
"""Makes pins durable, each with its ledger entry, all or none. Raises StoreError."""

Key = tuple[str, str, str]
"""Upstream, kind (`tool`, `resource`, `template`, `prompt`, `instructions`), name."""

MAX_PINS = 200_000


@dataclass(slots=True)
class _Standing:
    accepted: str = ""
    held: Pinned | None = None


@dataclass(frozen=True, slots=True)
class Sighting:
    """A definition as it was just seen."""

    upstream: str
    kind: str
    name: str
    digest: str
    definition: str

    @property
    def key(self) -> Key:
        """Whose standing it concerns."""
        return self.upstream, self.kind, self.name


class PinBook:
    """What is accepted and what is held, in memory; `record` keeps it.

    Args:
        record: see `Record`.
        known: every pin recorded so far, oldest first.
        clock: for the time of a pin.
    """

    def __init__(self, record: Record, known: Iterable[Pinned], clock: Clock) -> None:
        self._record = record
        self._clock = clock
        self._standings: dict[Key, _Standing] = {}
        for pin in known:
            self._apply(pin)

    def usable(self, key: Key, digest: str) -> bool:
        """Whether this definition may be shown and used."""
        standing = self._standings.get(key)
        return standing is not None and standing.accepted == digest

    async def see(self, sightings: Sequence[Sighting]) -> None:
        """Take note of definitions as they are now: record the new and the changed.

        A definition seen first is accepted; one that differs from the accepted is held.

        Raises:
            StoreError: nothing was recorded, and none of the new ones is usable.
        """
        pins: dict[Key, Pinned] = {}
        for seen in sightings:
            standing = self._standings.get(seen.key)
            if standing is None:
                pins[seen.key] = self._pin(seen, PinState.ACCEPTED)
            elif standing.accepted != seen.digest and (
                standing.held is None or standing.held.digest != seen.digest
            ):
                pins[seen.key] = self._pin(seen, PinState.HELD)
        if not pins:
            return
        if len(self._standings) + len(pins) > MAX_PINS:
            raise StoreError("too_many_pins", f"more than {MAX_PINS} definitions were seen")
        await self._record(list(pins.values()))
        for pin in pins.values():
            self._apply(pin)

    def held(self) -> Sequence[Pinned]:
        """Changed definitions that wait for a person, in order of name."""
        waiting = [one.held for one in self._standings.values() if one.held is not None]
        return sorted(waiting, key=lambda pin: (pin.upstream, pin.kind, pin.name))

    async def accept(self, key: Key, digest: str, by: str) -> Pinned:
        """Accept a held definition: the exact one a person looked at, named by its digest.

        Raises:
            TheirError: `pin_unknown` when that definition is not the one held (any more).
            StoreError: it could not be recorded; it stays held.
        """
        standing = self._standings.get(key)
        if standing is None or standing.held is None or standing.held.digest != digest:
            raise TheirError("pin_unknown", f"`{'/'.join(key)}` has no such held definition")
        waiting = standing.held
        accepted = Pinned(
            waiting.upstream,
            waiting.kind,
            waiting.name,
            digest,
            waiting.definition,
            PinState.ACCEPTED,
            self._clock.wall_ms(),
            by,
        )
        await self._record([accepted])
        self._apply(accepted)
        return accepted

    def _pin(self, seen: Sighting, state: PinState) -> Pinned:
        return Pinned(
            seen.upstream,
            seen.kind,
            seen.name,
            seen.digest,
            seen.definition,
            state,
            self._clock.wall_ms(),
        )

    def _apply(self, pin: Pinned) -> None:
        standing = self._standings.setdefault((pin.upstream, pin.kind, pin.name), _Standing())
        if pin.state is PinState.HELD:
            standing.held = pin
        else:
            standing.accepted = pin.digest
            if standing.held is not None and standing.held.digest == pin.digest:
                standing.held = None
