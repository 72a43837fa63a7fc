"""What one request becomes: a call that is judged, recorded, held, sent and recorded."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

from bailiwick.core.call import NOTHING, CallKind, Target
from bailiwick.core.canonical import JsonObject
from bailiwick.core.errors import TheirError
from bailiwick.core.values import show
from bailiwick.core.verdict import Deny
from bailiwick.gateway.gate import Answered, Asked, Gate, StillWaiting
from bailiwick.gateway.llm.call import ModelCall
from bailiwick.gateway.llm.names import Meant, meant
from bailiwick.gateway.llm.servers import ModelServer
from bailiwick.gateway.llm.visit import Visit, refuse
from bailiwick.gateway.llm.wording import HELD_STATUS, status_of
from bailiwick.gateway.mcp.core import Limits
from bailiwick.gateway.mcp.modern_door import run_key
from bailiwick.gateway.mcp.said import read_said
from bailiwick.gateway.mcp.watch import Watch
from bailiwick.protocols.llm.dialect import Dialect
from bailiwick.protocols.llm.requests import read_request
from bailiwick.protocols.mcp.headers import trace_parent

BETA = b"beta=true"
"""What Anthropic's SDK puts behind a path; other queries mean nothing here and are refused."""

_PASSED_ON = (b"anthropic-version", b"anthropic-beta", b"openai-beta")
"""Headers that change what a request means: judged with it (a stamp binds them) and sent on."""

_PASSED_VALUE = re.compile(rb"(?:[!-~](?:[ -~]{0,1022}[!-~])?)?")
_NOT_RETRIED = (b"x-should-retry", b"false")
_RETRIED = (b"x-should-retry", b"true")


class Attempts:
    """Takes requests that have been read to the gate and to model servers.

    Args:
        gate: judges, records and dispatches.
        servers: the model servers there are now, by name. Asked on every request.
        limits: bounds.
    """

    def __init__(
        self, gate: Gate, servers: Callable[[], Mapping[str, ModelServer]], limits: Limits
    ) -> None:
        self._gate = gate
        self._servers = servers
        self._limits = limits

    async def serve(self, visit: Visit, path: str, body: JsonObject, watch: Watch) -> None:
        """Govern one request, and answer it.

        Raises:
            TheirError: it does not mean one thing, or names no model.
        """
        asking = read_request(visit.dialect, body)
        servers = self._servers()
        found = meant(asking.model, servers)
        server = servers[found.server]
        fields = _passed_on(visit.scope["headers"])
        if visit.scope.get("query_string", b""):
            path = f"{path}?{BETA.decode()}"
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
            visit.address,
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
        await refuse(visit.send, visit.dialect, status, code, answer.text, named, *retry)


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
