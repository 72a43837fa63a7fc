"""A hold as one person sees it, with the check that what is shown is what would run."""

from __future__ import annotations

from dataclasses import dataclass, replace

from bailiwick.console.opened import true_arguments
from bailiwick.console.parts import Parts
from bailiwick.console.rights import why_not
from bailiwick.console.shapes import rendering_sha256
from bailiwick.core.canonical import JsonObject
from bailiwick.ports import CallPath, HoldRow, Person, RunShown


@dataclass(frozen=True, slots=True)
class HoldView:
    """A hold for one person.

    Attributes:
        why_not: why this person may not stamp it, "" when they may.
        arguments: what would run, or None when it is gone or is not what the hold binds.
        run: the run it belongs to, with what that was told; None if it cannot be found.
    """

    hold: HoldRow
    why_not: str
    rendering_sha256: str
    arguments: JsonObject | None
    run: RunShown | None = None

    @staticmethod
    def of(path: CallPath | None, person: Person, hold: HoldRow, now_ms: int) -> HoldView:
        """Check the held call's opened arguments against the hold."""
        arguments = true_arguments(path)
        if path is not None and path.call.digest != hold.digest:
            arguments = None
        reason = why_not(person, hold, now_ms)
        if arguments is None and not reason:
            # Fail closed: no stamp is offered on a call that cannot be shown truly.
            reason = "what would run cannot be shown: its record is missing or does not match"
        return HoldView(hold, reason, rendering_sha256(hold), arguments)


async def view_hold(parts: Parts, person: Person, hold: HoldRow) -> HoldView:
    """Open the held call and view it."""
    path = await parts.control.path(hold.call)
    view = HoldView.of(path, person, hold, parts.clock.wall_ms())
    return replace(view, run=await parts.control.run(hold.run))
