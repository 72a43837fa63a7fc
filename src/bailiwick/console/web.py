"""One visit of a signed-in person to a page: session, forms, rendering."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

import bailiwick.console.wording as wording
from bailiwick.console.bodies import read_form
from bailiwick.console.finding import marked
from bailiwick.console.opened import known_of
from bailiwick.console.outcome import readable
from bailiwick.console.parts import Parts
from bailiwick.console.rights import who_may
from bailiwick.console.static_files import StaticFiles
from bailiwick.console.visible import hidden_in_rendering, prose, visible, visible_rendering
from bailiwick.core.errors import TheirError
from bailiwick.ports import BrowserSession, HoldState, Person
from bailiwick.protocols.http_place import seat_person

SESSION_SECONDS = 12 * 60 * 60
LIVE_PATH = "/live"
LIVE_HEADER = "x-bailiwick-live"
"""Sent by pages that refresh themselves. Like the event stream, such a request does not say that
anybody is sitting in front of it."""


@dataclass(frozen=True, slots=True)
class Visit:
    """A request of a signed-in person."""

    request: Request
    session: BrowserSession

    @property
    def person(self) -> Person:
        """Who."""
        return self.session.person


Handler = Callable[[Visit], Awaitable[Response]]


class Web:
    """Renders pages and knows who is looking at them."""

    def __init__(self, parts: Parts, static: StaticFiles) -> None:
        self.parts = parts
        self._templates = _environment(static)

    def page(self, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        """An endpoint for signed-in people; others are told how to sign in."""

        async def endpoint(request: Request) -> Response:
            visit = self.visit(request)
            if visit is None:
                return self.render_bare("signed_out.html", {}, 401)
            seat_person(request.scope, visit.person.name)
            response = await handler(visit)
            if isinstance(response, HTMLResponse) and request.method == "GET":
                self._renew(request, response)
            return response

        return endpoint

    def visit(self, request: Request) -> Visit | None:
        """Who is signed in on this request's cookie."""
        key = request.cookies.get(self.parts.cookie, "")
        session = self.parts.sign_in.session(key, touch=not _by_itself(request))
        return None if session is None else Visit(request, session)

    def _renew(self, request: Request, response: Response) -> None:
        # Only on whole pages: their cookie surely arrives, and nothing races with it.
        if not _by_itself(request):
            key = self.parts.sign_in.renew(request.cookies.get(self.parts.cookie, ""))
            if key:
                self.set_cookie(response, key)

    async def form(self, visit: Visit) -> Mapping[str, str]:
        """The form of a POST, its CSRF token checked.

        Raises:
            TheirError: `csrf_invalid`, and those of `read_form`.
        """
        form = await read_form(visit.request)
        sent = form.get("csrf", "").encode()
        if not hmac.compare_digest(sent, visit.session.csrf.encode()):
            raise TheirError("csrf_invalid", "this form is out of date: go back and reload it")
        return form

    async def render(
        self, visit: Visit, name: str, context: Mapping[str, Any], status: int = 200
    ) -> Response:
        """A page of the console, with its frame."""
        waiting = await self.parts.records.holds(HoldState.WAITING)
        now_ms = self.parts.clock.wall_ms()
        framed = {
            "person": visit.person,
            "csrf": visit.session.csrf,
            "waiting": sum(1 for hold in waiting if hold.expires_ms > now_ms),
            "section": visit.request.url.path.split("/")[1],
            **context,
        }
        # In a thread: an agent may have sent megabytes, and calls must not wait while a page
        # that shows them is put together.
        return await asyncio.to_thread(self.render_bare, name, framed, status)

    def render_bare(self, name: str, context: Mapping[str, Any], status: int = 200) -> Response:
        """A page for anybody, signed in or not."""
        frame: dict[str, Any] = {"person": None, "csrf": "", "waiting": 0, "section": ""}
        frame |= {"now_ms": self.parts.clock.wall_ms(), "version": self.parts.version}
        text = self._templates.get_template(name).render(frame | dict(context))
        return HTMLResponse(text, status_code=status)

    def set_cookie(self, response: Response, key: str) -> None:
        """Hand out a session key; "" takes the cookie back."""
        response.set_cookie(
            self.parts.cookie,
            key,
            max_age=SESSION_SECONDS if key else 0,
            path="/",
            secure=self.parts.secure,
            httponly=True,
            samesite="strict",
        )


def _by_itself(request: Request) -> bool:
    return LIVE_HEADER in request.headers or request.url.path == LIVE_PATH


def _environment(static: StaticFiles) -> Environment:
    environment = Environment(
        loader=PackageLoader("bailiwick.console", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        auto_reload=False,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "visible": visible,
        "prose": prose,
        "visible_rendering": visible_rendering,
        "hidden_in_rendering": hidden_in_rendering,
        "pretty": wording.pretty,
        "fields": wording.fields,
        "readable": readable,
        "entry_words": wording.entry_words,
        "call_word": wording.call_word,
        "hold_word": wording.hold_word,
        "state_word": wording.state_word,
        "exact": wording.exact,
        "machine_time": wording.machine_time,
        "marked": marked,
    }
    environment.globals |= {
        "ago": wording.ago,
        "left": wording.left,
        "took": wording.took,
        "wants": wording.wants,
        "who_may": who_may,
        "known_of": known_of,
        "static": static.url,
    }
    return environment
