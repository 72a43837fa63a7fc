"""Requests of 2026-07-28 that differ in their arguments alone, worded once for all of them.

An agent that calls one tool again and again has the same `_meta`, name and headers sent each time.
So the text around the id and the arguments is written once, and each request is put together of
that and the JSON of its own arguments.
"""

from __future__ import annotations

import msgspec

from bailiwick.core.canonical import Json
from bailiwick.gateway.upstreams import meta
from bailiwick.gateway.upstreams.envelope import encode
from bailiwick.gateway.upstreams.headers import encoded_headers
from bailiwick.gateway.upstreams.spec import MODERN_VERSION
from bailiwick.ports import UpstreamRequest

# No JSON text holds these bytes: in any text they are spelt out.
_ID, _ARGUMENTS = b"\x00", b"\x01"


class Worded:
    """How one server is sent requests that are alike.

    INVARIANT: `body` is what `encode_request` makes of the `params` of such a request.

    Attributes:
        of: stands for the server, and what it has told of how to word requests to it.
        client, name: of the requests; others go otherwise.
        fields: the headers that follow from method and name.
    """

    __slots__ = ("_after", "_before", "_between", "client", "fields", "name", "of")

    def __init__(self, of: object, request: UpstreamRequest, params: dict[str, Json]) -> None:
        """Word a request.

        Args:
            params: as they are sent (`meta.for_modern`), `arguments` and no progress token among
                them.
        """
        method = request.method
        blank: dict[str, object] = {**params, "arguments": msgspec.Raw(_ARGUMENTS)}
        text = encode({"jsonrpc": "2.0", "id": msgspec.Raw(_ID), "method": method, "params": blank})
        self._before, _, rest = text.partition(_ID)
        self._between, _, self._after = rest.partition(_ARGUMENTS)
        self.of, self.client, self.name = of, request.client, params.get("name")
        self.fields = encoded_headers(method, params)

    def body(self, message_id: int, arguments: Json) -> bytes:
        """One whole request.

        Raises:
            TheirError: `message_unencodable`: text with a lone surrogate.
        """
        return b"%b%d%b%b%b" % (
            self._before, message_id, self._between, encode(arguments), self._after
        )  # fmt: skip


def worded(of: object, request: UpstreamRequest) -> Worded | None:
    """How requests that are like this one are sent to a server; None where each is worded anew."""
    params = meta.for_modern(request.params, request.client, MODERN_VERSION, 0)
    held = params["_meta"]
    if "arguments" not in params or (isinstance(held, dict) and "progressToken" in held):
        return None
    return Worded(of, request, params)
