"""Which HTTP status says what, so that each SDK raises the error its users expect."""

from __future__ import annotations

STATUS = {
    "body_too_large": 413,
    "body_too_slow": 408,
    "header_malformed": 400,
    "header_twice": 400,
    "headers_too_large": 431,
    "host_not_served": 403,
    "length_malformed": 400,
    "ledger_unavailable": 503,
    "mandate_unknown": 403,
    "mandate_not_active": 403,
    "mandate_changed": 403,
    "mandate_revoked": 403,
    "mandate_expired": 403,
    "model_unknown": 404,
    "dialect_not_spoken": 400,
    "tokens_unbounded": 400,
    "cost_unbounded": 400,
    "outcome_not_recorded": 502,
    "outcome_unknown": 502,
    "upstream_busy": 503,
    "upstream_down": 503,
    "alias_resting": 503,
}

DENIED_STATUS = 403
"""Also of a limit without room. Agents take 429 for a pause: opencode 1.18 tries again for ever,
and Codex 0.169 shows nothing of the reason (docs/agents.md)."""

HELD_STATUS = 409
"""Both SDKs try again by themselves after it, and the same call picks its hold up again."""


def status_of(code: str) -> int:
    """The status of a refusal by the gate."""
    return STATUS.get(code, DENIED_STATUS)
