"""A tiny process that ends our children when we can no longer do so ourselves.

After `kill -9` of the gateway its children are told by the end of their stdin, which not all heed
and which what they have started may never see. (`PR_SET_PDEATHSIG` reaches only the direct child,
and not one that changes its credentials.) So one watchdog holds a pipe from the gateway and the
list of process groups; when the pipe ends, it ends the groups.
"""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process

_SCRIPT = """
import os, signal, sys, time
held = set()
for line in sys.stdin.buffer:
    (held.add if line[:1] == b"+" else held.discard)(int(line[1:]))
for number in (signal.SIGTERM, signal.SIGKILL):
    for group in held:
        try:
            os.killpg(group, number)
        except OSError:
            pass
    if held and number == signal.SIGTERM:
        time.sleep(1)
"""


class Watchdog:
    """Guards process groups of this gateway; started with the first one."""

    def __init__(self) -> None:
        self._process: Process | None = None
        self._groups: set[int] = set()
        self._starting = asyncio.Lock()

    async def guard(self, group: int) -> None:
        """End `group` should the gateway die. Raises OSError when no watchdog can be started."""
        self._groups.add(group)
        async with self._starting:
            if self._process is None or self._process.returncode is not None:
                self._process = await asyncio.create_subprocess_exec(
                    sys.executable,
                    *("-I", "-S", "-c", _SCRIPT),
                    stdin=PIPE,
                    stdout=DEVNULL,
                    stderr=DEVNULL,
                    env={},
                    cwd="/",
                    start_new_session=True,  # Ctrl-C in a terminal is for the gateway alone
                )
                for held in self._groups:
                    self._write("+", held)
            else:
                self._write("+", group)

    def release(self, group: int) -> None:
        """`group` has ended; its number may come to mean another."""
        self._groups.discard(group)
        self._write("-", group)

    async def close(self) -> None:
        """End the watchdog; it ends what is still guarded."""
        process, self._process = self._process, None
        if process is not None:
            assert process.stdin is not None
            process.stdin.close()
            await process.wait()

    def _write(self, sign: str, group: int) -> None:
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.write(f"{sign}{group}\n".encode("ascii"))
