"""One request of one client: what both eras share.

An exchange is the `RequestPeer` of its upstream request, the dispatch and the tick of its govern
call, and the one that words the answer. The eras differ in where early messages go and in how a
server's own requests reach the client: `ModernExchange`, `LegacyExchange`.
"""

from __future__ import annotations

import asyncio
import logging
import re
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

import msgspec

from bailiwick.core.call import NOTHING, CallKind, Target
from bailiwick.core.canonical import Json, JsonObject
from bailiwick.core.errors import UpstreamDown
from bailiwick.core.verdict import Deny
from bailiwick.gateway.gate import (
    NO_HINTS,
    NOTHING_SAID,
    Answer,
    Answered,
    Asked,
    Dispatch,
    Hints,
    OnTick,
    Refused,
    StillWaiting,
    Tick,
)
from bailiwick.gateway.mcp.catalog import LISTINGS, PROMPTS, RESOURCES, TOOLS, Listing, Shelf
from bailiwick.gateway.mcp.core import CLIENT_CAPABILITY, Core, Where
from bailiwick.gateway.mcp.sinks import Sink
from bailiwick.gateway.mcp.visit import Framed
from bailiwick.gateway.mcp.wire import Outcome
from bailiwick.ports import (
    Caller,
    ClientFacts,
    ServerFacts,
    Upstream,
    UpstreamReply,
    UpstreamRequest,
)
from bailiwick.protocols.llm.agent_ids import tool_call_in_meta
from bailiwick.protocols.mcp.headers import Headers, trace_parent
from bailiwick.protocols.mcp.jsonrpc import (
    Code,
    Request,
    error_body,
    error_message,
    notification_message,
    result_message,
)
from bailiwick.protocols.mcp.names import joined_uri
from bailiwick.protocols.mcp.revisions import MODERN, at_least
from bailiwick.protocols.strict_json import encode, parse

_log = logging.getLogger(__name__)

MAX_QUESTIONS = 256
"""Most a server may ask during one request: each question is judged and recorded."""

_TICK_STEP = 0.001
_LISTED = {CallKind.TOOL: TOOLS, CallKind.PROMPT: PROMPTS, CallKind.RESOURCE: RESOURCES}
_RESOURCE = CallKind.RESOURCE  # a member of an enum takes five times as long to find as a name here
_OF_RESOURCE = frozenset({"uri", "_meta", "requestState"})
_OF_NAMED = frozenset({"name", "arguments", "_meta", "requestState"})
"""What is judged of a request or is not about it, by what it asks for: all else stands beside."""

_escaped_letter = re.compile(
    rb"(?<!\\)(?:\\\\)*+\\u00(?:4[1-9A-Fa-f]|5[0-9AaFf]|6[1-9A-Fa-f]|7[0-9Aa])"
).search
NEVER_PASSED = frozenset(
    {
        # Ids are those of this hop: a server could take back another one's question.
        "notifications/cancelled",
        "notifications/initialized",
        "notifications/subscriptions/acknowledged",
    }
)
"""Notifications that mean something between a server and the gateway, and nothing further on."""

_NO_HEADERS: Mapping[str, str] = {}
_NOT_AIMED = UpstreamRequest("", NOTHING, ClientFacts("", ""))
_LIST_CHANGED = {
    f"notifications/{word}/list_changed": tuple(
        one for one in LISTINGS.values() if one.capability == word
    )
    for word in ("tools", "resources", "prompts")
}


