"""The seams of the house: what the gateway, console and identity rooms need from others.

The docstrings here are the contract. tests/stores runs one suite over every implementation.
Nothing here performs an effect, and nothing here imports an implementation. What is made anew on
every call is a `msgspec.Struct`: a frozen dataclass of eight fields costs 1.7 µs, a struct 0.07.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

import msgspec

from bailiwick.core.canonical import Json, JsonObject

# --- what is written ---------------------------------------------------------------------------


class Entry(msgspec.Struct, frozen=True):
    """One ledger entry, with the payload that is kept beside it.

    Attributes:
        leaf: canonical JSON, at most 65,535 bytes; holds commitments, never payloads.
        sealed: the encrypted payload, or b"" for none; opaque to the store.
    """

    leaf: bytes
    sealed: bytes = b""


class CallState(StrEnum):
    """Where a call stands. UNKNOWN: it was sent, and nothing is known to have come back."""

    DENIED = "denied"
    HELD = "held"
    REFUSED = "refused"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"


class CallOpened(msgspec.Struct, frozen=True):
    """A call was judged. Its intent is the entry `entry` (position within the same commit).

    Attributes:
        digest: only of held calls, else "".
        because: of a call that is RUNNING at once it quotes none of its arguments, so a store may
            keep it in clear; any other may quote them.
    """

    id: str
    at_ms: int
    run: str
    agent: str
    mandate: str
    principal: str
    kind: str
    upstream: str
    name: str
    digest: str
    state: CallState
    code: str
    because: str
    hold: str = ""
    entry: int = 0


class CallMoved(msgspec.Struct, frozen=True):
    """A call changed state, with the entry `entry` of the same commit (-1: none of its own).

    For RUNNING it is the entry that lets a stamped call run, else the outcome.
    """

    id: str
    at_ms: int
    state: CallState
    code: str = ""
    because: str = ""
    entry: int = -1


@dataclass(frozen=True, slots=True)
class RunOpened:
    """First call of a run. Ignored when the run is already there."""

    id: str
    key: str
    at_ms: int
    agent: str
    mandate: str


class HoldState(StrEnum):
    """WAITING → APPROVED → USED, or WAITING → REFUSED, EXPIRED or WITHDRAWN. Nothing goes back."""

    WAITING = "waiting"
    APPROVED = "approved"
    REFUSED = "refused"
    EXPIRED = "expired"
    USED = "used"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class HoldOpened:
    """A call waits for a person.

    Attributes:
        digest: of the call; with `mandate` it is what a retry is matched on.
        mandate: `NAME@VERSION` the call was judged under; a stamp holds for that version only.
        rendering: the exact text shown to people; the stamp binds its digest.
    """

    id: str
    call: str
    digest: str
    mandate: str
    agent: str
    run: str
    kind: str
    upstream: str
    name: str
    because: str
    rules: tuple[str, ...]
    role: str
    excluded: tuple[str, ...]
    count: int
    rendering: str
    nonce: str
    at_ms: int
    expires_ms: int


@dataclass(frozen=True, slots=True)
class Stamped:
    """One person's decision on a hold. One person stamps one hold at most once."""

    hold: str
    person: str
    decision: str
    reason: str
    method: str
    at_ms: int
    statement: str
    entry: int = 0


@dataclass(frozen=True, slots=True)
class HoldMoved:
    """Move a hold. The whole commit is void (`Conflict`) unless it now is in `expected`."""

    id: str
    expected: HoldState
    state: HoldState
    at_ms: int


@dataclass(frozen=True, slots=True)
class ObjectPut:
    """A new version of a declared object (`server`, `person`, `agent`, `mandate`).

    `document` is the canonical JSON of the declaration with secrets as references, never values.
    """

    kind: str
    name: str
    version: int
    digest: str
    document: str
    state: str
    at_ms: int
    by: str


@dataclass(frozen=True, slots=True)
class ObjectState:
    """Change the life state of the newest version of a declared object."""

    kind: str
    name: str
    state: str
    at_ms: int
    by: str


