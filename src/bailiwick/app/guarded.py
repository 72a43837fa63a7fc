"""Changes that wait for people: declared objects with `changes` stay as they are until enough of
them have accepted exactly what was declared.

A change that waits is kept as a held definition (`bailiwick pins`), and each acceptance as one of
its own, so that who accepted what is on record. INVARIANT: what guards a change is the object in
force, never the change itself; and the acceptances that count are of this very digest, by people
who may still give them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from bailiwick.core.errors import TheirError
from bailiwick.declared import from_document
from bailiwick.declared.guarded import KINDS, Guard, guard_of
from bailiwick.declared.objects import Declaration
from bailiwick.declared.problems import Problem
from bailiwick.gateway.authority import PersonFacts
from bailiwick.gateway.recorder import Recorder
from bailiwick.ledger.leaf import LeafType
from bailiwick.ports import Entry, ObjectPut, ObjectRow, Person, Pinned, PinState

DECLARED = "@declared"
"""Stands for the server of a definition that people declared. No server can have this name."""

_SECTIONS = {"alias": "aliases", "model": "models"}

Rows = Mapping[tuple[str, str], ObjectRow]


@dataclass(frozen=True, slots=True)
class Sorted:
    """What is to be done with what was declared.

    Attributes:
        now: comes into force now.
        waiting: waits for people; the object stays as it is.
        pins: what is to be recorded of changes that wait, or do not wait any more.
    """

    now: Sequence[ObjectPut]
    waiting: Sequence[ObjectPut]
    pins: Sequence[Pinned]


def sort(
    puts: Iterable[ObjectPut], rows: Rows, known: Iterable[Pinned], by: str, at_ms: int
) -> Sorted:
    """Which of `puts` come into force, and which wait.

    Args:
        puts: all that was declared, changed or not.
        rows: what is in force.
        known: every definition there is.
        by: who declares; "" for the files that the gateway starts with, which take nothing back.
    """
    held = _held(known)
    now: list[ObjectPut] = []
    waiting: list[ObjectPut] = []
    pins: list[Pinned] = []
    for put in puts:
        row = rows.get((put.kind, put.name))
        guard = None if row is None else guard_of(from_document(row.document))
        before = held.get((put.kind, put.name))
        changes = row is None or row.version != put.version
        if guard is None or not changes:
            if before is not None and by:  # declared as it is in force: a person takes it back
                pins.append(_pin(before.kind, before, PinState.WITHDRAWN, by, at_ms))
            if changes:
                now.append(put)
                pins += accepted(put, by, at_ms)
            continue
        waiting.append(put)
        if before is not None and before.digest == put.digest:
            continue
        if before is not None:
            pins.append(_pin(before.kind, before, PinState.WITHDRAWN, by, at_ms))
        pins.append(_definition(put, PinState.HELD, by, at_ms))
    return Sorted(now, waiting, pins)


def accepted(put: ObjectPut, by: str, at_ms: int) -> list[Pinned]:
    """What is recorded of an object that comes into force, if its changes will wait."""
    if guard_of(from_document(put.document)) is None:
        return []
    return [_definition(put, PinState.ACCEPTED, by, at_ms)]


def warnings(sorted_: Sorted, rows: Rows, declared: Iterable[Declaration]) -> list[Problem]:
    """What is said of changes that wait."""
    places = {(each.kind, each.name): each.place for each in declared}
    found: list[Problem] = []
    for put in sorted_.waiting:
        guard = guard_of(from_document(rows[put.kind, put.name].document))
        place = places.get((put.kind, put.name))
        if guard is not None and place is not None:
            have = "has" if guard.people == 1 else "have"
            message = f"{put.kind} `{put.name}` stays as it is until {guard.phrase} {have} accepted"
            found.append(Problem(place, f"{message} this (`bailiwick pins`)"))
    return found


@dataclass(frozen=True, slots=True)
class Acceptance:
    """One person accepts one change.

    Attributes:
        held: the change, as it was declared.
        pins: what is to be recorded of it.
        complete: that was enough: it comes into force.
    """

    held: Pinned
    pins: Sequence[Pinned]
    complete: bool


def accept(
    person: Person,
    named: tuple[str, str, str],
    rows: Rows,
    known: Sequence[Pinned],
    people: Mapping[str, PersonFacts],
    at_ms: int,
) -> Acceptance:
    """What comes of it when `person` accepts a change.

    Args:
        named: kind, name and digest of the change.
        people: all of them, by name, with their roles now.

    Raises:
        TheirError: `pin_unknown`, `accept_not_allowed`.
    """
    kind, name, digest = named
    held = _held(known).get((kind, name))
    row = rows.get((kind, name))
    guard = None if row is None else guard_of(from_document(row.document))
    if held is None or guard is None or held.digest != digest:
        raise TheirError("pin_unknown", f"`{kind} {name}` has no such change that waits")
    objection = guard.objection(person.name, person.roles, held.by)
    if objection:
        raise TheirError("accept_not_allowed", f"accepting this change: {objection}")
    stamp = Pinned(
        DECLARED, _stamps(kind), f"{name}/{person.name}", digest, "", PinState.ACCEPTED, at_ms,
        person.name,
    )  # fmt: skip
    who = {person.name, *_accepted_by(known, held, guard, people)}
    complete = len(who) >= guard.people
    done = [_pin(kind, held, PinState.ACCEPTED, person.name, at_ms)] if complete else []
    return Acceptance(held, [stamp, *done], complete)


def as_file(held: Pinned) -> str:
    """The change as a file of declarations, to be checked against what there is by now."""
    declaration = from_document(held.definition)
    return json.dumps({_SECTIONS[held.kind]: {held.name: declaration.spec}})


def entry(recorder: Recorder, pin: Pinned) -> Entry:
    """The ledger's entry for one of `pins`."""
    fields = {
        "upstream": pin.upstream,
        "kind": pin.kind,
        "digest": pin.digest,
        "state": pin.state.value,
    }
    payload = {"name": pin.name, "definition": pin.definition, "by": pin.by}
    ident = f"{pin.kind}@{pin.digest[:16]}"
    return recorder.act(LeafType.PIN, ident, pin.at_ms, pin.by, fields, payload)


def _accepted_by(
    known: Iterable[Pinned], held: Pinned, guard: Guard, people: Mapping[str, PersonFacts]
) -> set[str]:
    """Who has accepted it, and may still."""
    found = {
        pin.by
        for pin in known
        if pin.upstream == DECLARED
        and pin.kind == _stamps(held.kind)
        and pin.name == f"{held.name}/{pin.by}"
        and pin.digest == held.digest
        and pin.at_ms >= held.at_ms  # of an earlier time that it waited, they accepted another
    }
    return {
        name
        for name in found
        if name in people and not guard.objection(name, people[name].roles, held.by)
    }


def _held(known: Iterable[Pinned]) -> dict[tuple[str, str], Pinned]:
    return {
        (pin.kind, pin.name): pin
        for pin in known
        if pin.upstream == DECLARED and pin.kind in KINDS and pin.state is PinState.HELD
    }


def _stamps(kind: str) -> str:
    return f"{kind} accepted"


def _definition(put: ObjectPut, state: PinState, by: str, at_ms: int) -> Pinned:
    return Pinned(DECLARED, put.kind, put.name, put.digest, put.document, state, at_ms, by)


def _pin(kind: str, pin: Pinned, state: PinState, by: str, at_ms: int) -> Pinned:
    return Pinned(DECLARED, kind, pin.name, pin.digest, pin.definition, state, at_ms, by)
