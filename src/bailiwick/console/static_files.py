"""The console's own styles, scripts and pictures: read once, named by what they hold."""

from __future__ import annotations

import hashlib
from importlib.resources import files

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

_KINDS = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_FOREVER = "public, max-age=31536000, immutable"


class StaticFiles:
    """Serves `/static/{name}` from memory: there is no path to traverse."""

    def __init__(self) -> None:
        self._bodies: dict[str, tuple[str, bytes]] = {}
        self._urls: dict[str, str] = {}
        for file in files("bailiwick.console").joinpath("static").iterdir():
            kind = _KINDS.get(file.name[file.name.rfind(".") :])
            if kind is None:
                continue
            body = file.read_bytes()
            digest = hashlib.sha256(body).hexdigest()[:12]
            self._bodies[file.name] = (kind, body)
            self._urls[file.name] = f"/static/{file.name}?v={digest}"

    def url(self, name: str) -> str:
        """The address of `name`; it changes when the file does, so it may be kept for ever."""
        return self._urls[name]

    async def answer(self, request: Request) -> Response:
        """Answer with the file, or 404."""
        found = self._bodies.get(request.path_params["name"])
        if found is None:
            return PlainTextResponse("no such file\n", status_code=404)
        kind, body = found
        caching = _FOREVER if request.url.query else "no-cache"
        return Response(body, media_type=kind, headers={"cache-control": caching})
