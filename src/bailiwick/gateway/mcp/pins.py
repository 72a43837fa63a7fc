"""Definitions pinned: recorded when first seen, held when changed, until a person accepts.

INVARIANT: a definition is usable only while its digest is the accepted one, and an acceptance is
durable before it counts. If it cannot be recorded, it is not usable (promise 6).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from bailiwick.core.errors import StoreError, TheirError
from bailiwick.ports import Clock, Pinned, PinState

Record = Callable[[Sequence[Pinned]], Awaitable[None]]
"""Makes pins durable, each with its ledger entry, all or none. Raises StoreError."""

Key = tuple[str, str, str]
"""Upstream, kind (`tool`, `resource`, `template`, `prompt`, `instructions`), name."""

MAX_PINS_PER_SERVER = 20_000
"""Definitions one server may have shown: names it makes up without end must not fill the store, nor
keep other servers from showing theirs."""

MAX_BYTES_PER_SERVER = 64 * 1024 * 1024
"""Of all definitions one server has shown, those that changed included: each is kept."""

HELD_AGAIN_MS = 60_000
"""A held definition that changes again is recorded once in this time: it is unusable anyway."""


@dataclass(slots=True)
class Standing:
    """`seen`: the digest of what was last shown; what is held may be one recorded before it."""

    accepted: str = ""
    held: Pinned | None = None
    seen: str = ""


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
        self._standings: dict[Key, Standing] = {}
        self._counted = 0
        self._tools: tuple[tuple[str, str], ...] = ()
        self._known: Counter[str] = Counter()
        self._bytes: Counter[str] = Counter()
        for pin in known:
            self._apply(pin)

    def usable(self, key: Key, digest: str) -> bool:
        """Whether this definition may be shown and used."""
        standing = self._standings.get(key)
        return standing is not None and standing.accepted == digest

    def standing(self, key: Key) -> Standing:
        """How a definition that was seen stands: the same object for as long as it is known.

        Raises:
            KeyError: it was never seen.
        """
        return self._standings[key]

    async def see(self, sightings: Sequence[Sighting]) -> None:
        """Take note of definitions as they are now: record the new and the changed.

        A definition seen first is accepted; one that differs from the accepted is held.

        Raises:
            StoreError: nothing was recorded, and none of the new ones is usable.
        """
        pins: dict[Key, Pinned] = {}
        fresh: Counter[str] = Counter()
        for seen in sightings:
            standing = self._standings.get(seen.key)
            if standing is None:
                if seen.key not in pins:
                    fresh[seen.upstream] += 1
                pins[seen.key] = self._pin(seen, PinState.ACCEPTED)
                continue
            standing.seen = seen.digest
            if standing.accepted != seen.digest and self._is_news(standing.held, seen):
                pins[seen.key] = self._pin(seen, PinState.HELD)
        if not pins:
            return
        self._check_share(pins, fresh)
        await self._record(list(pins.values()))
        for pin in pins.values():
            self._apply(pin)

    def tools(self) -> Sequence[tuple[str, str]]:
        """Servers and names of all tools that were ever shown; the same object until there are
        more."""
        if len(self._standings) != self._counted:
            self._counted = len(self._standings)
            self._tools = tuple(
                (upstream, name) for upstream, kind, name in self._standings if kind == "tool"
            )
        return self._tools

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
        held = None if standing is None else standing.held
        if standing is None or held is None or held.digest != digest or standing.seen != digest:
            raise TheirError("pin_unknown", f"`{'/'.join(key)}` has no such held definition")
        waiting = held
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

    def _check_share(self, pins: Mapping[Key, Pinned], fresh: Counter[str]) -> None:
        sizes = Counter[str]()
        for pin in pins.values():
            sizes[pin.upstream] += len(pin.definition)
        for upstream, size in sizes.items():
            if (
                self._known[upstream] + fresh[upstream] > MAX_PINS_PER_SERVER
                or self._bytes[upstream] + size > MAX_BYTES_PER_SERVER
            ):
                raise StoreError(
                    "too_many_pins",
                    f"server `{upstream}` has shown more definitions than are kept of one server",
                )

    def _is_news(self, held: Pinned | None, seen: Sighting) -> bool:
        if held is None:
            return True
        age_ms = self._clock.wall_ms() - held.at_ms
        return held.digest != seen.digest and not 0 <= age_ms < HELD_AGAIN_MS

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
        key = (pin.upstream, pin.kind, pin.name)
        if key not in self._standings:
            self._known[pin.upstream] += 1
        self._bytes[pin.upstream] += len(pin.definition)
        standing = self._standings.setdefault(key, Standing())
        if pin.state is PinState.HELD:
            standing.held = pin
            standing.seen = pin.digest
        else:
            standing.accepted = pin.digest
            if standing.held is not None and standing.held.digest == pin.digest:
                standing.held = None
