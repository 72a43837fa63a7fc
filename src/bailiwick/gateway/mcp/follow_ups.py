"""What is not a call of its own but follows from one: completion, tasks, log levels.

None of it goes through the gate, so each is tied to something the caller may use: a visible
prompt or resource, or a task that its own judged call created.
"""

from __future__ import annotations

import msgspec

from bailiwick.core.call import Target
from bailiwick.core.canonical import JsonObject
from bailiwick.core.errors import UpstreamBroken, UpstreamDown
from bailiwick.gateway.mcp.calls import errored, forward, locate
from bailiwick.gateway.mcp.catalog import NOBODY, PROMPTS, RESOURCES, TEMPLATES, Shelf
from bailiwick.gateway.mcp.exchange import Exchange, is_modern_server, join_members, raw_members
from bailiwick.gateway.mcp.wire import Outcome
from bailiwick.ports import ServerFacts, UpstreamRequest
from bailiwick.protocols.mcp.jsonrpc import Code
from bailiwick.protocols.mcp.revisions import LOG_LEVELS, TASKS_EXTENSION

_items = msgspec.json.Decoder(list[msgspec.Raw]).decode


class _Task(msgspec.Struct):
    taskId: str  # noqa: N815  # the protocol's spelling


_task_of = msgspec.json.Decoder(_Task).decode


async def facts_or_none(exchange: Exchange, shelf: Shelf) -> ServerFacts | None:
    """What a server says of itself, or None while it cannot be asked."""
    try:
        return await exchange.core.catalog.facts(shelf, exchange.facts.version)
    except (UpstreamDown, UpstreamBroken):
        return None


def unreachable(exchange: Exchange, shelf: Shelf) -> Outcome:
    """The answer when a server is not there."""
    return exchange.fail(Code.INTERNAL_ERROR, f"server `{shelf.name}` cannot be reached")


async def complete(exchange: Exchange) -> Outcome:
    """`completion/complete`, for a prompt or resource template the caller may see."""
    params = exchange.request.params
    ref = params.get("ref")
    if not isinstance(ref, dict):
        return exchange.fail(Code.INVALID_PARAMS, "`ref` must be an object")
    of_prompt = ref.get("type") == "ref/prompt"
    if not of_prompt and ref.get("type") != "ref/resource":
        return exchange.fail(Code.INVALID_PARAMS, "`ref.type` is neither prompt nor resource")
    listing = PROMPTS if of_prompt else RESOURCES
    spelled = ref.get(listing.named_by)
    found = locate(exchange, listing, spelled) if isinstance(spelled, str) else None
    unknown = exchange.fail(Code.INVALID_PARAMS, "`ref` names nothing that is here")
    if found is None:
        return unknown
    shelf, name = found
    core = exchange.core
    if not core.gate.visible(exchange.caller, Target(listing.kind, shelf.name, name)):
        return unknown
    pinned = PROMPTS if of_prompt else TEMPLATES
    if await core.catalog.check(shelf, pinned, name, exchange.facts) is not None:
        return unknown
    if core.gate.tells_runs_apart(exchange.caller):
        # What a completion sends and tells is in no record, so the run's memory cannot hear of it.
        return exchange.ok_value({"completion": {"values": []}})
    server = await facts_or_none(exchange, shelf)
    if server is None:
        return unreachable(exchange, shelf)
    exchange.aim(shelf, server, {**params, "ref": {**ref, listing.named_by: name}})
    return await forward(exchange)


