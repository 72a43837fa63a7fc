"""All of the people's API, composed."""

from __future__ import annotations

from starlette.routing import Route

from bailiwick.console.api.calls import Calls
from bailiwick.console.api.house import House
from bailiwick.console.api.mandates import Mandates
from bailiwick.console.api.runs import Runs
from bailiwick.console.parts import Parts


def api_routes(parts: Parts) -> list[Route]:
    """Every route, relative to `/api/v1`."""
    return [
        *House(parts).routes(),
        *Calls(parts).routes(),
        *Runs(parts).routes(),
        *Mandates(parts).routes(),
    ]
