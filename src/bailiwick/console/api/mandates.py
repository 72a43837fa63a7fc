"""Declared objects, mandates and their limits in the people's API."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

import bailiwick.console.shapes as shapes
from bailiwick.console.acts import checked_reason
from bailiwick.console.api.routing import MAX_AGENT_JSON_BYTES, Served, agent_or_person, answer
from bailiwick.console.bodies import read_json
from bailiwick.console.limits import audit_json, limits_json
from bailiwick.core.errors import TheirError
from bailiwick.ports import CallRow, ChildAsked, Person

MAX_SINCE_SECONDS = 366 * 24 * 3600
MAX_DIGITS = 9


class _Revoke(msgspec.Struct, frozen=True):
    reason: str = ""


class _Apply(msgspec.Struct, frozen=True):
    files: dict[str, str]
    dry_run: bool


class _Simulate(msgspec.Struct, frozen=True):
    mandate: str
    files: dict[str, str] = msgspec.field(default_factory=dict)
    against: str = ""
    since_seconds: Annotated[int, msgspec.Meta(ge=1, le=MAX_SINCE_SECONDS)] = 30 * 24 * 3600


class _Check(msgspec.Struct, frozen=True):
    files: dict[str, str] = {}


class _CheckMandates(msgspec.Struct, frozen=True):
    files: dict[str, str] = {}
    mandate: str = ""


class _Child(msgspec.Struct, frozen=True):
    child: str | dict[str, Any]
    lifetime_seconds: int = 3_600
    dry_run: bool = False


class Mandates(Served):
    """What is declared, what it allows, and what of it is used."""

    def routes(self) -> list[Route]:
        """The routes it serves."""
        return [
            self.get("/objects", self.objects),
            self.get("/mandates/{name}", self.mandate),
            self.get("/limits", self.limits),
            self.get("/limits/audit", self.audit_limits),
            self.post("/apply", self.apply),
            self.post("/policies/check", self.check_policies),
            self.post("/mandates/check", self.check_mandates),
            self.post("/simulate", self.simulate),
            self.post("/mandates/{name}/revoke", self.revoke),
            self.post("/mandates/{name}/suspend", self.suspend),
            self.post("/mandates/{name}/resume", self.resume),
            Route("/mandates/{name}/children", self.delegate, methods=["POST"]),
        ]

    async def objects(self, request: Request, _person: Person) -> Response:
        """Declared objects, newest versions."""
        rows = await self._control.objects(request.query_params.get("kind", ""))
        return answer("objects", [shapes.object_json(row) for row in rows])

    async def mandate(self, request: Request, _person: Person) -> Response:
        """One mandate in sentences: the newest version, or another."""
        asked = request.query_params.get("version", "0")
        if not asked.isascii() or not asked.isdigit() or len(asked) > MAX_DIGITS:
            raise TheirError("bad_request", "`version` is a number")
        read = await self._control.read_mandate(request.path_params["name"], int(asked))
        return answer("mandate", shapes.reading_json(read))

    async def limits(self, request: Request, _person: Person) -> Response:
        """What is used of limits."""
        found = await self._control.limits(request.query_params.get("mandate", ""))
        return JSONResponse(limits_json(found))

    async def audit_limits(self, _request: Request, _person: Person) -> Response:
        """The books of limits, worked out again."""
        return JSONResponse(audit_json(await self._control.audit_limits()))

    async def apply(self, request: Request, person: Person) -> Response:
        """Declare objects."""
        body = await read_json(request, _Apply)
        report = await self._control.apply(person, body.files, body.dry_run)
        return JSONResponse(shapes.report_json(report))

    async def check_policies(self, request: Request, _person: Person) -> Response:
        """Check policies; nothing changes."""
        body = await read_json(request, _Check)
        report = await self._control.check_policies(body.files)
        return JSONResponse(shapes.policies_json(report))

    async def check_mandates(self, request: Request, _person: Person) -> Response:
        """Check mandates; nothing changes."""
        body = await read_json(request, _CheckMandates)
        found = await self._control.check_mandates(body.files, body.mandate)
        return answer("problems", [asdict(each) for each in found])

    async def simulate(self, request: Request, _person: Person) -> Response:
        """Judge recorded calls again; nothing is written."""
        body = await read_json(request, _Simulate)
        report = await self._control.simulate(
            body.files, body.mandate, body.against, body.since_seconds
        )
        return JSONResponse(report)

    async def revoke(self, request: Request, person: Person) -> Response:
        """Revoke a mandate."""
        body = await read_json(request, _Revoke)
        name = request.path_params["name"]
        return _stopped(name, await self._control.revoke(person, name, checked_reason(body.reason)))

    async def suspend(self, request: Request, person: Person) -> Response:
        """Stop a mandate until it is resumed."""
        body = await read_json(request, _Revoke)
        name = request.path_params["name"]
        return _stopped(
            name, await self._control.suspend(person, name, checked_reason(body.reason))
        )

    async def resume(self, request: Request, person: Person) -> Response:
        """Let a suspended mandate go on."""
        body = await read_json(request, _Revoke)
        name = request.path_params["name"]
        await self._control.resume(person, name, checked_reason(body.reason))
        return JSONResponse({"mandate": name})

    async def delegate(self, request: Request) -> Response:
        """Make a child mandate: as an agent, or as a person."""
        by = agent_or_person(self._parts.people, request)
        body = await read_json(request, _Child, MAX_AGENT_JSON_BYTES)
        text = body.child if isinstance(body.child, str) else json.dumps(body.child)
        name = request.path_params["name"]
        asked = ChildAsked(name, text, body.lifetime_seconds, body.dry_run)
        made = await self._control.delegate(by, asked)
        return JSONResponse(shapes.child_json(made), 200 if body.dry_run else 201)


def _stopped(name: str, in_flight: Sequence[CallRow]) -> Response:
    """A mandate that was stopped, and its calls that had begun by then."""
    calls = [shapes.call_json(row) for row in in_flight]
    return JSONResponse({"mandate": name, "in_flight": calls})
