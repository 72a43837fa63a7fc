"""Saying no in the words of each dialect, so that its own SDKs raise their own errors.

`refusal` is the body of an HTTP error. `stream_refusal` ends a stream that had begun with 200.
Neither is to be tried again by itself: send `x-should-retry: false` with a refusal that another
try cannot change, since both official SDKs would otherwise repeat 408, 409, 429 and 5xx.
"""

from __future__ import annotations

from bailiwick.core.canonical import Json
from bailiwick.protocols.llm.dialect import Dialect
from bailiwick.protocols.sse import encode_event
from bailiwick.protocols.strict_json import encode

_MESSAGES_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_OPENAI_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}


def refusal(dialect: Dialect, status: int, code: str, text: str) -> bytes:
    """The body of a refusal: JSON, in the dialect's error shape.

    Args:
        dialect: whose shape.
        status: the HTTP status that goes with it, 400 to 599; it names the type.
        code: our stable code, for programs. The Messages shape has no place for one, so there it
            is an extra field, and in the text.
        text: one line for people and models; no secrets.
    """
    return encode(_error(dialect, status, code, text))


def stream_refusal(
    dialect: Dialect, status: int, code: str, text: str, sequence_number: int = 0
) -> bytes:
    """The last event of a stream that cannot go on, and the end of it.

    No `[DONE]` follows: whoever does not know the error is to see a stream that broke off, not
    one that ended well. Arguments as of `refusal`; `sequence_number` is that of the event in the
    Responses dialect.
    """
    error = _error(dialect, status, code, text)
    if dialect is Dialect.MESSAGES:
        return encode_event(encode(error), event="error")
    if dialect is Dialect.RESPONSES:
        # Flat by the API's description; nested is what the official SDKs raise on.
        event: dict[str, Json] = {
            "type": "error",
            "code": code,
            "message": text,
            "param": None,
            "sequence_number": sequence_number,
            **error,
        }
        return encode_event(encode(event), event="error")
    return encode_event(encode(error))


def _error(dialect: Dialect, status: int, code: str, text: str) -> dict[str, Json]:
    if dialect is Dialect.MESSAGES:
        kind = _MESSAGES_TYPES.get(status, _by_class(status))
        return {
            "type": "error",
            "error": {"type": kind, "message": f"{text} [{code}]", "code": code},
            "request_id": None,
        }
    kind = _OPENAI_TYPES.get(status, _by_class(status))
    return {"error": {"message": text, "type": kind, "param": None, "code": code}}


def _by_class(status: int) -> str:
    return "invalid_request_error" if status < 500 else "api_error"
