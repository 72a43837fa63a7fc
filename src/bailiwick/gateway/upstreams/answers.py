"""What an HTTP response of an MCP server means for the one request it answers.

| response | meaning |
|---|---|
| 200 with the reply | the reply |
| 4xx with a JSON-RPC error | the reply: the server refused the request itself |
| 401, 403 | down: it refused the gateway's own credentials |
| 3xx, other 4xx but 408 | down: the request was turned away at the door |
| 408, 5xx, anything garbled | broken: it may have been carried out |

Challenges (`WWW-Authenticate`) are about the gateway's credentials and go no further than here.
"""

from __future__ import annotations

from bailiwick.core.errors import OurError, TheirError, UpstreamBroken, UpstreamDown
from bailiwick.gateway.http.response import Response
from bailiwick.gateway.upstreams.envelope import MessageId, Reply, decode, plain_result
from bailiwick.ports import UpstreamReply

CREDENTIALS = (401, 403)


def garbled(server: str, why: str) -> UpstreamBroken:
    """The server answered, and not as MCP says."""
    return UpstreamBroken("upstream_garbage", f"server `{server}` answered garbage: {why}")


def read_reply(server: str, response: Response, message_id: MessageId) -> UpstreamReply:
    """The reply in a response that was read whole.

    Raises:
        UpstreamDown, UpstreamBroken: see the table above.
    """
    if response.status != 200:
        return _read_refusal(server, response, message_id)
    if response.content_type == "application/json":
        result = plain_result(response.body, message_id)
        if result is not None:
            return UpstreamReply(result)
    else:
        shown = response.content_type[:40] or "none"
        raise garbled(server, f"its content type is `{shown}`")
    try:
        message = decode(response.body)
    except TheirError as error:
        raise garbled(server, error.message) from error
    if not isinstance(message, Reply):
        raise garbled(server, "a message that is no response")
    return accept(server, message, message_id)


def accept(server: str, reply: Reply, message_id: MessageId) -> UpstreamReply:
    """Hand on a reply if it is to this request."""
    if reply.id != message_id and not (reply.id is None and reply.error is not None):
        raise garbled(server, "its id is that of no request")
    if type(reply.id) is not type(message_id) and reply.id is not None:
        raise garbled(server, "its id has another type than the request's")
    return UpstreamReply(result=reply.result, error=reply.error)


def _read_refusal(server: str, response: Response, message_id: MessageId) -> UpstreamReply:
    if response.status not in CREDENTIALS and 400 <= response.status < 500:
        try:
            message = decode(response.body)
        except TheirError:
            pass
        else:
            if isinstance(message, Reply) and message.error is not None:
                return accept(server, message, message_id)
    raise refusal(server, response.status)


def refusal(server: str, status: int) -> OurError:
    """The error for a status that comes without a reply."""
    if status in CREDENTIALS:
        return UpstreamDown(
            "upstream_unauthorized",
            f"server `{server}` refused the gateway's credentials (HTTP {status});"
            " its declared `headers` need renewing",
        )
    if 300 <= status < 400:
        return UpstreamDown(
            "upstream_refused",
            f"server `{server}` redirects (HTTP {status}), which is never followed;"
            " declare the final URL",
        )
    if 400 <= status < 500 and status != 408:
        return UpstreamDown(
            "upstream_refused", f"server `{server}` turned the request away (HTTP {status})"
        )
    if status >= 500 or status == 408:
        return UpstreamBroken("upstream_failed", f"server `{server}` failed (HTTP {status})")
    return garbled(server, f"HTTP {status} to a request that needs a reply")
