"""One gateway, put together from its rooms. Opening builds, closing takes down in reverse."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from operator import attrgetter
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from bailiwick.app.control import GatewayControl, Rooms
from bailiwick.app.data_folder import DataFolder
from bailiwick.app.declare import Declarations, apply_files, show_problem
from bailiwick.app.fixed_identity import FixedIdentity
from bailiwick.app.limits import Limits
from bailiwick.app.local_files import LocalFiles
from bailiwick.app.randomness import Randomness
from bailiwick.app.recovery import settle_unknown
from bailiwick.app.settings import Settings
from bailiwick.app.system_clock import SystemClock
from bailiwick.app.telemetry import Known, start_export, telemetry_settings
from bailiwick.console import Parts, console_app
from bailiwick.core.errors import BailiwickError, VerificationError
from bailiwick.core.network import Network
from bailiwick.gateway.authority import Authority
from bailiwick.gateway.events import Events
from bailiwick.gateway.held import Waiting
from bailiwick.gateway.holds import Holds
from bailiwick.gateway.ids import Ulids
from bailiwick.gateway.links import Links
from bailiwick.gateway.llm.edge import ROOT as MODELS_ROOT
from bailiwick.gateway.llm.edge import LlmEdge
from bailiwick.gateway.llm.servers import ModelServers
from bailiwick.gateway.mcp.core import Limits as EdgeLimits
from bailiwick.gateway.mcp.edge import EdgeSettings, McpEdge
from bailiwick.gateway.mcp.pins import PinBook, Record
from bailiwick.gateway.memories import Memories
from bailiwick.gateway.pipeline import Pipeline
from bailiwick.gateway.recalled import Recalled
from bailiwick.gateway.recalled_thoughts import RecalledThoughts
from bailiwick.gateway.recorder import Recorder
from bailiwick.gateway.runs import Runs
from bailiwick.gateway.telemetry.attaching import Attaching, Traces
from bailiwick.gateway.telemetry.door import PATH as TRACES_PATH
from bailiwick.gateway.telemetry.door import TracesDoor
from bailiwick.gateway.telemetry.keeping import Keeping
from bailiwick.gateway.thoughts import Thoughts
from bailiwick.gateway.upstreams.registry import Upstreams
from bailiwick.identity.sessions import Sessions
from bailiwick.identity.tokens import Standing, TokenAuthenticator
from bailiwick.ledger.leaf import LeafType
from bailiwick.ledger.note import Signer
from bailiwick.ports import Authenticator, Journal, Pinned
from bailiwick.stores.recent_leaves import RecentLeaves
from bailiwick.stores.sqlite import SqliteJournal
from bailiwick.stores.sqlite_reads import SqliteRecords
from bailiwick.stores.text_seal import TextSeal
from bailiwick.stores.tile_directory import TileDirectory
from bailiwick.stores.tlog import Publisher
from bailiwick.stores.vault import Vault

_RETRY_SECONDS = 5.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Doors:
    """Where this gateway was found to listen: ports are known only once bound.

    Attributes:
        names: accepted in `Host` by the people's side, without ports.
        hosts, test_hosts: accepted in `Host` by the agents' side, with ports.
        test_port: of the test listener; 0 for none.
    """

    url: str
    names: frozenset[str]
    hosts: frozenset[str]
    test_url: str = ""
    test_hosts: frozenset[str] = frozenset()
    test_port: int = 0


@dataclass(slots=True)
class Gateway:
    """A built gateway, ready to serve."""

    rooms: Rooms
    ledger_key: str
    declarations: Declarations
    sign_in: Sessions
    authenticator: TokenAuthenticator
    settings: Settings
    folder: DataFolder
    models: ModelServers
    attaching: Attaching
    keeping: Keeping

    def asgi(self, doors: Doors) -> Switchboard:
        """The one ASGI callable behind every listener."""
        rooms = self.rooms
        console = console_app(
            Parts(
                records=rooms.records,
                control=GatewayControl(rooms),
                people=self.authenticator,
                sign_in=self.sign_in,
                clock=rooms.clock,
                ledger_dir=self.folder.ledger,
                ledger_key=self.ledger_key,
                base_url=doors.url,
                allowed_hosts=doors.names,
                version=version("bailiwick"),
            )
        )
        edge = self._edge(self.authenticator, doors.url, doors.hosts)
        models = self._model_edge(doors.hosts)
        traces = TracesDoor(
            authenticator=self.authenticator,
            attaching=self.attaching,
            keeping=self.keeping,
            hosts=sorted(doors.hosts),
            clock=rooms.clock,
            limits=EdgeLimits(body_bytes=self.settings.max_body_bytes),
        )
        if not doors.test_port:
            return Switchboard(edge, models, traces, console)
        fixed = FixedIdentity(self.settings.test_agent, rooms.authority)
        test_edge = self._edge(fixed, doors.test_url, doors.test_hosts)
        return Switchboard(edge, models, traces, console, test_edge, doors.test_port)

    def start_closing(self) -> None:
        """Let held calls and watching pages go; their holds and records stay."""
        self.rooms.pipeline.start_closing()
        self.rooms.events.close()

    def _edge(self, authenticator: Authenticator, url: str, hosts: frozenset[str]) -> McpEdge:
        rooms = self.rooms
        return McpEdge(
            gate=rooms.pipeline,
            authenticator=authenticator,
            upstreams=partial(attrgetter("current"), rooms.upstreams),
            pins=rooms.pins,
            hosts=sorted(hosts),
            clock=rooms.clock,
            public_url=url,
            settings=EdgeSettings(
                limits=EdgeLimits(body_bytes=self.settings.max_body_bytes),
                state_key=self.folder.state_key(),
            ),
            proxies=partial(_proxies, rooms.authority),
        )

    def _model_edge(self, hosts: frozenset[str]) -> LlmEdge:
        rooms = self.rooms
        return LlmEdge(
            gate=rooms.pipeline,
            authenticator=self.authenticator,
            models=self.models,
            hosts=sorted(hosts),
            clock=rooms.clock,
            limits=EdgeLimits(body_bytes=self.settings.max_body_bytes),
            proxies=partial(_proxies, rooms.authority),
            tools=rooms.pins.tools,
        )


class Switchboard:
    """Sends a request to the agents' edges, the test edge or the people's side."""

    def __init__(
        self,
        edge: McpEdge,
        models: LlmEdge,
        traces: TracesDoor,
        console: ASGIApp,
        test_edge: McpEdge | None = None,
        test_port: int = 0,
    ) -> None:
        self._edge = edge
        self._models = models
        self._traces = traces
        self._console = console
        self._test_edge = test_edge
        self._test_port = test_port
        self._edges = [edge] if test_edge is None else [edge, test_edge]

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Serve one request. The socket it came in on, not a header, says which door it is."""
        path: str = scope["path"]
        if self._test_edge is not None and scope["server"][1] == self._test_port:
            return self._test_edge(scope, receive, send)
        if path.startswith(("/mcp", "/.well-known/oauth-protected-resource")):
            return self._edge(scope, receive, send)
        if path == TRACES_PATH:
            return self._traces(scope, receive, send)
        if path.startswith(MODELS_ROOT):
            return self._models(scope, receive, send)
        return self._console(scope, receive, send)

    def start_closing(self) -> None:
        """End the streams; what is under way may still be answered."""
        for edge in self._edges:
            edge.start_closing()

    async def aclose(self) -> None:
        """End everything of the agents' side."""
        for edge in self._edges:
            await edge.aclose()