async def use_task(exchange: Exchange) -> Outcome:
    """`tasks/get`, `tasks/result`, `tasks/update`, `tasks/cancel`: for the task's creator only."""
    if exchange.modern and not _declares_tasks(exchange):
        return exchange.fail(
            Code.MISSING_CLIENT_CAPABILITY,
            f"the request needs the extension `{TASKS_EXTENSION}`",
            {"requiredCapabilities": {"extensions": {TASKS_EXTENSION: {}}}},
        )
    task_id = exchange.request.params.get("taskId")
    core = exchange.core
    names = [exchange.where.server] if exchange.where.server else list(core.catalog.names())
    owners = [
        (name, owner)
        for name in names
        if isinstance(task_id, str)
        and (owner := core.tasks.owner(name, task_id, exchange.task_key)) is not None
    ]
    # More than one server with the same id for the same caller: none of them is believed.
    if len(owners) != 1 or not core.gate.visible(exchange.caller, owners[0][1].target):
        return exchange.fail(Code.INVALID_PARAMS, "there is no such task")
    shelf = core.catalog.shelf(owners[0][0])
    server = None if shelf is None else await facts_or_none(exchange, shelf)
    if shelf is None or server is None or is_modern_server(server.version) != exchange.modern:
        return exchange.fail(Code.INTERNAL_ERROR, "the task's server cannot be reached")
    params = exchange.request.params
    if core.gate.tells_runs_apart(exchange.caller):
        if exchange.request.method == "tasks/update":
            return exchange.fail(
                Code.INVALID_PARAMS,
                "a task takes no input here: flow rules are in force, and could not see it",
            )
        params = {name: params[name] for name in ("taskId", "_meta") if name in params}
    exchange.aim(shelf, server, params)
    return await forward(exchange)


def _declares_tasks(exchange: Exchange) -> bool:
    extensions = exchange.facts.capabilities.get("extensions")
    return isinstance(extensions, dict) and TASKS_EXTENSION in extensions


async def list_tasks(exchange: Exchange) -> Outcome:
    """`tasks/list` of 2025-11-25 at one server: the caller's own tasks."""
    shelf = exchange.core.catalog.shelf(exchange.where.server)
    if shelf is None:
        return exchange.fail(
            Code.METHOD_NOT_FOUND, "`tasks/list` is served at the endpoint of one server"
        )
    server = await facts_or_none(exchange, shelf)
    if server is None:
        return unreachable(exchange, shelf)
    if "tasks" not in server.capabilities:
        return exchange.fail(Code.METHOD_NOT_FOUND, "the server has no tasks")
    exchange.aim(shelf, server, exchange.request.params)
    try:
        reply = await exchange.upstream.request(exchange.outgoing, exchange)
    except (UpstreamDown, UpstreamBroken):
        return unreachable(exchange, shelf)
    if reply.result is None:
        return errored(exchange, reply.error or b'{"code":-32603,"message":"no reason given"}')
    try:
        members = raw_members(reply.result)
        own = [bytes(raw) for raw in _items(members["tasks"]) if _is_own(exchange, bytes(raw))]
    except (msgspec.DecodeError, KeyError):
        return exchange.fail(Code.INTERNAL_ERROR, "the server answered no list of tasks")
    return exchange.ok(join_members({**members, "tasks": b"[" + b",".join(own) + b"]"}))


def _is_own(exchange: Exchange, raw: bytes) -> bool:
    task_id = _task_of(raw).taskId
    return exchange.core.tasks.owner(exchange.shelf.name, task_id, exchange.task_key) is not None


async def set_level(exchange: Exchange, level: str) -> Outcome:
    """`logging/setLevel`: at every legacy server of the endpoint that logs."""
    if level not in LOG_LEVELS:
        return exchange.fail(Code.INVALID_PARAMS, "`level` is not a log level")
    catalog = exchange.core.catalog
    names = [exchange.where.server] if exchange.where.server else list(catalog.names())
    reached = False
    for name in names:
        shelf = catalog.shelf(name)
        server = None if shelf is None else await facts_or_none(exchange, shelf)
        if shelf is None or server is None or "logging" not in server.capabilities:
            continue
        reached = True
        if is_modern_server(server.version):
            continue
        params: JsonObject = {"level": level}
        request = UpstreamRequest("logging/setLevel", params, exchange.facts)
        try:
            reply = await shelf.upstream.request(request, NOBODY)
        except (UpstreamDown, UpstreamBroken):
            continue
        if reply.error is not None and exchange.where.server:
            return errored(exchange, reply.error)
    if not reached:
        return exchange.fail(Code.METHOD_NOT_FOUND, "no server here logs")
    return exchange.ok(b"{}")
