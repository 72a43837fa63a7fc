"""Acts of people, as the console and the API reach them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from bailiwick.core.canonical import Json, JsonObject
from bailiwick.core.run_words import RunWords
from bailiwick.ports.agent_spans import RunSpans
from bailiwick.ports.agents import AgentRow
from bailiwick.ports.callers import Caller, Person
from bailiwick.ports.changes import Pinned
from bailiwick.ports.knowing import CallExplained, MandateRead
from bailiwick.ports.model_status import ModelsStatus
from bailiwick.ports.records import (
    CallRow,
    HoldRow,
    LimitAudit,
    ObjectRow,
    RecordPage,
    RunRow,
    UnsettledRow,
)
from bailiwick.ports.upstreams import UpstreamStatus


@dataclass(frozen=True, slots=True)
class CallPath:
    """The whole path of one call, payloads opened: what a person or auditor may see.

    Attributes:
        call: with its `digest` also when it was not held, if its intent can be opened.
        intent: the opened payload, or None when it was erased. An object with at least `call`
            (`arguments`, `kind`, `name`, `upstream`: that from which `call.digest` is made) and
            `because`.
        outcome: the opened payload, or None when there is none yet or it was erased. An object
            with `result` or `error` as the upstream gave it, or `head` (its beginning, text)
            and `bytes` when it was too large to keep.
        leaves: the call's ledger leaves, parsed, with their indexes.
        opened_bytes: how much was opened for it.
    """

    call: CallRow
    hold: HoldRow | None
    intent: Json
    outcome: Json
    leaves: Sequence[tuple[int, JsonObject]]
    opened_bytes: int = 0


@dataclass(frozen=True, slots=True)
class ObjectChange:
    """What `apply` did, or would do, to one declared object.

    Attributes:
        action: `create`, `change` or `same`; `hold` for a change that waits until people have
            accepted it.
        version: the version it has afterwards.
        difference: unified diff of the canonical YAML, "" for `same`; secrets as references.
        sentences: of a mandate that is new or changes, all it then says; else ().
        sentences_before: all it says now.
    """

    kind: str
    name: str
    action: str
    version: int
    difference: str = ""
    sentences: Sequence[str] = ()
    sentences_before: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong, or doubtful, in a declared file.

    Attributes:
        severity: `error` (nothing is applied) or `warning`.
        line, column: 1-based; 0 when the problem is about the whole file.
    """

    severity: str
    code: str
    message: str
    file: str = ""
    line: int = 0
    column: int = 0


@dataclass(frozen=True, slots=True)
class ApplyReport:
    """What `apply` found. `applied` is false for a dry run and when any problem is an error."""

    applied: bool
    changes: Sequence[ObjectChange]
    problems: Sequence[Problem] = ()


@dataclass(frozen=True, slots=True)
class PolicyReport:
    """The organisation's policies, and what was found wrong with them.

    Attributes:
        version: of the set in force; "" if there are none.
        in_force: each of them, as `NAME@VERSION`.
        schema: what policies are written against, in Cedar's syntax.
    """

    version: str
    in_force: Sequence[str]
    schema: str
    problems: Sequence[Problem] = ()


@dataclass(frozen=True, slots=True)
class MadeToken:
    """A token just made. `token` is the secret: shown once, never kept or logged."""

    token: str
    id: str
    agent: str
    mandate: str
    expires_ms: int


@dataclass(frozen=True, slots=True)
class RunAsked:
    """A run as somebody asks for it.

    Attributes:
        mandate: its name; an agent may leave it out, since its token names one.
        lifetime_seconds: of the token that is bound to it, for a person.
    """

    mandate: str
    words: RunWords
    lifetime_seconds: int = 3_600


@dataclass(frozen=True, slots=True)
class RunShown:
    """A run with what it was told. `erased`: that was destroyed with its person's key."""

    row: RunRow
    words: RunWords
    erased: bool = False


@dataclass(frozen=True, slots=True)
class StartedRun:
    """A run just started. `token` is good for it alone, and None where an agent started it."""

    run: RunShown
    token: MadeToken | None


@dataclass(frozen=True, slots=True)
class ChildAsked:
    """A child mandate as it is asked for.

    Attributes:
        parent: name of the mandate it is to be a part of.
        text: the child, as YAML or JSON; like a mandate without `from`.
        lifetime_seconds: how long the token for its agent is to live, at most; 0 for no token.
        dry_run: only check it.
    """

    parent: str
    text: str
    lifetime_seconds: int = 3_600
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class MadeChild:
    """A child mandate, made or (for a dry run) only looked at.

    Attributes:
        name, version, digest, document: as it is stored.
        parent: `NAME@VERSION` it was made from.
        token: for the child's agent, under the child only; None if none was asked for.
    """

    name: str
    version: int
    digest: str
    document: str
    parent: str
    token: MadeToken | None = None


