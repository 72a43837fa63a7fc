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
from bailiwick.gateway.llm.attempts import BETA, Attempts
from bailiwick.gateway.llm.servers import ModelServer
from bailiwick.gateway.llm.visit import Visit, refuse
from bailiwick.gateway.llm.wording import STATUS
from bailiwick.gateway.mcp.core import Limits
from bailiwick.gateway.mcp.doorman import Doorman
from bailiwick.gateway.mcp.watch import Rounds, Watch
from bailiwick.gateway.mcp.wire import ClientGone, Receive, Scope, Send, read_body, reply
from bailiwick.ports import Authenticator, Clock
from bailiwick.protocols.llm.dialect import Dialect
from bailiwick.protocols.llm.tool_names import Tool
from bailiwick.protocols.mcp.headers import read_headers
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
        """Serve one HTTP request."""
        try:
            await self._serve(scope, receive, send)
        except ClientGone:
            return

    # --- the order of the module's list ----------------------------------------------------------

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        path, query = scope["path"], scope.get("query_string", b"")
        raw = dict(scope["headers"])
        listing = path == _MODELS or path.startswith(f"{_MODELS}/")
        # Both official SDKs read a list of models; this header tells them apart.
        of_list = Dialect.MESSAGES if b"anthropic-version" in raw else Dialect.CHAT
        dialect = PATHS.get(path, of_list)
        if not listing and (path not in PATHS or query not in (b"", BETA)):
            await refuse(send, dialect, 404, "not_found", f"there is nothing at {show(path)}")
            return
        try:
            headers = read_headers(scope["headers"])
            if not self._doorman.admits(headers.host, headers.origin):
                raise TheirError("host_not_served", "this host or origin is not served")
            caller = self._authenticator.authenticate(_token(scope["headers"]))
        except TheirError as error:
            status = STATUS.get(error.code, 401)
            await refuse(send, dialect, status, error.code, error.message)
            return
        flying = self._in_flight
        count = flying.get(caller.key, 0) + 1
        if count > self._limits.in_flight_per_caller:
            text = "too many requests at once"
            await refuse(send, dialect, 429, "too_many_requests", text, (b"retry-after", b"1"))
            return
        flying[caller.key] = count
        visit = Visit(scope, receive, send, dialect, caller, headers, raw, self._address(scope))
        try:
            await (self._list(visit, path) if listing else self._post(visit, path))
        finally:
            left = flying[caller.key] - 1
            if left:
                flying[caller.key] = left
            else:
                del flying[caller.key]

    async def _post(self, visit: Visit, path: str) -> None:
        dialect, send = visit.dialect, visit.send
        if visit.scope["method"] != "POST":
            text = "this takes POST"
            await refuse(send, dialect, 405, "method_not_allowed", text, (b"allow", b"POST"))
            return
        kind = (visit.headers.content_type or b"").partition(b";")[0].strip().lower()
        if kind != b"application/json":
            await refuse(send, dialect, 415, "content_type_not_json", "send application/json")
            return
        limits = self._limits
        watch = Watch(self._rounds, visit.receive, limits.body_seconds)
        try:
            length = visit.headers.content_length
            body = await read_body(visit.receive, length, limits.body_bytes)
            if _is_quick(body):
                value = parse(body, MAX_VALUES)
            else:
                # Many small values take long to read; nobody else waits for them.
                value = await asyncio.to_thread(parse, body, MAX_VALUES)
            if not isinstance(value, dict):
                raise TheirError("body_not_object", "the body is to be a JSON object")
            await self._attempts.serve(visit, path, value, watch)
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


def _token(raw: Iterable[tuple[bytes, bytes]]) -> str | None:
    """The agent's token: of `Authorization`, or of `x-api-key` as Anthropic's SDK sends it.

    Raises:
        TheirError: `token_twice`: both, and not alike.
    """
    told: set[str] = set()
    for name, value in raw:
        text = value.decode("latin-1").strip(" \t")
        if name == b"authorization":
            told.add(text)
        elif name == b"x-api-key":
            told.add(f"Bearer {text}")
    if len(told) > 1:
        raise TheirError("token_twice", "`Authorization` and `x-api-key` hold different tokens")
    return told.pop() if told else None


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
