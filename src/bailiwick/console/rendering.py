"""The check that a person stamps the text they were shown."""

from __future__ import annotations

import hmac

from bailiwick.console.shapes import rendering_sha256
from bailiwick.core.errors import TheirError
from bailiwick.ports import Records


async def check_rendering(records: Records, hold_id: str, seen_sha256: str | None) -> None:
    """Check that `seen_sha256` is that of the hold's rendering.

    Raises:
        TheirError: `hold_unknown`; `rendering_changed` when it is another's, or None.
    """
    hold = await records.hold(hold_id)
    if hold is None:
        raise TheirError("hold_unknown", f"no hold `{hold_id}`")
    seen = (seen_sha256 or "").encode()
    if not hmac.compare_digest(seen, rendering_sha256(hold).encode()):
        raise TheirError("rendering_changed", "what you saw is not what waits: look again")
