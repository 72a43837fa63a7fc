"""The organisation's policies of one gateway: kept in step with what servers say they take.

Two things change what a policy means: its text, and the definitions of the tools it is about. Both
come together here, and each change makes a new set, put in force in one step.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from bailiwick.core.context import NO_POLICIES, Policies
from bailiwick.declared import (
    Declaration,
    Place,
    Problem,
    compile_agent,
    compile_person,
    compile_policy,
    from_document,
    place_in,
)
from bailiwick.policy import CedarPolicies, Flaw, House, OrganisationPolicy, check, schema_text
from bailiwick.ports import ObjectRow, Pinned, PinState

Versioned = tuple[int, Declaration]
"""The version a declaration has, or would have, and the declaration."""


@dataclass(frozen=True, slots=True)
class Found:
    """What is wrong with policies.

    Attributes:
        errors: in files that are looked at.
        refusing: of policies in force: until they are changed, they refuse the calls they do not
            fit. That must keep nobody from declaring something else.
        doubts: what can be used, and is probably not meant.
    """

    errors: list[Problem] = field(default_factory=list)
    refusing: list[Problem] = field(default_factory=list)
    doubts: list[Problem] = field(default_factory=list)


class PolicyBook:
    """What policies are about, as far as it is known, and the policies in force over it."""

    def __init__(self) -> None:
        self._definitions: dict[str, dict[str, str]] = {}
        self._in_force: tuple[OrganisationPolicy, ...] = ()
        self._house = House()

    def learn(self, pins: Iterable[Pinned]) -> bool:
        """Take note of definitions, oldest first; whether an accepted tool is among them.

        A definition that is held counts for nothing: its tool cannot be called.
        """
        news = [pin for pin in pins if pin.kind == "tool" and pin.state is PinState.ACCEPTED]
        # New tables: the old ones belong to a set that is still in force.
        shown = {server: dict(self._definitions.get(server, {})) for server in _servers(news)}
        for pin in news:
            shown[pin.upstream][pin.name] = pin.definition
        self._definitions = {**self._definitions, **shown}
        return bool(news)

    def policies(self, rows: Iterable[ObjectRow]) -> Policies:
        """The policies among what is declared. Whatever is wrong with one makes it refuse."""
        declared = [(row.version, from_document(row.document)) for row in rows]
        self._in_force = _in_force(declared)
        self._house = _house(declared)
        return self.renewed()

    def renewed(self) -> Policies:
        """The same policies, over the definitions known by now."""
        if not self._in_force:
            return NO_POLICIES
        return CedarPolicies(self._in_force, replace(self._house, definitions=self._definitions))

    def check(self, declared: Sequence[Versioned]) -> Found:
        """What is wrong with the policies in `declared`, were all of it in force. Blocking."""
        policies = _in_force(declared)
        found = Found()
        if not policies:
            return found
        by_ref = {_ref(version, each): each for version, each in declared if each.kind == "policy"}
        for flaw in check(policies, replace(_house(declared), definitions=self._definitions)):
            each = by_ref[flaw.ref]
            if not flaw.error:
                found.doubts.append(_problem(flaw, each))
            elif each.node is None:
                found.refusing.append(_problem(flaw, each))
            else:
                found.errors.append(_problem(flaw, each))
        return found

    def schema(self) -> str:
        """What policies are written against, in Cedar's own syntax. Blocking."""
        return schema_text(self._definitions)

    @property
    def in_force(self) -> Sequence[str]:
        """The policies in force, as `NAME@VERSION`."""
        return [policy.ref for policy in self._in_force]


def _in_force(declared: Iterable[Versioned]) -> tuple[OrganisationPolicy, ...]:
    found = [
        (_ref(version, each), compile_policy(each))
        for version, each in declared
        if each.kind == "policy"
    ]
    return tuple(
        OrganisationPolicy(ref, one.digest, one.cedar, one.because, one.deny_by_default)
        for ref, one in found
        if not one.suspended
    )


def _house(declared: Iterable[Versioned]) -> House:
    found = [each for _, each in declared]
    agents = [compile_agent(each) for each in found if each.kind == "agent"]
    people = [compile_person(each) for each in found if each.kind == "person"]
    return House(
        servers=frozenset(each.name for each in found if each.kind in ("server", "model")),
        agents={agent.name: agent.owner for agent in agents},
        people={person.name: person.roles for person in people},
    )


def _ref(version: int, declaration: Declaration) -> str:
    return f"{declaration.name}@{version}"


def _problem(flaw: Flaw, declaration: Declaration) -> Problem:
    if declaration.node is not None:
        return Problem(place_in(declaration, flaw.offset), flaw.message)
    text = compile_policy(declaration).cedar[: flaw.offset]
    line, column = text.count("\n") + 1, flaw.offset - (text.rfind("\n") + 1) + 1
    return Problem(Place(f"policy {flaw.ref}", line, column), flaw.message)


def _servers(pins: Iterable[Pinned]) -> set[str]:
    return {pin.upstream for pin in pins}


def after(
    rows: Mapping[tuple[str, str], ObjectRow],
    stored: Iterable[Declaration],
    declared: Mapping[tuple[str, str], tuple[int, Declaration]],
) -> list[Versioned]:
    """Everything that would be declared, were `declared` applied over what is stored."""
    kept = {(each.kind, each.name): (rows[each.kind, each.name].version, each) for each in stored}
    return list({**kept, **declared}.values())