class Exchange(ABC):
    """One request. Fields are set by its era and its door; `aim` sets what depends on the server.

    What most requests leave as it is stands with the class, so that nobody sets it for each.

    Attributes:
        edge: which door it came in by, for the record.
        says_more: the request's `_meta` may hold something for the gateway (`said.says_more`).
        follows: what the gate answers is to be seen by `followed` first.
        framed: what the request has in common with others, if that is known.
    """

    modern: bool
    edge: str
    core: Core
    caller: Caller
    where: Where
    facts: ClientFacts
    asked: Asked
    outgoing: UpstreamRequest = _NOT_AIMED
    shelf: Shelf
    upstream: Upstream
    server_version: str
    request: Request
    headers: Headers
    sink: Sink
    progress_token: str | int | None = None
    log_level: str | None = None
    run_key = ""
    said = NOTHING_SAID
    says_more = True
    follows = False
    framed: Framed | None = None
    address = ""
    objection: Deny | None = None
    names_of_model = False
    _questions = 0
    _last_tick = 0.0
    _showing: asyncio.Task[None] | None = None

    def take(self, request: Request, headers: Headers, sink: Sink) -> None:
        """Give the exchange its request."""
        self.request = request
        self.headers = headers
        self.sink = sink

    # --- answers -----------------------------------------------------------------------------

    def ok(self, result: bytes) -> Outcome:
        """A result, raw."""
        return Outcome(200, result_message(self.request.id_json, result))

    def ok_value(self, result: dict[str, Json]) -> Outcome:
        """A result of our own."""
        if self.modern:
            result = {"resultType": "complete", **result}
        return self.ok(encode(result))

    def fail(self, code: int, message: str, data: Json = None) -> Outcome:
        """A JSON-RPC error of our own."""
        return self.fail_raw(error_body(code, message, data), code)

    def fail_raw(self, error: bytes, code: int) -> Outcome:
        """A JSON-RPC error, raw."""
        return Outcome(
            self.status_of(code), error_message(self.request.id_json, error), failed=True
        )

    @abstractmethod
    def status_of(self, code: int) -> int:
        """The HTTP status of an error code."""

    # --- aiming at a server --------------------------------------------------------------------

    def aim(self, shelf: Shelf, server: ServerFacts, params: JsonObject) -> None:
        """Say which server this goes to, and what exactly is sent."""
        self.shelf = shelf
        self.upstream = shelf.upstream
        self.server_version = server.version
        client = self.facts
        if client.capabilities:
            client = self.core.narrowed(self.caller, shelf.name, client)
        self.outgoing = UpstreamRequest(
            self.request.method, params, client, _NO_HEADERS, self.framed
        )

    def govern(
        self, target: Target, arguments: JsonObject, blocked: Deny | None
    ) -> Awaitable[Answer]:
        """Send the aimed request through the gate."""
        more = self.says_more
        params = self.outgoing.params
        judged = _OF_RESOURCE if target.kind is _RESOURCE else _OF_NAMED
        asked = Asked(
            self.caller,
            target,
            arguments,
            self.run_key,
            self.edge,
            self._traceparent() if more else self.headers.trace,
            blocked if self.objection is None else self.objection,
            NOTHING if judged.issuperset(params) else _beside(params, judged),
            self.said,
            self.address,
            None,
            self._hints(target) if more else NO_HINTS,
        )
        return self.ask_gate(asked)

    def ask_gate(self, asked: Asked) -> Awaitable[Answer]:
        """Send the aimed request through the gate, as `asked` has it."""
        self.asked = asked
        # Not awaited here: each waking of a call passes through every coroutine that waits for it.
        governed = self.core.gate.govern(asked, self._dispatch_checked, self.on_tick)
        return self.followed(governed) if self.follows else governed

    @abstractmethod
    async def followed(self, governed: Awaitable[Answer]) -> Answer:
        """What the gate answers, where the era has to do something about it."""

    def _traceparent(self) -> str:
        return trace_parent(self.headers, self.request.params.get("_meta"))

    def _hints(self, target: Target) -> Hints:
        """Which of a model's calls this is, as the agent says."""
        if target.kind is not CallKind.TOOL:
            return NO_HINTS
        tool_call = tool_call_in_meta(self.request.params.get("_meta"))
        return Hints(tool_call=tool_call) if tool_call else NO_HINTS

    def _dispatch_checked(self) -> Awaitable[UpstreamReply]:
        """Dispatch; after a wait, only if the definition is still the one that was accepted."""
        if self._showing is None:
            return self.dispatch()
        target = self.asked.target
        listing = _LISTED.get(target.kind)
        if listing and not self.core.catalog.still_usable(self.shelf, listing, target.name):
            raise UpstreamDown(
                "definition_changed", f"the definition of `{target}` changed while this waited"
            )
        return self.dispatch()

    @abstractmethod
    def dispatch(self) -> Awaitable[UpstreamReply]:
        """Send the aimed request; called by the gate once its intent is durable."""

    @abstractmethod
    def reopen(self, target: Target, arguments: JsonObject) -> None:
        """Open the state a retry carries. Raises TheirError when it is not this caller's."""

    @abstractmethod
    def passes(self, listing: Listing, result: bytes) -> bool:
        """Whether a result goes to the client as it is: nothing for `answered` to look at."""

    @abstractmethod
    async def answered(self, listing: Listing, result: bytes) -> Outcome:
        """Word the result of a judged call."""

    def shaped(self, result: bytes) -> bytes:
        """A result as this client's revision wants it; untouched where the eras agree."""
        return result

    # --- what comes early ------------------------------------------------------------------------

    async def notify(self, method: str, params: JsonObject) -> None:
        """Pass on a notification of the server (see `RequestPeer`)."""
        if method in NEVER_PASSED:
            return
        if method == "notifications/progress":
            if not self._progress_fits(params):
                return
        elif method == "notifications/message":
            if not self._wants_message(params):
                return
        elif method == "notifications/tasks/status":
            if not self._owns_task(params):
                return
        elif method in _LIST_CHANGED:
            for listing in _LIST_CHANGED[method]:
                self.core.catalog.forget(self.shelf, listing)
            if self.modern:
                # It belongs to `subscriptions/listen`, not to this request's stream.
                return
        elif method == "notifications/resources/updated":
            if self.modern:
                return
            uri = params.get("uri")
            if not self.where.server and isinstance(uri, str):
                params = {**params, "uri": joined_uri(self.shelf.name, uri)}
        await self.sink.emit(notification_message(method, params))
        # A connection that is gone takes everything at once; others must get their turn, and the
        # cancellation its chance, even if the server says more and more.
        await asyncio.sleep(0)

    def _progress_fits(self, params: JsonObject) -> bool:
        if self.progress_token is None or params.get("progressToken") != self.progress_token:
            return False
        progress = params.get("progress")
        # Ticks of a hold came before: "The progress value MUST increase with each notification".
        return isinstance(progress, int | float) and (
            not self._last_tick or progress > self._last_tick
        )

    @property
    def task_key(self) -> str:
        """Whose tasks it may use: the identity's, or its run's alone where runs are told apart."""
        if not self.core.gate.tells_runs_apart(self.caller):
            return self.caller.key
        return f"{self.caller.key}|{self.caller.run or self.said.joins or self.run_key}"

    def _owns_task(self, params: JsonObject) -> bool:
        task_id = params.get("taskId")
        if not isinstance(task_id, str):
            return False
        return self.core.tasks.owner(self.shelf.name, task_id, self.task_key) is not None

    def _wants_message(self, params: JsonObject) -> bool:
        level = params.get("level")
        if self.log_level is None:
            return not self.modern
        return not isinstance(level, str) or at_least(level, self.log_level)

    async def on_tick(self, tick: Tick) -> None:
        """Show that a held call waits. Never waits itself: a slow reader must not slow the gate."""
        if self._showing is None or self._showing.done():
            self._showing = asyncio.get_running_loop().create_task(self._show(tick))

    async def _show(self, tick: Tick) -> None:
        if self.progress_token is None:
            await self.sink.keep_alive()
            return
        self._last_tick += _TICK_STEP
        params: dict[str, Json] = {
            "progressToken": self.progress_token,
            "progress": round(self._last_tick, 3),
            "message": tick.text,
        }
        await self.sink.emit(notification_message("notifications/progress", params))

    # --- what a server asks ---------------------------------------------------------------

    @abstractmethod
    async def ask(self, method: str, params: JsonObject) -> UpstreamReply:
        """Pass on a request of the server (see `RequestPeer`)."""

    async def judge_ask(
        self, method: str, params: JsonObject, deliver: Dispatch, on_tick: OnTick
    ) -> UpstreamReply:
        """Judge a server's request to this client; `deliver` puts it to the client.

        A server that asks for what the client did not declare gets the answer of a client that
        does not know the method.
        """
        capability = CLIENT_CAPABILITY.get(method)
        if capability is None or capability not in self.outgoing.client.capabilities:
            return error_reply(Code.METHOD_NOT_FOUND, f"the client does not serve `{method[:80]}`")
        if self._questions >= MAX_QUESTIONS:
            return error_reply(Code.INTERNAL_ERROR, "the server asks again and again")
        self._questions += 1
        arguments = {name: value for name, value in params.items() if name != "_meta"}
        asked = Asked(
            self.caller,
            Target(CallKind.CLIENT, self.shelf.name, capability),
            arguments,
            self.run_key,
            self.edge,
            self._traceparent(),
            said=self.said,
            address=self.address,
        )
        answer = await self.core.gate.govern(asked, deliver, on_tick)
        if isinstance(answer, Answered):
            return answer.reply
        if capability == "elicitation" and isinstance(answer, Refused):
            return UpstreamReply(result=b'{"action":"decline"}')
        return error_reply(-1, answer.text)


