"""What a person does on a page: stamp, accept a definition, revoke a mandate."""

from __future__ import annotations

from urllib.parse import quote

from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from bailiwick.console.answers import status_of
from bailiwick.console.pages import Pages
from bailiwick.console.run_pages import RunPages
from bailiwick.console.shown import check_shown
from bailiwick.console.web import Visit, Web
from bailiwick.core.errors import TheirError
from bailiwick.core.run_words import run_words
from bailiwick.ports import HoldState, PinState, RunAsked

MAX_REASON_CHARACTERS = 1_000


class Acts:
    """The POSTs of the pages. Each checks its form's token, acts, and redirects."""

    def __init__(self, web: Web, pages: Pages, runs: RunPages) -> None:
        self._web = web
        self._pages = pages
        self._runs = runs
        self._control = web.parts.control

    def routes(self) -> list[Route]:
        """The routes, all POST."""
        acts = {
            "/holds/{id}": self.stamp,
            "/pins/accept": self.accept_pin,
            "/mandates/{name}/revoke": self.revoke,
            "/mandates/{name}/suspend": self.suspend,
            "/mandates/{name}/resume": self.resume,
            "/runs": self.start_run,
            "/runs/{id}/end": self.end_run,
        }
        return [
            Route(path, self._web.page(handler), methods=["POST"]) for path, handler in acts.items()
        ]

    async def stamp(self, visit: Visit) -> Response:
        """Approve or refuse a hold.

        Pressing twice is safe: `Control.stamp` takes one stamp of one person, and the second
        press is told so beside what stands.
        """
        form = await self._web.form(visit)
        hold_id = visit.request.path_params["id"]
        try:
            approve = decision(form.get("decision", ""))
            reason = checked_reason(form.get("reason", ""))
            seen = form.get("rendering_sha256", "")
            await check_shown(self._web.parts, hold_id, seen, approve)
            hold = await self._control.stamp(visit.person, hold_id, approve, reason)
        except TheirError as error:
            if error.code == "hold_unknown":
                raise
            return await self._pages.show_hold(
                visit, hold_id, "", wrong=error.message, status=status_of(error)
            )
        did = "approved" if approve else "refused"
        where = f"/holds/{quote(hold.id, safe='')}"
        if hold.state is not HoldState.WAITING:
            where = f"/calls/{quote(hold.call, safe='')}"
        return RedirectResponse(f"{where}?did={did}", 303)

    async def accept_pin(self, visit: Visit) -> Response:
        """Accept a definition that changed."""
        form = await self._web.form(visit)
        try:
            named = [form[name] for name in ("upstream", "kind", "name", "digest")]
        except KeyError as error:
            raise TheirError("bad_request", f"the form lacks `{error.args[0]}`") from error
        pin = await self._control.accept_pin(visit.person, *named)
        did = "counted" if pin.state is PinState.HELD else "accepted"
        return RedirectResponse(f"/pins?did={did}", 303)

    async def suspend(self, visit: Visit) -> Response:
        """Stop a mandate until it is resumed."""
        form = await self._web.form(visit)
        name = visit.request.path_params["name"]
        await self._control.suspend(visit.person, name, checked_reason(form.get("reason", "")))
        return RedirectResponse(f"/mandates/{quote(name, safe='')}?did=suspended", 303)

    async def resume(self, visit: Visit) -> Response:
        """Let a suspended mandate go on."""
        form = await self._web.form(visit)
        name = visit.request.path_params["name"]
        await self._control.resume(visit.person, name, checked_reason(form.get("reason", "")))
        return RedirectResponse(f"/mandates/{quote(name, safe='')}?did=resumed", 303)

    async def revoke(self, visit: Visit) -> Response:
        """Revoke a mandate."""
        form = await self._web.form(visit)
        name = visit.request.path_params["name"]
        await self._control.revoke(visit.person, name, checked_reason(form.get("reason", "")))
        return RedirectResponse(f"/mandates/{quote(name, safe='')}?did=revoked", 303)

    async def start_run(self, visit: Visit) -> Response:
        """Start a run, and show its token this once: no redirect, since it is kept nowhere."""
        form = await self._web.form(visit)
        try:
            words = run_words(
                form.get("instruction", ""),
                form.get("purpose", ""),
                form.get("labels", "").replace(",", " ").split(),
                form.get("end_user", ""),
            )
            asked = RunAsked(form.get("mandate", ""), words)
            started = await self._control.start_run(visit.person, asked)
        except TheirError as error:
            return await self._runs.show_new_run(
                visit, form, wrong=error.message, status=status_of(error)
            )
        assert started.token is not None
        return await self._runs.show_new(visit, started.run, started.token.token)

    async def end_run(self, visit: Visit) -> Response:
        """End a run."""
        await self._web.form(visit)
        run_id = visit.request.path_params["id"]
        await self._control.end_run(visit.person, run_id)
        return RedirectResponse(f"/runs/{quote(run_id, safe='')}?did=ended", 303)


def decision(unverified: str) -> bool:
    """Whether a decision word approves.

    Raises:
        TheirError: `bad_request` for any other word: silence never approves.
    """
    match unverified:
        case "approve":
            return True
        case "refuse":
            return False
        case _:
            raise TheirError("bad_request", "`decision` must be `approve` or `refuse`")


def checked_reason(unverified: str) -> str:
    """A reason, stripped.

    Raises:
        TheirError: `bad_request` when it is too long or holds a lone surrogate.
    """
    reason = unverified.replace("\r\n", "\n").strip()
    if len(reason) > MAX_REASON_CHARACTERS:
        raise TheirError(
            "bad_request", f"`reason` has more than {MAX_REASON_CHARACTERS} characters"
        )
    return reason
