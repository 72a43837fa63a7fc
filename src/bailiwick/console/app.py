"""The console as one ASGI app: pages, the people's API, the public ledger files."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp

from bailiwick.console.acts import Acts
from bailiwick.console.answers import api_error, status_of
from bailiwick.console.api.routes import api_routes
from bailiwick.console.guard import Guard
from bailiwick.console.ledger_files import LedgerFiles
from bailiwick.console.login import Login
from bailiwick.console.pages import Pages
from bailiwick.console.parts import Parts
from bailiwick.console.run_pages import RunPages
from bailiwick.console.static_files import StaticFiles
from bailiwick.console.story import Stories
from bailiwick.console.web import Web
from bailiwick.core.errors import BailiwickError, OurError, TheirError


def console_app(parts: Parts) -> ASGIApp:
    """Compose the console.

    Paths: `/` and the pages, `/api/v1/…`, `/ledger/…`, `/static/…`, `/login/…`, `/logout`. It
    runs no tasks of its own and needs no lifespan.
    """
    static = StaticFiles()
    web = Web(parts, static)
    pages = Pages(web)
    runs = RunPages(web, Stories(parts.records, parts.control))

    async def on_known(request: Request, error: Exception) -> Response:
        assert isinstance(error, BailiwickError)
        return _failure(web, request, error)

    async def on_http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        known = {
            404: ("not_found", "there is nothing here"),
            405: ("method_not_allowed", "this cannot be done here"),
        }
        code, message = known.get(error.status_code, ("bad_request", error.detail))
        return _failure(web, request, TheirError(code, message))

    async def on_defect(request: Request, _error: Exception) -> Response:
        # Starlette raises it again for the server's log; people are told nothing of its inside.
        return _failure(web, request, OurError("internal", "something went wrong on our side"))

    async def favicon(_request: Request) -> Response:
        return RedirectResponse(static.url("mark.svg"), 308)

    console = Starlette(
        routes=[
            *pages.routes(),
            *runs.routes(),
            *Acts(web, pages, runs).routes(),
            *Login(web).routes(),
            Mount("/api/v1", routes=api_routes(parts)),
            Route("/ledger/{path:path}", LedgerFiles(parts.ledger_dir).answer, methods=["GET"]),
            Route("/static/{name}", static.answer, methods=["GET"]),
            Route("/favicon.ico", favicon, methods=["GET"]),
        ],
        exception_handlers={BailiwickError: on_known, HTTPException: on_http, 500: on_defect},
    )
    # Outside of everything, so that even the answer to a defect carries the headers.
    return Guard(console, parts.allowed_hosts, parts.secure)


def _failure(web: Web, request: Request, error: BailiwickError) -> Response:
    if request.url.path.startswith("/api/"):
        return api_error(error)
    visit = web.visit(request)
    context = {
        "person": None if visit is None else visit.person,
        "csrf": "" if visit is None else visit.session.csrf,
        "error": error,
    }
    return web.render_bare("failure.html", context, status_of(error))
