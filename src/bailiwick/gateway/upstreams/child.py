"""One child process: started without a shell, with only the given environment, surely ended."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from asyncio.subprocess import PIPE, Process
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from bailiwick.core.errors import UpstreamDown
from bailiwick.gateway.upstreams.spec import ServerSpec, reveal
from bailiwick.gateway.upstreams.watchdog import Watchdog

_CHUNK_BYTES = 64 * 1024
_STDERR_LINES = 50
_STDERR_LINE_BYTES = 500
_GRACE_SECONDS = 2.0
_MAX_UNREAD_BYTES = 4 * 1024 * 1024


class Tail:
    """The last lines of a child's stderr, for people. Never part of an error or a record."""

    def __init__(self) -> None:
        self._lines: deque[str] = deque(maxlen=_STDERR_LINES)
        self._partial = b""

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes."""
        *lines, rest = (self._partial + chunk).split(b"\n")
        for line in lines:
            self._add(line)
        if len(rest) > _STDERR_LINE_BYTES:
            self._add(rest)
            rest = b""
        self._partial = rest

    def _add(self, line: bytes) -> None:
        text = line[:_STDERR_LINE_BYTES].decode("utf-8", "replace").rstrip()
        # Escape sequences would let a server write to the terminal of whoever reads the status.
        shown = "".join(char if char.isprintable() else "\ufffd" for char in text)
        if shown:
            self._lines.append(shown)

    @property
    def lines(self) -> tuple[str, ...]:
        """Oldest first, at most 50, each at most 500 characters."""
        return tuple(self._lines)


class Child:
    """A running child process in its own session and process group.

    Args:
        on_line: called for each line of stdout, without its end; longer ones than
            `spec.max_response_bytes` come cut, with True.
    """

    def __init__(self, process: Process, watchdog: Watchdog, spec: ServerSpec) -> None:
        self._process = process
        self._watchdog = watchdog
        self._name = spec.name
        self._max_line_bytes = spec.max_response_bytes
        self.pid = process.pid
        self._is_swept = False
        self._exited: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._watch_exit()

    @classmethod
    async def start(cls, spec: ServerSpec, search_path: str, watchdog: Watchdog) -> Child:
        """Start the declared command.

        `search_path` (a PATH) is where a bare command name is looked up; the child itself gets
        only what `spec.env` says.

        Raises:
            UpstreamDown: `upstream_command`: not found, not executable, no such `cwd`.
        """
        program = shutil.which(spec.command[0], path=search_path)
        if program is None:
            raise UpstreamDown(
                "upstream_command",
                f"server `{spec.name}`: the command `{spec.command[0]}` was not found",
            )
        try:
            process = await asyncio.create_subprocess_exec(
                os.path.abspath(program),  # noqa: ASYNC240 - pure, but for the working directory
                *spec.command[1:],
                stdin=PIPE,
                stdout=PIPE,
                stderr=PIPE,
                env={name: reveal(value) for name, value in spec.env.items()},
                cwd=spec.cwd or None,
                start_new_session=True,
                limit=_CHUNK_BYTES,
            )
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else "it holds a NUL"
            raise UpstreamDown(
                "upstream_command", f"server `{spec.name}` could not be started: {why}"
            ) from error
        try:
            await watchdog.guard(process.pid)
        except OSError as error:
            _signal_group(process.pid, signal.SIGKILL)
            raise UpstreamDown("upstream_command", "the watchdog could not be started") from error
        return cls(process, watchdog, spec)

    async def write(self, line: bytes) -> None:
        """Write one line; waits while the child does not read.

        Raises:
            UpstreamDown: nothing was written: `upstream_crashed`: it is not running;
                `upstream_busy`: it has left four MiB unread.
        """
        stdin = self._process.stdin
        assert stdin is not None
        if self._process.returncode is not None or stdin.is_closing():
            raise UpstreamDown("upstream_crashed", f"server `{self._name}` is not running")
        if stdin.transport.get_write_buffer_size() > _MAX_UNREAD_BYTES:
            raise UpstreamDown("upstream_busy", f"server `{self._name}` does not read its input")
        # A raw part may hold line ends between its tokens; inside of JSON strings there are none.
        stdin.write(line.replace(b"\n", b" ").replace(b"\r", b" ") + b"\n")
        # The end of the child is told by `run`, to all who wait.
        with suppress(ConnectionError):
            await stdin.drain()

    async def run(self, on_line: Callable[[bytes, bool], None], tail: Tail) -> int | None:
        """Read both outputs until the child has ended; returns its exit code (negative: signal)."""
        loop = asyncio.get_running_loop()
        reading = loop.create_task(self._read_stdout(on_line))
        errors = loop.create_task(self._read_stderr(tail))
        try:
            await asyncio.wait({reading, self._exited}, return_when=asyncio.FIRST_COMPLETED)
            if not self._exited.done():
                # "The server MAY initiate shutdown by closing its output stream and exiting."
                await self.stop()
        finally:
            self._sweep()
            # What it had written is still in the pipes; a stray heir may hold them open.
            await asyncio.wait({reading, errors}, timeout=_GRACE_SECONDS)
            reading.cancel()
            errors.cancel()
        with suppress(TimeoutError):
            async with asyncio.timeout(_GRACE_SECONDS):
                await self._process.wait()
        return self._process.returncode

    async def stop(self) -> None:
        """End the child: close its stdin, then SIGTERM, then SIGKILL, two seconds apart."""
        stdin = self._process.stdin
        if stdin is not None:
            stdin.close()
        for number in (signal.SIGTERM, signal.SIGKILL):
            await asyncio.wait({self._exited}, timeout=_GRACE_SECONDS)
            if self._exited.done():
                break
            _signal_group(self.pid, number)
        await self._exited
        self._sweep()

    def _sweep(self) -> None:
        """End what the child has left behind in its group. Once: the number may be given anew."""
        if not self._is_swept:
            self._is_swept = True
            _signal_group(self.pid, signal.SIGKILL)
            self._watchdog.release(self.pid)

    def _watch_exit(self) -> None:
        """Learn of the exit itself: `Process.wait` may wait for heirs of its pipes as well."""
        loop = asyncio.get_running_loop()
        try:
            descriptor = os.pidfd_open(self.pid)
        except ProcessLookupError:
            self._exited.set_result(None)
            return

        def exited() -> None:
            loop.remove_reader(descriptor)
            os.close(descriptor)
            if not self._exited.done():
                self._exited.set_result(None)

        loop.add_reader(descriptor, exited)

    async def _read_stdout(self, on_line: Callable[[bytes, bool], None]) -> None:
        stdout = self._process.stdout
        assert stdout is not None
        line = bytearray()
        is_cut = False
        while chunk := await stdout.read(_CHUNK_BYTES):
            *ends, rest = chunk.split(b"\n")
            for end in ends:
                line += end
                if line:
                    on_line(bytes(line), is_cut or len(line) > self._max_line_bytes)
                line.clear()
                is_cut = False
            line += rest
            if len(line) > self._max_line_bytes:
                # Keep both ends: the id stands in one of them, so its request can be told.
                is_cut = True
                del line[_KEPT_BYTES:-_KEPT_BYTES]

    async def _read_stderr(self, tail: Tail) -> None:
        stderr = self._process.stderr
        assert stderr is not None
        while chunk := await stderr.read(_CHUNK_BYTES):
            tail.feed(chunk)


_KEPT_BYTES = 512


def _signal_group(group: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)
