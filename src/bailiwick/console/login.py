"""Signing in by one-time link, and out."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from bailiwick.console.web import Visit, Web
from bailiwick.core.errors import TheirError


class Login:
    """`/login/{token}` and `/logout`.

    Following the link shows a page with one button; only its POST uses the link up. Previewers,
    scanners and prefetching browsers follow links, and must not burn them.
    """

    def __init__(self, web: Web) -> None:
        self._web = web

    def routes(self) -> list[Route]:
        """The routes."""
        return [
            Route("/login/{token}", self.confirm, methods=["GET"]),
            Route("/login/{token}", self.redeem, methods=["POST"]),
            Route("/logout", self._web.page(self.leave), methods=["POST"]),
        ]

    async def confirm(self, request: Request) -> Response:
        """Say whose link it is and ask to go on."""
        name = self._web.parts.sign_in.invited(request.path_params["token"])
        if not name:
            return self._web.render_bare("signed_out.html", {"spent": True}, 410)
        return self._web.render_bare("login.html", {"name": name})

    async def redeem(self, request: Request) -> Response:
        """Use the link up and sign in."""
        sign_in, cookie = self._web.parts.sign_in, self._web.parts.cookie
        try:
            key = sign_in.redeem(request.path_params["token"])
        except TheirError:
            return self._web.render_bare("signed_out.html", {"spent": True}, 410)
        # The key is always a fresh one: whatever cookie was planted before stays worthless, and
        # an earlier session of this browser ends.
        sign_in.close(request.cookies.get(cookie, ""))
        response = RedirectResponse("/", 303)
        self._web.set_cookie(response, key)
        return response

    async def leave(self, visit: Visit) -> Response:
        """Sign out."""
        await self._web.form(visit)
        parts = self._web.parts
        parts.sign_in.close(visit.request.cookies.get(parts.cookie, ""))
        response = self._web.render_bare("signed_out.html", {"just_left": True})
        self._web.set_cookie(response, "")
        return response
