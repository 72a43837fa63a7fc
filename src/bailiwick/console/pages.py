"""The pages that show: what waits, calls, servers, mandates, policies, pins."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import zip_longest
from urllib.parse import urlencode

from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from bailiwick.console.holds import HoldView, view_hold
from bailiwick.console.limits import view_limits
from bailiwick.console.lines import as_tree, chain_of, place_of
from bailiwick.console.mandates import view_mandate
from bailiwick.console.notices import notice
from bailiwick.console.opened import judged, true_arguments
from bailiwick.console.pins import beside, by_definition
from bailiwick.console.policies import view_policy
from bailiwick.console.streams import event_stream
from bailiwick.console.web import Visit, Web
from bailiwick.core.errors import BailiwickError, StoreError, TheirError, VerificationError
from bailiwick.ports import (
    CallExplained,
    CallPath,
    CallQuery,
    CallState,
    HoldState,
    ObjectRow,
)

CALLS_A_PAGE = 50

_REF = re.compile(r"(?P<name>.+)@(?P<version>[0-9]{1,9})", re.ASCII)


class Pages:
    """Everything that a signed-in person may look at."""

    def __init__(self, web: Web) -> None:
        self._web = web
        self._parts = web.parts

    def routes(self) -> list[Route]:
        """The routes, all GET."""
        pages = {
            "/": self.waiting,
            "/holds/{id}": self.hold,
            "/calls": self.calls,
            "/calls/{id}": self.call,
            "/calls/{id}/proof/{number:int}": self.proof,
            "/servers": self.servers,
            "/mandates": self.mandates,
            "/mandates/{name}": self.mandate,
            "/limits": self.limits,
            "/policies": self.policies,
            "/pins": self.pins,
            "/live": self.live,
        }
        return [
            Route(path, self._web.page(handler), methods=["GET"]) for path, handler in pages.items()
        ]

    async def waiting(self, visit: Visit) -> Response:
        """What waits for a person."""
        now_ms = self._parts.clock.wall_ms()
        holds = await self._parts.records.holds(HoldState.WAITING)
        waiting = sorted((h for h in holds if h.expires_ms > now_ms), key=lambda h: h.expires_ms)
        decided = [h for h in await self._parts.records.holds(limit=20) if h not in waiting][:6]
        views = [await view_hold(self._parts, visit.person, hold) for hold in waiting]
        context = {"views": views, "decided": decided, "notice": notice(visit)}
        return await self._web.render(visit, "waiting.html", context)

    async def hold(self, visit: Visit) -> Response:
        """One hold: exactly what a stamp binds."""
        return await self.show_hold(visit, visit.request.path_params["id"], notice(visit))

    async def show_hold(
        self, visit: Visit, hold_id: str, notice: str, *, wrong: str = "", status: int = 200
    ) -> Response:
        """The page of one hold, after an act that may have gone `wrong`."""
        hold = await self._parts.records.hold(hold_id)
        if hold is None:
            raise TheirError("hold_unknown", f"no hold `{hold_id}`")
        view = await view_hold(self._parts, visit.person, hold)
        context = {"view": view, "hold": hold, "notice": notice, "wrong": wrong}
        return await self._web.render(visit, "hold.html", context, status)

    async def calls(self, visit: Visit) -> Response:
        """Recent calls, filtered."""
        asked = visit.request.query_params
        wanted = {name: asked.get(name, "") for name in ("agent", "state", "run", "mandate")}
        before = asked.get("before", "")
        query = CallQuery(limit=CALLS_A_PAGE + 1, before=before, **wanted)
        rows = await self._parts.records.calls(query)
        shown = rows[:CALLS_A_PAGE]
        filters = {name: value for name, value in wanted.items() if value}
        older = urlencode({**filters, "before": shown[-1].id}) if len(rows) > len(shown) else ""
        agents = sorted(row.name for row in await self._parts.records.objects("agent"))
        context = {
            "calls": shown,
            "wanted": wanted,
            "filtered": bool(filters),
            "before": before,
            "older": older,
            "agents": agents,
            "states": list(CallState),
        }
        return await self._web.render(visit, "calls.html", context)

    async def call(self, visit: Visit) -> Response:
        """The path of one call."""
        path = await self._path(visit)
        mandate = await self._mandate_of(path.call.mandate)
        proofs, unproven = await self._proofs(path.call.id)
        # Both are in the order of the ledger, one of each for every entry.
        entries = list(zip_longest(path.leaves, proofs))
        view = None
        if path.hold is not None:
            now_ms = self._parts.clock.wall_ms()
            view = HoldView.of(path, visit.person, path.hold, now_ms)
        context = {
            "path": path,
            "call": path.call,
            "view": view,
            "judged": judged(path),
            "arguments": true_arguments(path),
            "explained": await self._explained(path.call.id),
            "mandate": mandate,
            "chain": chain_of(path),
            "entries": entries,
            "proven": bool(proofs),
            "unproven": unproven,
            "ledger_url": f"{self._parts.base_url}/ledger",
            "ledger_key": self._parts.ledger_key,
            "notice": notice(visit),
        }
        return await self._web.render(visit, "call.html", context)

    async def proof(self, visit: Visit) -> Response:
        """One proof of a call, as a file to take along."""
        path = await self._path(visit)
        proofs = await self._parts.control.proof(path.call.id)
        number: int = visit.request.path_params["number"]
        if not 1 <= number <= len(proofs):
            raise TheirError("not_found", f"the call has {len(proofs)} proofs")
        name = f"{_file_name(path.call.id)}-{number}.tlog-proof"
        return PlainTextResponse(
            proofs[number - 1], headers={"content-disposition": f'attachment; filename="{name}"'}
        )

    async def servers(self, visit: Visit) -> Response:
        """How each upstream is doing."""
        servers = await self._parts.control.servers()
        models = await self._parts.control.models()
        context = {"servers": servers, "models": models}
        return await self._web.render(visit, "servers.html", context)

    async def mandates(self, visit: Visit) -> Response:
        """Every mandate, newest version."""
        rows = await self._parts.control.objects("mandate")
        mandates = [(depth, row, view_mandate(row)) for depth, row in as_tree(rows)]
        return await self._web.render(visit, "mandates.html", {"mandates": mandates})

    async def mandate(self, visit: Visit) -> Response:
        """One mandate, its versions, and the button that ends it."""
        name = visit.request.path_params["name"]
        versions = sorted(
            await self._parts.records.versions("mandate", name), key=lambda row: -row.version
        )
        if not versions:
            raise TheirError("mandate_unknown", f"no mandate `{name}`")
        context = {
            "mandate": versions[0],
            "view": view_mandate(versions[0]),
            "sentences": await self._sentences(name),
            "place": place_of(versions[0], await self._parts.control.objects("mandate")),
            "versions": versions,
            "notice": notice(visit),
        }
        return await self._web.render(visit, "mandate.html", context)

    async def policies(self, visit: Visit) -> Response:
        """The organisation's policies, and what is wrong with them by now."""
        rows = await self._parts.control.objects("policy")
        report = await self._parts.control.check_policies({})
        context = {"policies": [(row, view_policy(row)) for row in rows], "report": report}
        return await self._web.render(visit, "policies.html", context)

    async def limits(self, visit: Visit) -> Response:
        """What is used of the limits of every mandate."""
        found = await self._parts.control.limits()
        context = {"holders": view_limits(found.limits), "unsettled": found.unsettled}
        return await self._web.render(visit, "limits.html", context)

    async def pins(self, visit: Visit) -> Response:
        """Pinned definitions; those that changed first, side by side."""
        pairs, steady = by_definition(await self._parts.control.pins())
        changed = [(old, new, beside(old, new)) for old, new in pairs]
        context = {"changed": changed, "steady": steady, "notice": notice(visit)}
        return await self._web.render(visit, "pins.html", context)

    async def live(self, visit: Visit) -> Response:
        """Live changes, for as long as this person stays signed in."""
        key = visit.request.cookies.get(self._parts.cookie, "")

        def still_welcome() -> bool:
            return self._parts.sign_in.session(key, touch=False) is not None

        return event_stream(self._parts.control.events(), still_welcome)

    async def _path(self, visit: Visit) -> CallPath:
        call_id = visit.request.path_params["id"]
        path = await self._parts.control.path(call_id)
        if path is None:
            raise TheirError("call_unknown", f"no call `{call_id}`")
        return path

    async def _sentences(self, name: str) -> Sequence[str]:
        """What a mandate says; none if it cannot be read now, which its page must not hide."""
        try:
            return (await self._parts.control.read_mandate(name)).sentences
        except BailiwickError:
            return ()

    async def _explained(self, call_id: str) -> CallExplained | None:
        """Why it was judged so; None if that cannot be told, which its page must not hide."""
        try:
            return await self._parts.control.explain(call_id)
        except BailiwickError:
            return None

    async def _proofs(self, call_id: str) -> tuple[list[str], str]:
        """The proofs, or why they cannot be made now: that must not hide the path itself."""
        try:
            return [text.decode() for text in await self._parts.control.proof(call_id)], ""
        except (StoreError, VerificationError) as error:
            return [], error.message

    async def _mandate_of(self, ref: str) -> ObjectRow | None:
        match = _REF.fullmatch(ref)
        if match is None:
            return None
        for row in await self._parts.records.versions("mandate", match["name"]):
            if row.version == int(match["version"]):
                return row
        return None


def _file_name(unverified: str) -> str:
    return re.sub(r"[^A-Za-z0-9]", "", unverified)[:64]
