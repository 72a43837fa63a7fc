"""Requests of 2026-07-28: each climbs the ladder and is answered by its handler."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from bailiwick.core.call import NOTHING
from bailiwick.core.errors import TheirError
from bailiwick.gateway.mcp.calls import call_tool, get_prompt, read_resource
from bailiwick.gateway.mcp.core import Core
from bailiwick.gateway.mcp.exchange import broken
from bailiwick.gateway.mcp.follow_ups import complete, use_task
from bailiwick.gateway.mcp.greetings import discover
from bailiwick.gateway.mcp.lists import answer_list
from bailiwick.gateway.mcp.modern import ModernExchange
from bailiwick.gateway.mcp.run_keys import run_key
from bailiwick.gateway.mcp.said import read_said, says_more, without_ours
from bailiwick.gateway.mcp.sinks import PostSink
from bailiwick.gateway.mcp.subscriptions import Listen
from bailiwick.gateway.mcp.visit import Framed, Understood, Visit
from bailiwick.gateway.mcp.wire import Outcome, reply
from bailiwick.protocols.mcp.frame import frame_of
from bailiwick.protocols.mcp.jsonrpc import (
    Code,
    Message,
    Notification,
    Request,
    error_body,
    error_message,
)
from bailiwick.protocols.mcp.modern import NAMED_BY, STATUS, Rejection, climb, unsupported
from bailiwick.protocols.mcp.names import needs_model_names
from bailiwick.protocols.mcp.revisions import MODERN
from bailiwick.protocols.strict_json import encode

Handler = Callable[[ModernExchange], Awaitable[Outcome]]

_HANDLERS: dict[str, Handler] = {
    "server/discover": discover,
    "tools/list": answer_list,
    "tools/call": call_tool,
    "resources/list": answer_list,
    "resources/templates/list": answer_list,
    "resources/read": read_resource,
    "prompts/list": answer_list,
    "prompts/get": get_prompt,
    "completion/complete": complete,
    "tasks/get": use_task,
    "tasks/update": use_task,
    "tasks/cancel": use_task,
}

_MAX_KEPT_BYTES = 8 * 1024
"""Longest `_meta` that is kept with a head: a connection has several, and many are open."""

_MAX_STRANGERS = 32
"""Frames made for one head: as much work as a request or two each."""


class ModernDoor:
    """Serves POSTs of the stateless era."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def post(self, visit: Visit, message: Message) -> Awaitable[None]:
        """Serve one message."""
        if type(message) is not Request:
            return self._post_other(visit, message)
        knock, params = visit.knock, message.params
        known = knock.understood
        if (
            known is None
            or message.method != known.method
            or params.get(known.named_by) != known.named
            or encode(params.get("_meta")) != known.meta
            or visit.caller is not known.caller
            or self._core.forgotten != known.forgotten
        ):
            climbed = self._climb(visit, message)
            if isinstance(climbed, Rejection):
                return _reject(visit, message.id_json, climbed)
            known = climbed
            if not known.says_more and len(known.meta) <= _MAX_KEPT_BYTES:
                knock.understood, knock.frame = known, None
        elif knock.strangers < _MAX_STRANGERS and visit.body:
            knock.strangers += 1
            frame = frame_of(visit.body)
            if frame is not None:
                # Of what has no name of its own (`resources/read`, `completion/complete`), a member
                # `arguments` is beside what is judged, and part of what a stamp binds.
                knock.frame = frame
                knock.framed = Framed() if known.named_by == "name" else None
        if known.says_more:
            message = without_ours(message)
        return self._work(visit, known, message, None)

    def post_again(self, visit: Visit, request: Request) -> Awaitable[None]:
        """Serve a request that fits the frame of its knock: it is like the last but in two values,
        neither of which is about its sender."""
        known = visit.knock.understood
        if (
            known is None
            or visit.caller is not known.caller
            or self._core.forgotten != known.forgotten
        ):
            return self.post(visit, request)
        return self._work(visit, known, request, visit.knock.framed)

    def _climb(self, visit: Visit, request: Request) -> Understood | Rejection:
        """Make of a request what is the same for all that are like it."""
        params, caller, where = request.params, visit.caller, visit.knock.where
        headers = visit.knock.headers
        envelope = climb(headers, request)
        if isinstance(envelope, Rejection):
            return envelope
        more = says_more(params)
        try:
            facts = self._core.facts_of(caller, MODERN, envelope.capabilities, envelope.info)
            said = read_said(headers, params if more else NOTHING)
        except TheirError as error:
            return Rejection(Code.INVALID_PARAMS, error.message)
        named_by = NAMED_BY.get(request.method, "")
        name = facts.info.get("name")
        return Understood(
            caller,
            request.method,
            named_by,
            params.get(named_by),
            encode(params["_meta"]),
            self._core.forgotten,
            facts,
            said,
            run_key(caller, headers, params) if more else visit.knock.run_key,
            more,
            envelope.log_level,
            envelope.progress_token,
            needs_model_names(name if isinstance(name, str) else "")
            if where.model_names is None
            else where.model_names,
        )

    async def _work(
        self, visit: Visit, known: Understood, request: Request, framed: Framed | None
    ) -> None:
        """Answer; a disconnect cancels, all the way to the server (`Cancellation`)."""
        knock, watch = visit.knock, visit.watch
        if watch is None:
            raise AssertionError("a POST is watched")
        sink = PostSink(visit.send, knock.events, knock.json)
        exchange = ModernExchange(self._core, visit, known, request, sink, framed)
        watch.follow(sink, self._core.limits.keep_alive_seconds)
        try:
            handler = _HANDLERS.get(request.method)
            try:
                outcome = await (
                    self._listen(visit, exchange) if handler is None else handler(exchange)
                )
            except Exception as error:  # noqa: BLE001  # see `broken`
                outcome = broken(exchange, error)
            if not sink.finish_at_once(outcome):
                await sink.finish(outcome)
        except asyncio.CancelledError:
            if not watch.gone:
                raise
            watch.task.uncancel()

    async def _listen(self, visit: Visit, exchange: ModernExchange) -> Outcome:
        if not visit.knock.events:
            return exchange.fail(
                Code.INVALID_REQUEST, "`subscriptions/listen` needs `Accept: text/event-stream`"
            )
        return await Listen(exchange, visit.still_valid).run()

    async def _post_other(self, visit: Visit, message: Message) -> None:
        if type(message) is Notification:
            if visit.knock.headers.version == MODERN.encode():
                # This revision defines none for HTTP: accepted, and nothing to do.
                await reply(visit.send, 202)
                return
            version = visit.knock.headers.version or b""
            await _reject(visit, b"null", unsupported(version.decode("latin-1")[:80]))
            return
        rejection = Rejection(Code.INVALID_REQUEST, "clients send no responses in this revision")
        await _reject(visit, b"null", rejection)


async def _reject(visit: Visit, id_json: bytes, rejection: Rejection) -> None:
    error = error_body(rejection.code, rejection.message, rejection.data)
    await reply(visit.send, STATUS.get(rejection.code, 400), error_message(id_json, error))