class PinState(StrEnum):
    """A definition seen first is ACCEPTED; one that changed is HELD until a person accepts it."""

    ACCEPTED = "accepted"
    HELD = "held"


@dataclass(frozen=True, slots=True)
class Pinned:
    """The hash of one definition (tool, resource, template, prompt) as one server gave it."""

    upstream: str
    kind: str
    name: str
    digest: str
    definition: str
    state: PinState
    at_ms: int
    by: str = ""


@dataclass(frozen=True, slots=True)
class TokenRevoked:
    """A token id that is refused from now on; kept until `expires_ms`."""

    id: str
    expires_ms: int
    by: str


@dataclass(frozen=True, slots=True)
class SubjectKey:
    """A person's payload key, wrapped by the vault's own key. `wrapped` is b"" once destroyed."""

    id: int
    subject: str
    wrapped: bytes
    at_ms: int


Change = (
    CallOpened
    | CallMoved
    | RunOpened
    | HoldOpened
    | Stamped
    | HoldMoved
    | ObjectPut
    | ObjectState
    | Pinned
    | TokenRevoked
    | SubjectKey
)


class Journal(Protocol):
    """The durable state, written. One writer; readers use `Records`.

    What quotes payloads (`digest`, `because`, `rendering`, `reason`, `statement`, and the name of
    a resource) is never at rest in clear: who has the store's files alone cannot read or guess it.
    """

    async def commit(self, entries: Sequence[Entry], changes: Sequence[Change] = ()) -> range:
        """Append `entries` and apply `changes`, all or nothing, durably.

        When this returns, everything in it survives a crash of the process and of the machine,
        and the entries stand at the returned, contiguous indexes. Concurrent commits share one
        fsync. Cancelling the waiter does not undo the commit.

        Raises:
            Conflict: a conditional change did not find what it expected; nothing was written.
            StoreError: nothing may be relied upon; the commit may or may not have happened.
                After a restart it is there wholly or not at all.
        """
        ...


# --- what is read ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CallRow:
    """One recorded call, without its payloads. `digest` is there only of held calls, else ""."""

    id: str
    at_ms: int
    run: str
    agent: str
    mandate: str
    principal: str
    kind: str
    upstream: str
    name: str
    digest: str
    state: CallState
    code: str
    because: str
    hold: str
    ended_ms: int | None
    intent_index: int
    outcome_index: int | None
    approved_index: int | None = None
    """The entry written when a stamped call was let run; None for calls that were not held."""


@dataclass(frozen=True, slots=True)
class StampRow:
    """One stamp on a hold."""

    hold: str
    person: str
    decision: str
    reason: str
    method: str
    at_ms: int
    statement: str
    entry_index: int


@dataclass(frozen=True, slots=True)
class HoldRow:
    """One hold with its stamps."""

    id: str
    call: str
    digest: str
    mandate: str
    agent: str
    run: str
    kind: str
    upstream: str
    name: str
    because: str
    rules: tuple[str, ...]
    role: str
    excluded: tuple[str, ...]
    count: int
    rendering: str
    nonce: str
    at_ms: int
    expires_ms: int
    state: HoldState
    decided_ms: int | None
    stamps: tuple[StampRow, ...] = ()


@dataclass(frozen=True, slots=True)
class RunRow:
    """One run, with how its calls ended."""

    id: str
    key: str
    at_ms: int
    agent: str
    mandate: str
    calls: int
    states: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ObjectRow:
    """One version of a declared object."""

    kind: str
    name: str
    version: int
    digest: str
    document: str
    state: str
    at_ms: int
    by: str


@dataclass(frozen=True, slots=True)
class StoredEntry:
    """One ledger entry as stored."""

    index: int
    leaf: bytes
    sealed: bytes


@dataclass(frozen=True, slots=True)
class CallQuery:
    """Which calls to list, newest first. Empty strings do not restrict."""

    limit: int = 50
    before: str = ""
    run: str = ""
    agent: str = ""
    mandate: str = ""
    state: str = ""


