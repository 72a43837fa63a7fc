"""Errors as answers: which status each code has, and its JSON form."""

from __future__ import annotations

from starlette.responses import JSONResponse, Response

from bailiwick.core.errors import BailiwickError, ConfigError, Conflict, StoreError, TheirError

_STATUS = {
    "token_missing": 401,
    "token_invalid": 401,
    "token_expired": 401,
    "token_revoked": 401,
    "wrong_audience": 401,
    "host_not_allowed": 403,
    "origin_not_allowed": 403,
    "csrf_invalid": 403,
    "not_found": 404,
    "method_not_allowed": 405,
    "hold_not_waiting": 409,
    "hold_expired": 409,
    "already_stamped": 409,
    "nothing_to_settle": 409,
    "rendering_changed": 409,
    "mandate_not_active": 409,
    "mandate_not_suspended": 409,
    "mandate_changed": 409,
    "run_ended": 409,
    "simulation_busy": 409,
    "child_exists": 409,
    "too_many_children": 409,
    "link_invalid": 410,
    "body_too_large": 413,
    "child_too_large": 413,
    "not_json": 415,
    "not_a_form": 415,
    "delegation_busy": 429,
    "too_many_connections": 503,
    "child_invalid": 422,
    "child_wider": 422,
}


def status_of(error: BailiwickError) -> int:
    """The HTTP status of an error; docs/reference/api.md lists them."""
    match error:
        case Conflict():
            return 409
        case StoreError():
            return 503
        case ConfigError():
            return 422
        case TheirError(code=code) if code in _STATUS:
            return _STATUS[code]
        case TheirError(code=code):
            if code.endswith("_unknown"):
                return 404
            return 403 if code.endswith("_not_allowed") else 400
        case _:
            return 500


def api_error(error: BailiwickError) -> Response:
    """`{"error": {"code", "message"}}` with the error's status."""
    status = status_of(error)
    headers = {"www-authenticate": 'Bearer realm="bailiwick"'} if status == 401 else None
    body = {"error": {"code": error.code, "message": error.message}}
    return JSONResponse(body, status_code=status, headers=headers)
