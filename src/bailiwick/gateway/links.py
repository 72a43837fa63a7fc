"""Looking where the paths of a call lead, before it is judged.

Only calls to a server whose files are here, under a rule that holds paths to folders, are looked
at. What is found goes with the call, and the record (`core.links`). A link that is made, or turned,
between this look and the server's own is not seen: docs/threat-model.md.
"""

from __future__ import annotations

from collections.abc import Callable

from bailiwick.core.call import Call
from bailiwick.core.links import led, to_look_at
from bailiwick.gateway.chains import Chain
from bailiwick.gateway.upstreams.spec import ServerSpec
from bailiwick.ports import Files


class Links:
    """Looks where paths lead.

    Args:
        server: how a server is declared now; None if there is none of that name.
    """

    def __init__(self, files: Files, server: Callable[[str], ServerSpec | None]) -> None:
        self._files = files
        self._server = server

    async def look(self, call: Call, chain: Chain) -> Call:
        """The same call, with where its paths lead now. Never raises for anything about it."""
        try:
            texts = to_look_at(call, chain)
        except Exception:  # noqa: BLE001 - `judge` asks the same of the same rules, and denies then
            texts = ()
        server = self._server(call.target.upstream) if texts else None
        if server is None or not server.files_here:
            return led(call, {})
        return led(call, await self._files.leads(server.name, server.folder, texts))


def looks_further(call: Call, before: Chain, now: Chain) -> bool:
    """Whether `now` holds paths of a call to folders, of which nobody looked for `before`."""
    return not set(to_look_at(call, now)) <= set(to_look_at(call, before))
