"""The model edge as one ASGI callable.

    edge = LlmEdge(
        gate=gate, authenticator=authenticator, servers=lambda: model_servers,
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
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from bailiwick.core.call import NOTHING, CallKind, Target
from bailiwick.core.canonical import JsonObject
from bailiwick.core.errors import OurError, TheirError
from bailiwick.core.network import Network, caller_address
from bailiwick.core.values import show
from bailiwick.core.verdict import Deny
from bailiwick.gateway.gate import Answered, Asked, Gate, StillWaiting
from bailiwick.gateway.llm.call import ModelCall
from bailiwick.gateway.llm.names import Meant, meant
from bailiwick.gateway.llm.servers import ModelServer
from bailiwick.gateway.llm.wording import HELD_STATUS, STATUS, status_of
from bailiwick.gateway.mcp.core import Limits
from bailiwick.gateway.mcp.doorman import Doorman
from bailiwick.gateway.mcp.modern_door import run_key
from bailiwick.gateway.mcp.said import read_said
from bailiwick.gateway.mcp.watch import Rounds, Watch
from bailiwick.gateway.mcp.wire import ClientGone, Receive, Scope, Send, read_body, reply
from bailiwick.ports import Authenticator, Caller, Clock
from bailiwick.protocols.llm.dialect import Dialect
from bailiwick.protocols.llm.refusals import refusal
from bailiwick.protocols.llm.requests import read_request
from bailiwick.protocols.mcp.headers import Headers, read_headers, trace_parent
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
_FORWARDED = b"x-forwarded-for"
_BETA = b"beta=true"
"""What Anthropic's SDK puts behind a path; other queries mean nothing here and are refused."""

_LIST_SECONDS = 60.0
_FAILED_LIST_SECONDS = 5.0
_PASSED_ON = (b"anthropic-version", b"anthropic-beta", b"openai-beta")
"""Headers that change what a request means: judged with it (a stamp binds them) and sent on."""

_PASSED_VALUE = re.compile(rb"(?:[!-~](?:[ -~]{0,1022}[!-~])?)?")
_NOT_RETRIED = (b"x-should-retry", b"false")
_RETRIED = (b"x-should-retry", b"true")


@dataclass(slots=True)
class _Visit:
    """One authenticated request."""

    scope: Scope
    receive: Receive
    send: Send
    dialect: Dialect
    caller: Caller
    headers: Headers
    raw: Mapping[bytes, bytes]


