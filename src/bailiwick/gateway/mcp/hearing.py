"""What a session hears outside of any request: the notifications of its own stream."""

from __future__ import annotations

from bailiwick.core.call import Target
from bailiwick.core.canonical import JsonObject
from bailiwick.core.errors import UpstreamBroken, UpstreamDown
from bailiwick.gateway.mcp.catalog import RESOURCES, Shelf
from bailiwick.gateway.mcp.core import Core
from bailiwick.gateway.mcp.exchange import NEVER_PASSED
from bailiwick.gateway.mcp.sessions import Session
from bailiwick.gateway.mcp.subscriptions import Ears, changes_of, forget_changed
from bailiwick.ports import Caller, Wants
from bailiwick.protocols.mcp.jsonrpc import notification_message
from bailiwick.protocols.mcp.names import joined_uri
from bailiwick.protocols.mcp.revisions import at_least


class Hearing:
    """Starts and keeps the listening of sessions."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._listeners: dict[str, _Listener] = {}

    def start(self, session: Session, caller: Caller) -> None:
        """Listen for what this session now wants; again after its subscriptions changed."""
        listener = self._listeners.get(session.id)
        if listener is None:
            listener = self._listeners[session.id] = _Listener(self._core, session, caller)
            session.on_end.append(lambda: self._stop(session.id))
        self._core.spawn(listener.follow())

    def _stop(self, session_id: str) -> None:
        listener = self._listeners.pop(session_id, None)
        if listener is not None:
            listener.ears.close()


class _Listener:
    def __init__(self, core: Core, session: Session, caller: Caller) -> None:
        self._core = core
        self._session = session
        self._caller = caller
        self.ears = Ears(self._hear)

    async def follow(self) -> None:
        """Listen at each server for what it tells of and the session wants."""
        catalog = self._core.catalog
        names = [self._session.where] if self._session.where else list(catalog.names())
        for name in names:
            shelf = catalog.shelf(name)
            if shelf is not None and not self._session.over:
                await self._follow_one(shelf)

    async def _follow_one(self, shelf: Shelf) -> None:
        try:
            server = await self._core.catalog.facts(shelf, self._session.version)
        except (UpstreamDown, UpstreamBroken):
            return
        if self._session.over:
            return
        tools, prompts, resources, _ = changes_of(server)
        uris = tuple(sorted(uri for name, uri in self._session.uris if name == shelf.name))
        client = self._core.narrowed(self._caller, shelf.name, self._session.facts)
        self.ears.want(shelf, client, Wants(tools, prompts, resources, uris))

    async def _hear(self, server: str, method: str, params: JsonObject) -> None:
        session = self._session
        if method in NEVER_PASSED or method == "notifications/progress":
            # Progress belongs to a request; here it could speak for another server's.
            return
        forget_changed(self._core.catalog, server, method)
        if method == "notifications/resources/updated":
            uri = params.get("uri")
            if not isinstance(uri, str) or (server, uri) not in session.uris:
                return
            if not self._core.gate.visible(self._caller, Target(RESOURCES.kind, server, uri)):
                return
            params = params if session.where else {**params, "uri": joined_uri(server, uri)}
        elif method == "notifications/message":
            level = params.get("level")
            wanted = session.log_level
            if wanted and isinstance(level, str) and not at_least(level, wanted):
                return
        elif method == "notifications/tasks/status":
            task_id = params.get("taskId")
            key = self._caller.key
            if not isinstance(task_id, str) or not self._core.tasks.owner(server, task_id, key):
                return
        await session.own_stream().emit(notification_message(method, params))