E = TypeVar("E", bound=Exchange)


async def guarded(handler: Callable[[E], Awaitable[Outcome]], exchange: E) -> Outcome:
    """Run a handler; whatever goes wrong in it, the client is owed an answer that tells nothing."""
    try:
        return await handler(exchange)
    except Exception as error:  # noqa: BLE001  # see `broken`
        return broken(exchange, error)


def broken(exchange: Exchange, error: Exception) -> Outcome:
    """What a client is told when a handler failed: the last line of defence of one request."""
    _log.error("an exchange failed: %s", type(error).__name__, exc_info=error)
    return exchange.fail(Code.INTERNAL_ERROR, "internal error")


def _beside(params: JsonObject, judged: frozenset[str]) -> JsonObject:
    """What a request carries beside what the mandate judges: a stamp binds it too.

    Not `_meta`, which is about this one message, nor what the server itself has sealed.
    """
    return {name: params[name] for name in sorted(params.keys() - judged)}


def error_reply(code: int, message: str) -> UpstreamReply:
    """An error as a reply."""
    return UpstreamReply(error=error_body(code, message))


def refusal_result(answer: Refused | StillWaiting, modern: bool) -> bytes:
    """A refusal as a tool result, which a model can read and act on."""
    code = answer.code if isinstance(answer, Refused) else "still_waiting"
    about: dict[str, Json] = {"bailiwick/call": answer.call, "bailiwick/code": code}
    if isinstance(answer, StillWaiting):
        about["bailiwick/hold"] = answer.hold
    result: dict[str, Json] = {"resultType": "complete"} if modern else {}
    result["content"] = [{"type": "text", "text": answer.text}]
    result["isError"] = True
    result["_meta"] = about
    return encode(result)


def spelt_out(result: bytes) -> bytes:
    """A raw result as it is, unless it has letters as escapes, which no encoder writes.

    What decides about a result is looked for in its bytes, as `"input_required"`. To a client,
    `"input\\u005frequired"` says the same.

    Raises:
        TheirError: with such letters, and not strict JSON.
    """
    # For each call: `in` takes what it looks for as a number first, and makes an exception of it.
    if result.find(b"\\u00") >= 0 and _escaped_letter(result):
        return encode(parse(result))
    return result


raw_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
"""The members of a raw object, each raw."""


def with_members(raw: bytes, changed: Mapping[str, bytes]) -> bytes:
    """A raw object with some members set, the others byte for byte and in place."""
    members = {name: bytes(value) for name, value in raw_members(raw).items()}
    members.update(changed)
    return join_members(members)


def join_members(members: Mapping[str, bytes | msgspec.Raw]) -> bytes:
    """A raw object of raw members."""
    parts = [encode(name) + b":" + bytes(value) for name, value in members.items()]
    return b"{" + b",".join(parts) + b"}"


def is_modern_server(version: str) -> bool:
    """Whether a server speaks the stateless era."""
    return version >= MODERN
