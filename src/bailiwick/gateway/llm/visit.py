"""One authenticated request to the model edge, what its head says, and how it is refused."""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

from bailiwick.core.call import NOTHING
from bailiwick.core.canonical import JsonObject
from bailiwick.core.errors import TheirError
from bailiwick.gateway.gate import Said
from bailiwick.gateway.mcp.said import read_said
from bailiwick.gateway.mcp.wire import Receive, Scope, Send, reply
from bailiwick.ports import Caller
from bailiwick.protocols.llm.agent_ids import session_in_headers, session_of_both
from bailiwick.protocols.llm.dialect import Dialect
from bailiwick.protocols.llm.refusals import refusal
from bailiwick.protocols.mcp.headers import Headers, read_headers, trace_parent

BETA = b"beta=true"
"""What Anthropic's SDK puts behind a path; other queries mean nothing here and are refused."""

_PASSED_ON = frozenset({b"anthropic-version", b"anthropic-beta", b"openai-beta"})
"""Headers that change what a request means: judged with it (a stamp binds them) and sent on."""

_PASSED_VALUE = re.compile(rb"(?:[!-~](?:[ -~]{0,1022}[!-~])?)?")
_JSON = b"application/json"

Pairs = Iterable[tuple[bytes, bytes]]


class Carried(msgspec.Struct, frozen=True):
    """What of a head goes with each call that its request becomes.

    Attributes:
        path: where it is sent, with its query.
        counting: it only counts tokens.
        fields: headers that go to the server.
        beside: what a stamp is given for beside the body (see `Call.beside`).
        betas: features that a header switches on.
        session: the agent's name of its session, as its tool calls say it too; "" for none.
        session_alone: its name for it in headers of model calls only; "" for none.
        said: what the agent's side says of its run.
        traceparent: W3C trace context, or "".
    """

    path: str
    counting: bool
    fields: tuple[tuple[str, str], ...]
    beside: JsonObject
    betas: str
    session: str
    session_alone: str
    said: Said
    traceparent: str


class Knock(msgspec.Struct):
    """What a head says, for each request that comes with it.

    Attributes:
        dialect: of its path; of a list of models, the one whose SDK asks.
        listing: it asks for a list of models, or for one of them.
        headers: those that are read for what they mean. Not for `content_length`: see `Visit`.
        token: the agent's token, as `Authorization: Bearer`; None for none.
        is_json: the body is said to be JSON.
        caller: as its token was read; to be renewed before each use. None before the first.
        carried: what goes along with its calls, once that has been read.
    """

    dialect: Dialect
    listing: bool
    headers: Headers
    token: str | None
    is_json: bool
    caller: Caller | None = None
    carried: Carried | None = None


class Visit(msgspec.Struct):
    """One authenticated request.

    Attributes:
        length: the `Content-Length` of this very request.
        address: the caller's network address in its one spelling, "" if it is not known.
    """

    scope: Scope
    receive: Receive
    send: Send
    dialect: Dialect
    caller: Caller
    knock: Knock
    length: bytes | None
    address: str

    def carried(self) -> Carried:
        """What goes along with its calls: read once for its head. Raises as `carried_of`."""
        found = self.knock.carried
        if found is None:
            found = self.knock.carried = carried_of(self.scope)
        return found


def knock_of(dialect: Dialect, raw: Pairs, *, listing: bool) -> Knock:
    """Read the headers of a request. Raises TheirError as `read_headers`, and `token_twice`."""
    headers = read_headers(raw)
    kind = (headers.content_type or b"").partition(b";")[0].strip().lower()
    return Knock(dialect, listing, headers, _token(raw), kind == _JSON)


def carried_of(scope: Scope) -> Carried:
    """Read what goes along with a call.

    Raises:
        TheirError: `header_malformed`, `header_twice`, `bad_run_words`.
    """
    raw: list[tuple[bytes, bytes]] = scope["headers"]
    headers = read_headers(raw)
    path: str = scope["path"]
    fields = _passed_on(raw)
    beside: dict[str, str] = dict(fields)
    counting = path.endswith("/count_tokens")
    if counting:
        beside["path"] = path
    return Carried(
        f"{path}?{BETA.decode()}" if scope.get("query_string", b"") else path,
        counting,
        fields,
        beside,
        beside.get("anthropic-beta", ""),
        session_of_both(raw),
        session_in_headers(raw),
        read_said(headers, NOTHING),
        trace_parent(headers),
    )


async def refuse(
    send: Send, dialect: Dialect, status: int, code: str, text: str, *more: tuple[bytes, bytes]
) -> None:
    """Answer with an error that this dialect's SDKs raise as their own."""
    if status == 401:
        more = (*more, (b"www-authenticate", b"Bearer"))
    await reply(send, status, refusal(dialect, status, code, text), *more)


def _token(raw: Pairs) -> str | None:
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


def _passed_on(raw: Pairs) -> tuple[tuple[str, str], ...]:
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
    return tuple(found.items())
