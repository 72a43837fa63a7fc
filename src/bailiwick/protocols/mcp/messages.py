"""The three kinds of messages of JSON-RPC.

Apart from `jsonrpc.py`, which is compiled: of a Struct, the compiler would lose the keywords.
"""

from __future__ import annotations

import msgspec

from bailiwick.core.canonical import JsonObject

RequestId = str | int


class Request(msgspec.Struct):
    """A request. `id_json` is the id as JSON text, ready for the reply's envelope."""

    id: RequestId
    id_json: bytes
    method: str
    params: JsonObject


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
