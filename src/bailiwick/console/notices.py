"""What a page says after an act, by the `did` it was redirected with: never free text."""

from __future__ import annotations

from bailiwick.console.web import Visit

NOTICES = {
    "approved": "Your approval is recorded.",
    "refused": "Your refusal is recorded. The call will not run.",
    "accepted": "The new definition is accepted.",
    "counted": "Your acceptance is recorded. It waits for others to accept it too.",
    "revoked": "The mandate is revoked. Nothing new is dispatched under it.",
    "suspended": "The mandate is suspended. Nothing new is dispatched under it for now.",
    "resumed": "The mandate goes on.",
    "ended": "The run is ended. Nothing new is dispatched in it.",
}


def notice(visit: Visit) -> str:
    """What this page is to say; "" for nothing."""
    return NOTICES.get(visit.request.query_params.get("did", ""), "")
