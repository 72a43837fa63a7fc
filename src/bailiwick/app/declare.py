"""Declaring objects: from files to a recorded, compiled snapshot that is in force.

1. The files are checked together with what is stored; any error, and nothing changes.
2. What changed gets a new version; versions are recorded with ledger entries, in one commit.
3. All of it is compiled and put in force in one step; upstreams are replaced where they changed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from bailiwick.app import guarded
from bailiwick.app.aliases import alias_specs
from bailiwick.app.policies import PolicyBook, after
from bailiwick.core.errors import ConfigError, TheirError
from bailiwick.core.mandate import Mandate, MandateState
from bailiwick.core.reading import read
from bailiwick.declared import (
    Command,
    Declaration,
    DeclarationError,
    Declared,
    How,
    Server,
    compile_agent,
    compile_calendar,
    compile_mandate,
    compile_networks,
    compile_person,
    compile_server,
    diff,
    from_document,
    load,
    load_texts,
    resolve_server,
)
from bailiwick.declared import Problem as Found
from bailiwick.declared.children import long_ended
from bailiwick.declared.models import ModelServer, compile_model, resolve_model
from bailiwick.declared.tool_checks import check_tools
from bailiwick.gateway.authority import AgentFacts, Authority, PersonFacts, Snapshot
from bailiwick.gateway.llm.servers import ModelServers, ModelSpec
from bailiwick.gateway.recorder import Recorder
from bailiwick.gateway.upstreams.registry import Upstreams
from bailiwick.gateway.upstreams.spec import Instances, ServerSpec, Whose
from bailiwick.ledger.leaf import LeafType, LeafValue
from bailiwick.ports import (
    ApplyReport,
    Clock,
    Entry,
    Journal,
    ObjectChange,
    ObjectPut,
    ObjectRow,
    Person,
    Pinned,
    PinState,
    PolicyReport,
    Problem,
    Records,
)

Reader = Callable[[Sequence[Declaration], Mapping[str, Collection[str]]], Declared]
"""Reads declarations given what is stored and which tools are known. Blocking."""


class Declarations:
    """What is declared: restored at start, changed by `apply`."""

    def __init__(
        self,
        journal: Journal,
        records: Records,
        recorder: Recorder,
        authority: Authority,
        upstreams: Upstreams,
        clock: Clock,
        environ: Mapping[str, str],
        models: ModelServers | None = None,
    ) -> None:
        self._journal = journal
        self._records = records
        self._recorder = recorder
        self._authority = authority
        self._upstreams = upstreams
        self._clock = clock
        self._environ = environ
        self._models = ModelServers() if models is None else models
        self._policies = PolicyBook()
        self._one_at_a_time = asyncio.Lock()

    def paused(self) -> asyncio.Lock:
        """Held, it keeps declarations from changing: `async with declarations.paused():`."""
        return self._one_at_a_time

    async def restore(self) -> None:
        """Put in force what the store holds."""
        rows = await self._records.objects()
        specs = await asyncio.to_thread(server_specs, rows, self._environ)
        models = await asyncio.to_thread(model_specs, rows, self._environ)
        await self._upstreams.apply(specs)
        self._models.apply(models, alias_specs(rows))
        self._policies.learn(await self._records.pins())
        self._install(rows)

    async def apply(self, by: str, files: Mapping[str, str], dry_run: bool) -> ApplyReport:
        """See `ports.Control.apply`."""

        def read(stored: Sequence[Declaration], tools: Mapping[str, Collection[str]]) -> Declared:
            return load_texts(files, stored=stored, environment=self._environ, tools=tools)

        return await self._apply(by, read, dry_run)

    async def apply_paths(self, paths: Sequence[Path], dry_run: bool = False) -> ApplyReport:
        """Apply files and folders of the gateway's own machine, as its operator."""

        def read(stored: Sequence[Declaration], tools: Mapping[str, Collection[str]]) -> Declared:
            return load(paths, stored=stored, environment=self._environ, tools=tools)

        return await self._apply("", read, dry_run)

    async def _apply(self, by: str, read: Reader, dry_run: bool) -> ApplyReport:
        async with self._one_at_a_time:
            rows = {(row.kind, row.name): row for row in await self._records.objects()}
            stored = [from_document(row.document) for row in rows.values()]
            try:
                definitions = await self._definitions()
                declared = await asyncio.to_thread(read, stored, definitions)
                held = await asyncio.to_thread(check_tools, declared.objects.values(), definitions)
                if held.problems:
                    raise DeclarationError(held.problems)
            except DeclarationError as error:
                problems = [problem("error", found) for found in error.problems]
                return ApplyReport(False, (), problems)
            now = self._clock.wall_ms()
            puts = [_put(each, rows.get(key), by, now) for key, each in declared.objects.items()]
            whole = after(rows, stored, _versioned(declared, puts))
            checked = await asyncio.to_thread(self._policies.check, whole)
            if checked.errors:
                problems = [problem("error", found) for found in sorted(checked.errors)]
                return ApplyReport(False, (), problems)
            doubtful = [*checked.refusing, *checked.doubts]
            what = guarded.sort(puts, rows, await self._records.pins(), by, now)
            told = _changes(stored, declared, puts, {(put.kind, put.name) for put in what.waiting})
            changes = await self._readings(declared, rows, told, now)
            doubts = [*declared.warnings, *held.warnings, *_revoked(declared, rows)]
            doubts += guarded.warnings(what, rows, declared.objects.values())
            doubts += sorted(doubtful)
            problems = [problem("warning", found) for found in doubts]
            if dry_run:
                return ApplyReport(False, changes, problems)
            if what.now or what.pins:
                await self._put(what.now, by, now, rows, what.pins)
            return ApplyReport(True, changes, problems)

    async def accept(self, person: Person, kind: str, name: str, digest: str) -> Pinned:
        """Accept a change that waits for people; in force when they are enough (`guarded`).

        Returns:
            The change: ACCEPTED when it came into force, HELD while it waits for others.

        Raises:
            TheirError: `pin_unknown`, `accept_not_allowed`, `change_unsound`.
        """
        async with self._one_at_a_time:
            rows = {(row.kind, row.name): row for row in await self._records.objects()}
            known, now = await self._records.pins(), self._clock.wall_ms()
            people = self._authority.snapshot.people
            found = guarded.accept(person, (kind, name, digest), rows, known, people, now)
            puts: list[ObjectPut] = []
            if found.complete:
                stored = [from_document(row.document) for row in rows.values()]
                text = guarded.as_file(found.held)
                try:
                    declared = await asyncio.to_thread(
                        load_texts, {"change": text}, stored=stored, environment=self._environ
                    )
                except DeclarationError as error:
                    raise TheirError(
                        "change_unsound", f"it does not fit any more: {error.problems[0].message}"
                    ) from error
                each = declared.objects[kind, name]
                puts = [_put(each, rows.get((kind, name)), found.held.by, now)]
            await self._put(puts, person.name, now, rows, found.pins)
            return found.pins[-1] if found.complete else found.held

    async def _put(
        self,
        changed: Sequence[ObjectPut],
        by: str,
        now: int,
        rows: Mapping[tuple[str, str], ObjectRow],
        pins: Sequence[Pinned] = (),
    ) -> None:
        after = dict(rows)
        for put in changed:
            after[put.kind, put.name] = _row(put)
        specs = await asyncio.to_thread(server_specs, after.values(), self._environ)
        models = await asyncio.to_thread(model_specs, after.values(), self._environ)
        compile_snapshot(after.values())  # whatever cannot be compiled is not recorded either
        await self._recorder.prepare([by, *(put.by for put in changed)], now)
        entries = [self._entry(put, now) for put in changed]
        entries += [guarded.entry(self._recorder, pin) for pin in pins]
        await self._journal.commit(entries, [*changed, *pins])
        await self._upstreams.apply(specs)
        self._models.apply(models, alias_specs(after.values()))
        self._install(after.values())

    def _entry(self, put: ObjectPut, now: int) -> Entry:
        fields: dict[str, LeafValue] = {"kind": put.kind, "name": put.name, "version": put.version}
        if put.kind == "person":  # a person's name does not belong in a public leaf
            del fields["name"]
        payload = {"document": put.document, "digest": put.digest, "by": put.by}
        ident = f"{put.kind}@{put.version}" if put.kind == "person" else f"{put.name}@{put.version}"
        return self._recorder.act(LeafType.OBJECT, ident, now, put.by, fields, payload)

    def learn(self, pins: Sequence[Pinned]) -> None:
        """Let policies know of definitions that were just recorded, before they can be used."""
        if self._policies.learn(pins):
            snapshot = self._authority.snapshot
            self._authority.install(replace(snapshot, policies=self._policies.renewed()))

    async def check_policies(self, files: Mapping[str, str]) -> PolicyReport:
        """See `ports.Control.check_policies`."""
        rows = {(row.kind, row.name): row for row in await self._records.objects()}
        stored = [from_document(row.document) for row in rows.values()]
        declared = Declared({})
        try:
            if files:
                declared = await asyncio.to_thread(load_texts, files, stored=stored)
        except DeclarationError as error:
            problems = [problem("error", found) for found in error.problems]
        else:
            now = self._clock.wall_ms()
            puts = [_put(each, rows.get(key), "", now) for key, each in declared.objects.items()]
            whole = after(rows, stored, _versioned(declared, puts))
            checked = await asyncio.to_thread(self._policies.check, whole)
            wrong = [*sorted(checked.errors), *sorted(checked.refusing)]
            problems = [problem("error", found) for found in wrong]
            problems += [problem("warning", found) for found in sorted(checked.doubts)]
        schema = await asyncio.to_thread(self._policies.schema)
        version = self._authority.snapshot.policies.version
        return PolicyReport(version, self._policies.in_force, schema, problems)

    def _install(self, rows: Iterable[ObjectRow]) -> None:
        now = self._clock.wall_ms()
        rows = [row for row in rows if not long_ended(row, now)]
        snapshot = compile_snapshot(rows)
        # INVARIANT: what was stopped while this was being prepared is still stopped.
        mandates = {
            name: _still_stopped(mandate, self._authority.snapshot.mandates.get(name))
            for name, mandate in snapshot.mandates.items()
        }
        policies = self._policies.policies(rows)
        self._authority.install(replace(snapshot, mandates=mandates, policies=policies))

    async def _definitions(self) -> dict[str, dict[str, str]]:
        return tool_definitions(await self._records.pins())

    async def _readings(
        self,
        declared: Declared,
        rows: Mapping[tuple[str, str], ObjectRow],
        changes: Iterable[ObjectChange],
        now: int,
    ) -> list[ObjectChange]:
        """The changes, mandates among them with all they say, now and then."""
        told = list(changes)
        if all(each.kind != "mandate" or each.action == "same" for each in told):
            return told
        after = await asyncio.to_thread(compile_snapshot, planned(declared, rows, "", now))
        before = self._authority.snapshot.mandates
        return [
            each
            if each.kind != "mandate" or each.action == "same"
            else replace(
                each,
                sentences=read(after.mandates[each.name]),
                sentences_before=read(before[each.name]) if each.name in before else (),
            )
            for each in told
        ]


