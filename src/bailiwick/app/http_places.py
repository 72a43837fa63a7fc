"""The places of a server's connections: how many there are, and who gives way when all are taken.

A connection costs memory and a file, whoever opens it. Once all places are taken, whoever comes is
let in all the same, and takes the place of the first that there is of:

1. strangers, who have shown no good token, where they have as many places as are kept: of the
   address that has most of them, the oldest;
2. agents and people who wait for nothing: who has been idle longest;
3. strangers all the same.

So whoever comes has a few others before them while they say who they are, and not only the one
that comes next. What an agent or a person has under way is never ended for it. So that agents
cannot take all places by that, with event streams for one, some are kept for people and strangers,
and no agent has more than half of the rest: a request beyond that is refused, before its body is
read. Only a person's own gives way to that person's newest: one that is idle, or else the oldest.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Iterable
from typing import Protocol

from bailiwick.core.network import read_address

DEFAULT_PLACES = 2_000
FEWEST_PLACES = 32
MOST_PLACES = 100_000

_KEPT_SHARE = 16
"""One place of so many is not for agents; at least `_FEWEST_KEPT`."""
_FEWEST_KEPT = 4
_FEWEST_OF_PERSON = 8
"""A browser opens six at once."""
_IPV6_ALONE_BITS = 64
"""Who has one address of IPv6 has all that begin with the same bits."""
_MAX_TURNED_AWAY = 64
"""Who found no place and is being told so: more than these would be places of a kind."""
_TOLD_SECONDS = 60.0

_log = logging.getLogger(__name__)


class Guest(Protocol):
    """A connection as its place sees it."""

    def idle_until(self) -> float | None:
        """When it would be ended for idleness, in the loop's seconds; None while it is not idle."""
        ...

    def give_way(self) -> None:
        """End now, whatever is under way."""
        ...


class Place:
    """See `bailiwick.protocols.http_place.Place`.

    Attributes:
        guest: the connection; None once it has left.
        address: it came from, as far as one is told from another.
        owner: whom it serves, `agent NAME` or `person NAME`; "" for a stranger.
        agent: see `bailiwick.protocols.http_place.Place`.
    """

    __slots__ = ("_places", "address", "agent", "guest", "owner")

    def __init__(self, places: Places, guest: Guest, address: str) -> None:
        self._places = places
        self.guest: Guest | None = guest
        self.address = address
        self.owner = ""
        self.agent = ""

    def seat_agent(self, name: str) -> bool:
        """See `Place`. The connection of a proxy serves many: it is whose token was read last."""
        owner = "agent " + name
        return self.owner == owner or self.guest is None or self._places.seat_agent(self, owner)

    def seat_person(self, name: str) -> None:
        """See `Place`."""
        owner = "person " + name
        if self.owner != owner and self.guest is not None:
            self._places.seat_person(self, owner)


