"""Requests of 2026-07-28: each climbs the ladder and is answered by its handler."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from bailiwick.core.call import NOTHING
from bailiwick.core.errors import TheirError
from bailiwick.gateway.mcp.calls import call_tool, get_prompt, read_resource
from bailiwick.gateway.mcp.core import Core
from bailiwick.gateway.mcp.exchange import guarded
from bailiwick.gateway.mcp.follow_ups import complete, use_task
from bailiwick.gateway.mcp.greetings import discover
from bailiwick.gateway.mcp.lists import answer_list
from bailiwick.gateway.mcp.modern import ModernExchange
from bailiwick.gateway.mcp.run_keys import run_key
from bailiwick.gateway.mcp.said import read_said, says_more, without_ours
from bailiwick.gateway.mcp.sinks import PostSink
from bailiwick.gateway.mcp.subscriptions import Listen
from bailiwick.gateway.mcp.visit import Visit
from bailiwick.gateway.mcp.wire import Outcome, reply
from bailiwick.protocols.mcp.jsonrpc import (
    Code,
    Message,
    Notification,
    Request,
    error_body,
    error_message,
)
from bailiwick.protocols.mcp.modern import STATUS, Rejection, climb, unsupported
from bailiwick.protocols.mcp.names import needs_model_names
from bailiwick.protocols.mcp.revisions import MODERN

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


class ModernDoor:
    """Serves POSTs of the stateless era."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def post(self, visit: Visit, message: Message) -> None:
        """Serve one message."""
        if type(message) is not Request:
            await self._post_other(visit, message)
            return
        knock = visit.knock
        headers, where = knock.headers, knock.where
        envelope = climb(headers, message)
        if isinstance(envelope, Rejection):
            await _reject(visit, message.id_json, envelope)
            return
        more = says_more(message.params)
        try:
            facts = self._core.facts_of(
                visit.caller,
                MODERN,
                envelope.capabilities,
                envelope.info,
            )
            said = read_said(headers, message.params if more else NOTHING)
        except TheirError as error:
            rejection = Rejection(Code.INVALID_PARAMS, error.message)
            await _reject(visit, message.id_json, rejection)
            return
        exchange = ModernExchange(self._core, visit.caller, where, facts)
        exchange.progress_token = envelope.progress_token
        exchange.log_level = envelope.log_level
        exchange.says_more = more
        exchange.run_key = run_key(visit.caller, headers, message.params) if more else knock.run_key
        exchange.said, exchange.address = said, visit.address
        name = facts.info.get("name")
        exchange.names_of_model = (
            needs_model_names(name if isinstance(name, str) else "")
            if where.model_names is None
            else where.model_names
        )
        sink = PostSink(visit.send, knock.events, knock.json)
        exchange.take(without_ours(message) if more else message, headers, sink)
        await self._work(visit, exchange, sink)

    async def _work(self, visit: Visit, exchange: ModernExchange, sink: PostSink) -> None:
        """Answer; a disconnect cancels, all the way to the server (`Cancellation`)."""
        watch = visit.watch
        if watch is None:
            raise AssertionError("a POST is watched")
        watch.follow(sink, self._core.limits.keep_alive_seconds)
        try:
            if exchange.request.method == "subscriptions/listen":
                outcome = await self._listen(visit, exchange)
            else:
                outcome = await guarded(_HANDLERS[exchange.request.method], exchange)
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
        return await guarded(lambda _: Listen(exchange, visit.still_valid).run(), exchange)

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