class Records(Protocol):
    """The durable state, read. Every method sees a consistent, committed snapshot.

    All raise StoreError when the store cannot be read.
    """

    async def calls(self, query: CallQuery) -> Sequence[CallRow]:
        """Calls, newest first."""
        ...

    async def call(self, call_id: str) -> CallRow | None:
        """One call, or None."""
        ...

    async def runs(self, limit: int = 50) -> Sequence[RunRow]:
        """Runs, newest first."""
        ...

    async def run_by_key(self, agent: str, mandate: str, key: str) -> RunRow | None:
        """The run an edge tells apart by this key, or None."""
        ...

    async def holds(self, state: HoldState | None = None, limit: int = 200) -> Sequence[HoldRow]:
        """Holds, newest first; all states when None."""
        ...

    async def hold(self, hold_id: str) -> HoldRow | None:
        """One hold with its stamps, or None."""
        ...

    async def waiting_holds(self, agent: str) -> int:
        """How many holds of this agent are waiting."""
        ...

    async def hold_for(self, digest: str, mandate: str, agent: str) -> HoldRow | None:
        """The newest hold for this exact call that is waiting, approved, refused or expired.

        A hold that was used or withdrawn is never returned: a stamp serves once.
        """
        ...

    async def objects(self, kind: str = "") -> Sequence[ObjectRow]:
        """The newest version of each declared object."""
        ...

    async def versions(self, kind: str, name: str) -> Sequence[ObjectRow]:
        """Every version of one declared object, oldest first."""
        ...

    async def pins(self) -> Sequence[Pinned]:
        """Every pinned definition, oldest first for each thing."""
        ...

    async def subject_keys(self) -> Sequence[SubjectKey]:
        """People's payload keys, oldest first."""
        ...

    async def open_calls(self) -> Sequence[CallRow]:
        """Calls that are held or running: what a crash may have left behind."""
        ...

    async def revoked_tokens(self, now_ms: int) -> Sequence[str]:
        """Ids of revoked tokens that would still be valid."""
        ...

    async def entries(self, start: int, stop: int) -> Sequence[StoredEntry]:
        """Ledger entries with start <= index < stop, in order."""
        ...

    async def leaves(self, start: int, stop: int) -> Sequence[bytes]:
        """The leaves of those entries, without their payloads: what publishing needs."""
        ...

    async def entry_count(self) -> int:
        """How many ledger entries are durable."""
        ...


class Vault(Protocol):
    """Seals payloads per person. Implemented in `stores/vault.py`."""

    def knows(self, subject: str) -> bool:
        """Whether `seal` may be called for this person."""
        ...

    async def ensure(self, subject: str, now_ms: int) -> None:
        """Make and durably keep a key for `subject` if there is none. Raises StoreError."""
        ...

    def seal(self, subject: str, leaf: bytes, payload: bytes) -> bytes:
        """Encrypt `payload` for a known person, bound to `leaf`."""
        ...

    def open(self, leaf: bytes, sealed: bytes) -> bytes:
        """Decrypt what stands beside `leaf`. Raises VerificationError (damaged or erased)."""
        ...

    def pseudonym(self, subject: str) -> str:
        """The name under which a person stands in leaves."""
        ...


# --- clocks and randomness ---------------------------------------------------------------------


class Clock(Protocol):
    """Time. `wall_ms` may jump; `monotonic` (seconds) never goes back."""

    def wall_ms(self) -> int:
        """Unix milliseconds."""
        ...

    def monotonic(self) -> float:
        """Seconds since some moment."""
        ...


# --- upstreams ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ClientFacts:
    """The MCP client on whose behalf a request is made, as far as an upstream may know it.

    Attributes:
        session: opaque key. Upstream state (a legacy session, a `per-session` child process) is
            never shared between two different keys. Derived from the authenticated identity, and
            for a legacy client also its MCP session.
        version: MCP revision the client speaks, such as `2026-07-28`.
        capabilities: client capabilities as declared, already narrowed by policy.
        info: clientInfo as declared.
    """

    session: str
    version: str
    capabilities: JsonObject = field(default_factory=dict)
    info: JsonObject = field(default_factory=dict)


