"""Pages that a server has a person open, in the error -32042 of 2025-11-25.

Its `client/elicitation`: a server that cannot go on before a person has opened a page answers with
`URLElicitationRequiredError`, whose `data.elicitations` are requests of mode `url`. To the client
each is what `elicitation/create` would be, so each is judged as that; the agent makes its call
again when the person is done.
"""

from __future__ import annotations

from typing import cast

from bailiwick.core.canonical import Json, JsonObject
from bailiwick.core.errors import TheirError
from bailiwick.gateway.mcp.exchange import MAX_QUESTIONS, Exchange
from bailiwick.ports import UpstreamReply
from bailiwick.protocols.mcp.jsonrpc import Code
from bailiwick.protocols.strict_json import parse

_DIGITS = b"32042"
_DELIVERED = b"{}"


async def pages_pass(exchange: Exchange, error: bytes) -> bool:
    """Whether `error` asks for pages, and each of them may be asked for.

    1. Only of a client that declared the mode `url`, at a server that may ask people at all.
    2. The error means one thing, there are pages in it, and every one of them is one.
    3. The gate lets each of them through, as a call `SERVER/elicitation` of kind `client`.
    """
    if exchange.modern or _DIGITS not in error:
        return False
    modes = exchange.outgoing.client.capabilities.get("elicitation")
    if not isinstance(modes, dict) or "url" not in modes:  # 1
        return False
    pages = _pages_of(error)  # 2
    if pages is None:
        return False
    for page in pages:
        reply = await exchange.judge_ask("elicitation/create", page, _deliver, exchange.on_tick)
        if reply.result != _DELIVERED:  # 3
            return False
    return True


def _pages_of(error: bytes) -> list[JsonObject] | None:
    """The pages of -32042; None for another error, or where one of them is no page."""
    try:
        value = cast(object, parse(error))
    except TheirError:
        return None
    if not isinstance(value, dict) or value.get("code") != Code.URL_ELICITATION_REQUIRED:
        return None
    data = value.get("data")
    pages = data.get("elicitations") if isinstance(data, dict) else None
    # More than may be asked for is not begun with: a person would be asked for nothing.
    if not isinstance(pages, list) or not 0 < len(pages) <= MAX_QUESTIONS:
        return None
    return pages if all(map(_is_page, pages)) else None


def _is_page(page: Json) -> bool:
    return isinstance(page, dict) and page.get("mode") == "url" and isinstance(page.get("url"), str)


async def _deliver() -> UpstreamReply:
    # It goes out with the error. What the person does is between that person and the server.
    return UpstreamReply(result=_DELIVERED)
