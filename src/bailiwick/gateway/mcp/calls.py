"""The calls that are judged: tools/call, resources/read, prompts/get.

1. The name is taken apart into a server and the server's own name.
2. Its definition is looked up: unknown, changed or not recordable means blocked.
3. `Mcp-Param-*` headers are compared with the arguments.
4. A sealed `requestState` is opened.
5. The gate judges, records and dispatches; a refusal is worded for a model.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable

from msgspec.structs import replace

from bailiwick.core.call import Target
from bailiwick.core.canonical import JsonObject
from bailiwick.core.errors import TheirError, UpstreamBroken, UpstreamDown
from bailiwick.gateway.gate import Answer, Answered, Refused, StillWaiting
from bailiwick.gateway.mcp.catalog import (
    PROMPTS,
    RESOURCES,
    TOOLS,
    Listing,
    Shelf,
)
from bailiwick.gateway.mcp.exchange import (
    Exchange,
    join_members,
    raw_members,
    refusal_result,
    spelt_out,
    with_members,
)
from bailiwick.gateway.mcp.pages import pages_pass
from bailiwick.gateway.mcp.tasks import MAX_TASK_ID_CHARS, TaskOwner
from bailiwick.gateway.mcp.visit import Aim
from bailiwick.gateway.mcp.wire import Outcome
from bailiwick.ports import ServerFacts, UpstreamRequest
from bailiwick.protocols.mcp.headers import ParamHeader, param_mismatch, param_values
from bailiwick.protocols.mcp.jsonrpc import Code, code_of
from bailiwick.protocols.mcp.names import find_cleaned, is_ambiguous, split, split_uri
from bailiwick.protocols.strict_json import parse

_UNREACHED = ServerFacts("", {}, {})
_FORWARDABLE = re.compile(r"[\x20-\x7e]*")
_NO_ARGUMENTS: JsonObject = {}
_NO_HEADERS: tuple[ParamHeader, ...] = ()
_NO_REASON = b'{"code":-32603,"message":"no reason given"}'


def call_tool(exchange: Exchange) -> Awaitable[Outcome]:
    """`tools/call`."""
    params = exchange.request.params
    return _use(exchange, TOOLS, params.get("name"), params.get("arguments", _NO_ARGUMENTS))


def get_prompt(exchange: Exchange) -> Awaitable[Outcome]:
    """`prompts/get`."""
    params = exchange.request.params
    return _use(exchange, PROMPTS, params.get("name"), params.get("arguments", _NO_ARGUMENTS))


def read_resource(exchange: Exchange) -> Awaitable[Outcome]:
    """`resources/read`."""
    return _use(exchange, RESOURCES, exchange.request.params.get("uri"), _NO_ARGUMENTS)


def locate(exchange: Exchange, listing: Listing, spelled: str) -> tuple[Shelf, str] | None:
    """The server a name belongs to and its own name there; None when it names no server."""
    catalog = exchange.core.catalog
    if exchange.where.server:
        shelf = catalog.shelf(exchange.where.server)
        return None if shelf is None else (shelf, spelled)
    servers = catalog.names()
    parts = split_uri(spelled, servers) if listing.named_by == "uri" else split(spelled, servers)
    if parts is None:
        return None
    shelf = catalog.shelf(parts[0])
    if shelf is None:
        return None
    name = parts[1]
    if (
        listing.named_by == "name"
        and "/" not in spelled
        and catalog.entry(shelf, listing, name) is None
    ):
        name = find_cleaned(spelled, shelf.name, catalog.names_of(shelf, listing)) or name
    return shelf, name


async def _use(exchange: Exchange, listing: Listing, spelled: object, arguments: object) -> Outcome:
    governed = _again(exchange, listing, spelled, arguments)
    if governed is None:
        begun = await _begin(exchange, listing, spelled, arguments)
        if isinstance(begun, Outcome):
            return begun
        governed = begun
    answer = await governed
    if isinstance(answer, Answered):
        result = answer.reply.result
        if result is not None:
            result = spelt_out(result)
            if exchange.passes(listing, result):
                return exchange.ok(result)
            return await exchange.answered(listing, result)
        failure = answer.reply.error or _NO_REASON
        if await pages_pass(exchange, failure):
            return exchange.fail_raw(failure, Code.URL_ELICITATION_REQUIRED)
        return errored(exchange, failure)
    if isinstance(answer, Refused) and answer.code == "definition_unknown":
        return _unknown(exchange, listing, str(spelled))
    if listing is TOOLS:
        return exchange.ok(refusal_result(answer, exchange.modern))
    return refused(exchange, listing, answer)


def _again(
    exchange: Exchange, listing: Listing, spelled: object, arguments: object
) -> Awaitable[Answer] | None:
    """1 to 5 for a request that is like one before but for its arguments, if it goes where that
    went, and still may; else None.

    INVARIANT: what is not asked anew here follows from the head, the caller, and the text around
    the arguments, which are the same.
    """
    framed = exchange.framed
    aim = None if framed is None else framed.aim
    if aim is None:
        return None
    asked, shelf, catalog = aim.asked, aim.shelf, exchange.core.catalog
    if (
        asked.caller is not exchange.caller
        or asked.address != exchange.address
        or catalog.names().get(shelf.name) is not shelf.upstream
        or shelf.facts.get(exchange.modern) is not aim.server
        or catalog.accepted(shelf, listing, aim.name, exchange.facts) is not aim.entry
    ):
        return None
    params = exchange.request.params
    if aim.name is not spelled:
        params = {**params, listing.named_by: aim.name}
    exchange.aim(shelf, aim.server, params)
    return exchange.ask_gate(replace(asked, arguments=arguments))


async def _begin(
    exchange: Exchange, listing: Listing, spelled: object, arguments: object
) -> Awaitable[Answer] | Outcome:
    """1 to 5: what the gate is asked; an `Outcome` where it does not come to that."""
    if type(arguments) is not dict:
        return exchange.fail(Code.INVALID_PARAMS, "`arguments` must be an object")
    if type(spelled) is not str:
        return exchange.fail(Code.INVALID_PARAMS, f"`{listing.named_by}` must be text")
    if listing is RESOURCES and is_ambiguous(spelled):
        return exchange.fail(Code.INVALID_PARAMS, "`uri` has dot segments: send it resolved")
    found = locate(exchange, listing, spelled)
    if found is None:
        return _unknown(exchange, listing, spelled)
    shelf, name = found
    catalog, blocked = exchange.core.catalog, None
    entry = catalog.accepted(shelf, listing, name, exchange.facts)
    if entry is None:
        blocked = await catalog.check(shelf, listing, name, exchange.facts)
        entry = catalog.entry(shelf, listing, name)
    params = exchange.request.params
    if name is not spelled:
        params = {**params, listing.named_by: name}
    server = shelf.facts.get(exchange.modern)
    exchange.aim(shelf, server or _UNREACHED, params)
    if entry is None:
        declared, target = _NO_HEADERS, Target(listing.kind, shelf.name, name)
    else:
        declared, target = entry.headers, entry.target
    mirrors = bool(declared or exchange.headers.params)
    if mirrors and listing is TOOLS:
        mismatch = _mirror(exchange, declared, arguments)
        if mismatch:
            return exchange.fail(Code.HEADER_MISMATCH, f"Header mismatch: {mismatch}")
    resumes = "requestState" in params or "inputResponses" in params
    if resumes:
        try:
            exchange.reopen(target, arguments)
        except TheirError as error:
            return exchange.fail(Code.INVALID_PARAMS, error.message)
    governed = exchange.govern(target, arguments, blocked)
    framed = exchange.framed
    if (
        framed is not None
        and entry is not None
        and server is not None
        and blocked is None
        and not (mirrors or resumes)
        # Else it is up to the names of other servers, or tools, where it goes.
        and (exchange.where.server or spelled.startswith(f"{shelf.name}/"))
    ):
        asked = replace(exchange.asked, arguments=_NO_ARGUMENTS)
        framed.aim = Aim(shelf, server, entry, name, asked)
    return governed


def _mirror(exchange: Exchange, declared: tuple[ParamHeader, ...], arguments: JsonObject) -> str:
    """Check the client's `Mcp-Param-*` headers and set those that go out; says what is wrong.

    What goes out is made from the judged arguments; a header that mirrors none is forwarded.
    """
    received = exchange.headers.params
    if exchange.modern and (mismatch := param_mismatch(declared, arguments, received)):
        return mismatch
    headers = param_values(declared, arguments)
    if exchange.modern:
        known = {item.header for item in declared}
        for header, value in received:
            if header not in known and _FORWARDABLE.fullmatch(value):
                headers[header] = value
    going = exchange.outgoing
    exchange.outgoing = UpstreamRequest(going.method, going.params, going.client, headers)
    return ""


def refused(exchange: Exchange, listing: Listing, answer: Refused | StillWaiting) -> Outcome:
    """A refusal as a JSON-RPC error, for results that have no `isError`."""
    code = answer.code if isinstance(answer, Refused) else "still_waiting"
    data = {"bailiwick/call": answer.call, "bailiwick/code": code}
    if isinstance(answer, StillWaiting):
        data["bailiwick/hold"] = answer.hold
    ours = code in ("upstream_down", "outcome_unknown", "still_waiting")
    if ours:
        return exchange.fail(Code.INTERNAL_ERROR, answer.text, data)
    legacy_resource = listing is RESOURCES and not exchange.modern
    denied = Code.RESOURCE_NOT_FOUND if legacy_resource else Code.INVALID_PARAMS
    return exchange.fail(denied, answer.text, data)


def _unknown(exchange: Exchange, listing: Listing, spelled: str) -> Outcome:
    if listing is RESOURCES and not exchange.modern:
        return exchange.fail(Code.RESOURCE_NOT_FOUND, "Resource not found", {"uri": spelled[:1000]})
    return exchange.fail(Code.INVALID_PARAMS, f"Unknown {listing.pin}: `{spelled[:200]}`")


def errored(exchange: Exchange, error: bytes) -> Outcome:
    """An upstream's error, byte for byte, where its code may be sent to this client.

    Pages for a person to open (-32042) are not: those that may be are let out by `pages_pass`.
    """
    code = code_of(error)
    if code is None:
        # Its raw form could say another code to the client than was looked at here.
        text = f"server `{exchange.shelf.name}` answered an error that does not mean one thing"
        return exchange.fail(Code.INTERNAL_ERROR, text)
    if code == Code.URL_ELICITATION_REQUIRED:
        code = Code.INTERNAL_ERROR
        kept = {name: raw for name, raw in raw_members(error).items() if name == "message"}
        error = join_members({"code": b"%d" % code, **kept})
    elif exchange.modern and code == Code.RESOURCE_NOT_FOUND:
        # 2026-07-28 `basic/index`: "Implementations of this protocol version MUST NOT emit
        # these codes"; a server of an earlier revision does.
        code = Code.INVALID_PARAMS
        error = with_members(error, {"code": b"%d" % code})
    return exchange.fail_raw(error, code)


def task_created(exchange: Exchange, result: bytes) -> bool:
    """Bind the task a result may have created to its caller; False when it is another's."""
    if b'"taskId"' not in result:
        return True
    value = parse(result)
    if not isinstance(value, dict):
        return True
    task = value.get("task", value if value.get("resultType") == "task" else None)
    task_id = task.get("taskId") if isinstance(task, dict) else None
    if not isinstance(task_id, str) or len(task_id) > MAX_TASK_ID_CHARS:
        return True
    owner = TaskOwner(exchange.task_key, exchange.asked.target)
    return exchange.core.tasks.keep(exchange.shelf.name, task_id, owner)


async def forward(exchange: Exchange) -> Outcome:
    """Send the aimed request without the gate: for what follows from a call already judged."""
    try:
        reply = await exchange.upstream.request(exchange.outgoing, exchange)
    except (UpstreamDown, UpstreamBroken) as error:
        return exchange.fail(Code.INTERNAL_ERROR, f"server `{exchange.shelf.name}`: {error.code}")
    if reply.result is None:
        return errored(exchange, reply.error or _NO_REASON)
    result = spelt_out(reply.result)
    if exchange.modern and asks_for_input(result):
        return exchange.fail(
            Code.INTERNAL_ERROR, f"server `{exchange.shelf.name}` asks for input where it may not"
        )
    return exchange.ok(exchange.shaped(result))


def asks_for_input(result: bytes) -> bool:
    """Whether a result asks the client for something, instead of an answer."""
    if b'"input_required"' not in result:
        return False
    value = parse(result)
    return isinstance(value, dict) and value.get("resultType") == "input_required"
