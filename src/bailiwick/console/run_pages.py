"""The pages about runs: which there are, one as a story, two side by side, and how to start one."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial
from urllib.parse import urlencode

from starlette.responses import Response
from starlette.routing import Route

from bailiwick.console.compared import side_by_side, totals
from bailiwick.console.finding import MAX_WORDS_CHARS, Found, find
from bailiwick.console.notices import notice
from bailiwick.console.story import Stories
from bailiwick.console.web import Visit, Web
from bailiwick.core.errors import TheirError
from bailiwick.ports import CallQuery, RunShown
from bailiwick.ports.story import Story

RUNS_A_PAGE = 100
STEPS_A_PAGE = 100
STEPS_BEFORE = 10
"""Steps shown before the one that a link leads to."""

STEPS_COMPARED = 500
"""Of each of two runs."""


class RunPages:
    """What a signed-in person may look at of runs."""

    def __init__(self, web: Web, stories: Stories) -> None:
        self._web = web
        self._parts = web.parts
        self._stories = stories

    def routes(self) -> list[Route]:
        """The routes, all GET."""
        pages = {
            "/runs": self.runs,
            "/runs/new": self.new_run,
            "/runs/compare": self.compare,
            "/runs/{id}": self.run,
        }
        return [
            Route(path, self._web.page(handler), methods=["GET"]) for path, handler in pages.items()
        ]

    async def runs(self, visit: Visit) -> Response:
        """Recent runs."""
        runs = await self._parts.control.runs(RUNS_A_PAGE)
        return await self._web.render(visit, "runs.html", {"runs": runs})

    async def run(self, visit: Visit) -> Response:
        """One run as a story, oldest step first: the order in which it happened."""
        asked = visit.request.query_params
        words = asked.get("q", "").strip()[:MAX_WORDS_CHARS]
        run_id = visit.request.path_params["id"]
        after = asked.get("after", "")
        if not after and asked.get("at"):
            after = await self._just_before(run_id, asked["at"])
        if not words:
            story = await self._stories.page(run_id, after, STEPS_A_PAGE)
            return await self.show_run(visit, story, after)
        story, found = await find(words, partial(self._stories.page, run_id), after)
        return await self.show_run(visit, story, after, words=words, found=found)

    async def show_new(self, visit: Visit, run: RunShown, token: str) -> Response:
        """The page of a run that was just started, with the token that was made for it."""
        story = await self._stories.page(run.row.id, "", STEPS_A_PAGE)
        return await self.show_run(visit, story, token=token, status=201)

    async def show_run(
        self,
        visit: Visit,
        story: Story,
        after: str = "",
        *,
        words: str = "",
        found: Found | None = None,
        token: str = "",
        status: int = 200,
    ) -> Response:
        """A page of one run's story, or of what was `found` in it."""
        steps = story.steps if found is None else found.steps
        following = story.following if found is None else found.following
        more = {"after": following, **({"q": words} if words else {})}
        context = {
            "shown": story.run,
            "run": story.run.row,
            "story": story,
            "steps": steps,
            "here": {step.id for step in steps},
            "words": words,
            "found": found,
            "after": after,
            "more": urlencode(more) if following else "",
            "token": token,
            "notice": notice(visit),
        }
        return await self._web.render(visit, "run.html", context, status)

    async def compare(self, visit: Visit) -> Response:
        """Two runs side by side, or the form that asks which."""
        asked = visit.request.query_params
        left, right = asked.get("left", "").strip(), asked.get("right", "").strip()
        runs = await self._parts.control.runs(RUNS_A_PAGE)
        context: dict[str, object] = {"runs": runs, "left": left, "right": right, "pairs": None}
        if left and right:
            one = await self._stories.page(left, "", STEPS_COMPARED)
            other = await self._stories.page(right, "", STEPS_COMPARED)
            # In a thread: two long runs take a while to be set beside each other.
            pairs = await asyncio.to_thread(side_by_side, one.steps, other.steps)
            context |= {
                "pairs": pairs,
                "one": one,
                "other": other,
                "sums": (totals(one.steps), totals(other.steps)),
                "apart": sum(1 for pair in pairs if pair.differences),
                "alone": sum(1 for pair in pairs if pair.left is None or pair.right is None),
            }
        return await self._web.render(visit, "compare.html", context)

    async def new_run(self, visit: Visit) -> Response:
        """The form that starts a run."""
        return await self.show_new_run(visit, visit.request.query_params)

    async def show_new_run(
        self, visit: Visit, given: Mapping[str, str], *, wrong: str = "", status: int = 200
    ) -> Response:
        """The form that starts a run, after an attempt that may have gone `wrong`."""
        rows = await self._parts.control.objects("mandate")
        names = [row.name for row in rows if row.state == "active"]
        context = {"mandates": names, "given": dict(given), "wrong": wrong}
        return await self._web.render(visit, "new_run.html", context, status)

    async def _just_before(self, run_id: str, call_id: str) -> str:
        """The call behind which a page begins that shows `call_id` with a few steps before it."""
        call = await self._parts.records.call(call_id)
        if call is None or call.run != run_id:
            raise TheirError("call_unknown", f"no call `{call_id[:64]}` in this run")
        query = CallQuery(limit=STEPS_BEFORE + 1, run=run_id, before=call_id)
        earlier = await self._parts.records.calls(query)
        return earlier[-1].id if len(earlier) > STEPS_BEFORE else ""
