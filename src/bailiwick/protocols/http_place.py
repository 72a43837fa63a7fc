"""Whose a connection is, as far as its server wants to know.

Places are few. A server that holds as many connections as it may lets the one go that matters
least, so it is told, by whoever has read the token of a request, whom the connection serves.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

PLACE = "bailiwick.place"
"""Key of a `Place` in an ASGI scope. Absent where the server counts no places."""

NO_PLACE = ((b"retry-after", b"1"), (b"connection", b"close"))
"""Fields of the 503 for an agent's request that finds no place."""


class Place(Protocol):
    """One connection's place among those that a server holds open.

    Attributes:
        agent: whom it serves, if an agent. The connection of a proxy serves one after the other, so
            that who remembers a head's agent looks here before they pass `seat_agent` by.
    """

    agent: str

    def seat_agent(self, name: str) -> bool:
        """A good token of this agent's came; False if agents, or this one, have no place left."""
        ...

    def seat_person(self, name: str) -> None:
        """This person has shown who they are."""
        ...


def seats_agent(scope: Mapping[str, Any], name: str) -> bool:
    """`Place.seat_agent` of the connection that `scope` came in on. False: to be answered 503."""
    place: Place | None = scope.get(PLACE)
    return place is None or place.seat_agent(name)


def seat_person(scope: Mapping[str, Any], name: str) -> None:
    """`Place.seat_person` of the connection that `scope` came in on."""
    place: Place | None = scope.get(PLACE)
    if place is not None:
        place.seat_person(name)
