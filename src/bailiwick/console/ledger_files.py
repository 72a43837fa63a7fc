"""The ledger's tlog-tiles directory, served read-only to anybody.

It holds commitments, hashes and signatures, and exists to be read by people who do not trust its
operator, so nothing is asked of the reader. Only names that C2SP `tlog-tiles` defines are looked
up at all; everything else is not found, whatever lies in the directory.
"""

from __future__ import annotations

import asyncio
import os
import re
import stat
from pathlib import Path

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

_INDEX = r"(?:x[0-9]{3}/){0,5}[0-9]{3}"
_PARTIAL = r"(?:\.p/(?:[1-9]|[1-9][0-9]|1[0-9]{2}|2[0-4][0-9]|25[0-5]))?"
_TILE = re.compile(rf"tile/(?:entries|[0-9]|[1-5][0-9]|6[0-3])/{_INDEX}{_PARTIAL}", re.ASCII)
_MAX_BYTES = 256 * (2 + 65_535)
"""An entry bundle at its largest: 256 entries, each with its two-byte length."""

_FOREVER = "public, max-age=31536000, immutable"


class LedgerFiles:
    """The `/ledger/{path}` endpoint."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    async def answer(self, request: Request) -> Response:
        """Answer with the file, or 404."""
        name: str = request.path_params["path"]
        if name == "checkpoint":
            kind, caching = "text/plain; charset=utf-8", "no-cache"
        elif _TILE.fullmatch(name):
            kind, caching = "application/octet-stream", _FOREVER
        else:
            return _missing()
        try:
            body = await asyncio.to_thread(_read, self._directory / name)
        except OSError:
            return _missing()
        return Response(body, media_type=kind, headers={"cache-control": caching})


def _read(path: Path) -> bytes:
    # The directory's writer makes plain files only: no link is followed in the last step, and
    # nothing else is waited for.
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise FileNotFoundError
        return file.read(_MAX_BYTES)


def _missing() -> Response:
    return PlainTextResponse("no such ledger file\n", status_code=404)
