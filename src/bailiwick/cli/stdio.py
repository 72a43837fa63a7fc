"""`bailiwick stdio`: for MCP clients that only speak to a child process.

stdout carries MCP messages and nothing else; whatever is for people goes to stderr.
"""

from __future__ import annotations

import asyncio
import os
import signal
import stat
import sys
from collections.abc import AsyncIterator, Callable

from bailiwick.cli.stdio_bridge import Bridge
from bailiwick.cli.stdio_gateway import GatewayLink

MAX_LINE_BYTES = 16 * 1024 * 1024
_CHUNK_BYTES = 64 * 1024


async def run(url: str, token: Callable[[], str]) -> int:
    """Bridge stdin and stdout to the gateway at `url` until stdin ends or SIGTERM comes.

    Args:
        token: gives the agent's token; called for each message.

    Returns:
        The exit code: 0, or 1 when the client went away before it had closed stdin.

    Raises:
        ConfigError: `server_url`.
    """
    link = GatewayLink(url, token)
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=_CHUNK_BYTES)
    await _connect_stdin(reader)
    writer = await _connect_stdout()

    async def write(line: bytes) -> None:
        writer.write(line + b"\n")
        await writer.drain()

    def say(text: str) -> None:
        sys.stderr.write(f"bailiwick: {text}\n")
        sys.stderr.flush()

    serving = loop.create_task(Bridge(link, write, say).serve(split_lines(reader, say)))
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, serving.cancel)
    try:
        await asyncio.wait({serving})
        if not serving.cancelled():
            serving.result()
    except ConnectionError:
        return 1
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
    return 0


async def split_lines(
    reader: asyncio.StreamReader, say: Callable[[str], None]
) -> AsyncIterator[bytes]:
    """Lines without their ends; empty ones are skipped, and too long ones reported and skipped."""
    line = bytearray()
    is_too_long = False
    while chunk := await reader.read(_CHUNK_BYTES):
        *ends, rest = chunk.split(b"\n")
        for end in ends:
            line += end
            if is_too_long or len(line) > MAX_LINE_BYTES:
                say(f"a line of more than {MAX_LINE_BYTES} bytes from the client was dropped")
            elif stripped := line.strip():
                yield bytes(stripped)
            line.clear()
            is_too_long = False
        line += rest
        if len(line) > MAX_LINE_BYTES:
            is_too_long = True
            line.clear()
    if not is_too_long and (stripped := line.strip()):
        yield bytes(stripped)


def _can_be_waited_for(descriptor: int) -> bool:
    """Whether it is a pipe, a socket or a terminal; a script may redirect a file or /dev/null."""
    mode = os.fstat(descriptor).st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or os.isatty(descriptor)


async def _connect_stdin(reader: asyncio.StreamReader) -> None:
    loop = asyncio.get_running_loop()
    if not _can_be_waited_for(sys.stdin.fileno()):
        reader.feed_data(sys.stdin.buffer.read())
        reader.feed_eof()
        return
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)


class _StdoutFile:
    """stdout where it is a file or /dev/null, with the two methods of a stream that are used."""

    def write(self, data: bytes) -> None:
        sys.stdout.buffer.write(data)

    async def drain(self) -> None:
        sys.stdout.buffer.flush()


async def _connect_stdout() -> asyncio.StreamWriter | _StdoutFile:
    if not _can_be_waited_for(sys.stdout.fileno()):
        return _StdoutFile()
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.connect_write_pipe(
        asyncio.streams.FlowControlMixin, sys.stdout
    )
    return asyncio.StreamWriter(transport, protocol, None, loop)
