"""How model servers and the models of aliases are doing, for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ModelServerStatus:
    """One model server.

    Attributes:
        under_way, waiting: requests that are with it, and that wait for their turn.
        most: how many it gets at a time.
    """

    name: str
    dialects: Sequence[str]
    under_way: int
    waiting: int
    most: int


@dataclass(frozen=True, slots=True)
class CandidateStatus:
    """One model of an alias.

    Attributes:
        model: `SERVER/MODEL`.
        place: in the order of the alias, from 1; models of one place share it by weight.
        state: `ready`, `resting` (it is not asked for `ready_in_seconds`), `trying` (one call is to
            show whether it serves again) or `missing` (its server is not there).
        served, failed: calls since the gateway started, under any alias or its own name.
        last_failure: why it last did not serve, "" for never; since `last_failure_ms`.
    """

    model: str
    place: int
    weight: int
    state: str
    ready_in_seconds: int = 0
    served: int = 0
    failed: int = 0
    last_failure: str = ""
    last_failure_ms: int = 0


@dataclass(frozen=True, slots=True)
class AliasStatus:
    """One alias, its models in order."""

    name: str
    models: Sequence[CandidateStatus]


@dataclass(frozen=True, slots=True)
class ModelsStatus:
    """All of them, by name."""

    servers: Sequence[ModelServerStatus]
    aliases: Sequence[AliasStatus]
