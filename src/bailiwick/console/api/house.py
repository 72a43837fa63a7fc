"""The gateway itself in the people's API: who asks, its servers, pins, tokens and ledger."""

from __future__ import annotations

from dataclasses import asdict

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

import bailiwick.console.shapes as shapes
from bailiwick.console.api.routing import Nothing, Served, answer
from bailiwick.console.bodies import read_json
from bailiwick.console.streams import event_stream
from bailiwick.core.errors import BailiwickError
from bailiwick.ports import Person


class _Accept(msgspec.Struct, frozen=True):
    upstream: str
    kind: str
    name: str
    digest: str


class _MakeToken(msgspec.Struct, frozen=True):
    mandate: str = ""
    lifetime_seconds: int = 3_600


class House(Served):
    """Who is asking, what the gateway stands before, and the ledger."""

    def routes(self) -> list[Route]:
        """The routes it serves."""
        return [
            self.get("/me", self.me),
            self.get("/agents", self.agents),
            self.get("/models", self.models),
            self.get("/servers", self.servers),
            self.get("/pins", self.pins),
            self.get("/ledger", self.ledger),
            self.get("/events", self.events),
            self.post("/pins/accept", self.accept_pin),
            self.post("/agents/{name}/tokens", self.make_token),
            self.post("/tokens/{id}/revoke", self.revoke_token),
            self.post("/login-links", self.login_link),
        ]

    async def me(self, _request: Request, person: Person) -> Response:
        """Who the token speaks for."""
        return answer("person", shapes.person_json(person))

    async def agents(self, _request: Request, _person: Person) -> Response:
        """Every declared agent."""
        return answer("agents", [asdict(row) for row in await self._control.agents()])

    async def models(self, _request: Request, _person: Person) -> Response:
        """How model servers and the models of aliases are doing."""
        return JSONResponse(asdict(await self._control.models()))

    async def servers(self, _request: Request, _person: Person) -> Response:
        """How each upstream is doing."""
        rows = await self._control.servers()
        return answer("servers", [shapes.server_json(row) for row in rows])

    async def pins(self, _request: Request, _person: Person) -> Response:
        """Pinned definitions."""
        return answer("pins", [shapes.pin_json(pin) for pin in await self._control.pins()])

    async def ledger(self, _request: Request, _person: Person) -> Response:
        """What a verifier needs."""
        size = await self._records.entry_count()
        url = f"{self._parts.base_url}/ledger"
        return JSONResponse({"key": self._parts.ledger_key, "url": url, "size": size})

    async def events(self, request: Request, _person: Person) -> Response:
        """Live changes, for as long as the token is good."""
        authorization = request.headers.get("authorization")

        def still_welcome() -> bool:
            try:
                self._parts.people.person(authorization)
            except BailiwickError:
                return False
            return True

        return event_stream(self._control.events(), still_welcome)

    async def accept_pin(self, request: Request, person: Person) -> Response:
        """Accept a definition that changed."""
        body = await read_json(request, _Accept)
        pin = await self._control.accept_pin(
            person, body.upstream, body.kind, body.name, body.digest
        )
        return answer("pin", shapes.pin_json(pin))

    async def make_token(self, request: Request, person: Person) -> Response:
        """Make a token for an agent."""
        body = await read_json(request, _MakeToken)
        made = await self._control.make_token(
            person, request.path_params["name"], body.mandate, body.lifetime_seconds
        )
        return JSONResponse(asdict(made), 201)

    async def revoke_token(self, request: Request, person: Person) -> Response:
        """Refuse a token from now on."""
        await read_json(request, Nothing)
        token_id = request.path_params["id"]
        await self._control.revoke_token(person, token_id)
        return answer("revoked", token_id)

    async def login_link(self, request: Request, person: Person) -> Response:
        """A link that signs the asking person in to the console."""
        await read_json(request, Nothing)
        link = self._parts.sign_in.offer(person.name)
        body = {
            "url": f"{self._parts.base_url}/login/{link.token}",
            "person": link.person,
            "expires_ms": link.expires_ms,
        }
        return JSONResponse(body, 201)