class LlmEdge:
    """Agents on one side, the gate and the model servers on the other.

    Args:
        gate: judges, records and dispatches.
        authenticator: turns the `Authorization` header into a caller.
        servers: the model servers there are now, by name. Asked on every request.
        hosts, origins: allowed names (see `Doorman`).
        clock: time.
        limits: bounds.
        proxies: from which `X-Forwarded-For` is believed; None while nothing depends on it.
    """

    def __init__(
        self,
        *,
        gate: Gate,
        authenticator: Authenticator,
        servers: Callable[[], Mapping[str, ModelServer]],
        hosts: Iterable[str],
        clock: Clock,
        origins: tuple[str, ...] = (),
        limits: Limits | None = None,
        proxies: Callable[[], Sequence[Network] | None] = lambda: None,
    ) -> None:
        self._gate = gate
        self._authenticator = authenticator
        self._servers = servers
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
        if not listing and (path not in PATHS or query not in (b"", _BETA)):
            await _refuse(send, dialect, 404, "not_found", f"there is nothing at {path[:80]!a}")
            return
        try:
            headers = read_headers(scope["headers"])
            if not self._doorman.admits(headers.host, headers.origin):
                raise TheirError("host_not_served", "this host or origin is not served")
            caller = self._authenticator.authenticate(_token(scope["headers"]))
        except TheirError as error:
            status = STATUS.get(error.code, 401)
            await _refuse(send, dialect, status, error.code, error.message)
            return
        flying = self._in_flight
        count = flying.get(caller.key, 0) + 1
        if count > self._limits.in_flight_per_caller:
            text = "too many requests at once"
            await _refuse(send, dialect, 429, "too_many_requests", text, (b"retry-after", b"1"))
            return
        flying[caller.key] = count
        visit = _Visit(scope, receive, send, dialect, caller, headers, raw)
        try:
            await (self._list(visit, path) if listing else self._post(visit, path))
        finally:
            left = flying[caller.key] - 1
            if left:
                flying[caller.key] = left
            else:
                del flying[caller.key]

    async def _post(self, visit: _Visit, path: str) -> None:
        dialect, send = visit.dialect, visit.send
        if visit.scope["method"] != "POST":
            text = "this takes POST"
            await _refuse(send, dialect, 405, "method_not_allowed", text, (b"allow", b"POST"))
            return
        kind = (visit.headers.content_type or b"").partition(b";")[0].strip().lower()
        if kind != b"application/json":
            await _refuse(send, dialect, 415, "content_type_not_json", "send application/json")
            return
        limits = self._limits
        watch = Watch(self._rounds, visit.receive, limits.body_seconds)
        try:
            length = visit.headers.content_length
            body = await read_body(visit.receive, length, limits.body_bytes)
            if len(body) <= _QUICK_BYTES:
                value = parse(body, MAX_VALUES)
            else:
                # Many small values take long to read; nobody else waits for them.
                value = await asyncio.to_thread(parse, body, MAX_VALUES)
            if not isinstance(value, dict):
                raise TheirError("body_not_object", "the body is to be a JSON object")
            await self._call(visit, path, value, watch)
        except TheirError as error:
            status = STATUS.get(error.code, 400)
            # What was not read of the body must not be taken for the next request.
            more = [(b"connection", b"close")] if status in (408, 413) else []
            await _refuse(send, dialect, status, error.code, error.message, *more)
        except asyncio.CancelledError:
            if watch.late:
                watch.task.uncancel()
                text = "the body came too slowly"
                close = (b"connection", b"close")
                await _refuse(send, dialect, 408, "body_too_slow", text, close)
            elif watch.gone:
                watch.task.uncancel()
            else:
                raise
        finally:
            watch.stop()

    # --- one call --------------------------------------------------------------------------------

    async def _call(self, visit: _Visit, path: str, body: JsonObject, watch: Watch) -> None:
        asking = read_request(visit.dialect, body)
        servers = self._servers()
        found = meant(asking.model, servers)
        server = servers[found.server]
        fields = _passed_on(visit.scope["headers"])
        if visit.scope.get("query_string", b""):
            path = f"{path}?{_BETA.decode()}"
        beside: dict[str, str] = dict(fields)
        if path.endswith("/count_tokens"):
            beside["path"] = path
        asked = Asked(
            visit.caller,
            Target(CallKind.MODEL, found.server, found.model),
            body,
            run_key(visit.caller, visit.headers, NOTHING),
            f"llm/{visit.dialect.value}",
            trace_parent(visit.headers),
            _blocked(found, server, visit.dialect),
            dict(beside),
            read_said(visit.headers, NOTHING),
            self._address(visit.scope),
        )
        # What runs is what was judged: the judged parse, with the server's own name for the model.
        going = body if found.model == asking.model else {**body, "model": found.model}
        by = f"{found.server}/{found.model}"
        call = ModelCall(visit.send, server, asking, path, going, fields, by)
        watch.follow(call, self._limits.keep_alive_seconds, lambda: _lost(call, watch))
        answer = await self._gate.govern(asked, call.dispatch, call.on_tick)
        if isinstance(answer, Answered):
            if call.broken is not None:
                await call.break_off(502, call.broken.code, call.broken.message)
            else:
                await call.deliver(answer.call)
            return
        waits = isinstance(answer, StillWaiting)
        code = "still_waiting" if isinstance(answer, StillWaiting) else answer.code
        status = HELD_STATUS if waits else status_of(code)
        if call.streaming:
            await call.break_off(status, code, answer.text)
            return
        retry = (_RETRIED, (b"retry-after", b"1")) if waits else (_NOT_RETRIED,)
        named = (b"bailiwick-call", answer.call.encode())
        await _refuse(visit.send, visit.dialect, status, code, answer.text, named, *retry)

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

    async def _list(self, visit: _Visit, path: str) -> None:
        if visit.scope["method"] != "GET":
            text = "this takes GET"
            more = (b"allow", b"GET")
            await _refuse(visit.send, visit.dialect, 405, "method_not_allowed", text, more)
            return
        servers = self._servers()
        found = await asyncio.gather(*(self._names(server) for server in servers.values()))
        items: list[JsonObject] = [
            _item(name, model)
            for name, models in zip(servers, found, strict=True)
            for model in models
            if self._gate.visible(visit.caller, Target(CallKind.MODEL, name, model))
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
        text = f"there is no model {wanted[:80]!a} for this agent"
        await _refuse(visit.send, visit.dialect, 404, "model_unknown", text)

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


def _lost(call: ModelCall, watch: Watch) -> None:
    """The client is gone: so is the call, unless only its record is still to be written."""
    if not call.sent:
        watch.task.cancel()


def _blocked(found: Meant, server: ModelServer, dialect: Dialect) -> Deny | None:
    if not found.served:
        because = f"server `{found.server}` has no model {show(found.model)}"
        return Deny("model_unknown", (), because)
    if dialect.value not in server.spec.dialects:
        spoken = ", ".join(sorted(server.spec.dialects))
        because = f"server `{found.server}` speaks {spoken}, and calls are not translated"
        return Deny("dialect_not_spoken", (), because)
    return None


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


def _passed_on(raw: Iterable[tuple[bytes, bytes]]) -> list[tuple[str, str]]:
    """Headers of the agent's that go to the server.

    Raises:
        TheirError: `header_malformed`, `header_twice`.
    """
    found: dict[str, str] = {}
    for name, value in raw:
        if name not in _PASSED_ON:
            continue
        text = value.strip(b" \t")
        if name.decode() in found:
            raise TheirError("header_twice", f"the header `{name.decode()}` stands twice")
        if not _PASSED_VALUE.fullmatch(text):
            raise TheirError("header_malformed", f"the header `{name.decode()}` is malformed")
        found[name.decode()] = text.decode()
    return list(found.items())


def _item(server: str, model: str) -> JsonObject:
    ident = f"{server}/{model}"
    return {
        "id": ident,
        "object": "model",
        "created": 0,
        "owned_by": server,
        "type": "model",
        "display_name": ident,
        "created_at": "1970-01-01T00:00:00Z",
    }


async def _refuse(
    send: Send, dialect: Dialect, status: int, code: str, text: str, *more: tuple[bytes, bytes]
) -> None:
    if status == 401:
        more = (*more, (b"www-authenticate", b"Bearer"))
    await reply(send, status, refusal(dialect, status, code, text), *more)
