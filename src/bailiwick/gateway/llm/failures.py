"""Ways in which a model does not serve a call, and after which of them another one may be asked."""

from __future__ import annotations

from bailiwick.core.errors import BailiwickError

UNREACHABLE = "unreachable"
BUSY = "busy"
TIMEOUT = "timeout"
RATE_LIMITED = "rate_limited"
OVERLOADED = "overloaded"
SERVER_ERROR = "server_error"
BROKEN = "broken"
KEY_REFUSED = "key_refused"
DENIED = "denied"
LIMIT_REACHED = "limit_reached"

FAILURES = {
    UNREACHABLE: "it cannot be reached",
    BUSY: "too many requests wait for it here",
    TIMEOUT: "it did not answer in time",
    RATE_LIMITED: "it answered 429",
    OVERLOADED: "it answered 503 or 529",
    SERVER_ERROR: "it answered 5xx, or its stream began with an error",
    BROKEN: "it broke off before its answer began, or answered with garbage",
    KEY_REFUSED: "it refused the gateway's key",
    DENIED: "the mandate does not allow this model for this call",
    LIMIT_REACHED: "a limit has no room for it on this model",
}

DEFAULT_FAIL_OVER = frozenset(FAILURES) - {DENIED, LIMIT_REACHED}

NOTHING_DONE = frozenset(
    {UNREACHABLE, BUSY, RATE_LIMITED, OVERLOADED, KEY_REFUSED, DENIED, LIMIT_REACHED}
)
"""After these nothing was sent, or the server says that it did nothing. After the others it may
have begun: that is repeated only where a model does nothing but answer."""

COUNTED = frozenset({UNREACHABLE, TIMEOUT, RATE_LIMITED, OVERLOADED, BROKEN, KEY_REFUSED})
"""What a model needs a rest after. Not `server_error`: many servers answer 500 to one odd request,
and an agent could have a model rested for everybody. Not `busy`: that is our own doing."""

_CODES = {
    "upstream_busy": BUSY,
    "upstream_refused": KEY_REFUSED,
    "upstream_timeout": TIMEOUT,
    "upstream_tls": UNREACHABLE,
    "upstream_unreachable": UNREACHABLE,
}
_STATUSES = {429: RATE_LIMITED, 503: OVERLOADED, 529: OVERLOADED}


def failure_of(error: BailiwickError) -> str:
    """What an error on the way to a server or back amounts to."""
    return _CODES.get(error.code, BROKEN)


def failure_in(status: int) -> str:
    """What an answer with this HTTP status amounts to; "" where the call itself is to blame."""
    return _STATUSES.get(status, SERVER_ERROR if status >= 500 else "")
