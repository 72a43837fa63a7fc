"""Several rounds behind one request: a modern server asks through results, an earlier client is
asked through requests.

Source: MCP 2026-07-28, basic/patterns/mrtr. The retry carries the same params, so what runs is
still what was judged; each question is judged and recorded by `peer.ask` itself.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

import msgspec
from msgspec.structs import replace

from bailiwick.core.canonical import Json, JsonObject
from bailiwick.core.errors import UpstreamBroken
from bailiwick.ports import RequestPeer, UpstreamReply, UpstreamRequest

MAX_ROUNDS = 10

Send = Callable[[UpstreamRequest, RequestPeer], Awaitable[UpstreamReply]]


async def answer_rounds(
    request: UpstreamRequest, reply: UpstreamReply, peer: RequestPeer, send: Send
) -> UpstreamReply:
    """Answer what `reply` asks for through `peer` and send again, until there is a result.

    Raises:
        UpstreamBroken: `upstream_rounds` after ten rounds, or as `send` does.
    """
    for _ in range(MAX_ROUNDS):
        asked = _asked(reply)
        if asked is None:
            return reply
        responses: dict[str, Json] = {}
        for key, question in _questions(asked):
            method, params = question.get("method"), question.get("params") or {}
            if not isinstance(method, str) or not isinstance(params, Mapping):
                return reply
            answer = await peer.ask(method, params)
            if answer.result is None:
                # The client has refused or failed: its own error ends the request.
                return UpstreamReply(error=answer.error)
            responses[key] = msgspec.json.decode(answer.result)
        params = {**request.params, "inputResponses": responses}
        if "requestState" in asked:
            params["requestState"] = asked["requestState"]
        reply = await send(replace(request, params=params, alike=None), peer)
    raise UpstreamBroken(
        "upstream_rounds", f"the server asked back more than {MAX_ROUNDS} times for one request"
    )


def _asked(reply: UpstreamReply) -> JsonObject | None:
    if reply.result is None or b"input_required" not in reply.result:
        return None
    result = msgspec.json.decode(reply.result)
    return result if result.get("resultType") == "input_required" else None


def _questions(asked: JsonObject) -> list[tuple[str, JsonObject]]:
    inputs = asked.get("inputRequests")
    if not isinstance(inputs, Mapping):
        return []
    return [(key, value) for key, value in inputs.items() if isinstance(value, Mapping)]