@dataclass(frozen=True, slots=True)
class LimitRow:
    """One account of a limit as it stands. Amounts in steps; `scale` steps make one unit.

    Attributes:
        mandate: whose it is; "" for a limit of a person's.
        words: the limit, for people.
        account: "" for a limit of which nothing is used, or that looks at single calls only.
        key: the values it counts apart, "" for none. Quotes calls.
        posted: what is spent; of calls under way at once, always 0.
        frees_ms: when something of it is free again by itself; None when at no certain time.
        person: whose it is, over all mandates from that person; "" for a limit of a mandate's.
        run: which one, of a limit of each run; else "".
    """

    mandate: str
    limit: str
    words: str
    unit: str
    scale: int
    ceiling: int
    account: str
    key: str
    pending: int
    posted: int
    unknown: int
    frees_ms: int | None
    person: str = ""
    run: str = ""

    @property
    def used(self) -> int:
        """What counts against the ceiling."""
        return self.pending + self.posted + self.unknown

    @property
    def left(self) -> int:
        """What is left; 0 when it is overdrawn."""
        return max(0, self.ceiling - self.used)


@dataclass(frozen=True, slots=True)
class LimitsInForce:
    """Limits as they stand, and calls whose reservations are unknown and count on."""

    limits: Sequence[LimitRow]
    unsettled: Sequence[UnsettledRow]


