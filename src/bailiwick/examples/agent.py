"""A small agent: the official MCP client with a fixed script instead of a model.

It stands for any agent. It holds one token, sees the tools its mandate allows, and reads refusals
as text, like a model would. It needs the `mcp` package, which is not a dependency of Bailiwick.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx2
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import TextContent

CALL_SECONDS = 3600.0
"""A held call takes as long as people take; progress keeps the connection busy meanwhile."""


@dataclass(frozen=True, slots=True)
class Said:
    """What came back of one call, as the agent sees it."""

    text: str
    is_error: bool
    structured: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Clerk:
    """A connected agent. `tools` are the names it was given."""

    client: Client
    tools: tuple[str, ...]

    def named(self, server: str, tool: str) -> str:
        """The name this gateway gave `tool` of `server`, "" when it is not on the list."""
        return next(
            (name for name in self.tools if name.startswith(server) and name.endswith(tool)), ""
        )

    async def call(self, name: str, arguments: Mapping[str, object]) -> Said:
        """Call one tool."""
        result = await self.client.call_tool(name, dict(arguments))
        text = "\n".join(part.text for part in result.content if isinstance(part, TextContent))
        return Said(text, bool(result.is_error), result.structured_content or {})


@asynccontextmanager
async def at_work(url: str, token: str) -> AsyncIterator[Clerk]:
    """Connect to a gateway's `/mcp` with an agent's token."""
    headers = {"Authorization": f"Bearer {token}"}
    timeout = httpx2.Timeout(30.0, read=CALL_SECONDS)
    async with (
        httpx2.AsyncClient(headers=headers, timeout=timeout) as http,
        Client(streamable_http_client(url, http_client=http)) as client,
    ):
        names: list[str] = []
        cursor: str | None = None
        while True:
            page = await client.list_tools(cursor=cursor)
            names += [tool.name for tool in page.tools]
            cursor = page.next_cursor
            if cursor is None:
                break
        yield Clerk(client, tuple(names))