class UpstreamRequest(msgspec.Struct, frozen=True):
    """One MCP request for an upstream. `params` is the judged parse; its encoding is sent."""

    method: str
    params: JsonObject
    client: ClientFacts
    param_headers: Mapping[str, str] = msgspec.field(default_factory=dict)


class UpstreamReply(msgspec.Struct, frozen=True):
    """What came back: exactly one of `result` and `error`, as raw JSON text, byte for byte."""

    result: bytes | None = None
    error: bytes | None = None


class RequestPeer(Protocol):
    """The requesting side, as an upstream reaches it while one request is in flight."""

    async def notify(self, method: str, params: JsonObject) -> None:
        """Pass on a notification that belongs to this request (progress, message).

        Waits while the client reads slowly, so that nothing piles up. `progressToken` is
        already the client's own.
        """
        ...

    async def ask(self, method: str, params: JsonObject) -> UpstreamReply:
        """Pass on a request of the server to this client, judged and recorded on the way."""
        ...


class Upstream(Protocol):
    """One MCP server. Implementations keep connections and processes; callers see requests."""

    name: str

    async def request(self, request: UpstreamRequest, peer: RequestPeer) -> UpstreamReply:
        """Send one request and wait for its reply.

        Cancelling the waiter cancels the request upstream, in the way of that server's revision.

        Raises:
            UpstreamDown: nothing was sent (connection refused, process not running). Safe to
                report as not done.
            UpstreamBroken: it was sent, or may have been, and no reply is known. The outcome is
                `unknown`.
        """
        ...

    async def notify(self, client: ClientFacts, method: str, params: JsonObject) -> None:
        """Pass on a client notification that belongs to no request (roots list changed)."""
        ...

    def listen(self, client: ClientFacts, wants: Wants) -> AsyncIterator[tuple[str, JsonObject]]:
        """Notifications outside any request: list changes, resource updates.

        Ends when the caller closes the iterator; reconnects by itself. Buffers a bounded number
        and then drops the oldest of the same kind (they only say that something changed).
        """
        ...

    async def facts(self, version: str = "") -> ServerFacts:
        """What the server says of itself; asks it once and remembers.

        Args:
            version: the revision of the client it is asked for. A server that speaks both eras
                may say other things to an earlier client; "" means the newest it speaks.

        Raises:
            UpstreamDown: it cannot be reached.
        """
        ...

    async def end_session(self, session: str) -> None:
        """Forget whatever is kept for this session key (close its upstream session, its child)."""
        ...

    def status(self) -> UpstreamStatus:
        """How it is doing, for people."""
        ...


@dataclass(frozen=True, slots=True)
class Wants:
    """What a subscriber wants to hear of."""

    tools: bool = False
    prompts: bool = False
    resources: bool = False
    uris: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """An upstream's own words: negotiated revision, capabilities, serverInfo, instructions."""

    version: str
    capabilities: JsonObject
    info: JsonObject
    instructions: str = ""


@dataclass(frozen=True, slots=True)
class UpstreamStatus:
    """For people: is it up, since when, how often restarted, and its last words on stderr."""

    name: str
    state: str
    detail: str = ""
    restarts: int = 0
    stderr_tail: tuple[str, ...] = ()


# --- who is calling ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated agent acting under one mandate. Only an `Authenticator` makes one.

    Attributes:
        agent: the agent's name.
        mandate: name of the mandate the token is for (its newest version is judged).
        principal: who gave the mandate.
        token: the token's id (`jti`).
        expires_ms: when the token ends, Unix milliseconds.
    """

    agent: str
    mandate: str
    principal: str
    token: str
    expires_ms: int

    @property
    def key(self) -> str:
        """Names this authority: state bound to an identity (sessions, event ids) is keyed by it."""
        return f"{self.agent}|{self.mandate}"


class Authenticator(Protocol):
    """Turns an `Authorization` header into a Caller. Synchronous and cached."""

    def authenticate(self, authorization: str | None) -> Caller:
        """Check the token: signature, audience, lifetime, revocation, and that agent and mandate
        still belong together.

        Raises:
            TheirError: `token_missing`, `token_invalid`, `token_expired`, `token_revoked`,
                `wrong_audience`.
        """
        ...

    def person(self, authorization: str | None) -> Person:
        """The same for a person's token (the CLI's API)."""
        ...


# --- acts of people, as the console and the API reach them ---------------------------------------


@dataclass(frozen=True, slots=True)
class Person:
    """An authenticated person. `method` says how: `token`, `link`, later `passkey`."""

    name: str
    roles: frozenset[str]
    method: str


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
    """

    call: CallRow
    hold: HoldRow | None
    intent: Json
    outcome: Json
    leaves: Sequence[tuple[int, JsonObject]]


