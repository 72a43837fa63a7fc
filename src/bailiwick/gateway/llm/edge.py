"""The model edge as one ASGI callable.

    edge = LlmEdge(
        gate=gate, authenticator=authenticator, models=model_servers,
        hosts=("127.0.0.1:8765", "localhost:8765"), clock=clock,
    )
    await edge(scope, receive, send)     # `/v1/…`

The order is that of the MCP edge, and each step costs an attacker the one before it:

1. path and query                                              404
2. `Host` and `Origin`                                         403
3. headers: size, and none that decides stands twice           431, 400
4. who is calling, and not too often at once                   401, 429
5. method, media type, body within size and time               405, 415, 413, 408
6. the body means one thing, and names a model                 400, 404
7. the gate: judged, recorded, held, sent, recorded

Every refusal has the shape of the dialect, so that its own SDKs raise their own errors.

What 1 to 5 find in the head alone is kept with a head that its connection repeats (`Knock`);
whether the token is still good, and all else, is asked for each request.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence

from bailiwick.core.call import CallKind, Target
from bailiwick.core.canonical import JsonObject
from bailiwick.core.errors import OurError, TheirError
from bailiwick.core.network import Network, caller_address
from bailiwick.core.values import show
from bailiwick.gateway.gate import Gate
from bailiwick.gateway.llm.attempt import Models
from bailiwick.gateway.llm.attempts import Attempts
from bailiwick.gateway.llm.servers import ModelServer
from bailiwick.gateway.llm.visit import BETA, Knock, Visit, knock_of, refuse
from bailiwick.gateway.llm.wording import STATUS
from bailiwick.gateway.mcp.core import Limits
from bailiwick.gateway.mcp.doorman import Doorman
from bailiwick.gateway.mcp.watch import Rounds, Watch
from bailiwick.gateway.mcp.wire import (
    ClientGone,
    Receive,
    Scope,
    Send,
    read_body,
    reply,
    serving_task,
    whole_body,
)
from bailiwick.ports import Authenticator, Clock
from bailiwick.protocols.http_head import HEAD, Head
from bailiwick.protocols.http_place import NO_PLACE, PLACE, Place, seats_agent
from bailiwick.protocols.llm.dialect import Dialect
from bailiwick.protocols.llm.tool_names import Tool
from bailiwick.protocols.strict_json import MAX_VALUES, encode, parse

ROOT = "/v1/"
PATHS = {
    "/v1/chat/completions": Dialect.CHAT,
    "/v1/responses": Dialect.RESPONSES,
    "/v1/messages": Dialect.MESSAGES,
    "/v1/messages/count_tokens": Dialect.MESSAGES,
    "/v1/embeddings": Dialect.EMBEDDINGS,
}
_MODELS = "/v1/models"
_QUICK_BYTES = 64 * 1024
_QUICK_PROMPT_BYTES = 512 * 1024
_QUICK_COMMAS = 10_000
"""Most of them in a longer body that is read at once: a prompt of an agent is long texts, and a
thread costs more than reading them. So many values take some ten milliseconds at worst."""

_FORWARDED = b"x-forwarded-for"
_LIST_SECONDS = 60.0
_FAILED_LIST_SECONDS = 5.0


class LlmEdge:
    """Agents on one side, the gate and the model servers on the other.

    Args:
        gate: judges, records and dispatches.
        authenticator: turns the `Authorization` header into a caller.
        models: the model servers and aliases, as they are now. Asked on every request.
        hosts, origins: allowed names (see `Doorman`).
        clock: time.
        limits: bounds.
        proxies: from which `X-Forwarded-For` is believed; None while nothing depends on it.
        tools: servers and names of all tools behind the gateway that were ever shown.
    """

    def __init__(
        self,
        *,
        gate: Gate,
        authenticator: Authenticator,
        models: Models,
        hosts: Iterable[str],
        clock: Clock,
        origins: tuple[str, ...] = (),
        limits: Limits | None = None,
        proxies: Callable[[], Sequence[Network] | None] = lambda: None,
        tools: Callable[[], Sequence[Tool]] = lambda: (),
    ) -> None:
        self._gate = gate
        self._authenticator = authenticator
        self._models = models
        self._attempts = Attempts(gate, models, limits or Limits(), clock, tools)
        self._doorman = Doorman(hosts, origins)
        self._clock = clock
        self._limits = limits or Limits()
        self._proxies = proxies
        self._rounds = Rounds(self._limits.watch_seconds)
        self._in_flight: dict[str, int] = {}
        self._listed: dict[str, tuple[ModelServer, float, tuple[str, ...]]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one HTTP request, in the order of the module's list."""
        head: Head | None = scope.get(HEAD)
        knock: Knock | None = None if head is None else head.derived.get(self)
        if knock is None:
            knock = await self._look(scope, send)
            if knock is None:
                return
            if head is not None:
                head.derived[self] = knock
        dialect = knock.dialect
        try:
            if knock.caller is None:
                caller = self._authenticator.authenticate(knock.token)
            else:
                caller = self._authenticator.renew(knock.caller)
        except TheirError as error:
            status = STATUS.get(error.code, 401)
            await refuse(send, dialect, status, error.code, error.message)
            return
        place: Place | None = scope.get(PLACE)
        if knock.caller is None or (place is not None and place.agent != caller.agent):
            if not seats_agent(scope, caller.agent):
                text = "too many connections are open"
                await refuse(send, dialect, 503, "too_many_connections", text, *NO_PLACE)
                return
            knock.caller = caller
        key, flying = caller.key, self._in_flight
        count = flying.get(key, 0) + 1
        if count > self._limits.in_flight_per_caller:
            text = "too many requests at once"
            await refuse(send, dialect, 429, "too_many_requests", text, (b"retry-after", b"1"))
            return
        flying[key] = count
        if head is None:
            length = knock.headers.content_length
        else:
            length = scope["headers"][head.length_at][1]
        address = self._address(scope)
        visit = Visit(scope, receive, send, dialect, caller, knock, length, address)
        try:
            await (self._list(visit, scope["path"]) if knock.listing else self._post(visit))
        except ClientGone:
            return
        finally:
            left = flying[key] - 1
            if left:
                flying[key] = left
            else:
                del flying[key]

    async def _look(self, scope: Scope, send: Send) -> Knock | None:
        """Read a head: 1 to 3, and what 4 and 5 ask of it. None when that was answered already."""
        path, raw = scope["path"], scope["headers"]
        listing = path == _MODELS or path.startswith(f"{_MODELS}/")
        dialect = PATHS.get(path) or _of_list(raw)
        if not listing and (path not in PATHS or scope.get("query_string", b"") not in (b"", BETA)):
            await refuse(send, dialect, 404, "not_found", f"there is nothing at {show(path)}")
            return None
        try:
            knock = knock_of(dialect, raw, listing=listing)
            if not self._doorman.admits(knock.headers.host, knock.headers.origin):
                raise TheirError("host_not_served", "this host or origin is not served")
        except TheirError as error:
            status = STATUS.get(error.code, 401)
            await refuse(send, dialect, status, error.code, error.message)
            return None
        return knock

    async def _post(self, visit: Visit) -> None:
        dialect, send = visit.dialect, visit.send
        if visit.scope["method"] != "POST":
            text = "this takes POST"
            await refuse(send, dialect, 405, "method_not_allowed", text, (b"allow", b"POST"))
            return
        if not visit.knock.is_json:
            await refuse(send, dialect, 415, "content_type_not_json", "send application/json")
            return
        limits = self._limits
        task = serving_task(visit.send)
        watch = Watch(self._rounds, visit.receive, limits.body_seconds, task)
        try:
            body = whole_body(visit.send, limits.body_bytes)
            if body is None:
                body = await read_body(visit.receive, visit.length, limits.body_bytes)
            if _is_quick(body):
                value = parse(body, MAX_VALUES)
            else:
                # Many small values take long to read; nobody else waits for them.
                value = await asyncio.to_thread(parse, body, MAX_VALUES)
            if not isinstance(value, dict):
                raise TheirError("body_not_object", "the body is to be a JSON object")
            await self._attempts.serve(visit, value, watch)
        except TheirError as error:
            status = STATUS.get(error.code, 400)
            # What was not read of the body must not be taken for the next request.
            more = [(b"connection", b"close")] if status in (408, 413) else []
            await refuse(send, dialect, status, error.code, error.message, *more)
        except asyncio.CancelledError:
            if watch.late:
                watch.task.uncancel()
                text = "the body came too slowly"
                close = (b"connection", b"close")
                await refuse(send, dialect, 408, "body_too_slow", text, close)
            elif watch.gone:
                watch.task.uncancel()
            else:
                raise
        finally:
            watch.stop()

    def _address(self, scope: Scope) -> str:
        proxies = self._proxies()
        if proxies is None:
            return ""
        peer = scope.get("client")
        forwarded = [
            value.decode("latin-1") for name, value in scope["headers"] if name == _FORWARDED
        ]
        return caller_address(peer[0] if peer else "", forwarded, proxies)

    # --- the list of models ----------------------------------------------------------------------

    async def _list(self, visit: Visit, path: str) -> None:
        if visit.scope["method"] != "GET":
            text = "this takes GET"
            more = (b"allow", b"GET")
            await refuse(visit.send, visit.dialect, 405, "method_not_allowed", text, more)
            return
        servers = self._models.current
        found = await asyncio.gather(*(self._names(server) for server in servers.values()))
        items: list[JsonObject] = [
            _item(name, model)
            for name, models in zip(servers, found, strict=True)
            for model in models
            if self._gate.visible(visit.caller, Target(CallKind.MODEL, name, model))
        ]
        items += [
            _item("bailiwick", alias.name, alias.name)
            for alias in self._models.aliases.values()
            if self._attempts.usable(visit, alias)
        ]
        wanted = path[len(_MODELS) + 1 :]
        if not wanted:
            ids = [str(item["id"]) for item in items]
            # One document that both SDKs take for their own.
            whole: JsonObject = {
                "object": "list",
                "data": items,
                "has_more": False,
                "first_id": ids[0] if ids else None,
                "last_id": ids[-1] if ids else None,
            }
            await reply(visit.send, 200, encode(whole))
            return
        for item in items:
            if item["id"] == wanted:
                await reply(visit.send, 200, encode(item))
                return
        text = f"there is no model {show(wanted)} for this agent"
        await refuse(visit.send, visit.dialect, 404, "model_unknown", text)

    async def _names(self, server: ModelServer) -> tuple[str, ...]:
        """The names of a server's models, remembered for a while; none if it cannot be asked."""
        known = self._listed.get(server.spec.name)
        now = self._clock.monotonic()
        if known is not None and known[0] is server and now < known[1]:
            return known[2]
        try:
            names, seconds = await server.names(), _LIST_SECONDS
        except OurError:
            names, seconds = (), _FAILED_LIST_SECONDS
        self._listed[server.spec.name] = (server, now + seconds, names)
        return names


def _is_quick(body: bytes) -> bool:
    return len(body) <= _QUICK_BYTES or (
        len(body) <= _QUICK_PROMPT_BYTES and body.count(b",") <= _QUICK_COMMAS
    )


def _of_list(raw: Iterable[tuple[bytes, bytes]]) -> Dialect:
    """Both official SDKs read a list of models; one header tells them apart."""
    asks = any(name == b"anthropic-version" for name, _ in raw)
    return Dialect.MESSAGES if asks else Dialect.CHAT


def _item(server: str, model: str, ident: str = "") -> JsonObject:
    ident = ident or f"{server}/{model}"
    return {
        "id": ident,
        "object": "model",
        "created": 0,
        "owned_by": server,
        "type": "model",
        "display_name": ident,
        "created_at": "1970-01-01T00:00:00Z",
    }
