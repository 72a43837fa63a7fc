"""Where paths lead on this machine: `ports.Files`, for real.

A file system over a network can hang, and with it whoever asks. So each look has a thread of its
own that nobody has to wait for, and of one server only so many at a time.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from threading import Thread

MAX_LINKS = 40
"""Links that are followed on the way of one path, as in Linux (path_resolution(7))."""

MAX_TEXTS = 1_024
"""Paths that are looked at for one call: more are not told."""

LOOK_SECONDS = 2.0
MAX_AT_ONCE = 8
"""How long a look may take, its turn included, and how many may go on for one server. Looks that
hang keep their place."""


class LocalFiles:
    """`ports.Files`. Belongs to one event loop."""

    def __init__(self, seconds: float = LOOK_SECONDS) -> None:
        self._seconds = seconds
        self._turns: defaultdict[str, asyncio.Semaphore] = defaultdict(
            lambda: asyncio.Semaphore(MAX_AT_ONCE)
        )

    async def leads(
        self, server: str, folder: str | None, texts: Sequence[str]
    ) -> Mapping[str, str]:
        """See `ports.Files.leads`."""
        unknown = dict.fromkeys(texts, "")
        if len(texts) > MAX_TEXTS:
            return unknown
        loop, turns = asyncio.get_running_loop(), self._turns[server]
        found: asyncio.Future[Mapping[str, str]] = loop.create_future()

        def done(leads: Mapping[str, str]) -> None:
            turns.release()
            if not found.done():
                found.set_result(leads)

        def look() -> None:
            leads = where(folder, texts)
            with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
                loop.call_soon_threadsafe(done, leads)

        try:
            async with asyncio.timeout(self._seconds):
                await turns.acquire()
                try:
                    # Not of a pool: the interpreter waits for those when it ends.
                    Thread(target=look, name=f"files of {server}", daemon=True).start()
                except RuntimeError:  # no more threads
                    turns.release()
                    return unknown
                return await found
        except TimeoutError:
            return unknown


def where(folder: str | None, texts: Sequence[str]) -> Mapping[str, str]:
    """`ports.Files.leads`, here and now: blocking, for as long as the file system takes."""
    try:
        start = None if folder is None else real(os.path.join(os.getcwd(), folder))
    except (OSError, ValueError):
        start = None
    leads: dict[str, str] = {}
    astray = False
    for text in texts:
        if not text.startswith("/") and start is None:
            leads[text], astray = "", True
            continue
        path = text if text.startswith("/") else f"{start}/{text}"
        try:
            there = real(path)
            there.encode()
        except (OSError, ValueError):  # a lone surrogate stands for a byte that is no text
            there = ""
        astray = astray or there != _as_said(path)
        leads[text] = there
    return leads if astray else {}


def real(path: str) -> str:
    """Where an absolute path leads, as the kernel goes: step by step, each link where it stands.

    Unlike `os.path.realpath` it guesses nothing: what it may not read, it does not take for plain.

    Raises:
        OSError: it cannot be told.
    """
    rest = path.split("/")[::-1]
    at, links = "", 0
    while rest:
        step = rest.pop()
        if step in ("", "."):
            continue
        if step == "..":  # of a link's own text: `at` holds no link any more
            at = at.rpartition("/")[0]
            continue
        here = f"{at}/{step}"
        try:
            to = os.readlink(here)
        except OSError as error:
            if error.errno == errno.EINVAL:  # it is there, and no link
                at = here
                continue
            if error.errno not in (errno.ENOENT, errno.ENOTDIR) or ".." in rest:
                raise
            return "/".join((here, *(step for step in rest[::-1] if step not in ("", "."))))
        links += 1
        if links > MAX_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        if here.startswith("/proc/"):  # of the process that asks, and no text that leads anywhere
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        if to.startswith("/"):
            at = ""
        rest += to.split("/")[::-1]
    return at or "/"


def _as_said(path: str) -> str:
    return "/" + "/".join(step for step in path.split("/") if step not in ("", "."))
