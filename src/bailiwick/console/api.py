"""The people's HTTP API: docs/reference/api.md, in code."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Annotated, Any

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

import bailiwick.console.shapes as shapes
from bailiwick.console.acts import checked_reason, decision
from bailiwick.console.bodies import read_json
from bailiwick.console.limits import audit_json, limits_json
from bailiwick.console.parts import Parts
from bailiwick.console.shown import check_shown
from bailiwick.console.spans import spans_json
from bailiwick.console.story import Stories
from bailiwick.console.story_json import story_json
from bailiwick.console.streams import event_stream
from bailiwick.core.canonical import Json
from bailiwick.core.errors import BailiwickError, TheirError
from bailiwick.core.run_words import run_words
from bailiwick.ports import (
    Authenticator,
    Caller,
    CallQuery,
    CallState,
    ChildAsked,
    HoldState,
    Person,
    RunAsked,
)
from bailiwick.ports.story import MAX_STEPS

MAX_AGENT_JSON_BYTES = 256 * 1024
"""Largest body that an agent can send here: a child mandate, or the words of a run."""

MAX_CALLS = 500
MAX_SINCE_SECONDS = 366 * 24 * 3600
MAX_ROWS = 1_000
MAX_DIGITS = 9

Handler = Callable[[Request, Person], Awaitable[Response]]


class _Stamp(msgspec.Struct, frozen=True):
    decision: str
    reason: str = ""
    rendering_sha256: str = ""


class _Settle(msgspec.Struct, frozen=True):
    happened: bool
    reason: str = ""


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


class _Accept(msgspec.Struct, frozen=True):
    upstream: str
    kind: str
    name: str
    digest: str


class _MakeToken(msgspec.Struct, frozen=True):
    mandate: str = ""
    lifetime_seconds: int = 3_600


class _StartRun(msgspec.Struct, frozen=True):
    mandate: str = ""
    instruction: str = ""
    purpose: str = ""
    labels: list[str] = []
    end_user: str = ""
    lifetime_seconds: int = 3_600


class _Nothing(msgspec.Struct, frozen=True):
    pass


class Api:
    """`/api/v1`. A person's bearer token is asked for on every path, and no cookie is read."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._records = parts.records
        self._control = parts.control
        self._stories = Stories(parts.records, parts.control)

    def routes(self) -> list[Route]:
        """The routes, relative to `/api/v1`."""
        reading: dict[str, Handler] = {
            "/me": self.me,
            "/calls": self.calls,
            "/calls/{id}": self.call,
            "/calls/{id}/proof": self.proof,
            "/calls/{id}/explain": self.explain,
            "/runs": self.runs,
            "/runs/{id}": self.run,
            "/runs/{id}/spans": self.spans,
            "/runs/{id}/story": self.story,
            "/runs/{id}/record": self.record,
            "/holds": self.holds,
            "/holds/{id}": self.hold,
            "/objects": self.objects,
            "/mandates/{name}": self.mandate,
            "/limits": self.limits,
            "/limits/audit": self.audit_limits,
            "/models": self.models,
            "/servers": self.servers,
            "/pins": self.pins,
            "/ledger": self.ledger,
            "/events": self.events,
        }
        acting: dict[str, Handler] = {
            "/holds/{id}/stamp": self.stamp,
            "/calls/{id}/settle": self.settle,
            "/mandates/{name}/revoke": self.revoke,
            "/mandates/{name}/suspend": self.suspend,
            "/mandates/{name}/resume": self.resume,
            "/apply": self.apply,
            "/policies/check": self.check_policies,
            "/mandates/check": self.check_mandates,
            "/simulate": self.simulate,
            "/pins/accept": self.accept_pin,
            "/agents/{name}/tokens": self.make_token,
            "/tokens/{id}/revoke": self.revoke_token,
            "/login-links": self.login_link,
            "/runs/{id}/end": self.end_run,
        }
        routes = [
            Route(path, self._authenticated(handler), methods=[method])
            for method, handlers in (("GET", reading), ("POST", acting))
            for path, handler in handlers.items()
        ]
        either: dict[str, Callable[[Request], Awaitable[Response]]] = {
            "/mandates/{name}/children": self.delegate,
            "/runs": self.start_run,
        }
        return [
            *routes,
            *(Route(path, handler, methods=["POST"]) for path, handler in either.items()),
        ]

    def _authenticated(self, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            person = self._parts.people.person(request.headers.get("authorization"))
            return await handler(request, person)

        return endpoint

    # --- reading ---

    async def me(self, _request: Request, person: Person) -> Response:
        """Who the token speaks for."""
        return _answer("person", shapes.person_json(person))

    async def calls(self, request: Request, _person: Person) -> Response:
        """Calls, newest first."""
        asked = request.query_params
        limit = _limit(request, 50, MAX_CALLS)
        _one_of("state", asked.get("state", ""), ("", *CallState))
        query = CallQuery(
            limit=limit + 1,
            before=asked.get("before", ""),
            run=asked.get("run", ""),
            agent=asked.get("agent", ""),
            mandate=asked.get("mandate", ""),
            state=asked.get("state", ""),
        )
        rows = await self._records.calls(query)
        shown = rows[:limit]
        following = shown[-1].id if len(rows) > limit else None
        body = {"calls": [shapes.call_json(row) for row in shown], "next": following}
        return JSONResponse(body)

    async def call(self, request: Request, person: Person) -> Response:
        """The whole path of one call."""
        call_id = request.path_params["id"]
        path = await self._control.path(call_id)
        if path is None:
            raise TheirError("call_unknown", f"no call `{call_id}`")
        return JSONResponse(shapes.path_json(path, person, self._parts.clock.wall_ms()))

    async def proof(self, request: Request, _person: Person) -> Response:
        """The proofs of one call."""
        call_id = request.path_params["id"]
        if await self._records.call(call_id) is None:
            raise TheirError("call_unknown", f"no call `{call_id}`")
        proofs = [{"text": text.decode()} for text in await self._control.proof(call_id)]
        return JSONResponse({"call": call_id, "proofs": proofs})

    async def explain(self, request: Request, _person: Person) -> Response:
        """Why one call was judged as it was."""
        call_id = request.path_params["id"]
        told = await self._control.explain(call_id)
        if told is None:
            raise TheirError("call_unknown", f"no call `{call_id}`")
        return _answer("explained", shapes.explained_json(told))

    async def runs(self, request: Request, _person: Person) -> Response:
        """Runs, newest first."""
        rows = await self._control.runs(_limit(request, 50, MAX_ROWS))
        return _answer("runs", [shapes.run_json(row) for row in rows])

    async def run(self, request: Request, _person: Person) -> Response:
        """One run, with what it was told."""
        run_id = request.path_params["id"]
        shown = await self._control.run(run_id)
        if shown is None:
            raise TheirError("run_unknown", f"no run `{run_id}`")
        return _answer("run", shapes.run_json(shown))

    async def story(self, request: Request, _person: Person) -> Response:
        """A page of a run's story."""
        limit = _limit(request, 100, MAX_STEPS)
        after = request.query_params.get("after", "")
        page = await self._stories.page(request.path_params["id"], after, limit)
        # Long conversations take long to write; no call waits for it.
        text = await asyncio.to_thread(lambda: json.dumps(story_json(page)).encode())
        return Response(text, media_type="application/json")

    async def spans(self, request: Request, _person: Person) -> Response:
        """What the agent itself told of a run, in spans."""
        run_id = request.path_params["id"]
        told = await self._control.spans(run_id, request.query_params.get("after", ""))
        if told is None:
            raise TheirError("run_unknown", f"no run `{run_id}`")
        return JSONResponse(spans_json(told))

    async def record(self, request: Request, _person: Person) -> Response:
        """A page of a run's record, a JSON text a line; the last line says how to go on."""
        limit = _limit(request, 100, MAX_STEPS)
        after = request.query_params.get("after", "")
        page = await self._control.record(request.path_params["id"], after, limit)
        end = {"record": "page", "next": page.following or None}
        lines = [*page.lines, json.dumps(end).encode(), b""]
        return Response(b"\n".join(lines), media_type="application/jsonl")

    async def holds(self, request: Request, person: Person) -> Response:
        """Holds: those waiting, or in another state, or all."""
        asked = request.query_params.get("state", HoldState.WAITING)
        _one_of("state", asked, ("all", *HoldState))
        state = None if asked == "all" else HoldState(asked)
        rows = await self._records.holds(state, _limit(request, 200, MAX_ROWS))
        now_ms = self._parts.clock.wall_ms()
        return _answer("holds", [shapes.hold_json(row, person, now_ms) for row in rows])

    async def hold(self, request: Request, person: Person) -> Response:
        """One hold."""
        hold_id = request.path_params["id"]
        row = await self._records.hold(hold_id)
        if row is None:
            raise TheirError("hold_unknown", f"no hold `{hold_id}`")
        return _answer("hold", shapes.hold_json(row, person, self._parts.clock.wall_ms()))

    async def objects(self, request: Request, _person: Person) -> Response:
        """Declared objects, newest versions."""
        rows = await self._control.objects(request.query_params.get("kind", ""))
        return _answer("objects", [shapes.object_json(row) for row in rows])

    async def mandate(self, request: Request, _person: Person) -> Response:
        """One mandate in sentences: the newest version, or another."""
        asked = request.query_params.get("version", "0")
        if not asked.isascii() or not asked.isdigit() or len(asked) > MAX_DIGITS:
            raise TheirError("bad_request", "`version` is a number")
        read = await self._control.read_mandate(request.path_params["name"], int(asked))
        return _answer("mandate", shapes.reading_json(read))

    async def limits(self, request: Request, _person: Person) -> Response:
        """What is used of limits."""
        found = await self._control.limits(request.query_params.get("mandate", ""))
        return JSONResponse(limits_json(found))

    async def audit_limits(self, _request: Request, _person: Person) -> Response:
        """The books of limits, worked out again."""
        return JSONResponse(audit_json(await self._control.audit_limits()))

    async def models(self, _request: Request, _person: Person) -> Response:
        """How model servers and the models of aliases are doing."""
        return JSONResponse(asdict(await self._control.models()))

    async def servers(self, _request: Request, _person: Person) -> Response:
        """How each upstream is doing."""
        rows = await self._control.servers()
        return _answer("servers", [shapes.server_json(row) for row in rows])

    async def pins(self, _request: Request, _person: Person) -> Response:
        """Pinned definitions."""
        return _answer("pins", [shapes.pin_json(pin) for pin in await self._control.pins()])

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

    # --- acting ---

    async def stamp(self, request: Request, person: Person) -> Response:
        """Approve or refuse a hold."""
        body = await read_json(request, _Stamp)
        hold_id = request.path_params["id"]
        approve, reason = decision(body.decision), checked_reason(body.reason)
        await check_shown(self._parts, hold_id, body.rendering_sha256 or None, approve)
        hold = await self._control.stamp(person, hold_id, approve, reason)
        return _answer("hold", shapes.hold_json(hold, person, self._parts.clock.wall_ms()))

    async def settle(self, request: Request, person: Person) -> Response:
        """Settle a call of which nothing is known."""
        body = await read_json(request, _Settle)
        call_id, reason = request.path_params["id"], checked_reason(body.reason)
        call = await self._control.settle(person, call_id, body.happened, reason)
        return _answer("call", shapes.call_json(call))

    async def revoke(self, request: Request, person: Person) -> Response:
        """Revoke a mandate."""
        body = await read_json(request, _Revoke)
        name = request.path_params["name"]
        in_flight = await self._control.revoke(person, name, checked_reason(body.reason))
        calls = [shapes.call_json(row) for row in in_flight]
        return JSONResponse({"mandate": name, "in_flight": calls})

    async def suspend(self, request: Request, person: Person) -> Response:
        """Stop a mandate until it is resumed."""
        body = await read_json(request, _Revoke)
        name = request.path_params["name"]
        in_flight = await self._control.suspend(person, name, checked_reason(body.reason))
        calls = [shapes.call_json(row) for row in in_flight]
        return JSONResponse({"mandate": name, "in_flight": calls})

    async def resume(self, request: Request, person: Person) -> Response:
        """Let a suspended mandate go on."""
        body = await read_json(request, _Revoke)
        name = request.path_params["name"]
        await self._control.resume(person, name, checked_reason(body.reason))
        return JSONResponse({"mandate": name})

    async def delegate(self, request: Request) -> Response:
        """Make a child mandate: as an agent, or as a person."""
        by = _agent_or_person(self._parts.people, request.headers.get("authorization"))
        body = await read_json(request, _Child, MAX_AGENT_JSON_BYTES)
        text = body.child if isinstance(body.child, str) else json.dumps(body.child)
        name = request.path_params["name"]
        asked = ChildAsked(name, text, body.lifetime_seconds, body.dry_run)
        made = await self._control.delegate(by, asked)
        return JSONResponse(shapes.child_json(made), 200 if body.dry_run else 201)

    async def start_run(self, request: Request) -> Response:
        """Start a run: as a person, or as an agent for itself."""
        by = _agent_or_person(self._parts.people, request.headers.get("authorization"))
        body = await read_json(request, _StartRun, MAX_AGENT_JSON_BYTES)
        words = run_words(body.instruction, body.purpose, body.labels, body.end_user)
        asked = RunAsked(body.mandate, words, body.lifetime_seconds)
        started = await self._control.start_run(by, asked)
        token = None if started.token is None else asdict(started.token)
        return JSONResponse({"run": shapes.run_json(started.run), "token": token}, 201)

    async def end_run(self, request: Request, person: Person) -> Response:
        """End a run."""
        await read_json(request, _Nothing)
        shown = await self._control.end_run(person, request.path_params["id"])
        return _answer("run", shapes.run_json(shown))

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

    async def simulate(self, request: Request, _person: Person) -> Response:
        """Judge recorded calls again; nothing is written."""
        body = await read_json(request, _Simulate)
        report = await self._control.simulate(
            body.files, body.mandate, body.against, body.since_seconds
        )
        return JSONResponse(report)

    async def check_mandates(self, request: Request, _person: Person) -> Response:
        """Check mandates; nothing changes."""
        body = await read_json(request, _CheckMandates)
        found = await self._control.check_mandates(body.files, body.mandate)
        return _answer("problems", [asdict(each) for each in found])

    async def accept_pin(self, request: Request, person: Person) -> Response:
        """Accept a definition that changed."""
        body = await read_json(request, _Accept)
        pin = await self._control.accept_pin(
            person, body.upstream, body.kind, body.name, body.digest
        )
        return _answer("pin", shapes.pin_json(pin))

    async def make_token(self, request: Request, person: Person) -> Response:
        """Make a token for an agent."""
        body = await read_json(request, _MakeToken)
        made = await self._control.make_token(
            person, request.path_params["name"], body.mandate, body.lifetime_seconds
        )
        return JSONResponse(asdict(made), 201)

    async def revoke_token(self, request: Request, person: Person) -> Response:
        """Refuse a token from now on."""
        await read_json(request, _Nothing)
        token_id = request.path_params["id"]
        await self._control.revoke_token(person, token_id)
        return _answer("revoked", token_id)

    async def login_link(self, request: Request, person: Person) -> Response:
        """A link that signs the asking person in to the console."""
        await read_json(request, _Nothing)
        link = self._parts.sign_in.offer(person.name)
        body = {
            "url": f"{self._parts.base_url}/login/{link.token}",
            "person": link.person,
            "expires_ms": link.expires_ms,
        }
        return JSONResponse(body, 201)


def _agent_or_person(people: Authenticator, authorization: str | None) -> Caller | Person:
    """Whoever the token is for. The two kinds of token cannot be taken for each other."""
    try:
        return people.person(authorization)
    except TheirError as error:
        if error.code != "wrong_audience":
            raise
    return people.authenticate(authorization)


def _answer(name: str, value: Json) -> Response:
    return JSONResponse({name: value})


def _limit(request: Request, usual: int, most: int) -> int:
    text = request.query_params.get("limit", str(usual))
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= most):
        raise TheirError("bad_request", f"`limit` must be from 1 to {most}")
    return int(text)


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        words = ", ".join(f"`{word}`" for word in allowed if word)
        raise TheirError("bad_request", f"`{name}` must be one of {words}")