@dataclass(frozen=True, slots=True)
class ObjectChange:
    """What `apply` did, or would do, to one declared object.

    Attributes:
        action: `create`, `change` or `same`.
        version: the version it has afterwards.
        difference: unified diff of the canonical YAML, "" for `same`; secrets as references.
    """

    kind: str
    name: str
    action: str
    version: int
    difference: str = ""


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
class MadeToken:
    """A token just made. `token` is the secret: shown once, never kept or logged."""

    token: str
    id: str
    agent: str
    mandate: str
    expires_ms: int


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

    async def path(self, call_id: str) -> CallPath | None:
        """The whole path of one call, or None."""
        ...

    async def proof(self, call_id: str) -> Sequence[bytes]:
        """`c2sp.org/tlog-proof@v1` texts for each of the call's entries."""
        ...

    def events(self) -> AsyncIterator[JsonObject]:
        """Live changes for one reader; slow readers lose the oldest, never memory.

        `{"event": "call" | "hold", "id": ID, "state": STATE}`, a call also with `"run"` and
        `"agent"`. No payloads. Subscribed from the first `__anext__`; ends with `aclose`.
        """
        ...

    async def apply(self, person: Person, files: Mapping[str, str], dry_run: bool) -> ApplyReport:
        """Declare objects: all of `files` (name, as shown in problems → YAML text), or nothing.

        Objects that are not in `files` stay as they are.

        Raises:
            TheirError: `apply_not_allowed`.
        """
        ...

    async def objects(self, kind: str = "") -> Sequence[ObjectRow]:
        """The newest version of each declared object; secrets as references."""
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

        Raises:
            TheirError: `pin_unknown` (also when it has changed again meanwhile),
                `accept_not_allowed`.
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


# --- signed-in browsers ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LoginLink:
    """A one-time link's secret. `token` goes into `/login/TOKEN` and is kept nowhere in clear."""

    token: str
    person: str
    expires_ms: int


@dataclass(frozen=True, slots=True)
class BrowserSession:
    """A signed-in browser. `csrf` belongs to this session alone and goes into its forms."""

    person: Person
    csrf: str


class SignIn(Protocol):
    """Browser sessions. One-time links today; passkeys come in as another way to `open`.

    Nothing here waits or fails; state is in memory, and a restart signs everybody out.
    """

    def offer(self, person_name: str) -> LoginLink:
        """Make a link that signs this person in once, within ten minutes.

        Raises:
            TheirError: `person_unknown`.
        """
        ...

    def invited(self, unverified_token: str) -> str:
        """Whose working link this is, or "". Does not use it up: previewers follow links."""
        ...

    def redeem(self, unverified_token: str) -> str:
        """Use the link up and open a session; returns the session's key, a fresh secret.

        Raises:
            TheirError: `link_invalid`: unknown, used, expired, or its person is gone.
        """
        ...

    def session(self, unverified_key: str, *, touch: bool = True) -> BrowserSession | None:
        """The live session of this key, or None. Roles are those of now.

        `touch` says that the person is there; a page that refreshes itself passes False, so
        that an open tab does not keep an absent person signed in.
        """
        ...

    def renew(self, unverified_key: str) -> str:
        """A new key for the session when its key has grown old, else ""."""
        ...

    def close(self, unverified_key: str) -> None:
        """Sign out."""
        ...


Sleep = Callable[[float], Awaitable[None]]
