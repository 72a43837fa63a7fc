"""Deciding: the organisation's policies as `judge` asks them.

1. Which statements concern the call? Those whose scope does, and those that name what its server
   does not have: a name that is wrong must not make a `forbid` quietly be about nothing.
2. None, and nothing is denied by default: the organisation does not object.
3. Statements that do not fit the tool as it is defined now refuse its calls.
4. What they look at is expressed exactly, or the call is refused.
5. Cedar decides, with the schema. Only an Allow without any error in evaluating lets the call pass.
   Where statements ask who acts, every agent of the chain must pass, as if it acted itself.

INVARIANT: whatever goes wrong is a Deny `policy_failed` (promise 6). In Cedar itself a `forbid`
that errors is skipped, which would allow what it forbids.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import lru_cache

import cedarpy
import msgspec

from bailiwick.core.call import Call, CallKind, Target
from bailiwick.core.canonical import Json, JsonObject, digest_of
from bailiwick.core.flow.labels import Labels
from bailiwick.core.mandate import Mandate
from bailiwick.core.values import show
from bailiwick.core.verdict import Deny
from bailiwick.core.wording import named
from bailiwick.policy.circumstances import Moment
from bailiwick.policy.expressing import Inexpressible
from bailiwick.policy.gates import Gate, Unfit, make_gate
from bailiwick.policy.schema import (
    GROUPS,
    Action,
    Definitions,
    action_id,
    group_action,
    tool_action,
)
from bailiwick.policy.statements import (
    OrganisationPolicy,
    PolicyTextError,
    Statement,
    Wanted,
    read_statements,
)

_encode = msgspec.json.Encoder().encode

MAX_NAMED = 5
"""How many statements one refusal tells of."""

MAX_GATES = 4_096
MAX_ENTITIES = 4_096
"""Gates, and sets of action, agent and person, that are kept prepared."""


@lru_cache(1_024)
def _statements_of(policy: OrganisationPolicy) -> tuple[Statement, ...]:
    # A set is made anew for each page of definitions that a server shows; its texts stay the same.
    return tuple(read_statements(policy))


@dataclass(frozen=True, slots=True)
class House:
    """What policies may name.

    Attributes:
        servers: names of all declared servers.
        agents: the owner of each agent.
        people: the roles of each person.
    """

    servers: Set[str] = frozenset()
    agents: Mapping[str, str] = field(default_factory=dict)
    people: Mapping[str, Set[str]] = field(default_factory=dict)
    definitions: Definitions = field(default_factory=dict)


class CedarPolicies:
    """A set of policies in force. Immutable but for what it has prepared."""

    def __init__(self, policies: Sequence[OrganisationPolicy], house: House) -> None:
        """Prepare a set.

        Args:
            policies: those in force; a text that cannot be read refuses every call.
            house: what they are about.
        """
        self._house = house
        self._version = (
            digest_of([[one.ref, one.digest] for one in sorted(policies, key=lambda p: p.ref)])
            if policies
            else ""
        )
        self._default_by = tuple(p.ref for p in policies if p.deny_by_default)
        self._broken = ""
        self._gates: dict[tuple[CallKind, str, str], Gate | Unfit | None] = {}
        self._entities: dict[tuple[str, str, str], cedarpy.Entities] = {}
        self._statements: list[Statement] = []
        for policy in policies:
            try:
                read = _statements_of(policy)
            except PolicyTextError as error:
                self._broken = f"the policy `{policy.ref}` cannot be read: {error.message}"
                continue
            # Where nothing is denied by default, a permit changes nothing.
            self._statements += [one for one in read if one.forbids or self._default_by]
        self._about_reading = any(_reads(one.wanted.at("run")) for one in self._statements)
        self._lost = {one.id: lost_in(one, house) for one in self._statements}

    @property
    def version(self) -> str:
        """See `core.context.Policies`."""
        return self._version

    @property
    def about_reading(self) -> bool:
        """See `core.context.Policies`."""
        return self._about_reading

    def decide(self, call: Call, chain: Sequence[Mandate], labels: Labels, now: int) -> Deny | None:
        """See `core.context.Policies`. Pure; total."""
        try:
            return self._decide(call, Moment(call, chain, labels, now))
        except Inexpressible as error:
            because = f"{named(call.target)} cannot be put before the organisation's policies"
            return Deny("policy_failed", (), f"{because}: {error}")
        except Exception as error:  # noqa: BLE001 - promise 6: whatever goes wrong here is a Deny
            return _failed(call.target, (), f"deciding failed ({type(error).__name__})")

    def _decide(self, call: Call, moment: Moment) -> Deny | None:
        if not self._version:
            return None
        if self._broken:
            return _failed(call.target, (), self._broken)
        target = call.target
        # Resources have one gate for a server: an agent can make up URIs without end.
        name = target.name if target.kind is CallKind.TOOL else ""
        key = (target.kind, target.upstream, name)
        try:
            gate = self._gates[key]
        except KeyError:
            gate = self._prepare(target)
            if len(self._gates) >= MAX_GATES:
                self._gates.clear()
            if name in self._house.definitions.get(target.upstream, {}) or not name:
                self._gates[key] = gate
        if gate is None:
            return self._by_default(target) if self._default_by else None
        if isinstance(gate, Unfit):
            ids = tuple(one.id for one in gate.statements[:MAX_NAMED])
            return _failed(target, ids, f"{_list(ids)} does not fit it: {gate.because}")
        return self._ask(gate, moment)

    # --- which statements concern a call ---------------------------------------------------------

    def _prepare(self, target: Target) -> Gate | Unfit | None:
        server = target.upstream
        lost = [one for one in self._statements if {server, ""} & self._lost[one.id].keys()]
        if lost:
            why = self._lost[lost[0].id]
            return Unfit(lost, why.get(server) or why[""])
        action = self._action(target)
        group = GROUPS[target.kind]
        ident = action_id(server, target.name) if target.kind is CallKind.TOOL else group
        concerned = [one for one in self._statements if one.concerns(ident, group, server)]
        if not concerned:
            return None
        if action is None:
            return Unfit(concerned, "its server has not shown such a tool")
        return make_gate(action, concerned, deny_by_default=bool(self._default_by))

    def _action(self, target: Target) -> Action | None:
        if target.kind is not CallKind.TOOL:
            return group_action(target.kind, target.upstream)
        definition = self._house.definitions.get(target.upstream, {}).get(target.name)
        if definition is None:
            return None
        return tool_action(target.upstream, target.name, definition)

    # --- asking Cedar ----------------------------------------------------------------------------

    def _ask(self, gate: Gate, moment: Moment) -> Deny | None:
        """Ask of the agent that acts and, where it matters who does, of those it acts for: what an
        agent may not do, it cannot have another do by passing on its mandate."""
        context = _encode(gate.context(moment)).decode()
        agents = [moment.chain[-1].agent]
        if gate.asks_who:
            agents += (mandate.agent for mandate in moment.chain)
        for agent in dict.fromkeys(agents):
            refused = self._ask_of(agent, gate, moment, context)
            if refused is not None:
                return refused
        return None

    def _ask_of(self, agent: str, gate: Gate, moment: Moment, context: str) -> Deny | None:
        request = {
            "principal": {"type": "Agent", "id": agent},
            "action": gate.action_ref,
            "resource": gate.resource_ref,
            "context": context,
        }
        entities = self._entities_of(gate.action, agent, moment.chain[-1].principal)
        answer = cedarpy.is_authorized(request, gate.policies, entities, gate.schema)
        target = moment.call.target
        told = answer.diagnostics
        if told.errors:
            wrong = [one for one in gate.statements if _is_named(gate, one, told.errors)]
            ids = tuple(one.id for one in wrong[:MAX_NAMED])
            which = f"{_list(ids)} failed on it" if ids else "Cedar refused the question"
            return _failed(target, ids, which)
        if answer.decision is cedarpy.Decision.Allow:
            return None
        if answer.decision is not cedarpy.Decision.Deny:
            return _failed(target, (), "Cedar came to no decision")
        forbidding = [one for one in map(gate.named, told.reasons) if one is not None]
        if not forbidding:
            return self._by_default(target)
        return _denied(target, sorted(forbidding, key=gate.statements.index))

    def _by_default(self, target: Target) -> Deny:
        because = f"{named(target)} is permitted by no policy of the organisation"
        return Deny("denied_by_policy", tuple(f"policy/{ref}" for ref in self._default_by), because)

    def _entities_of(self, action: Action, agent: str, principal: str) -> cedarpy.Entities:
        key = (action.id, agent, principal)
        found = self._entities.get(key)
        if found is None:
            if len(self._entities) >= MAX_ENTITIES:
                self._entities.clear()
            # INVARIANT: with the action's group, or a policy about the group passes it by.
            known = [*self._known(agent, principal), _action_entity(action)]
            found = cedarpy.Entities.from_json_str(json.dumps(known))
            self._entities[key] = found
        return found

    def _known(self, agent: str, principal: str) -> list[Json]:
        """The entities of a request. Who is not declared is left out: looking at them errors."""
        house = self._house
        owner = house.agents.get(agent)
        found: list[Json] = []
        if owner is not None:
            person: JsonObject = {"__entity": {"type": "Person", "id": owner}}
            found.append(_entity("Agent", agent, {"owner": person}))
        for name in sorted({owner, principal} - {None}, key=str):
            roles = house.people.get(str(name))
            if roles is not None:
                found.append(_entity("Person", str(name), {"roles": sorted(roles)}))
        return found


def _reads(run: Wanted | None) -> bool:
    return run is not None and any(run.at(name) for name in ("untrusted", "confidential"))


def lost_in(statement: Statement, house: House) -> Mapping[str, str]:
    """Servers whose calls a statement with a wrong name refuses, and why. "" is every server.

    A tool that its server has not shown, though it has shown others, is a wrong name. While a
    server has shown nothing, nothing of it can be called either.
    """
    lost: dict[str, str] = {}
    for entity in statement.entities:
        if entity.type == "Server" and entity.id not in house.servers:
            lost[""] = f"there is no server {show(entity.id)}"
        if entity.type != "Action" or entity.id in GROUPS.values():
            continue
        server, slash, tool = entity.id.partition("/")
        if not slash or server not in house.servers:
            lost[""] = f"there is no tool {show(entity.id)}"
        elif server in house.definitions and tool not in house.definitions[server]:
            lost[server] = f"there is no tool {show(entity.id)}"
    return lost


def _action_entity(action: Action) -> JsonObject:
    groups = [{"type": "Action", "id": action.group}] if action.id != action.group else []
    return {"uid": {"type": "Action", "id": action.id}, "attrs": {}, "parents": groups}


def _entity(kind: str, ident: str, attributes: JsonObject) -> JsonObject:
    return {"uid": {"type": kind, "id": ident}, "attrs": attributes, "parents": []}


def _is_named(gate: Gate, statement: Statement, errors: Sequence[str]) -> bool:
    number = f"`policy{list(gate.statements).index(statement)}`"
    return any(number in error for error in errors)


def _failed(target: Target, ids: Sequence[str], why: str) -> Deny:
    because = f"{named(target)} is refused, because the organisation's policies cannot decide"
    return Deny("policy_failed", tuple(ids), f"{because}: {why}")


def _denied(target: Target, forbidding: Sequence[Statement]) -> Deny:
    told = forbidding[:MAX_NAMED]
    reasons = "; ".join(
        f"`{one.id}`: {one.because}" if one.because else f"`{one.id}`" for one in told
    )
    more = len(forbidding) - len(told)
    and_more = f" and {more} more" if more else ""
    advice = " ".join(dict.fromkeys(one.advice for one in told if one.advice))
    because = f"{named(target)} is refused by the organisation's policy {reasons}{and_more}"
    return Deny("denied_by_policy", tuple(one.id for one in told), because, advice)


def _list(ids: Sequence[str]) -> str:
    return ", ".join(f"`{one}`" for one in ids)