def tool_definitions(pins: Iterable[Pinned]) -> dict[str, dict[str, str]]:
    """Tools by server, as far as any server has shown them, by their accepted definitions."""
    known: dict[str, dict[str, str]] = {}
    for pin in pins:
        if pin.kind == "tool" and pin.state is PinState.ACCEPTED:
            known.setdefault(pin.upstream, {})[pin.name] = pin.definition
    return known


async def apply_files(declarations: Declarations, paths: Sequence[Path]) -> ApplyReport:
    """Apply files at start.

    Raises:
        ConfigError: `declaration_invalid`; the message lists every problem with its place.
    """
    report = await declarations.apply_paths(paths)
    if not report.applied:
        told = "\n".join(show_problem(problem) for problem in report.problems)
        raise ConfigError("declaration_invalid", told)
    return report


def show_problem(problem: Problem) -> str:
    """`file:line:column: message`, as compilers say it."""
    return f"{problem.file}:{problem.line}:{problem.column}: {problem.message}"


def compile_snapshot(rows: Iterable[ObjectRow]) -> Snapshot:
    """Everything that is stored, compiled.

    Raises:
        ConfigError: a mandate names a person or agent that is not declared.
        StoreError: a stored declaration is damaged.
    """
    found = [(row, from_document(row.document)) for row in rows]
    people = {d.name: compile_person(d) for _, d in found if d.kind == "person"}
    agents = {d.name: compile_agent(d) for _, d in found if d.kind == "agent"}
    calendars = {d.name: compile_calendar(d) for _, d in found if d.kind == "calendar"}
    mandates = {
        d.name: compile_mandate(d, row.version, people, agents, MandateState(row.state), calendars)
        for row, d in found
        if d.kind == "mandate"
    }
    return Snapshot(
        mandates,
        {a.name: AgentFacts(a.name, a.owner, a.description) for a in agents.values()},
        {
            p.name: PersonFacts(p.name, p.roles, p.full_name, p.email, p.limits)
            for p in people.values()
        },
        networks=compile_networks(d for _, d in found),
        results=tuple(
            each for _, d in found if d.kind == "server" for each in compile_server(d).results
        ),
    )