class Places:
    """All places of one server.

    Args:
        most: connections at a time.
        most_of_address: from one address (of IPv6, its first 64 bits); 0 for no such bound.

    Attributes:
        taken: places that are taken now.
        gave_way: connections that were ended for others.
        refused: connections and requests that found no place.
    """

    def __init__(self, most: int = DEFAULT_PLACES, most_of_address: int = 0) -> None:
        kept = max(_FEWEST_KEPT, most // _KEPT_SHARE)
        self._most = most
        self._most_of_address = most_of_address
        self._kept = kept
        self._of_agents = most - kept
        self._of_agent = self._of_agents // 2
        self._of_person = max(_FEWEST_OF_PERSON, kept)
        # Oldest first in each group. No group is empty.
        self._strangers: dict[str, dict[Place, None]] = {}
        # Addresses by how many strangers each has: whoever owns many must not make it long to find
        # the one that has most. There are few such numbers, however many addresses there are.
        self._crowds: dict[int, dict[str, None]] = {}
        self._owned: dict[str, dict[Place, None]] = {}
        self._addresses: Counter[str] = Counter()
        self._turned_away: dict[Guest, None] = {}
        self._agents = 0
        self._known = 0
        self._tell_from = 0.0
        self._told = 0
        self.taken = 0
        self.gave_way = 0
        self.refused = 0

    def enter(self, guest: Guest, address: str) -> Place | None:
        """A place for a connection from `address`, of whom nothing is known; None for none.

        Whoever gets none is told so, says `shown_out` in the end, and may have to `give_way` first.
        """
        address = _alone(address)
        bound = self._most_of_address
        if (bound and self._addresses[address] >= bound and not self._free_at(address)) or (
            self.taken >= self._most and not self._free()
        ):
            self.refused += 1
            self._tell()
            if len(self._turned_away) >= _MAX_TURNED_AWAY:
                first = next(iter(self._turned_away))
                del self._turned_away[first]
                first.give_way()
            self._turned_away[guest] = None
            return None
        place = Place(self, guest, address)
        self.taken += 1
        self._addresses[address] += 1
        self._strangers.setdefault(address, {})[place] = None
        self._crowd(address, -1)
        return place

    def leave(self, place: Place) -> None:
        """The connection has ended. Nothing is done the second time."""
        if place.guest is None:
            return
        place.guest = None
        self.taken -= 1
        self._addresses[place.address] -= 1
        if not self._addresses[place.address]:
            del self._addresses[place.address]
        self._stand_up(place)

    def shown_out(self, guest: Guest) -> None:
        """A connection that found no place has ended."""
        self._turned_away.pop(guest, None)

    def seat_agent(self, place: Place, owner: str) -> bool:
        """`place` serves this agent from now on; False, and nothing done, if it may not."""
        own = self._owned.get(owner, {})
        if (len(own) >= self._of_agent and not self._end_idle(own)) or (
            not place.owner.startswith("agent ")
            and self._agents >= self._of_agents
            and not self._end_idle(self._all_of_agents())
        ):
            self.refused += 1
            self._tell()
            return False
        self._sit_down(place, owner)
        return True

    def seat_person(self, place: Place, owner: str) -> None:
        """`place` serves this person from now on."""
        own = self._owned.get(owner, {})
        if len(own) >= self._of_person and not self._end_idle(own):
            self._end(next(iter(own)))
        self._sit_down(place, owner)

    # --- who sits where ------------------------------------------------------------------------

    def _sit_down(self, place: Place, owner: str) -> None:
        self._stand_up(place)
        place.owner = owner
        self._owned.setdefault(owner, {})[place] = None
        self._known += 1
        place.agent = ""
        if owner.startswith("agent "):
            place.agent = owner.removeprefix("agent ")
            self._agents += 1

    def _stand_up(self, place: Place) -> None:
        owner = place.owner
        if owner:
            self._known -= 1
        if owner.startswith("agent "):
            self._agents -= 1
        groups, name = (self._owned, owner) if owner else (self._strangers, place.address)
        group = groups[name]
        del group[place]
        if not owner:
            self._crowd(name, 1)
        if not group:
            del groups[name]

    def _crowd(self, address: str, before: int) -> None:
        """One stranger more or less is here from `address`: there were `before` more."""
        now = len(self._strangers[address])
        crowd = self._crowds.get(now + before)
        if crowd is not None:
            crowd.pop(address, None)
            if not crowd:
                del self._crowds[now + before]
        if now:
            self._crowds.setdefault(now, {})[address] = None

    def _all_of_agents(self) -> list[Place]:
        return [
            place
            for owner, places in self._owned.items()
            if owner.startswith("agent ")
            for place in places
        ]

    # --- who gives way -------------------------------------------------------------------------

    def _free(self) -> bool:
        """Free a place; False if everybody is at work."""
        if self.taken - self._known < self._kept and self._end_idle(
            [place for places in self._owned.values() for place in places]
        ):
            return True
        if not self._strangers:
            return False
        most = next(iter(self._crowds[max(self._crowds)]))
        self._end(next(iter(self._strangers[most])))
        return True

    def _free_at(self, address: str) -> bool:
        """Free a place of those that this address has."""
        if address in self._strangers:
            self._end(next(iter(self._strangers[address])))
            return True
        return self._end_idle(
            [
                place
                for places in self._owned.values()
                for place in places
                if place.address == address
            ]
        )

    def _end_idle(self, places: Iterable[Place]) -> bool:
        """End the one of `places` that has been idle longest; False if none is idle."""
        longest: Place | None = None
        soonest = 0.0
        for place in places:
            until = None if place.guest is None else place.guest.idle_until()
            if until is not None and (longest is None or until < soonest):
                longest, soonest = place, until
        if longest is None:
            return False
        self._end(longest)
        return True

    def _end(self, place: Place) -> None:
        guest = place.guest
        self.leave(place)
        if guest is not None:
            guest.give_way()
        self.gave_way += 1
        self._tell()

    def _tell(self) -> None:
        """Say it at once, and then once a minute at most: somebody floods, or there are too few."""
        now = asyncio.get_running_loop().time()
        if now < self._tell_from:
            return
        self._tell_from = now + _TOLD_SECONDS
        count = self.gave_way + self.refused
        _log.warning(
            "connections were ended for others, or found no place: %d since this was last said; "
            "%d of %d places are taken (--max-connections)",
            count - self._told,
            self.taken,
            self._most,
        )
        self._told = count


def _alone(address: str) -> str:
    """What of an address is one client's: all of it, of IPv6 its network."""
    found = read_address(address)
    if found is None or found.version == 4:
        return address if found is None else str(found)
    return f"{int(found) >> (128 - _IPV6_ALONE_BITS):x}::/{_IPV6_ALONE_BITS}"
