"""A model that a call goes to, with all that is declared of it and the same for each call."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from bailiwick.core.call import CallKind, Target
from bailiwick.core.limits.pricing import Price
from bailiwick.core.values import show
from bailiwick.core.verdict import Deny
from bailiwick.gateway.llm.names import MAX_REMEMBERED, Meant
from bailiwick.gateway.llm.servers import ModelServer
from bailiwick.protocols.llm.dialect import Dialect

_EDGES = {dialect: f"llm/{dialect.value}" for dialect in Dialect}
"""The door that a call in each dialect comes through."""


class Chosen(msgspec.Struct, frozen=True):
    """One model of one server, asked in one dialect.

    Attributes:
        name: `SERVER/MODEL`.
        edge: the door that the call comes through.
        blocked: why the server cannot take a call of this model in this dialect, if it cannot.
        price: of the model; None if none is declared.
        served: the header that tells the agent who served it.
    """

    server: ModelServer
    model: str
    target: Target
    name: str
    edge: str
    blocked: Deny | None
    price: Price | None
    served: tuple[bytes, bytes]


class Choices:
    """What was chosen before, found again as long as nothing else is declared."""

    __slots__ = ("_known", "_servers")

    def __init__(self) -> None:
        self._servers: Mapping[str, ModelServer] | None = None
        self._known: dict[tuple[Meant, Dialect], Chosen] = {}

    def of(self, found: Meant, dialect: Dialect, servers: Mapping[str, ModelServer]) -> Chosen:
        """What `found` comes to.

        Args:
            servers: never changes; another object when anything else is declared of any of them.
        """
        if servers is not self._servers:
            self._servers, self._known = servers, {}
        key = (found, dialect)
        known = self._known.get(key)
        if known is None:
            if len(self._known) >= MAX_REMEMBERED:
                self._known.clear()
            known = self._known[key] = _chosen(found, dialect, servers[found.server])
        return known


def _chosen(found: Meant, dialect: Dialect, server: ModelServer) -> Chosen:
    name = f"{found.server}/{found.model}"
    return Chosen(
        server,
        found.model,
        Target(CallKind.MODEL, found.server, found.model),
        name,
        _EDGES[dialect],
        _blocked(found, server, dialect),
        server.spec.terms.of(found.model)[0],
        (b"bailiwick-served-by", name.encode()),
    )


def _blocked(found: Meant, server: ModelServer, dialect: Dialect) -> Deny | None:
    if not found.served:
        because = f"server `{found.server}` has no model {show(found.model)}"
        return Deny("model_unknown", (), because)
    if dialect not in server.spec.dialects:
        spoken = ", ".join(sorted(server.spec.dialects))
        because = f"server `{found.server}` speaks {spoken}, and calls are not translated"
        return Deny("dialect_not_spoken", (), because)
    return None
