"""Listening for as long as somebody wants to: streams end, and are opened again.

While a stream was down changes may have gone unheard, so after each reopening everything wanted is
reported as changed. A report of change says only "look again", so one too many is harmless.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator
from contextlib import aclosing

from bailiwick.core.canonical import Json, JsonObject
from bailiwick.core.errors import OurError
from bailiwick.gateway.upstreams.era import Heard
from bailiwick.ports import Wants

ACKNOWLEDGED = "notifications/subscriptions/acknowledged"
GENERAL = (
    "notifications/tools/list_changed",
    "notifications/prompts/list_changed",
    "notifications/resources/list_changed",
    "notifications/resources/updated",
)
"""What belongs to no request: listeners are told."""

_FIRST_PAUSE_SECONDS = 0.5
_LAST_PAUSE_SECONDS = 60.0


async def listen_on(open_stream: Callable[[], Heard], wants: Wants) -> Heard:
    """Yield what `open_stream` gives, opening it again (0.5 s to 60 s apart) when it ends.

    A stream's first item may be `ACKNOWLEDGED`: it is open now; it is not passed on.
    """
    pause = _FIRST_PAUSE_SECONDS
    missed = False
    while True:
        try:
            async with aclosing(open_stream()) as heard:
                async for method, params in heard:
                    pause = _FIRST_PAUSE_SECONDS
                    if missed:
                        missed = False
                        for change in everything(wants):
                            yield change
                    if method != ACKNOWLEDGED:
                        yield method, params
        except OurError:
            # Down or broken: the status says so, and trying again is all there is to do.
            pass
        missed = True
        await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - spreads load
        pause = min(pause * 2, _LAST_PAUSE_SECONDS)


def everything(wants: Wants) -> Iterator[tuple[str, JsonObject]]:
    """One notification for each thing wanted."""
    for kind, wanted in (
        ("tools", wants.tools),
        ("prompts", wants.prompts),
        ("resources", wants.resources),
    ):
        if wanted:
            yield f"notifications/{kind}/list_changed", {}
    for uri in wants.uris:
        yield "notifications/resources/updated", {"uri": uri}


def is_wanted(method: str, wants: Wants) -> bool:
    """Whether a listener wants it: a server of the stateful era tells of every list."""
    match method:
        case "notifications/tools/list_changed":
            return wants.tools
        case "notifications/prompts/list_changed":
            return wants.prompts
        case "notifications/resources/list_changed":
            return wants.resources
    return True


def filter_of(wants: Wants) -> dict[str, Json]:
    """The `notifications` member (2026-07-28, basic/patterns/subscriptions)."""
    notifications: dict[str, Json] = {}
    if wants.tools:
        notifications["toolsListChanged"] = True
    if wants.prompts:
        notifications["promptsListChanged"] = True
    if wants.resources:
        notifications["resourcesListChanged"] = True
    if wants.uris:
        notifications["resourceSubscriptions"] = list(wants.uris)
    return notifications