@contextlib.asynccontextmanager
async def open_gateway(settings: Settings, folder: DataFolder) -> AsyncIterator[Gateway]:
    """Build a gateway on a data folder; take it down in reverse.

    Raises:
        ConfigError, StoreError, VerificationError: it cannot or must not start; says why.
    """
    async with contextlib.AsyncExitStack() as stack:
        gateway = await _build(settings, folder, stack)
        if settings.files:
            report = await apply_files(gateway.declarations, settings.files)
            for problem in report.problems:
                _log.warning("%s", show_problem(problem))
        rooms = gateway.rooms
        await settle_unknown(rooms.records, rooms.journal, rooms.recorder, rooms.clock)
        await rooms.publisher.publish()
        stack.push_async_callback(_publish_the_rest, rooms.publisher)
        for work in (rooms.publisher.run, rooms.holds.sweep, rooms.limits.sweep):
            task = asyncio.create_task(_keep_going(work))
            stack.push_async_callback(_stop, task)
        yield gateway


async def _build(
    settings: Settings, folder: DataFolder, stack: contextlib.AsyncExitStack
) -> Gateway:
    clock, random, events, authority = SystemClock(), Randomness(), Events(), Authority()
    secret = folder.vault_secret()
    seal = TextSeal(secret)
    journal = SqliteJournal(folder.database, seal=seal, fsync=settings.fsync)
    stack.push_async_callback(journal.close)
    records = SqliteRecords(folder.database, seal=seal)
    stack.push_async_callback(records.close)
    vault = Vault(secret, await records.subject_keys(), journal, random)
    recorder = Recorder(vault, random)
    new_id = Ulids(clock, random)
    upstreams = Upstreams(settings.environ.get("PATH", ""))
    stack.push_async_callback(upstreams.close)
    models = ModelServers()
    stack.callback(models.close)
    declarations = Declarations(
        journal, records, recorder, authority, upstreams, clock, settings.environ, models
    )
    authority.revoke_tokens(set(await records.revoked_tokens(clock.wall_ms())))
    await declarations.restore()
    holds = Holds(journal, records, recorder, authority, clock, events)
    runs = Runs(journal, records, recorder, new_id)
    thoughts = Thoughts(RecalledThoughts(records, recorder), clock.wall_ms)
    telemetry = telemetry_settings(settings.environ)
    if telemetry is not None:
        known = Known(vault.pseudonym, runs.session, lambda name: _address(models, name))
        events.watcher = start_export(telemetry, stack, clock, known)
    traces = Traces(records)
    events.traced = traces.saw
    pipeline = Pipeline(
        journal=journal,
        recorder=recorder,
        authority=authority,
        holds=holds,
        memories=Memories(Recalled(records, recorder), authority),
        thoughts=thoughts,
        runs=runs,
        clock=clock,
        events=events,
        new_id=new_id,
        nonce=lambda: secrets.token_urlsafe(16),
        waiting=Waiting(
            window_seconds=settings.hold_window_seconds,
            tick_seconds=settings.tick_seconds,
            expires_seconds=settings.hold_expires_seconds,
        ),
        links=Links(LocalFiles(), upstreams.spec),
    )
    pins = PinBook(
        _record_pins(journal, recorder, new_id, declarations.learn), await records.pins(), clock
    )
    thoughts.tools = pins.tools
    signer = Signer(folder.origin, folder.ledger_key())
    recent = RecentLeaves(records)
    directory = TileDirectory(folder.ledger, fsync=settings.fsync)
    publisher = Publisher(recent, directory, signer)

    def on_append(start: int, leaves: Sequence[bytes]) -> None:
        publisher.poke(hurry=recent.append(start, leaves))

    journal.on_append = on_append
    tokens = folder.token_key()
    revoked = authority.revoked_tokens.__contains__
    standing = Standing(authority.agents.get, authority.person, revoked)
    rooms = Rooms(
        journal=journal,
        records=records,
        recorder=recorder,
        authority=authority,
        holds=holds,
        pipeline=pipeline,
        runs=runs,
        events=events,
        publisher=publisher,
        tokens=tokens,
        declarations=declarations,
        upstreams=upstreams,
        models=models,
        pins=pins,
        limits=Limits(
            journal=journal,
            records=records,
            recorder=recorder,
            authority=authority,
            clock=clock,
            events=events,
        ),
        clock=clock,
        data=folder.path,
    )
    return Gateway(
        rooms=rooms,
        ledger_key=signer.verifier.vkey,
        declarations=declarations,
        sign_in=Sessions(clock, lambda name: _roles(authority, name)),
        authenticator=TokenAuthenticator(tokens, standing, clock),
        settings=settings,
        folder=folder,
        models=models,
        attaching=Attaching(records, traces),
        keeping=Keeping(
            journal=journal,
            records=records,
            recorder=recorder,
            vault=vault,
            clock=clock,
            new_id=new_id,
        ),
    )


