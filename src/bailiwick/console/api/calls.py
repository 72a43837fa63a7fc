"""Calls and holds in the people's API."""

from __future__ import annotations

import re

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

import bailiwick.console.shapes as shapes
from bailiwick.console.acts import checked_reason, decision
from bailiwick.console.api.routing import MAX_ROWS, Served, answer, limit_of, one_of
from bailiwick.console.bodies import read_json
from bailiwick.console.shown import check_shown
from bailiwick.core.errors import TheirError
from bailiwick.ports import CallQuery, CallState, HoldState, Person

MAX_CALLS = 500
_ID = re.compile("[0-9A-HJKMNP-TV-Z]{26}")


class _Stamp(msgspec.Struct, frozen=True):
    decision: str
    reason: str = ""
    rendering_sha256: str = ""


class _Settle(msgspec.Struct, frozen=True):
    happened: bool
    reason: str = ""


class Calls(Served):
    """What agents did, and what it waits for."""

    def routes(self) -> list[Route]:
        """The routes it serves."""
        return [
            self.get("/calls", self.calls),
            self.get("/calls/{id}", self.call),
            self.get("/calls/{id}/proof", self.proof),
            self.get("/calls/{id}/explain", self.explain),
            self.get("/holds", self.holds),
            self.get("/holds/{id}", self.hold),
            self.post("/holds/{id}/stamp", self.stamp),
            self.post("/calls/{id}/settle", self.settle),
        ]

    async def calls(self, request: Request, _person: Person) -> Response:
        """Calls, newest first."""
        asked = request.query_params
        limit = limit_of(request, 50, MAX_CALLS)
        one_of("state", asked.get("state", ""), ("", *CallState))
        before = asked.get("before", "")
        if before and not _ID.fullmatch(before):
            # It compares as text with the ids of calls, and would page from anywhere.
            raise TheirError(
                "bad_request", f"`before` is the id of a call, which `{before}` is not"
            )
        query = CallQuery(
            limit=limit + 1,
            before=before,
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
        return answer("explained", shapes.explained_json(told))

    async def holds(self, request: Request, person: Person) -> Response:
        """Holds: those waiting, or in another state, or all."""
        asked = request.query_params.get("state", HoldState.WAITING)
        one_of("state", asked, ("all", *HoldState))
        state = None if asked == "all" else HoldState(asked)
        rows = await self._records.holds(state, limit_of(request, 200, MAX_ROWS))
        now_ms = self._parts.clock.wall_ms()
        return answer("holds", [shapes.hold_json(row, person, now_ms) for row in rows])

    async def hold(self, request: Request, person: Person) -> Response:
        """One hold."""
        hold_id = request.path_params["id"]
        row = await self._records.hold(hold_id)
        if row is None:
            raise TheirError("hold_unknown", f"no hold `{hold_id}`")
        return answer("hold", shapes.hold_json(row, person, self._parts.clock.wall_ms()))

    async def stamp(self, request: Request, person: Person) -> Response:
        """Approve or refuse a hold."""
        body = await read_json(request, _Stamp)
        hold_id = request.path_params["id"]
        approve, reason = decision(body.decision), checked_reason(body.reason)
        await check_shown(self._parts, hold_id, body.rendering_sha256 or None, approve)
        hold = await self._control.stamp(person, hold_id, approve, reason)
        return answer("hold", shapes.hold_json(hold, person, self._parts.clock.wall_ms()))

    async def settle(self, request: Request, person: Person) -> Response:
        """Settle a call of which nothing is known."""
        body = await read_json(request, _Settle)
        call_id, reason = request.path_params["id"], checked_reason(body.reason)
        call = await self._control.settle(person, call_id, body.happened, reason)
        return answer("call", shapes.call_json(call))
