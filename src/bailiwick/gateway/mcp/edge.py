"""The MCP edge as one ASGI callable.

    edge = McpEdge(
        gate=gate, authenticator=authenticator, upstreams=lambda: servers, pins=pin_book,
        hosts=("127.0.0.1:8765", "localhost:8765"), clock=clock,
        public_url="http://127.0.0.1:8765",
    )
    await edge(scope, receive, send)     # `/mcp`, `/mcp/SERVER`, the resource metadata
    await edge.aclose()

The order is fixed, and each step costs an attacker the one before it:

1. path and query                                              404
2. `Host` and `Origin`                                         403
3. headers: size, and none that decides stands twice           431, 400
4. who is calling, and not too often at once                   401, 429
5. method, media types, body within size and time              405, 415, 406, 413, 408
6. the body means one thing                                    400
7. the ladder of the era it is of                              400, 404

What 1 to 5 find in the head alone is kept with a head that its connection repeats (`Knock`); the
rest of them is asked for each request: is the server there, the token still good, the body right.
What 6 and 7 find in requests of the stateless era is kept with it for those that are alike: what
they say of their sender (`Understood`), and the text around what differs (`Frame`).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version as version_of
from typing import Any

from bailiwick.core.call import NOTHING
from bailiwick.core.errors import TheirError
from bailiwick.core.network import Network, caller_address
from bailiwick.gateway.gate import Gate
from bailiwick.gateway.mcp.catalog import Catalog
from bailiwick.gateway.mcp.core import Core, Limits, Where
from bailiwick.gateway.mcp.doorman import Doorman
from bailiwick.gateway.mcp.legacy_door import LegacyDoor
from bailiwick.gateway.mcp.modern_door import ModernDoor
from bailiwick.gateway.mcp.parked import Parking
from bailiwick.gateway.mcp.pins import PinBook
from bailiwick.gateway.mcp.run_keys import run_key
from bailiwick.gateway.mcp.tasks import TaskBook
from bailiwick.gateway.mcp.visit import Accepts, Knock, Visit, accepts
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
from bailiwick.ports import Authenticator, Clock, Upstream
from bailiwick.protocols.http_head import HEAD, Head
from bailiwick.protocols.http_place import NO_PLACE, PLACE, Place, seats_agent
from bailiwick.protocols.mcp.headers import Headers, read_headers
from bailiwick.protocols.mcp.jsonrpc import (
    Code,
    Message,
    error_body,
    error_message,
    parse_message,
    rpc_code,
)
from bailiwick.protocols.mcp.revisions import LEGACY_BYTES, Era, era_of
from bailiwick.protocols.mcp.state import KEY_BYTES
from bailiwick.protocols.strict_json import encode

_QUICK_BYTES = 48 * 1024
"""Longest body that is read at once: it holds fewer values than are too many (`MAX_VALUES`)."""
_FORWARDED = b"x-forwarded-for"
_METADATA = "/.well-known/oauth-protected-resource"
_STATUS = {
    "headers_too_large": 431,
    "header_twice": 400,
    "body_too_large": 413,
    "body_too_slow": 408,
    "length_malformed": 400,
}
_REFUSED = {415: "content_type_not_json", 406: "not_acceptable"}
_NAMES = {b"": None, b"names=model": True, b"names=path": False}


@dataclass(frozen=True, slots=True)
class EdgeSettings:
    """What rarely differs between two edges.

    Attributes:
        root: path of the endpoint of all servers; those of single servers lie below.
        origins: further allowed origins (see `Doorman`).
        authorization_servers: issuer addresses named in the resource metadata.
        state_key: 32 bytes that seal `requestState`; None makes one that lives as long as the
            process, so that a retry after a restart starts over.
    """

    root: str = "/mcp"
    origins: tuple[str, ...] = ()
    authorization_servers: tuple[str, ...] = ()
    state_key: bytes | None = None
    limits: Limits = field(default_factory=Limits)


class McpEdge:
    """Agents on one side, the gate and the upstreams on the other.

    Args:
        gate: judges, records and dispatches.
        authenticator: turns the `Authorization` header into a caller.
        upstreams: the servers there are now, by name, in the order lists are merged. Asked on
            every request: it must be cheap.
        pins: the pin book.
        hosts: allowed `Host` names (see `Doorman`).
        clock: time.
        public_url: the gateway's own address without a path, as clients see it.
        settings: see `EdgeSettings`.
        proxies: from which `X-Forwarded-For` is believed; None while nothing depends on where a
            caller is, so that nobody looks.
    """

    def __init__(
        self,
        *,
        gate: Gate,
        authenticator: Authenticator,
        upstreams: Callable[[], Mapping[str, Upstream]],
        pins: PinBook,
        hosts: Iterable[str],
        clock: Clock,
        public_url: str,
        settings: EdgeSettings | None = None,
        proxies: Callable[[], Sequence[Network] | None] = lambda: None,
    ) -> None:
        settings = settings or EdgeSettings()
        self._settings = settings
        self._limits = settings.limits
        self._authenticator = authenticator
        self._doorman = Doorman(hosts, settings.origins)
        self._public_url = public_url.rstrip("/")
        self._upstreams = upstreams
        self._proxies = proxies
        self._core = Core(
            gate,
            Catalog(upstreams, pins, clock.monotonic),
            clock,
            settings.limits,
            settings.state_key or os.urandom(KEY_BYTES),
            version_of("bailiwick"),
            Parking(settings.limits.input_seconds),
            TaskBook(),
            Rounds(settings.limits.watch_seconds),
        )
        self._modern = ModernDoor(self._core)
        self._legacy = LegacyDoor(self._core)

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
        elif knock.where.server and knock.where.server not in self._upstreams():
            await _not_found(send)
            return
        wrong: TheirError | None = None  # nothing is awaited where it is caught: ADR 13
        try:
            if knock.caller is None:
                caller = self._authenticator.authenticate(knock.authorization)
            else:
                caller = self._authenticator.renew(knock.caller)
        except TheirError as error:
            wrong = error
        if wrong is not None:
            await self._challenge(send, wrong, knock.where)
            return
        place: Place | None = scope.get(PLACE)
        if caller is not knock.caller or (place is not None and place.agent != caller.agent):
            if not seats_agent(scope, caller.agent):
                await reply(send, 503, encode({"error": "too_many_connections"}), *NO_PLACE)
                return
            knock.caller = caller
            knock.run_key = run_key(caller, knock.headers, NOTHING)
        proxies = self._proxies()
        address = "" if proxies is None else _address(scope, proxies)
        visit = Visit(knock, caller, receive, send, self._authenticator, address)
        key, flying = caller.key, self._core.in_flight
        count = flying.get(key, 0) + 1
        if count > self._limits.in_flight_per_caller:
            await reply(send, 429, encode({"error": "too_many_requests"}), (b"retry-after", b"1"))
            return
        flying[key] = count
        try:
            # Every coroutine between a call and what it waits for is passed through at each waking.
            await (self._post if scope["method"] == "POST" else self._other)(scope, visit)
        except TheirError as error:
            wrong = error
        except ClientGone:
            pass
        except asyncio.CancelledError:
            watch = visit.watch
            if watch is None or not watch.late:
                raise
            watch.task.uncancel()
            wrong = TheirError("body_too_slow", "the body came too slowly")
        finally:
            watch = visit.watch
            if watch is not None:
                watch.stop()
            left = flying[key] - 1
            if left:
                flying[key] = left
            else:
                del flying[key]
        if wrong is not None:
            await self._unreadable(send, wrong)

    def start_closing(self) -> None:
        """End streams gracefully; what is under way may still be answered."""
        self._core.start_closing()
        self._legacy.start_closing()

    async def aclose(self) -> None:
        """End streams gracefully and sessions at once; stop what runs in the background."""
        self.start_closing()
        self._legacy.close()
        await self._core.aclose()

    # --- steps of the module's list --------------------------------------------------------------

    async def _look(self, scope: Scope, send: Send) -> Knock | None:
        """Read a head: 1 to 3, and what 5 asks of it. None when that was answered already."""
        path: str = scope["path"]
        if path.startswith(_METADATA):
            await self._metadata(scope, send, path.removeprefix(_METADATA))
            return None
        where = self._where(path, scope.get("query_string", b""))
        if where is None:
            await _not_found(send)
            return None
        wrong: TheirError | None = None
        try:
            headers = read_headers(scope["headers"])
        except TheirError as error:
            wrong = error
        if wrong is not None:
            await self._refuse(send, wrong)
            return None
        if not self._doorman.admits(headers.host, headers.origin):
            await self._forbid(send)
            return None
        authorization = headers.authorization
        wanted = accepts(headers.accept)
        is_json = _is_json(headers.content_type)
        return Knock(
            where=where,
            headers=headers,
            authorization=None if authorization is None else authorization.decode("latin-1"),
            refused=415 if not is_json else 406 if wanted is Accepts.NOTHING else 0,
            json=wanted in (Accepts.JSON, Accepts.BOTH),
            events=wanted in (Accepts.EVENTS, Accepts.BOTH),
            modern=None if headers.version is None else headers.version not in LEGACY_BYTES,
        )

    def _other(self, scope: Scope, visit: Visit) -> Awaitable[None]:
        method = scope["method"]
        if visit.knock.modern:
            return reply(visit.send, 405, b"", (b"allow", b"POST"))
        if method == "GET":
            return self._legacy.get(visit)
        if method == "DELETE":
            return self._legacy.delete(visit)
        return reply(visit.send, 405, b"", (b"allow", b"GET, POST, DELETE"))

    def _post(self, scope: Scope, visit: Visit) -> Awaitable[None]:
        """5 to 7. A body that is here, and soon read, is read at once."""
        refused = visit.knock.refused
        if refused:
            return reply(visit.send, refused, encode({"error": _REFUSED[refused]}))
        limits = self._limits
        task = serving_task(visit.send)
        visit.watch = Watch(self._core.rounds, visit.receive, limits.body_seconds, task)
        body = whole_body(visit.send, limits.body_bytes)
        if body is None or len(body) > _QUICK_BYTES:
            return self._read(scope, visit, body)
        frame = visit.knock.frame
        if frame is not None:
            request = frame.fill(body)
            if request is not None:
                return self._modern.post_again(visit, request)
        visit.body = body
        return self._serve(visit, parse_message(body))

    async def _read(self, scope: Scope, visit: Visit, body: bytes | None) -> None:
        if body is None:
            length = _content_length(scope, visit.knock)
            body = await read_body(visit.receive, length, self._limits.body_bytes)
        if len(body) <= _QUICK_BYTES:
            message = parse_message(body)
        else:
            # Millions of small values take seconds to read; nobody else waits for them.
            message = await asyncio.to_thread(parse_message, body)
        await self._serve(visit, message)

    def _serve(self, visit: Visit, message: Message) -> Awaitable[None]:
        modern = visit.knock.modern
        if modern is None:
            modern = era_of(None, message) is Era.MODERN
        return (self._modern if modern else self._legacy).post(visit, message)

    def _where(self, path: str, query: bytes) -> Where | None:
        root = self._settings.root
        if query not in _NAMES or not path.startswith(root):
            return None
        rest = path[len(root) :]
        if rest in ("", "/"):
            return Where("", _NAMES[query])
        server = rest[1:]
        if rest[0] != "/" or server not in self._upstreams():
            return None
        return Where(server, _NAMES[query])

    async def _unreadable(self, send: Send, error: TheirError) -> None:
        if error.code in _STATUS:
            await self._refuse(send, error)
            return
        answer = error_message(b"null", error_body(rpc_code(error), error.message))
        await reply(send, 400, answer)

    # --- refusals ------------------------------------------------------------------------------

    async def _forbid(self, send: Send) -> None:
        body = error_body(Code.INVALID_REQUEST, "this host or origin is not served")
        await reply(send, 403, error_message(b"null", body))

    async def _refuse(self, send: Send, error: TheirError) -> None:
        body: dict[str, Any] = {"error": error.code, "error_description": error.message}
        # What was not read of the body must not be taken for the next request.
        await reply(send, _STATUS.get(error.code, 400), encode(body), (b"connection", b"close"))

    async def _challenge(self, send: Send, error: TheirError, where: Where) -> None:
        """401 as RFC 6750 section 3 and RFC 9728 section 5.1 say it."""
        tail = f"/{where.server}" if where.server else ""
        address = f"{self._public_url}{_METADATA}{self._settings.root}{tail}"
        challenge = f'Bearer resource_metadata="{address}"'
        if error.code != "token_missing":
            challenge += f', error="invalid_token", error_description="{error.code}"'
        body = encode({"error": error.code, "error_description": error.message})
        await reply(send, 401, body, (b"www-authenticate", challenge.encode()))

    async def _metadata(self, scope: Scope, send: Send, rest: str) -> None:
        """The protected resource metadata of this endpoint (RFC 9728), public by nature."""
        headers = _quietly(scope)
        if headers is None or not self._doorman.admits(headers.host, headers.origin):
            await self._forbid(send)
            return
        # The document is the same whether or not such a server exists: it tells nobody which do.
        root = self._settings.root
        if scope["method"] != "GET" or (rest and rest != root and not rest.startswith(f"{root}/")):
            await reply(send, 404, encode({"error": "not_found"}))
            return
        document: dict[str, Any] = {
            "resource": f"{self._public_url}{rest or root}",
            "resource_name": "Bailiwick",
            "bearer_methods_supported": ["header"],
        }
        if self._settings.authorization_servers:
            document["authorization_servers"] = list(self._settings.authorization_servers)
        await reply(send, 200, encode(document))


async def _not_found(send: Send) -> None:
    await reply(send, 404, encode({"error": "not_found"}))


def _quietly(scope: Scope) -> Headers | None:
    try:
        return read_headers(scope["headers"])
    except TheirError:
        return None


def _content_length(scope: Scope, knock: Knock) -> bytes | None:
    """What this very request says: its head may be known from another."""
    head: Head | None = scope.get(HEAD)
    if head is None:
        return knock.headers.content_length
    length: bytes = scope["headers"][head.length_at][1]
    return length


def _address(scope: Scope, proxies: Sequence[Network]) -> str:
    peer = scope.get("client")
    forwarded = [value.decode("latin-1") for name, value in scope["headers"] if name == _FORWARDED]
    return caller_address(peer[0] if peer else "", forwarded, proxies)


def _is_json(content_type: bytes | None) -> bool:
    if content_type == b"application/json":
        return True
    return content_type is not None and (
        content_type.partition(b";")[0].strip().lower() == b"application/json"
    )
