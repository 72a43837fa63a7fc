"""Everything wrong with policies, found before they are put in force.

The engine's validator says what does not fit the schema, but not where, and nothing of names: an
agent that does not exist is for it an agent like any other, and a `forbid` about it is about
nothing. Both are made good here.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from cedarpy import Schema

from bailiwick.core.values import show
from bailiwick.policy.gates import named_actions, validate
from bailiwick.policy.policies import House
from bailiwick.policy.schema import (
    ENTITY_TYPES,
    GROUPS,
    Action,
    action_id,
    all_actions,
    schema_json,
)
from bailiwick.policy.statements import (
    Entity,
    OrganisationPolicy,
    PolicyTextError,
    Statement,
    find_name,
    read_statements,
)
from bailiwick.policy.types import paths_of

MAX_FLAWS = 100

_QUOTED = re.compile(r"`([^`]*)`")
_ACTION = re.compile(r'Action::"((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True, slots=True)
class Flaw:
    """Something wrong, or doubtful, in one policy.

    Attributes:
        ref: of the policy.
        offset: where in its text, in characters.
        error: with it, the policy is not put in force.
    """

    ref: str
    offset: int
    message: str
    error: bool = True


def check(policies: Sequence[OrganisationPolicy], house: House) -> list[Flaw]:
    """What is wrong with policies that would be in force together.

    O(statements × tools); a second or so for hundreds of each. Total.
    """
    flaws: list[Flaw] = []
    sound: list[tuple[str, Statement]] = []
    default_deny = any(policy.deny_by_default for policy in policies)
    for policy in policies:
        try:
            statements = read_statements(policy)
        except PolicyTextError as error:
            flaws.append(Flaw(policy.ref, error.offset, error.message))
            continue
        for statement in statements:
            named = list(_names(policy.ref, statement, house))
            flaws += named
            if not any(flaw.error for flaw in named):
                sound.append((policy.ref, statement))
            if not statement.forbids and not default_deny:
                why = "permits what is permitted anyway: no policy says `default: deny`"
                flaws.append(Flaw(policy.ref, statement.offset, why, error=False))
    flaws += _misfits(sound, house)
    return flaws[:MAX_FLAWS]


def _names(ref: str, statement: Statement, house: House) -> Iterator[Flaw]:
    for entity in sorted(statement.entities, key=str):
        message, error = _name(entity, house)
        if message:
            at = find_name(statement.tokens, entity.id, statement.offset)
            yield Flaw(ref, at, message, error)


def _name(entity: Entity, house: House) -> tuple[str, bool]:
    """What is wrong with a name, and whether that is an error."""
    if entity.type == "Action":
        return _action_name(entity.id, house)
    known: Collection[str] | None = {
        "Server": house.servers,
        "Agent": house.agents,
        "Person": house.people,
    }.get(entity.type)
    if known is None:
        near = _near(entity.type, ENTITY_TYPES)
        return f"there is no type {show(entity.type)}{near}", True
    if entity.id in known:
        return "", False
    return f"there is no {entity.type.lower()} {show(entity.id)}{_near(entity.id, known)}", True


def _action_name(ident: str, house: House) -> tuple[str, bool]:
    if ident in GROUPS.values():
        return "", False
    server, slash, tool = ident.partition("/")
    if not slash:
        return f"{show(ident)} is neither `SERVER/TOOL` nor a kind of call{_kinds()}", True
    if server not in house.servers:
        return f"there is no server {show(server)}{_near(server, house.servers)}", True
    shown = house.definitions.get(server)
    if shown is None:
        why = "has not shown its tools yet: this is checked when it does"
        return f"the server {show(server)} {why}", False
    if tool in shown:
        return "", False
    ids = [action_id(server, each) for each in shown]
    return f"there is no tool {show(ident)}{_near(ident, ids)}", True


def _misfits(sound: Sequence[tuple[str, Statement]], house: House) -> Iterator[Flaw]:
    pending = {
        one.id
        for _, one in sound
        if any(
            entity.type == "Action" and entity.id.partition("/")[0] not in house.definitions
            for entity in one.entities
            if entity.id not in GROUPS.values()
        )
    }
    checked = [(ref, one) for ref, one in sound if one.id not in pending]
    if not checked:
        return
    statements = [one for _, one in checked]
    actions = [
        action
        for action in all_actions(house.definitions)
        # Calls that are no tool calls have one action for all servers.
        if any(one.concerns(action.id, action.group, action.server or None) for one in statements)
    ]
    schema = Schema.from_json_str(schema_json(actions, named_actions(statements)), release_gil=True)
    by_id = {action.id: action for action in actions}
    seen: set[tuple[str, str, int]] = set()
    for number, message in validate(statements, schema, in_thread=True):
        ref, statement = checked[number]
        flaw = _located(ref, statement, message, by_id)
        # One mistake is reported once, for the first tool it is about.
        key = (statement.id, _ACTION.sub("", message), flaw.offset)
        if key not in seen:
            seen.add(key)
            yield flaw


def _located(ref: str, statement: Statement, message: str, actions: dict[str, Action]) -> Flaw:
    quoted = [name for name in _QUOTED.findall(message) if not _ACTION.fullmatch(name)]
    name = quoted[0] if quoted else ""
    offset = find_name(statement.tokens, name, statement.offset)
    if "not found" not in message or not name:
        return Flaw(ref, offset, message + _remedy(message))
    about = _ACTION.search(message)
    action = actions.get(about.group(1)) if about else None
    if action is None:
        return Flaw(ref, offset, message)
    left_out = dict(action.left_out)
    path = name.removeprefix("input.")
    if path != name and path in left_out:
        return Flaw(ref, offset, f"{message}: it is left out, {left_out[path]}")
    return Flaw(ref, offset, message + _near(name, list(paths_of(action.context))))


def _remedy(message: str) -> str:
    if "expected Long but saw decimal" in message:
        return '; compare a `number` with `.greaterThan(decimal("100.0"))` or `.lessThan(…)`'
    return ""


def _kinds() -> str:
    return ": " + ", ".join(f"`{group}`" for group in GROUPS.values())


def _near(word: str, known: Collection[str]) -> str:
    found = difflib.get_close_matches(word[:128], sorted(known), n=1, cutoff=0.6)
    if found:
        return f", did you mean {show(found[0])}?"
    if known and len(known) <= 8:
        return "; known are " + ", ".join(show(name) for name in sorted(known))
    return ""
