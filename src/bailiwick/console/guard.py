"""What every request to the console passes first, and what every answer carries.

1. `Host` is one we answer to: a page of another site that rebinds its name to us is refused.
2. Cross-origin use: a request that a browser says another origin caused is refused, unless it is
   a plain navigation. A request that changes something and carries an `Origin` must carry ours;
   on pages, where cookies speak for the person, it must carry one.
3. Answers carry the security headers, whatever made them.
"""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bailiwick.console.answers import api_error
from bailiwick.core.errors import TheirError

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)

SECURITY_HEADERS = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "x-content-type-options": "nosniff",
    # Not `no-referrer`: under that policy browsers send `Origin: null` with our own forms
    # (Fetch, "append a request Origin header"), and the origin check below needs it.
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "x-frame-options": "DENY",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}

_SAFE = frozenset({"GET", "HEAD"})
_BY_BEARER = ("/api/", "/ledger/")
"""Paths where no cookie is looked at: a forged request there speaks for nobody."""


class Guard:
    """ASGI middleware around the whole console."""

    def __init__(self, app: ASGIApp, allowed_hosts: Iterable[str], secure: bool) -> None:
        self._app = app
        self._hosts = frozenset(host.lower().strip("[]") for host in allowed_hosts)
        self._scheme = "https" if secure else "http"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check, pass on, and put the headers on the answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    headers[name] = value
                headers.setdefault("cache-control", "no-store")
            await send(message)

        refusal = self._refusal(scope)
        await (refusal or self._app)(scope, receive, send_guarded)

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        if len(hosts) != 1 or _hostname(hosts[0]) not in self._hosts:
            text = "this server does not answer to that `Host`: start it with --allow-host NAME"
            return _refuse("host_not_allowed", text)
        if scope["path"].startswith("/ledger/"):
            return None  # public, changes nothing: anybody may read it from anywhere
        safe = scope["method"] in _SAFE
        if _caused_elsewhere(headers, safe):
            return _refuse("origin_not_allowed", "another site may not make this request")
        if safe:
            return None
        origin = headers.get("origin")
        if origin is None and scope["path"].startswith(_BY_BEARER):
            return None
        if origin != f"{self._scheme}://{hosts[0].lower()}":
            return _refuse("origin_not_allowed", "this request did not come from the console")
        return None


def _caused_elsewhere(headers: Headers, safe: bool) -> bool:
    site = headers.get("sec-fetch-site", "none")
    if site in ("none", "same-origin"):
        return False
    return not (safe and headers.get("sec-fetch-mode") == "navigate")


def _hostname(unverified_host: str) -> str:
    try:
        parts = urlsplit(f"//{unverified_host}")
        _ = parts.port  # raises for a port that is none
    except ValueError:
        return ""
    if parts.username is not None or parts.path or parts.query or parts.fragment:
        return ""
    return parts.hostname or ""


def _refuse(code: str, message: str) -> Response:
    return api_error(TheirError(code, message))
