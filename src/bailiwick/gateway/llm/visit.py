"""One authenticated request to the model edge, and how it is refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bailiwick.gateway.mcp.wire import Receive, Scope, Send, reply
from bailiwick.ports import Caller
from bailiwick.protocols.llm.dialect import Dialect
from bailiwick.protocols.llm.refusals import refusal
from bailiwick.protocols.mcp.headers import Headers


@dataclass(slots=True)
class Visit:
    """One authenticated request.

    Attributes:
        headers: those that are read for what they mean.
        raw: all of them, by name.
        address: the caller's network address in its one spelling, "" if it is not known.
    """

    scope: Scope
    receive: Receive
    send: Send
    dialect: Dialect
    caller: Caller
    headers: Headers
    raw: Mapping[bytes, bytes]
    address: str = ""


async def refuse(
    send: Send, dialect: Dialect, status: int, code: str, text: str, *more: tuple[bytes, bytes]
) -> None:
    """Answer with an error that this dialect's SDKs raise as their own."""
    if status == 401:
        more = (*more, (b"www-authenticate", b"Bearer"))
    await reply(send, status, refusal(dialect, status, code, text), *more)
