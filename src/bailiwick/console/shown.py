"""The check that a person stamps what they were shown, and that it is what would run."""

from __future__ import annotations

import hmac

from bailiwick.console.opened import true_arguments
from bailiwick.console.parts import Parts
from bailiwick.console.shapes import rendering_sha256
from bailiwick.core.errors import TheirError


async def check_shown(parts: Parts, hold_id: str, seen_sha256: str | None, approve: bool) -> None:
    """Check a stamp before it is given. `seen_sha256` None: the person does not say what they saw.

    Refusing is possible whatever state the record is in; approving is not.

    Raises:
        TheirError: `hold_unknown`; `rendering_changed` when the person saw another text, or when
            the recorded arguments are not those that the hold binds.
    """
    hold = await parts.records.hold(hold_id)
    if hold is None:
        raise TheirError("hold_unknown", f"no hold `{hold_id}`")
    if seen_sha256 is not None:
        seen = seen_sha256.encode()
        if not hmac.compare_digest(seen, rendering_sha256(hold).encode()):
            raise TheirError("rendering_changed", "what you saw is not what waits: look again")
    path = await parts.control.path(hold.call)
    sound = path is not None and path.call.digest == hold.digest
    if approve and not (sound and true_arguments(path) is not None):
        raise TheirError("rendering_changed", "the recorded arguments do not match this hold")
