"""What one request becomes: calls of the model it names, or of models that an alias stands for."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from msgspec.structs import replace

from bailiwick.core.call import CallKind, Target
from bailiwick.core.canonical import JsonObject
from bailiwick.core.errors import TheirError
from bailiwick.core.values import show
from bailiwick.core.verdict import Deny
from bailiwick.gateway.gate import (
    Gate,
    Refused,
    StillWaiting,
)
from bailiwick.gateway.llm.aliases import Alias, Candidate, draw
from bailiwick.gateway.llm.attempt import Asker, Models, Request, Tried, answer, use_of
from bailiwick.gateway.llm.failures import NOTHING_DONE
from bailiwick.gateway.llm.names import Meant, Names
from bailiwick.gateway.llm.offering import Offerings
from bailiwick.gateway.llm.patience import Patience
from bailiwick.gateway.llm.visit import Visit
from bailiwick.gateway.llm.whose import whose
from bailiwick.gateway.mcp.core import Limits
from bailiwick.gateway.mcp.watch import Watch
from bailiwick.ports import Clock
from bailiwick.protocols.llm.dialect import Dialect
from bailiwick.protocols.llm.requests import read_request
from bailiwick.protocols.llm.tool_names import Tool
from bailiwick.protocols.strict_json import encode

_KEPT = frozenset({"previous_response_id", "conversation", "prompt", "container", "thread"})
"""Fields that stand for what one server keeps (see `Asking.unsized`)."""


class Attempts:
    """Takes requests that have been read to the gate and to model servers.

    A name of a model is that model and no other. An alias is one of its models, and if that does
    not serve, another one: each is asked in a call of its own, judged and recorded for what it is.

    Args:
        gate: judges, records and dispatches.
        models: servers and aliases as they are now.
        limits: bounds.
        clock: time.
        tools: see `Offerings`.
    """

    def __init__(
        self,
        gate: Gate,
        models: Models,
        limits: Limits,
        clock: Clock,
        tools: Callable[[], Sequence[Tool]] = lambda: (),
    ) -> None:
        self._offerings = Offerings(gate, tools)
        self._asker = Asker(gate, models, limits, clock)
        self._gate = gate
        self._models = models
        self._clock = clock
        self._names = Names()

    async def serve(self, visit: Visit, body: JsonObject, watch: Watch) -> None:
        """Govern one request, and answer it.

        Raises:
            TheirError: it does not mean one thing, or names no model.
        """
        asking = read_request(visit.dialect, body)
        carried = visit.carried()
        removed: tuple[str, ...] = ()
        blocked: Deny | None = None
        if asking.tools:
            going = self._offerings.filtered(visit.caller, asking, body)
            asking, body, removed, blocked = going.asking, going.body, going.removed, going.blocked
        key, hints = whose(visit.caller, carried, body, asking.tools)
        request = Request(visit, carried, body, asking, key, hints, watch, removed, blocked)
        alias = self._models.aliases.get(asking.model)
        if alias is None:
            found = self._names.meant(asking.model, self._models.current)
            tried = await self._asker.ask(request, found, use_of(request))
        else:
            tried = await self._by_alias(request, alias)
        await answer(request, tried)

    def usable(self, visit: Visit, alias: Alias) -> list[list[Candidate]]:
        """The groups of an alias without the models that this agent could not use."""
        groups = [
            [each for each in group if self._gate.visible(visit.caller, _target(each))]
            for group in alias.groups
        ]
        return [group for group in groups if group]

    # --- aliases ---------------------------------------------------------------------------------

    async def _by_alias(self, request: Request, alias: Alias) -> Tried:
        """Ask one model of an alias after the other, until one serves or the alias is used up.

        1. Models this agent could not use are passed over, and so are those that do not speak its
           dialect.
        2. The first model drawn is what the alias stands for now. Every other one is a substitute:
           for one that failed, or for a first group of which none is well.
        3. A refusal of a substitute is not the answer: that what was asked for first failed is.
        4. Nothing is tried after a person was asked, nor once the agent was told anything.
        """
        groups = self.usable(request.visit, alias)
        if not groups:
            if (stopped := self._gate.stopped(request.visit.caller)) is not None:
                raise TheirError(stopped.code, stopped.because)
            raise TheirError("model_unknown", f"there is no model {show(alias.name)}")
        spoken = self._speaking(groups, request.asking.dialect)  # 1
        if not spoken:
            servers = self._models.current
            there = [each for group in groups for each in group if each.server in servers]
            if not there:
                raise TheirError("model_unknown", f"there is no model {show(alias.name)}")
            return await self._refused(request, there[0], _not_spoken(alias, request))
        if request.blocked is not None:
            return await self._refused(request, spoken[0][0], request.blocked)
        first = spoken[0]
        left = spoken
        tried: Tried | None = None
        for _ in range(alias.attempts):
            if tried is not None:  # others may be declared by now
                left = self._speaking(left, request.asking.dialect)
            chosen = self._draw(request, alias, left)
            if chosen is None:
                break
            left = [[each for each in group if each is not chosen] for group in left]
            because = ""  # 2
            if tried is not None:
                because = f"{tried.model} {tried.failure}"
            elif chosen not in first:
                because = f"{first[0].name} resting"
            now = await self._try(request, alias, chosen, because, tried)
            if tried is not None and not _ran(now):  # 3
                if isinstance(now.answer, StillWaiting) or now.call.streaming:
                    return now
                if now.failure not in alias.fail_over:
                    return tried
                continue
            tried = now
            if not _may_go_on(request, alias, now):  # 4
                return now
        if tried is not None:
            return tried
        rested = first[0]
        seconds = self._models.health.ready_in(rested, alias.breaker, self._clock.monotonic())
        after = math.ceil(seconds)
        because = f"no model of `{alias.name}` is well; ask again in {after} s"
        refused = await self._refused(request, rested, Deny("alias_resting", (), because))
        return replace(refused, after_seconds=after)

    def _speaking(self, groups: list[list[Candidate]], dialect: Dialect) -> list[list[Candidate]]:
        servers = self._models.current
        found = [
            [
                each
                for each in group
                if (server := servers.get(each.server)) is not None
                and dialect.value in server.spec.dialects
            ]
            for group in groups
        ]
        return [group for group in found if group]

    def _draw(
        self, request: Request, alias: Alias, groups: list[list[Candidate]]
    ) -> Candidate | None:
        """The next to ask: of the first group with members that are well."""
        now = self._clock.monotonic()
        for group in groups:
            well = [each for each in group if self._models.health.well(each, alias.breaker, now)]
            if well:
                return draw(well, lambda: _key(request, alias))
        return None

    async def _try(
        self,
        request: Request,
        alias: Alias,
        chosen: Candidate,
        because: str,
        before: Tried | None,
    ) -> Tried:
        use = use_of(request, because, before.answer.call if before is not None else "")
        patience = Patience(alias.first_byte_seconds, alias.whole_seconds, defers=True)
        found = Meant(chosen.server, chosen.model, served=True)
        return await self._asker.ask(request, found, use, patience)

    async def _refused(self, request: Request, candidate: Candidate, why: Deny) -> Tried:
        """Nothing is sent, and that is on record: as a call of a model it would have gone to."""
        found = Meant(candidate.server, candidate.model, served=True)
        return await self._asker.ask(request, found, use_of(request), blocked=why)


def _target(candidate: Candidate) -> Target:
    return Target(CallKind.MODEL, candidate.server, candidate.model)


def _ran(tried: Tried) -> bool:
    """Whether it got as far as a model server."""
    return tried.call.sent


def _may_go_on(request: Request, alias: Alias, tried: Tried) -> bool:
    """Whether another model may be asked after this one failed."""
    call, asking = tried.call, request.asking
    if tried.failure not in alias.fail_over or call.held or call.streaming:
        return False
    if not call.sent and not isinstance(tried.answer, Refused):
        return False
    # What stands for things kept at one server means nothing to another one.
    if _KEPT.intersection(asking.unsized):
        return False
    return tried.failure in NOTHING_DONE or not asking.hosted


def _key(request: Request, alias: Alias) -> bytes:
    """What decides a draw: the run, or what is asked and by whom."""
    if alias.by_run:
        return request.key.encode()
    return request.visit.caller.key.encode() + b"\0" + encode(request.body)


def _not_spoken(alias: Alias, request: Request) -> Deny:
    dialect = request.asking.dialect.value
    because = f"no model of `{alias.name}` speaks {dialect}, and calls are not translated"
    return Deny("dialect_not_spoken", (), because)
