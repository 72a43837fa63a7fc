"""Runs in the people's API."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

import bailiwick.console.shapes as shapes
from bailiwick.console.api.routing import (
    MAX_AGENT_JSON_BYTES,
    MAX_ROWS,
    Nothing,
    Served,
    agent_or_person,
    answer,
    limit_of,
)
from bailiwick.console.bodies import read_json
from bailiwick.console.parts import Parts
from bailiwick.console.spans import spans_json
from bailiwick.console.story import Stories
from bailiwick.console.story_json import story_json
from bailiwick.core.errors import TheirError
from bailiwick.core.run_words import run_words
from bailiwick.ports import Person, RunAsked
from bailiwick.ports.story import MAX_STEPS


class _StartRun(msgspec.Struct, frozen=True):
    mandate: str = ""
    instruction: str = ""
    purpose: str = ""
    labels: list[str] = []
    end_user: str = ""
    lifetime_seconds: int = 3_600


class Runs(Served):
    """Runs: their words, their stories, their records."""

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts)
        self._stories = Stories(parts.records, parts.control)

    def routes(self) -> list[Route]:
        """The routes it serves."""
        return [
            self.get("/runs", self.runs),
            self.get("/runs/{id}", self.run),
            self.get("/runs/{id}/story", self.story),
            self.get("/runs/{id}/spans", self.spans),
            self.get("/runs/{id}/record", self.record),
            self.post("/runs/{id}/end", self.end_run),
            Route("/runs", self.start_run, methods=["POST"]),
        ]

    async def runs(self, request: Request, _person: Person) -> Response:
        """Runs, newest first."""
        rows = await self._control.runs(limit_of(request, 50, MAX_ROWS))
        return answer("runs", [shapes.run_json(row) for row in rows])

    async def run(self, request: Request, _person: Person) -> Response:
        """One run, with what it was told."""
        run_id = request.path_params["id"]
        shown = await self._control.run(run_id)
        if shown is None:
            raise TheirError("run_unknown", f"no run `{run_id}`")
        return answer("run", shapes.run_json(shown))

    async def story(self, request: Request, _person: Person) -> Response:
        """A page of a run's story."""
        limit = limit_of(request, 100, MAX_STEPS)
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
        limit = limit_of(request, 100, MAX_STEPS)
        after = request.query_params.get("after", "")
        page = await self._control.record(request.path_params["id"], after, limit)
        end = {"record": "page", "next": page.following or None}
        lines = [*page.lines, json.dumps(end).encode(), b""]
        return Response(b"\n".join(lines), media_type="application/jsonl")

    async def end_run(self, request: Request, person: Person) -> Response:
        """End a run."""
        await read_json(request, Nothing)
        shown = await self._control.end_run(person, request.path_params["id"])
        return answer("run", shapes.run_json(shown))

    async def start_run(self, request: Request) -> Response:
        """Start a run: as a person, or as an agent for itself."""
        by = agent_or_person(self._parts.people, request)
        body = await read_json(request, _StartRun, MAX_AGENT_JSON_BYTES)
        words = run_words(body.instruction, body.purpose, body.labels, body.end_user)
        asked = RunAsked(body.mandate, words, body.lifetime_seconds)
        started = await self._control.start_run(by, asked)
        token = None if started.token is None else asdict(started.token)
        return JSONResponse({"run": shapes.run_json(started.run), "token": token}, 201)
