"""Requests that are like one read before but for their id and their arguments. Pure.

An agent that calls one tool again and again sends the same text but for two values. What stands
around those is compared instead of parsed.
"""

from __future__ import annotations

import msgspec

from bailiwick.core.canonical import Json, JsonObject
from bailiwick.protocols.mcp.messages import Request
from bailiwick.protocols.strict_json import decode_object, encode, parse_plain

MAX_FRAME_BYTES = 32 * 1024
"""Longest text that is looked at for its frame."""

MAX_AROUND_BYTES = 4 * 1024
"""Longest frame. One is kept for each head that is kept, of each connection, while it lasts."""

_NAMES = frozenset({"jsonrpc", "id", "method", "params"})
_ID_DIGITS = 15
_ID, _ARGUMENTS = b"\x00", b"\x01"  # no JSON text holds these bytes


class Frame:
    """The text of a request around its id and its arguments.

    INVARIANT: `fill` returns what `parse_message` reads in the same bytes, or None. All but two
    values is equal, byte by byte, to a text that was parsed strictly; in the place of its integer
    stands an integer, and in the place of an object one that is strict by itself. What a JSON text
    means around a value does not depend on the value.
    """

    __slots__ = ("_id_first", "_method", "_params", "_parts")

    def __init__(
        self, before: bytes, between: bytes, after: bytes, request: JsonObject, *, id_first: bool
    ) -> None:
        self._parts = before, len(before), between, len(between), after, len(after)
        self._method: str = request["method"]  # type: ignore[assignment]  # it was parsed
        self._params: dict[str, Json] = request["params"]  # type: ignore[assignment]  # as above
        self._id_first = id_first

    def fill(self, body: bytes) -> Request | None:
        """The request that a text is, if it is this one but for two values; else None.

        Args:
            body: at most `MAX_VALUES` bytes, so that it cannot hold too many values.
        """
        before, begin, between, gap, after, tail = self._parts
        if not (body.startswith(before) and body.endswith(after)):
            return None
        end = len(body) - tail
        # Where no such end of the id is found, what stands between is not at that place either;
        # where parts overlap, no text of arguments is left.
        if self._id_first:
            stop = body.find(b",", begin, begin + _ID_DIGITS + 1)
            if not body.startswith(between, stop):
                return None
            digits, text = body[begin:stop], body[stop + gap : end]
        else:
            start = body.rfind(b":", end - _ID_DIGITS - 1, end) + 1
            if not body.endswith(between, begin, start):
                return None
            digits, text = body[start:end], body[begin : start - gap]
        if not digits.isdigit() or digits < b"1":  # one spelling: no sign, no zero before it
            return None
        arguments = parse_plain(text, decode_object)
        if arguments is None:
            return None
        return Request(int(digits), digits, self._method, {**self._params, "arguments": arguments})


def frame_of(body: bytes) -> Frame | None:
    """The frame of a text that `parse_message` has read; None if it has none.

    It has one if it is compact, its id a positive integer, its `arguments` an object, and the rest
    of it short.
    """
    if len(body) > MAX_FRAME_BYTES:
        return None
    value = msgspec.json.decode(body)
    params = value["params"] if value.keys() == _NAMES else None
    if type(params) is not dict or type(params.get("arguments")) is not dict:
        return None
    if type(value["id"]) is not int or encode(value) != body:
        return None
    open_params = {**params, "arguments": msgspec.Raw(_ARGUMENTS)}
    text = encode({**value, "id": msgspec.Raw(_ID), "params": open_params})
    if len(text) > MAX_AROUND_BYTES:
        return None
    params["arguments"] = {}  # in its place among the others; these arguments are nobody's
    before, _, rest = text.partition(_ID)
    id_first = _ARGUMENTS in rest
    if id_first:
        between, _, after = rest.partition(_ARGUMENTS)
    else:
        after = rest
        before, _, between = before.partition(_ARGUMENTS)
    return Frame(before, between, after, value, id_first=id_first)
