"""The three kinds of messages of JSON-RPC.

Apart from `jsonrpc.py`, which is compiled: of a Struct, the compiler would lose the keywords.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import msgspec

from bailiwick.core.canonical import MAX_SAFE_INTEGER, JsonObject
from bailiwick.protocols.strict_json import PLAIN_DEPTH, plain_object

RequestId = str | int


class Request(msgspec.Struct):
    """A request. `id_json` is the id as JSON text, ready for the reply's envelope."""

    id: RequestId
    id_json: bytes
    method: str
    params: JsonObject


if TYPE_CHECKING:
    Params = JsonObject
else:
    Params = plain_object(PLAIN_DEPTH - 1)


class PlainRequest(msgspec.Struct, forbid_unknown_fields=True):
    """A request as most are: of four members, its id a number. As `parse_plain` is to decode it."""

    jsonrpc: Literal["2.0"]
    id: Annotated[int, msgspec.Meta(ge=-MAX_SAFE_INTEGER, le=MAX_SAFE_INTEGER)]
    method: Annotated[str, msgspec.Meta(min_length=1)]
    params: Params


class Notification(msgspec.Struct):
    """A message that is owed no reply."""

    method: str
    params: JsonObject


class Response(msgspec.Struct):
    """A reply to a request of ours. Exactly one of `result` and `error` is set."""

    id: RequestId
    result: JsonObject | None
    error: JsonObject | None


Message = Request | Notification | Response
