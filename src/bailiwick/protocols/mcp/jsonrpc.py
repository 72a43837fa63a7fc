"""JSON-RPC 2.0 messages as MCP uses them: bytes to one of three values, and back.

Replies of upstreams stay raw bytes: they are put in an envelope by concatenation and never
parsed on the way.

Source: JSON-RPC 2.0; MCP `basic/index` of each revision (ids are text or integers, never null).
"""

from __future__ import annotations

from enum import IntEnum
from typing import cast

import msgspec

from bailiwick.core.canonical import Json, JsonObject
from bailiwick.core.errors import TheirError
from bailiwick.protocols.mcp.messages import Message as Message
from bailiwick.protocols.mcp.messages import Notification as Notification
from bailiwick.protocols.mcp.messages import PlainRequest
from bailiwick.protocols.mcp.messages import Request as Request
from bailiwick.protocols.mcp.messages import RequestId as RequestId
from bailiwick.protocols.mcp.messages import Response as Response
from bailiwick.protocols.strict_json import MAX_VALUES, encode, parse, parse_plain

MAX_ID_CHARS = 256

_ENVELOPE = frozenset({"jsonrpc", "id", "method", "params", "result", "error"})
_JUDGED = frozenset(
    {
        "_meta", "name", "arguments", "uri", "cursor", "ref", "argument", "context", "level",
        "task", "taskId", "inputResponses", "requestState", "requestId", "notifications",
        "progressToken", "protocolVersion", "capabilities", "clientInfo",
    }
)  # fmt: skip
_decode_plain = msgspec.json.Decoder(PlainRequest).decode
_JUDGED_FOLDED = frozenset(word.casefold() for word in _JUDGED)


class Code(IntEnum):
    """Error codes we send. 2026-07-28 `basic/index` "Error codes"; -32002 is of ≤ 2025-11-25."""

    PARSE_ERROR = -32700
    INVALID_REQUEST = -32600
    METHOD_NOT_FOUND = -32601
    INVALID_PARAMS = -32602
    INTERNAL_ERROR = -32603
    RESOURCE_NOT_FOUND = -32002
    URL_ELICITATION_REQUIRED = -32042
    HEADER_MISMATCH = -32020
    MISSING_CLIENT_CAPABILITY = -32021
    UNSUPPORTED_VERSION = -32022


def parse_message(body: bytes) -> Message:
    """Read one JSON-RPC message strictly.

    Raises:
        TheirError: the codes of `strict_json.parse`; `batch_refused` for an array;
            `message_malformed` for anything that is not one message. `rpc_code` tells which
            JSON-RPC code they answer with.
    """
    if len(body) <= MAX_VALUES:
        plain = parse_plain(body, _decode_plain)
        if plain is not None and plain.params.keys() <= _JUDGED:
            return Request(plain.id, b"%d" % plain.id, plain.method, plain.params)
    return _read(parse(body, MAX_VALUES))


def _read(value: Json) -> Message:
    if type(value) is not dict:
        if type(value) is list:
            raise TheirError("batch_refused", "batches are not served: send one message per POST")
        raise _malformed("the body must be one JSON object")
    if not value.keys() <= _ENVELOPE:
        for name in value:
            if name not in _ENVELOPE and name.casefold() in _ENVELOPE:
                raise _malformed("a name of the envelope is spelled with other letters")
    if value.get("jsonrpc") != "2.0":
        raise _malformed('`jsonrpc` must be "2.0"')
    if "method" in value:
        return _asking(value)
    return _answering(value)


def rpc_code(error: TheirError) -> Code:
    """The JSON-RPC code an unreadable body is answered with."""
    if error.code in ("batch_refused", "message_malformed"):
        return Code.INVALID_REQUEST
    return Code.PARSE_ERROR


def _asking(value: dict[str, Json]) -> Request | Notification:
    method = value["method"]
    if type(method) is not str or not method or "result" in value or "error" in value:
        raise _malformed("`method` must be text, and stands without `result` and `error`")
    params = value.get("params")
    if params is None and "params" not in value:
        params = {}
    if type(params) is not dict:
        raise _malformed("`params` must be an object")
    if not params.keys() <= _JUDGED:
        for name in params:
            if name not in _JUDGED and name.casefold() in _JUDGED_FOLDED:
                raise _malformed("a name in `params` is spelled with other letters")
    if "id" not in value:
        return Notification(method, params)
    identity = _checked_id(value["id"])
    return Request(identity, encode(identity), method, params)


def _answering(value: dict[str, Json]) -> Response:
    has_result = "result" in value
    if has_result == ("error" in value) or "params" in value:
        raise _malformed("a message has a `method`, a `result` or an `error`")
    body = value["result" if has_result else "error"]
    if type(body) is not dict:
        raise _malformed("`result` and `error` must be objects")
    identity = _checked_id(value.get("id"))
    return Response(identity, body if has_result else None, None if has_result else body)


def _checked_id(identity: Json) -> RequestId:
    if type(identity) is int:
        return identity
    if type(identity) is str and len(identity) <= MAX_ID_CHARS:
        return identity
    raise _malformed(f"`id` must be an integer or text of at most {MAX_ID_CHARS} characters")


def _malformed(why: str) -> TheirError:
    return TheirError("message_malformed", f"not a JSON-RPC message: {why}")


def result_message(id_json: bytes, result: bytes) -> bytes:
    """A reply around raw `result` bytes."""
    return b'{"jsonrpc":"2.0","id":%b,"result":%b}' % (id_json, result)


def error_message(id_json: bytes, error: bytes) -> bytes:
    """A reply around raw `error` bytes."""
    return b'{"jsonrpc":"2.0","id":%b,"error":%b}' % (id_json, error)


def error_body(code: int, message: str, data: Json = None) -> bytes:
    """A JSON-RPC `error` object."""
    body: dict[str, Json] = {"code": int(code), "message": message}
    if data is not None:
        body["data"] = data
    return encode(body)


def notification_message(method: str, params: JsonObject) -> bytes:
    """A notification."""
    return encode({"jsonrpc": "2.0", "method": method, "params": params})


def request_message(identity: RequestId, method: str, params: JsonObject) -> bytes:
    """A request."""
    return encode({"jsonrpc": "2.0", "id": identity, "method": method, "params": params})


def code_of(error: bytes) -> int | None:
    """The `code` of raw `error` bytes of an upstream; -32603 when it has none that is a number.

    None where the bytes do not mean one thing: another reader could find another code in them.
    """
    try:
        value = cast(object, parse(error))
    except TheirError:
        return None
    code = value.get("code") if isinstance(value, dict) else None
    return code if type(code) is int else Code.INTERNAL_ERROR
