"""A client for the suite's client scenarios: `python -m tests.conformance.client URL`.

The suite says which scenario in MCP_CONFORMANCE_SCENARIO, the revision in
MCP_CONFORMANCE_PROTOCOL_VERSION and, for some, what to call in MCP_CONFORMANCE_CONTEXT.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from mcp import Client
from mcp.client.context import ClientRequestContext
from mcp.shared.exceptions import MCPError
from mcp_types import ElicitRequestFormParams, ElicitRequestParams, ElicitResult
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import ValidationError

Play = Callable[[Client], Awaitable[None]]


async def _accept(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
    """Accept with each property's default; true for a boolean without one."""
    if not isinstance(params, ElicitRequestFormParams):
        return ElicitResult(action="decline")
    content = {}
    for name, schema in params.requested_schema.get("properties", {}).items():
        if "default" in schema:
            content[name] = schema["default"]
        elif schema.get("type") == "boolean":
            content[name] = True
    return ElicitResult(action="accept", content=content)


async def _list(client: Client) -> None:
    await client.list_tools()


async def _add(client: Client) -> None:
    await client.list_tools()
    await client.call_tool("add_numbers", {"a": 5, "b": 3})


async def _call_every_tool(client: Client) -> None:
    """Call what the SDK lets through: it drops tools with invalid header annotations."""
    for tool in (await client.list_tools()).tools:
        properties = tool.input_schema.get("properties", {})
        arguments = {name: "us-east1" for name in properties if name == "region"}
        await client.call_tool(tool.name, arguments)


async def _inputs(client: Client) -> None:
    await client.list_tools()
    await client.call_tool("test_mrtr_echo_state", {})
    await client.call_tool("test_mrtr_unrelated", {})
    await client.call_tool("test_mrtr_no_state", {})
    # A result without `resultType` is complete. SDK 2.3 refuses it on this revision; what the
    # suite asks is only that nothing is retried.
    with contextlib.suppress(ValidationError):
        await client.call_tool("test_mrtr_no_result_type", {})


async def _every_kind(client: Client) -> None:
    for tool in (await client.list_tools()).tools:
        await client.call_tool(tool.name, {})
    for resource in (await client.list_resources()).resources:
        await client.read_resource(resource.uri)
    for prompt in (await client.list_prompts()).prompts:
        await client.get_prompt(prompt.name)


async def _told_calls(client: Client) -> None:
    context: dict[str, Any] = json.loads(os.environ["MCP_CONFORMANCE_CONTEXT"])
    await client.list_tools()
    for call in context["toolCalls"]:
        await client.call_tool(call["name"], call["arguments"])


async def _echo_schema(client: Client) -> None:
    tools = {tool.name: tool for tool in (await client.list_tools()).tools}
    schema = tools["json_schema_2020_12_tool"].input_schema
    await client.call_tool("json_schema_echo", {"schema": schema})


_PLAYS: dict[str, Play] = {
    "initialize": _list,
    "tools_call": _add,
    "elicitation-sep1034-client-defaults": _call_every_tool,
    "sse-retry": _call_every_tool,
    "request-metadata": _list,
    "sep-2322-client-request-state": _inputs,
    "http-standard-headers": _every_kind,
    "http-custom-headers": _told_calls,
    "http-invalid-tool-headers": _call_every_tool,
    "json-schema-ref-no-deref": _list,
    "json-schema-2020-12-preservation": _echo_schema,
}


async def play(url: str) -> None:
    """Play the scenario the environment names against the server at `url`."""
    scenario = os.environ["MCP_CONFORMANCE_SCENARIO"]
    revision = os.environ.get("MCP_CONFORMANCE_PROTOCOL_VERSION", "2025-11-25")
    mode = "auto" if revision in MODERN_PROTOCOL_VERSIONS else "legacy"
    async with Client(url, mode=mode, elicitation_callback=_accept) as client:
        await _PLAYS[scenario](client)


def main() -> None:
    try:
        asyncio.run(play(sys.argv[-1]))
    except MCPError as error:
        sys.exit(f"error {error.error.code}: {error.error.message}")


if __name__ == "__main__":
    main()