def server_specs(rows: Iterable[ObjectRow], environ: Mapping[str, str]) -> list[ServerSpec]:
    """The declared servers with their secrets filled in. Reads files; blocking.

    Raises:
        ConfigError: a secret is not there.
    """
    found = (from_document(row.document) for row in rows if row.kind == "server")
    return [_spec(compile_server(declaration), environ) for declaration in found]


def model_specs(rows: Iterable[ObjectRow], environ: Mapping[str, str]) -> list[ModelSpec]:
    """The declared model servers with their secrets filled in. Reads files; blocking.

    Raises:
        ConfigError: a secret is not there.
    """
    found = (from_document(row.document) for row in rows if row.kind == "model")
    return [_model_spec(compile_model(declaration), environ) for declaration in found]


def _model_spec(server: ModelServer, environ: Mapping[str, str]) -> ModelSpec:
    return ModelSpec(
        name=server.name,
        url=server.url,
        dialects=frozenset(server.dialects),
        models=server.models,
        headers=resolve_model(server, environ),
        timeout_seconds=float(server.timeout_seconds),
        max_concurrent=server.max_concurrent,
        max_waiting=server.max_waiting,
        wait_seconds=float(server.wait_seconds),
        terms=server.terms,
    )


def _spec(server: Server, environ: Mapping[str, str]) -> ServerSpec:
    secrets = resolve_server(server, environ)
    common = {
        "name": server.name,
        "timeout_seconds": float(server.timeout_seconds),
        "protocol": server.protocol,
        "max_response_bytes": server.max_response_bytes,
        "files": Whose(server.files) if server.files else None,
    }
    transport = server.transport
    if isinstance(transport, Command):
        return ServerSpec(
            **common,  # type: ignore[arg-type]  # a table of the fields both kinds share
            command=transport.argv,
            env=secrets,
            cwd=transport.cwd,
            instances=Instances(transport.instances),
        )
    return ServerSpec(**common, url=transport.url, headers=secrets)  # type: ignore[arg-type]  # as above


