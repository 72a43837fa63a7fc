"""What is in force now: mandates, agents, people, revoked tokens.

One immutable snapshot, swapped whole, so that no call ever sees half a change. Revocation takes
effect here first, synchronously, and is then made durable: see `Authority.revoke`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Set
from dataclasses import dataclass, field

from bailiwick.core.context import NO_POLICIES, Policies
from bailiwick.core.flow.labels import ResultLabels
from bailiwick.core.limits.limit import Limit
from bailiwick.core.mandate import Mandate, MandateState
from bailiwick.core.network import NO_NETWORKS, Networks
from bailiwick.gateway.chains import Chain, below, chain_of
from bailiwick.ports import Person


@dataclass(frozen=True, slots=True)
class AgentFacts:
    """A registered agent and the person who answers for it."""

    name: str
    owner: str
    description: str = ""


@dataclass(frozen=True, slots=True)
class PersonFacts:
    """A declared person. `limits` are over all mandates from this person."""

    name: str
    roles: frozenset[str]
    full_name: str = ""
    email: str = ""
    limits: tuple[Limit, ...] = ()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that is declared, compiled. Mandates by name, newest version each.

    `results` is what the declarations of servers say of their results.
    """

    mandates: Mapping[str, Mandate] = field(default_factory=dict)
    agents: Mapping[str, AgentFacts] = field(default_factory=dict)
    people: Mapping[str, PersonFacts] = field(default_factory=dict)
    policies: Policies = NO_POLICIES
    results: tuple[ResultLabels, ...] = ()
    networks: Networks = NO_NETWORKS


class Authority:
    """The current snapshot, and the synchronous acts on it.

    Attributes:
        snapshot: what is in force. Only `install` and `add` put another in its place.
        chains: see `chain`. What each call asks for is looked up here without a call in between.
        agents: which agent each mandate is for; one mapping for good.
        revoked_tokens: ids of tokens that are refused; one set for good, which only grows.
    """

    def __init__(self) -> None:
        self.snapshot = Snapshot()
        self.chains: dict[str, Chain] = {}
        self.agents: dict[str, str] = {}
        self.revoked_tokens: set[str] = set()

    def install(self, snapshot: Snapshot) -> None:
        """Put a whole new snapshot in force, between two calls."""
        self.snapshot = snapshot
        mandates = snapshot.mandates
        self.chains = {name: chain_of(name, mandates, self.owner) for name in mandates}
        self.agents.clear()
        self.agents.update((name, each.agent) for name, each in mandates.items())

    def add(self, mandate: Mandate) -> None:
        """Put one new mandate in force, beside all that is."""
        mandates = {**self.snapshot.mandates, mandate.name: mandate}
        self.snapshot = dataclasses.replace(self.snapshot, mandates=mandates)
        self.chains[mandate.name] = chain_of(mandate.name, mandates, self.owner)
        self.agents[mandate.name] = mandate.agent

    def chain(self, mandate: str) -> Chain:
        """The chain of the mandate of this name, root first; () when there is none. O(1)."""
        return self.chains.get(mandate, ())

    def below(self, mandate: str) -> list[Mandate]:
        """Its children, their children, and so on."""
        return below(mandate, self.snapshot.mandates)

    def set_state(self, mandate: str, state: MandateState) -> None:
        """Put a mandate into `state` at once, for every call not yet dispatched.

        INVARIANT: this happens before the change is made durable, and dispatch looks here right
        before it sends. So when a revocation returns, nothing new goes out under it (promise 7).
        """
        self.set_states({mandate: state})

    def set_states(self, states: Mapping[str, MandateState]) -> None:
        """The same for several at once."""
        mandates = dict(self.snapshot.mandates)
        for name, state in states.items():
            mandates[name] = dataclasses.replace(mandates[name], state=state)
        self.install(dataclasses.replace(self.snapshot, mandates=mandates))

    def mandate_agent(self, mandate: str) -> str | None:
        """The agent a mandate is for."""
        return self.agents.get(mandate)

    def person(self, name: str, method: str) -> Person | None:
        """A declared person as authenticated by `method`."""
        found = self.snapshot.people.get(name)
        return None if found is None else Person(name, found.roles, method)

    def owner(self, agent: str) -> str:
        """Who answers for this agent; "" when it is not declared any more."""
        found = self.snapshot.agents.get(agent)
        return "" if found is None else found.owner

    def token_revoked(self, token: str) -> bool:
        """Whether this token id is refused."""
        return token in self.revoked_tokens

    def revoke_tokens(self, tokens: Set[str]) -> None:
        """Refuse these token ids from now on."""
        self.revoked_tokens.update(tokens)
