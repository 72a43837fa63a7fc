"""JSON-RPC envelopes: what surrounds a payload, and nothing of the payload.

`result` and `error` stay raw JSON text. An envelope is taken apart strictly: whatever is not
exactly one response, notification or request raises TheirError `message_garbled`.
"""

from __future__ import annotations

import json
from typing import Literal

import msgspec

from bailiwick.core.canonical import JsonObject
from bailiwick.core.errors import TheirError

MessageId = int | str

HEADER_MISMATCH = -32020
MISSING_CAPABILITY = -32021
UNSUPPORTED_VERSION = -32022
METHOD_NOT_FOUND = -32601
INTERNAL_ERROR = -32603

_NONE = msgspec.Raw(b"")
_MAX_BATCH = 100


class _Wire(msgspec.Struct):
    jsonrpc: str
    id: int | str | msgspec.UnsetType | None = msgspec.UNSET
    method: str | msgspec.UnsetType = msgspec.UNSET
    params: msgspec.Raw = _NONE
    result: msgspec.Raw = _NONE
    error: msgspec.Raw = _NONE


class _Error(msgspec.Struct):
    code: int
    message: str


class Reply(msgspec.Struct, frozen=True):
    """A response. `id` is None only for an error about a request that could not be read."""

    id: MessageId | None
    result: bytes | None
    error: bytes | None


class Note(msgspec.Struct, frozen=True):
    """A notification."""

    method: str
    params: JsonObject


class Ask(msgspec.Struct, frozen=True):
    """A request of the server to the client."""

    id: MessageId
    method: str
    params: JsonObject


Message = Reply | Note | Ask


class _Plain(msgspec.Struct, forbid_unknown_fields=True):
    jsonrpc: Literal["2.0"]
    id: int
    result: msgspec.Raw


_decoder = msgspec.json.Decoder(_Wire)
_plain_decoder = msgspec.json.Decoder(_Plain)
_batch_decoder = msgspec.json.Decoder(list[_Wire])
_error_decoder = msgspec.json.Decoder(_Error)
_params_decoder = msgspec.json.Decoder(dict[str, object])


def decode(raw: bytes) -> Message:
    """Take one message apart.

    Raises:
        TheirError: `message_garbled`, with one line that says how.
    """
    return _classify(_parse(raw))


def decode_batch(raw: bytes) -> list[Message]:
    """Take one message, or a batch (revision 2025-03-26 alone has them), apart.

    Raises:
        TheirError: `message_garbled`.
    """
    if raw.lstrip()[:1] != b"[":
        return [decode(raw)]
    try:
        str(raw, "utf-8")
        wires = _batch_decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _garbled("the batch is not JSON-RPC") from error
    if not 0 < len(wires) <= _MAX_BATCH:
        raise _garbled(f"a batch holds 1 to {_MAX_BATCH} messages")
    return [_classify(wire) for wire in wires]


def plain_result(raw: bytes, message_id: MessageId) -> bytes | None:
    """The result in a response to `message_id` that holds nothing besides: the usual message.

    None for every other one, also if it is garbled: `decode` says what it is.
    """
    try:
        str(raw, "utf-8")  # as in `_parse`
        plain = _plain_decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    result = bytes(plain.result)
    return result if plain.id == message_id and result[:1] == b"{" else None


def _parse(raw: bytes) -> _Wire:
    try:
        # Raw members are skipped, not read: text that is no UTF-8 would pass through.
        str(raw, "utf-8")
        return _decoder.decode(raw)
    except msgspec.ValidationError as error:
        raise _garbled(f"not a JSON-RPC message: {error}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _garbled(f"not JSON (it starts with {_start_of(raw)})") from error


def _classify(wire: _Wire) -> Message:
    if wire.jsonrpc != "2.0":
        raise _garbled("`jsonrpc` is not 2.0")
    result, error = bytes(wire.result), bytes(wire.error)
    if isinstance(wire.method, str):
        if result or error:
            raise _garbled("both a request and a response")
        params = _decode_params(bytes(wire.params))
        if isinstance(wire.id, msgspec.UnsetType):
            return Note(wire.method, params)
        if wire.id is None:
            raise _garbled("a request with the id null")
        return Ask(wire.id, wire.method, params)
    if bool(result) == bool(error):
        raise _garbled("a response needs exactly one of `result` and `error`")
    message_id = None if isinstance(wire.id, msgspec.UnsetType) else wire.id
    if error:
        _check_error(error)
        return Reply(message_id, None, error)
    if result[:1] != b"{":
        raise _garbled("`result` is not an object")
    if message_id is None:
        raise _garbled("a result without an id")
    return Reply(message_id, result, None)


def _check_error(raw: bytes) -> None:
    try:
        _error_decoder.decode(raw)
    except msgspec.DecodeError as error:
        raise _garbled("`error` needs an integer `code` and a `message`") from error


def _decode_params(raw: bytes) -> JsonObject:
    if not raw:
        return {}
    try:
        return _params_decoder.decode(raw)  # type: ignore[return-value]  # its own type
    except (msgspec.DecodeError, RecursionError) as error:
        raise _garbled("`params` is not an object") from error


def error_of(raw: bytes) -> tuple[int, str]:
    """Code and message of a raw error that `decode` has accepted."""
    error = _error_decoder.decode(raw)
    return error.code, error.message


def encode_request(message_id: MessageId, method: str, params: JsonObject) -> bytes:
    """One request, without line ends."""
    return encode({"jsonrpc": "2.0", "id": message_id, "method": method, "params": params})


def encode_note(method: str, params: JsonObject) -> bytes:
    """One notification, without line ends."""
    return encode({"jsonrpc": "2.0", "method": method, "params": params})


def encode_reply(message_id: MessageId, member: str, raw: bytes) -> bytes:
    """One response; `member` is `result` or `error`, `raw` its JSON text as it stands."""
    return encode({"jsonrpc": "2.0", "id": message_id, member: msgspec.Raw(raw)})


def encode_error(message_id: MessageId | None, code: int, message: str) -> bytes:
    """One error response of ours; None for a request whose id could not be read."""
    error = {"code": code, "message": message}
    return encode({"jsonrpc": "2.0", "id": message_id, "error": error})


def encode(value: object) -> bytes:
    """JSON text of parsed JSON, without line ends outside of raw parts.

    Raises:
        TheirError: `message_unencodable`: text with a lone surrogate.
    """
    try:
        return msgspec.json.encode(value)
    except OverflowError:
        # An integer beyond 64 bits: rare, exact in the parse, and to be sent as it was.
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError as error:
        raise TheirError("message_unencodable", "text holds a lone surrogate") from error


def _start_of(raw: bytes) -> str:
    return f"`{raw[:24].decode('ascii', 'replace')!a}`" if raw else "nothing"


def _garbled(why: str) -> TheirError:
    return TheirError("message_garbled", why)
