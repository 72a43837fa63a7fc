"""Making child mandates: an agent passes on part of what it may do.

1. Whoever asks may: an agent with a token for just this mandate, or a person with standing. Every
   mandate of the line is in force and lets others delegate, this deep and to this agent; there is
   room for one more.
2. The child is read and checked, completed with what binds it, and compiled.
3. It is narrower than its parent, shown by structure (`core/narrowing`).
4. It is recorded: a version of an object, with who passed on what; and the token for its agent.
5. It is in force.

1 to 3 happen one at a time, since comparing may take some tenths of a second; nobody else waits.
4 and 5 happen while no declaration changes, and if none has changed meanwhile. A revocation waits
for nothing: it is looked for again right before recording, and goes on to whatever was made.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bailiwick.app.declare import Declarations
from bailiwick.app.standing import is_live, need_standing, need_standing_chain
from bailiwick.core.canonical import JsonObject
from bailiwick.core.delegation import (
    MAX_BELOW,
    MAX_MADE,
    MAX_MADE_A_DAY,
    MAX_MADE_CHARS,
    child_name,
    is_below,
    root_name,
)
from bailiwick.core.errors import ConfigError, TheirError
from bailiwick.core.mandate import Mandate, MandateState, authority
from bailiwick.core.narrowing import narrower
from bailiwick.declared import (
    Declaration,
    DeclarationError,
    compile_agent,
    compile_calendar,
    compile_mandate,
    compile_person,
    from_document,
)
from bailiwick.declared.children import begun, check_size, completed, read_child, unnamed
from bailiwick.gateway.authority import Authority
from bailiwick.gateway.chains import lets_delegate
from bailiwick.gateway.recorder import Recorder
from bailiwick.identity.tokens import IssuedToken, TokenKey
from bailiwick.ledger.leaf import LeafType, LeafValue
from bailiwick.ports import (
    Caller,
    ChildAsked,
    Clock,
    Entry,
    Journal,
    MadeChild,
    MadeToken,
    ObjectPut,
    ObjectRow,
    Person,
    Records,
)

MAX_NAME = 200
"""Longest full name of a child, in characters."""

MAX_WAITING = 32
"""Most children that wait to be looked at, one at a time."""

_MAX_PROBLEMS_TOLD = 5
_DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class _Made:
    """A child that may be made, compiled."""

    declaration: Declaration
    mandate: Mandate


class Delegations:
    """Makes child mandates."""

    def __init__(
        self,
        *,
        journal: Journal,
        records: Records,
        recorder: Recorder,
        authority: Authority,
        declarations: Declarations,
        tokens: TokenKey,
        clock: Clock,
    ) -> None:
        self._journal = journal
        self._records = records
        self._recorder = recorder
        self._authority = authority
        self._declarations = declarations
        self._tokens = tokens
        self._clock = clock
        self._reading = asyncio.Lock()
        self._waiting = 0

    async def delegate(self, by: Caller | Person, asked: ChildAsked) -> MadeChild:
        """See `ports.Control.delegate`."""
        now = self._clock.wall_ms()
        chain, made = await self._prepared(by, asked, now)
        async with self._declarations.paused():
            name = made.mandate.name
            if await self._records.versions("mandate", name):
                raise TheirError("child_exists", f"there is a mandate `{name}` already")
            issued = self._issue(by, made.mandate, asked.lifetime_seconds, now)
            await self._recorder.prepare([_recorded_by(by)], now)
            # INVARIANT: no await between this look and handing the commit to the journal: whoever
            # revoked a mandate of the line before is heard here, and afterwards finds the child.
            if authority(self._may(by, asked.parent, self._clock.wall_ms())) != authority(chain):
                raise TheirError("mandate_changed", f"`{asked.parent}` has changed meanwhile")
            if asked.dry_run:
                return _answer(made, chain[-1], None)
            await self._record(by, made, chain[-1], issued, now)  # 4
            self._authority.add(made.mandate)  # 5
        need_standing_chain(self._authority, made.mandate.name, self._clock.wall_ms())
        return _answer(made, chain[-1], issued)

    async def _prepared(
        self, by: Caller | Person, asked: ChildAsked, now: int
    ) -> tuple[tuple[Mandate, ...], _Made]:
        self._may(by, asked.parent, now)
        if self._waiting >= MAX_WAITING:
            text = f"{MAX_WAITING} children are being looked at already: try again in a moment"
            raise TheirError("delegation_busy", text)
        self._waiting += 1
        try:
            async with self._reading:
                chain = self._may(by, asked.parent, now)  # 1
                rows = await self._records.objects()
                _check_room(rows, asked.parent, now)
                made = await asyncio.to_thread(self._read, by, asked.text, chain, rows, now)  # 2, 3
        finally:
            self._waiting -= 1
        return chain, made

    def _may(self, by: Caller | Person, parent: str, now: int) -> tuple[Mandate, ...]:
        """The parent's chain, if `by` may pass on part of it now; to whom is looked at later."""
        if isinstance(by, Caller):
            if by.mandate != parent:
                text = f"your token is for mandate `{by.mandate}`, not for `{parent}`"
                raise TheirError("delegate_not_allowed", text)
            if by.run:
                # A child's agent works in runs of its own, which have read and been told nothing.
                text = f"your token is good for the run `{by.run}` only, and passes on nothing"
                raise TheirError("delegate_not_allowed", text)
            if self._authority.token_revoked(by.token) or now >= by.expires_ms:
                raise TheirError("token_revoked", "the token was revoked, or has expired")
        chain = need_standing_chain(self._authority, parent, now)
        above = chain[-1]
        if isinstance(by, Caller) and by.agent != above.agent:
            text = f"mandate `{parent}` is not for agent `{by.agent}`"
            raise TheirError("delegate_not_allowed", text)
        if isinstance(by, Person):
            need_standing(self._authority, by, above, "delegate_not_allowed")
        if above.delegation is None:
            text = f"the mandate `{above.ref}` lets nobody delegate"
            raise TheirError("delegation_not_allowed", text)
        live = [each for each in self._authority.below(root_name(parent)) if is_live(each, now)]
        children = sum(1 for each in live if each.parent == parent)
        if children >= above.delegation.children or len(live) >= MAX_BELOW:
            text = f"{children} children of `{parent}` live already, and {len(live)} mandates below"
            raise TheirError("too_many_children", f"{text} `{root_name(parent)}`: revoke some")
        return chain

    def _read(
        self,
        by: Caller | Person,
        text: str,
        chain: Sequence[Mandate],
        rows: Sequence[ObjectRow],
        now: int,
    ) -> _Made:
        """Blocking, for some milliseconds at most: see the bounds in declared/children.py."""
        parent = chain[-1]
        everything = {
            (row.kind, row.name): from_document(row.document)
            for row in rows
            if row.kind != "mandate" or row.name == parent.name
        }
        above = everything["mandate", parent.name].spec
        try:
            written = read_child(text, everything)
            if isinstance(by, Caller):
                written = unnamed(written)
        except DeclarationError as error:
            raise _invalid(error) from error
        refused = lets_delegate(list(chain), written.agent)
        if refused:
            raise TheirError("delegation_not_allowed", refused)
        name = child_name(parent.name, written.name or f"{written.agent}-{secrets.token_hex(4)}")
        if len(name) > MAX_NAME:
            raise TheirError("child_invalid", f"its full name is longer than {MAX_NAME} characters")
        started = begun(written, name, parent, above)
        draft = _compiled(started, everything)
        check_size(draft, parent)
        owner = self._authority.owner(parent.agent)
        whole = completed(started, draft, parent, above, _called(by), owner)
        child = _compiled(whole, everything)
        wider = narrower(child, parent, now)
        if wider is not None:
            raise TheirError("child_wider", wider.because)
        return _Made(whole, child)

    def _issue(
        self, by: Caller | Person, child: Mandate, lifetime_seconds: int, now: int
    ) -> IssuedToken | None:
        """A token for the child's agent, which outlives neither the child nor the asking token."""
        if lifetime_seconds == 0:
            return None
        if lifetime_seconds < 0:
            raise TheirError("ttl_out_of_range", f"`{lifetime_seconds}` seconds are no lifetime")
        ends = [now + lifetime_seconds * 1000]
        if child.not_after is not None:
            ends.append(child.not_after)
        if isinstance(by, Caller):
            ends.append(by.expires_ms)
        seconds = max(1, (min(ends) - now) // 1000)
        return self._tokens.issue_agent(child.agent, child.name, child.principal, seconds, now)

    async def _record(
        self,
        by: Caller | Person,
        made: _Made,
        parent: Mandate,
        issued: IssuedToken | None,
        now: int,
    ) -> None:
        child, person = made.mandate, _recorded_by(by)
        entries = [self._object_entry(by, made, parent, now)]
        if issued is not None:
            fields: dict[str, LeafValue] = {
                "agent": child.agent,
                "mandate": child.ref,
                "expires": issued.expires_ms,
                "done": "issued",
            }
            payload: JsonObject = {
                "agent": child.agent,
                "mandate": child.ref,
                "expires": issued.expires_ms,
                "by": _called(by),
            }
            entries.append(
                self._recorder.act(LeafType.TOKEN, issued.id, now, person, fields, payload)
            )
        put = ObjectPut(
            kind="mandate",
            name=child.name,
            version=child.version,
            digest=child.digest,
            document=made.declaration.document,
            state=MandateState.ACTIVE.value,
            at_ms=now,
            by=_called(by),
        )
        await self._journal.commit(entries, [put])

    def _object_entry(self, by: Caller | Person, made: _Made, parent: Mandate, now: int) -> Entry:
        child = made.mandate
        fields: dict[str, LeafValue] = {
            "kind": "mandate",
            "name": child.name,
            "version": child.version,
            "parent": parent.ref,
        }
        if isinstance(by, Caller):
            fields["agent"], fields["token"] = by.agent, by.token
        payload: JsonObject = {
            "document": made.declaration.document,
            "digest": child.digest,
            "parent": parent.ref,
            "parent_digest": parent.digest,
            "by": _called(by),
        }
        return self._recorder.act(
            LeafType.OBJECT, child.ref, now, _recorded_by(by), fields, payload
        )


def _check_room(rows: Sequence[ObjectRow], parent: str, now: int) -> None:
    """Refuse a child where as many were made, ended ones included, as will ever be kept.

    Raises:
        TheirError: `too_many_children`.
    """
    root = root_name(parent)
    made = [row for row in rows if row.kind == "mandate" and is_below(row.name, root)]
    lately = sum(1 for row in made if row.at_ms > now - _DAY_MS)
    length = sum(len(row.document) for row in made)
    if len(made) >= MAX_MADE or lately >= MAX_MADE_A_DAY or length >= MAX_MADE_CHARS:
        text = f"{len(made)} mandates were made below `{root}`, {lately} of them in a day"
        raise TheirError("too_many_children", text)


def _compiled(
    declaration: Declaration, everything: Mapping[tuple[str, str], Declaration]
) -> Mandate:
    kinds: dict[str, list[Declaration]] = {}
    for (kind, _), each in everything.items():
        kinds.setdefault(kind, []).append(each)
    try:
        return compile_mandate(
            declaration,
            1,
            {each.name: compile_person(each) for each in kinds.get("person", [])},
            {each.name: compile_agent(each) for each in kinds.get("agent", [])},
            calendars={each.name: compile_calendar(each) for each in kinds.get("calendar", [])},
        )
    except ConfigError as error:
        raise TheirError("child_invalid", error.message) from error


def _recorded_by(by: Caller | Person) -> str:
    """Whose act it is in the ledger; "" (the gateway) for an agent's, which the leaf names."""
    return by.name if isinstance(by, Person) else ""


def _called(by: Caller | Person) -> str:
    return f"person {by.name}" if isinstance(by, Person) else f"agent {by.agent}"


def _invalid(error: DeclarationError) -> TheirError:
    told = [str(problem) for problem in error.problems[:_MAX_PROBLEMS_TOLD]]
    more = len(error.problems) - len(told)
    return TheirError("child_invalid", "; ".join([*told, *([f"and {more} more"] if more else [])]))


def _answer(made: _Made, parent: Mandate, issued: IssuedToken | None) -> MadeChild:
    child = made.mandate
    token = None
    if issued is not None:
        token = MadeToken(issued.token, issued.id, child.agent, child.name, issued.expires_ms)
    return MadeChild(
        name=child.name,
        version=child.version,
        digest=child.digest,
        document=made.declaration.document,
        parent=parent.ref,
        token=token,
    )
