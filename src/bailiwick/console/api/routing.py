"""What the modules of the people's API share: who asks, what for, and the shape of an answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bailiwick.console.parts import Parts
from bailiwick.core.canonical import Json
from bailiwick.core.errors import TheirError
from bailiwick.ports import Authenticator, Caller, Person
from bailiwick.protocols.http_place import seat_person, seats_agent

MAX_AGENT_JSON_BYTES = 256 * 1024
"""Largest body that an agent can send here: a child mandate, or the words of a run."""

MAX_ROWS = 1_000

Handler = Callable[[Request, Person], Awaitable[Response]]


class Nothing(msgspec.Struct, frozen=True):
    """A body that says nothing."""


class Served:
    """A module of the API: its routes, relative to `/api/v1`, ask for a person's bearer token.

    No cookie is read. What an agent may ask for too is routed by its own module, with
    `agent_or_person`.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._records = parts.records
        self._control = parts.control

    def get(self, path: str, handler: Handler) -> Route:
        """A route that only reads."""
        return Route(path, self._authenticated(handler), methods=["GET"])

    def post(self, path: str, handler: Handler) -> Route:
        """A route by which a person acts."""
        return Route(path, self._authenticated(handler), methods=["POST"])

    def _authenticated(self, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            person = self._parts.people.person(request.headers.get("authorization"))
            seat_person(request.scope, person.name)
            return await handler(request, person)

        return endpoint


def agent_or_person(people: Authenticator, request: Request) -> Caller | Person:
    """Whoever the token is for. The two kinds of token cannot be taken for each other.

    Raises:
        TheirError: as `Authenticator` does; `too_many_connections`, to agents alone.
    """
    authorization = request.headers.get("authorization")
    try:
        person = people.person(authorization)
    except TheirError as error:
        if error.code != "wrong_audience":
            raise
    else:
        seat_person(request.scope, person.name)
        return person
    caller = people.authenticate(authorization)
    if not seats_agent(request.scope, caller.agent):
        raise TheirError("too_many_connections", "too many connections are open")
    return caller


def answer(name: str, value: Json) -> Response:
    """A JSON object with this one member."""
    return JSONResponse({name: value})


def limit_of(request: Request, usual: int, most: int) -> int:
    """How many are asked for. Raises TheirError `bad_request`."""
    text = request.query_params.get("limit", str(usual))
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= most):
        raise TheirError("bad_request", f"`limit` must be from 1 to {most}")
    return int(text)


def one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    """Raises TheirError `bad_request` when it is none of these."""
    if value not in allowed:
        words = ", ".join(f"`{word}`" for word in allowed if word)
        raise TheirError("bad_request", f"`{name}` must be one of {words}")
