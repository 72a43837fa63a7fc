"""How models are doing, for people."""

from __future__ import annotations

import math

from bailiwick.gateway.llm.aliases import Alias, Candidate
from bailiwick.gateway.llm.health import Standing
from bailiwick.gateway.llm.servers import ModelServers
from bailiwick.ports.model_status import (
    AliasStatus,
    CandidateStatus,
    ModelServerStatus,
    ModelsStatus,
)


def status_of(models: ModelServers, now: float) -> ModelsStatus:
    """Everything there is to say.

    Args:
        now: by the monotonic clock.
    """
    servers = [
        ModelServerStatus(
            name, sorted(server.spec.dialects), *server.load, server.spec.max_concurrent
        )
        for name, server in sorted(models.current.items())
    ]
    aliases = [_alias(models, alias, now) for _, alias in sorted(models.aliases.items())]
    return ModelsStatus(servers, aliases)


def _alias(models: ModelServers, alias: Alias, now: float) -> AliasStatus:
    return AliasStatus(
        alias.name,
        [
            _candidate(models, alias, candidate, place, now)
            for place, group in enumerate(alias.groups, start=1)
            for candidate in group
        ],
    )


def _candidate(
    models: ModelServers, alias: Alias, candidate: Candidate, place: int, now: float
) -> CandidateStatus:
    standing = models.health.standings.get(candidate.name, Standing())
    state, seconds = "ready", 0
    if candidate.server not in models.current:
        state = "missing"
    elif standing.rests(alias.breaker, now):
        state = "resting"
        seconds = math.ceil(models.health.ready_in(candidate, alias.breaker, now))
    elif not models.health.well(candidate, alias.breaker, now):
        state = "trying"
    return CandidateStatus(
        candidate.name,
        place,
        candidate.weight,
        state,
        seconds,
        standing.served,
        standing.failed,
        standing.last_failure,
        standing.last_failure_ms,
    )