class Control(Protocol):
    """What people may do. Every method checks the person's right and records the act."""

    async def stamp(self, person: Person, hold_id: str, approve: bool, reason: str) -> HoldRow:
        """Stamp a hold.

        Raises:
            TheirError: `hold_unknown`, `hold_not_waiting`, `hold_expired`, `stamp_not_allowed`
                (role missing, or the person is excluded), `already_stamped`.
        """
        ...

    async def revoke(self, person: Person, mandate: str, reason: str) -> Sequence[CallRow]:
        """Revoke a mandate and its children; returns the calls in flight under them.

        When this returns, no new call is dispatched under any of them.
        """
        ...

    async def suspend(self, person: Person, mandate: str, reason: str) -> Sequence[CallRow]:
        """Stop a mandate and all below it until it is resumed; returns the calls in flight.

        When this returns, no new call is dispatched under any of them.

        Raises:
            TheirError: `mandate_unknown`, `mandate_not_active`, `suspend_not_allowed`.
        """
        ...

    async def resume(self, person: Person, mandate: str, reason: str) -> None:
        """Let a suspended mandate go on, and all below it that is not itself stopped.

        Raises:
            TheirError: `mandate_unknown`, `mandate_not_suspended`, `resume_not_allowed`.
        """
        ...

    async def delegate(self, by: Caller | Person, asked: ChildAsked) -> MadeChild:
        """Make a child mandate: a part of a mandate, for another agent.

        Raises:
            TheirError: `mandate_unknown`, `mandate_not_active` (or any mandate above it is not),
                `delegate_not_allowed`, `delegation_not_allowed` (the mandate gives no such leave),
                `too_many_children`, `mandate_changed` (meanwhile; ask again), `delegation_busy`,
                `child_exists`,
                `child_too_large`, `child_invalid`, `child_wider` (with a call that shows it, or
                with what could not be shown).
        """
        ...

    async def start_run(self, by: Caller | Person, asked: RunAsked) -> StartedRun:
        """Start a run: as a person, with a token for its agent; or as an agent, for itself.

        What an agent says here is marked as its own, and never taken for a person's.

        Raises:
            TheirError: `mandate_unknown`, `mandate_not_active`, `run_not_allowed`,
                `ttl_out_of_range`.
        """
        ...

    async def end_run(self, person: Person, run_id: str) -> RunShown:
        """End a run and the token that is bound to it. When this returns, nothing new is
        dispatched in it.

        Raises:
            TheirError: `run_unknown`, `run_not_allowed`, `run_ended`.
        """
        ...

    async def run(self, run_id: str) -> RunShown | None:
        """One run with what it was told, or None."""
        ...

    async def spans(self, run_id: str, after: str = "") -> RunSpans | None:
        """The spans that the agent sent of a run, oldest batch first; None if there is no run.

        Args:
            after: the batch behind which it goes on; "" for the beginning.
        """
        ...

    async def runs(self, limit: int) -> Sequence[RunShown]:
        """Runs with what they were told, newest first."""
        ...

    async def record(self, run_id: str, after: str, limit: int) -> RecordPage:
        """A page of a run's record with everything that was committed to, exactly; for export.

        Args:
            after: the call behind which it goes on; "" for the beginning.

        Raises:
            TheirError: `run_unknown`; `call_unknown`: `after` is no call of this run.
        """
        ...

    async def path(self, call_id: str) -> CallPath | None:
        """The whole path of one call, or None."""
        ...

    async def explain(self, call_id: str) -> CallExplained | None:
        """Why a call was judged as it was, or None: its rules compared again as recorded."""
        ...

    async def read_mandate(self, name: str, version: int = 0) -> MandateRead:
        """A mandate in plain sentences; `version` 0 is the newest.

        Raises:
            TheirError: `mandate_unknown`.
            ConfigError: what it names is not declared any more.
        """
        ...

    async def check_mandates(
        self, files: Mapping[str, str], mandate: str = ""
    ) -> Sequence[Problem]:
        """What is wrong or doubtful in the mandates of `files` (as for `apply`), or in the declared
        one of this name; nothing changes.

        Raises:
            TheirError: `mandate_unknown`.
        """
        ...

    async def proof(self, call_id: str) -> Sequence[bytes]:
        """`c2sp.org/tlog-proof@v1` texts for each of the call's entries."""
        ...

    def events(self) -> AsyncIterator[JsonObject]:
        """Live changes for one reader; slow readers lose the oldest, never memory.

        `{"event": "call" | "hold" | "mandate", "id": ID, "state": STATE}`, a call also with `"run"`
        and `"agent"`. No payloads. Subscribed from the first `__anext__`; ends with `aclose`.
        """
        ...

    async def apply(self, person: Person, files: Mapping[str, str], dry_run: bool) -> ApplyReport:
        """Declare objects: all of `files` (name, as shown in problems → YAML text), or nothing.

        Objects that are not in `files` stay as they are.

        Raises:
            TheirError: `apply_not_allowed`.
        """
        ...

    async def check_policies(self, files: Mapping[str, str]) -> PolicyReport:
        """Check the policies in `files` (as for `apply`) together with those in force.

        Nothing changes. Without files, only what is in force is checked, against what servers say
        by now.
        """
        ...

    async def simulate(
        self, files: Mapping[str, str], mandate: str, against: str, since_seconds: int
    ) -> JsonObject:
        """Judge recorded calls again under a mandate (docs/simulate.md). Nothing is written.

        Args:
            files: declarations as for `apply`, taken as applied; empty for what is in force.
            mandate: whose form is tried.
            against: whose recorded calls; "" for those of `mandate`.
            since_seconds: how far back.

        Raises:
            TheirError: `mandate_unknown`, `declaration_invalid`, `simulation_busy`.
            OurError: `simulation_failed`.
        """
        ...

    async def objects(self, kind: str = "") -> Sequence[ObjectRow]:
        """The newest version of each declared object; secrets as references."""
        ...

    async def limits(self, mandate: str = "") -> LimitsInForce:
        """What is used of the limits of one mandate, or of all in force.

        Raises:
            TheirError: `mandate_unknown`.
        """
        ...

    async def settle(self, person: Person, call_id: str, happened: bool, reason: str) -> CallRow:
        """Settle what is unknown of a call: it happened and counts, or it did not.

        Raises:
            TheirError: `settle_not_allowed`, `reason_missing`, `call_unknown`,
                `nothing_to_settle`.
        """
        ...

    async def audit_limits(self) -> LimitAudit:
        """Work the books of limits out again and compare (see `Records.audit_limits`)."""
        ...

    async def agents(self) -> Sequence[AgentRow]:
        """Every declared agent, by name."""
        ...

    async def models(self) -> ModelsStatus:
        """How model servers and the models of aliases are doing."""
        ...

    async def servers(self) -> Sequence[UpstreamStatus]:
        """How each upstream is doing, by name."""
        ...

    async def pins(self) -> Sequence[Pinned]:
        """Every pinned definition: per upstream, kind and name the ACCEPTED one and, where the
        server now says something else, also the HELD one."""
        ...

    async def accept_pin(
        self, person: Person, upstream: str, kind: str, name: str, digest: str
    ) -> Pinned:
        """Accept the held definition with exactly this digest; returns it, ACCEPTED.

        A change of a declared object (`upstream` is `@declared`) may take several people: it is
        returned HELD until they are enough.

        Raises:
            TheirError: `pin_unknown` (also when it has changed again meanwhile),
                `accept_not_allowed`, `change_unsound`.
        """
        ...

    async def make_token(
        self, person: Person, agent: str, mandate: str, lifetime_seconds: int
    ) -> MadeToken:
        """Make a token for an agent. `mandate` may be "" when the agent has exactly one.

        Raises:
            TheirError: `agent_unknown`, `mandate_unknown`, `mandate_ambiguous`,
                `lifetime_refused`, `token_not_allowed`.
        """
        ...

    async def revoke_token(self, person: Person, token_id: str) -> None:
        """Refuse a token id (`jti`) from now on.

        Raises:
            TheirError: `token_unknown`, `token_not_allowed`.
        """
        ...
