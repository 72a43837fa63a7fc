"""A server on the official SDK, over stdio or HTTP, for both eras.

`python sdk_server.py stdio` or `python sdk_server.py http`, which prints its port.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys

import uvicorn
from mcp.server.mcpserver import Context, MCPServer
from pydantic import BaseModel

server = MCPServer("sdk", version="1", instructions="Try me.")


class Sure(BaseModel):
    sure: bool


@server.tool()
def echo(text: str) -> str:
    return text


@server.tool()
def fail() -> str:
    raise ValueError("as asked")


@server.tool()
def pid() -> str:
    return str(os.getpid())


@server.tool()
async def steps(ctx: Context, count: int) -> str:
    for step in range(1, count + 1):
        await ctx.report_progress(step, count)
    return "done"


@server.tool()
async def confirm(ctx: Context) -> str:
    answer = await ctx.elicit("Sure?", Sure)
    return answer.action


@server.tool()
async def change(ctx: Context) -> str:
    if (ctx.protocol_version or "") >= "2026-07-28":
        await ctx.notify_tools_changed()
    else:
        await ctx.session.send_tool_list_changed()
    return "changed"


@server.tool()
async def wait() -> str:
    await asyncio.Event().wait()
    return "never"


@server.resource("note://today")
def today() -> str:
    return "Sunday"


async def serve_http() -> None:
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.listen()
    print(listening.getsockname()[1], flush=True)
    app = server.streamable_http_app()
    await uvicorn.Server(uvicorn.Config(app, log_level="warning")).serve(sockets=[listening])


if __name__ == "__main__":
    if sys.argv[1] == "stdio":
        server.run("stdio")
    else:
        asyncio.run(serve_http())
