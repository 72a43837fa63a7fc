"""FOR TESTS: an authenticator that takes everybody for one agent.

Conformance suites cannot send a token. It is reached only through the test listener, which
`Settings.check` binds to loopback and which nobody gets without asking for it.
"""

from __future__ import annotations

from bailiwick.core.errors import TheirError
from bailiwick.core.mandate import MandateState
from bailiwick.gateway.authority import Authority
from bailiwick.ports import Caller, Person

_NEVER_MS = 2**53


class FixedIdentity:
    """An `Authenticator` for one agent with one active mandate, without tokens."""

    def __init__(self, agent: str, authority: Authority) -> None:
        self._agent = agent
        self._authority = authority

    def authenticate(self, authorization: str | None) -> Caller:
        """The fixed agent. Raises TheirError when it has not exactly one active mandate."""
        active = [
            mandate
            for mandate in self._authority.snapshot.mandates.values()
            if mandate.agent == self._agent and mandate.state is MandateState.ACTIVE
        ]
        if len(active) != 1:
            raise TheirError(
                "token_invalid",
                f"the test agent `{self._agent}` has {len(active)} active mandates, it needs one",
            )
        (mandate,) = active
        return Caller(self._agent, mandate.name, mandate.principal, "test-listener", _NEVER_MS)

    def renew(self, caller: Caller) -> Caller:
        """The fixed agent as it is now."""
        return self.authenticate(None)

    def person(self, authorization: str | None) -> Person:
        """Nobody: people are never served here."""
        raise TheirError("token_missing", "the test listener is for agents")