_ACTIVE, _SUSPENDED = MandateState.ACTIVE.value, MandateState.SUSPENDED.value
_STOPPED = (MandateState.REVOKED, MandateState.SUSPENDED)


def _still_stopped(mandate: Mandate, now: Mandate | None) -> Mandate:
    if now is not None and now.ref == mandate.ref and now.state in _STOPPED:
        return replace(mandate, state=now.state)
    return mandate


def _put(each: Declaration, row: ObjectRow | None, by: str, now: int) -> ObjectPut:
    digest = each.digest
    same = row is not None and row.digest == digest
    version = 1 if row is None else row.version + (0 if same else 1)
    return ObjectPut(
        kind=each.kind,
        name=each.name,
        version=version,
        digest=digest,
        document=each.document,
        # A change does not let a suspended mandate go on: that is for whoever resumes it.
        state=row.state if row is not None and row.state == _SUSPENDED else _ACTIVE,
        at_ms=now,
        by=by,
    )


def planned(
    declared: Declared, rows: Mapping[tuple[str, str], ObjectRow], by: str, now: int
) -> list[ObjectRow]:
    """Everything that would be stored, were `declared` applied over `rows`."""
    puts = (_put(each, rows.get(key), by, now) for key, each in declared.objects.items())
    return list({**rows, **{(put.kind, put.name): _row(put) for put in puts}}.values())


def _versioned(
    declared: Declared, puts: Iterable[ObjectPut]
) -> dict[tuple[str, str], tuple[int, Declaration]]:
    versions = {(put.kind, put.name): put.version for put in puts}
    return {key: (versions[key], each) for key, each in declared.objects.items()}


def _row(put: ObjectPut) -> ObjectRow:
    return ObjectRow(
        put.kind, put.name, put.version, put.digest, put.document, put.state, put.at_ms, put.by
    )


_ACTIONS = {How.ADDED: "create", How.CHANGED: "change", How.UNCHANGED: "same"}


def _changes(
    stored: Sequence[Declaration],
    declared: Declared,
    puts: Sequence[ObjectPut],
    waiting: Collection[tuple[str, str]],
) -> list[ObjectChange]:
    versions = {(put.kind, put.name): put.version for put in puts}
    return [
        ObjectChange(
            each.kind,
            each.name,
            "hold" if (each.kind, each.name) in waiting else _ACTIONS[each.how],
            versions[each.kind, each.name],
            "".join(f"{field}\n" for field in each.fields),
        )
        for each in diff(stored, declared.objects.values())
        if each.how is not How.REMOVED  # leaving an object out of a file does not remove it
    ]


def _revoked(declared: Declared, rows: Mapping[tuple[str, str], ObjectRow]) -> Iterator[Found]:
    """Mandates that were revoked and are declared as before, or that are suspended: declaring is
    not reinstating."""
    for key, each in declared.objects.items():
        row = rows.get(key)
        if row is not None and row.state == _SUSPENDED and each.node is not None:
            why = "stays suspended, changed or not: `bailiwick resume` lets it go on"
            yield Found(each.node.place, f"mandate `{each.name}` {why}")
        revoked = row is not None and row.state == MandateState.REVOKED.value
        if row is not None and revoked and row.digest == each.digest and each.node is not None:
            why = "stays revoked: only a changed version of it would be in force"
            yield Found(each.node.place, f"mandate `{each.name}` {why}")


def problem(severity: str, found: Found) -> Problem:
    """A problem as people's API tells it."""
    place = found.place
    code = "declaration_invalid" if severity == "error" else "declaration_doubtful"
    return Problem(severity, code, found.message, place.file, place.line, place.column)