def _record_pins(
    journal: Journal,
    recorder: Recorder,
    new_id: Ulids,
    learn: Callable[[Sequence[Pinned]], None],
) -> Record:
    async def record(pins: Sequence[Pinned]) -> None:
        entries = []
        for pin in pins:
            await recorder.prepare([pin.by], pin.at_ms)
            fields = {
                "upstream": pin.upstream,
                "kind": pin.kind,
                "digest": pin.digest,
                "state": pin.state.value,
            }
            payload = {"name": pin.name, "definition": pin.definition, "by": pin.by}
            entries.append(recorder.act(LeafType.PIN, new_id(), pin.at_ms, pin.by, fields, payload))
        await journal.commit(entries, list(pins))
        learn(pins)  # before any of them may be used

    return record


async def _keep_going(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run background work; what fails is said, tried again, and harms no call.

    A ledger that no longer fits its store is final: calls go on being recorded in the store, and
    nothing more is published until a person has looked.
    """
    while True:
        try:
            await work()
        except VerificationError as error:
            _log.error("stopped for good: %s", error.message)
            return
        except BailiwickError as error:
            _log.warning("will be tried again: %s", error.message)
            await asyncio.sleep(_RETRY_SECONDS)


async def _publish_the_rest(publisher: Publisher) -> None:
    """What was recorded since the last round, so that a stopped gateway's ledger is complete."""
    try:
        await publisher.publish()
    except BailiwickError as error:
        _log.warning("the ledger's end is not published yet: %s", error.message)


async def _stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def _address(models: ModelServers, name: str) -> str:
    server = models.current.get(name)
    return "" if server is None else server.spec.url


def _proxies(authority: Authority) -> Sequence[Network] | None:
    networks = authority.snapshot.networks
    return networks.proxies if networks.zones else None


def _roles(authority: Authority, name: str) -> frozenset[str] | None:
    found = authority.snapshot.people.get(name)
    return None if found is None else found.roles
