"""The tools that a request offers, filtered to what its mandate says a model may be offered.

A model that never sees a tool does not try to use it. This adds nothing to what is allowed: what a
model asks for is judged when the agent calls it, offered or not.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bailiwick.core.call import CallKind, Target
from bailiwick.core.canonical import JsonObject
from bailiwick.core.thinking.offering import keeps_hosted, keeps_others
from bailiwick.core.values import CANNOT_TELL, HOLDS, show
from bailiwick.core.verdict import Deny
from bailiwick.gateway.gate import Gate
from bailiwick.ports import Caller
from bailiwick.protocols.llm.dialect import Asking
from bailiwick.protocols.llm.offered import without
from bailiwick.protocols.llm.requests import read_request
from bailiwick.protocols.llm.tool_names import Tool, means

MAX_REMEMBERED = 256
"""Offers that are remembered: an agent offers the same tools with every request."""

MAX_REMEMBERED_CHARS = 65_536
"""Longest of them, in characters of all its names together: an agent can make up megabytes."""

_LONG_NAME = 60
"""Names this long may be shortened ones: any tool could be behind them."""

_LONGEST_NAME = 256
"""Longer ones are no names of a tool behind the gateway: no model takes them."""

MAX_COMPARED = 32_768
"""Most pairs of a long name and a tool that are compared for one request: names that are beyond it
count as tools of the agent's own."""

_UNUSUAL = re.compile(r"[^A-Za-z0-9_]")


@dataclass(frozen=True, slots=True)
class Offered:
    """A request as it goes on.

    Attributes:
        removed: names of the tools that were taken out.
        blocked: why it cannot go on without them, if it cannot.
    """

    asking: Asking
    body: JsonObject
    removed: tuple[str, ...] = ()
    blocked: Deny | None = None


@dataclass(frozen=True, slots=True)
class _Meaning:
    """Tools behind the gateway that a name means for sure, and those it may mean."""

    sure: tuple[Tool, ...]
    maybe: tuple[Tool, ...]


class Offerings:
    """Filters requests.

    Args:
        gate: knows what a mandate could let through.
        tools: servers and names of all tools that were ever shown; the same object until there
            are more.
    """

    def __init__(self, gate: Gate, tools: Callable[[], Sequence[Tool]]) -> None:
        self._gate = gate
        self._tools = tools
        self._known: Sequence[Tool] = ()
        self._meanings: OrderedDict[tuple[str, ...], dict[str, _Meaning]] = OrderedDict()

    def filtered(self, caller: Caller, asking: Asking, body: JsonObject) -> Offered:
        """The request without the tools that its mandate keeps from models."""
        offerings = self._gate.offerings(caller) if asking.tools else ()
        if not offerings:
            return Offered(asking, body)
        others = keeps_others(offerings)
        meanings = self._of(asking.tools)

        def keeps(name: str, hosted: bool) -> bool:
            if hosted:
                return keeps_hosted(offerings, name)
            meaning = meanings.get(name, _Meaning((), ()))
            if meaning.sure:
                return any(self._may(caller, tool) for tool in meaning.sure)
            return others or any(self._may(caller, tool) for tool in meaning.maybe)

        kept = without(asking.dialect, body, keeps)
        if not kept.removed:
            return Offered(asking, body)
        left = read_request(asking.dialect, kept.body)
        blocked = None
        if kept.unmet:
            because = f"the request insists on {show(kept.unmet)}, which the mandate does not offer"
            blocked = Deny("tool_not_offered", (), because)
        return Offered(left, kept.body, kept.removed, blocked)

    def _may(self, caller: Caller, tool: Tool) -> bool:
        return self._gate.visible(caller, Target(CallKind.TOOL, *tool))

    def _of(self, offered: tuple[str, ...]) -> dict[str, _Meaning]:
        known = self._tools()
        if known is not self._known:
            self._known = known
            self._meanings.clear()
        found = self._meanings.get(offered)
        if found is None:
            found = meanings_of(offered, known)
            if sum(map(len, offered)) <= MAX_REMEMBERED_CHARS:
                self._meanings[offered] = found
            if len(self._meanings) > MAX_REMEMBERED:
                self._meanings.popitem(last=False)
        else:
            self._meanings.move_to_end(offered)
        return found


def meanings_of(offered: tuple[str, ...], known: Sequence[Tool]) -> dict[str, _Meaning]:
    """What each offered name means among the tools behind the gateway."""
    ends = [(tool, _plain(tool[1])) for tool in known]
    found: dict[str, _Meaning] = {}
    left = MAX_COMPARED
    for name in offered:
        anything = len(name) >= _LONG_NAME
        left -= len(ends) if anything else 0
        if left < 0 or len(name) > _LONGEST_NAME:
            found[name] = _Meaning((), ())
            continue
        plain = _plain(name)
        near = [tool for tool, end in ends if anything or plain.endswith(end)]
        truths = [(tool, means(name, tool, offered, near)) for tool in near]
        found[name] = _Meaning(
            tuple(tool for tool, truth in truths if truth is HOLDS),
            tuple(tool for tool, truth in truths if truth is CANNOT_TELL),
        )
    return found


def _plain(name: str) -> str:
    return _UNUSUAL.sub("_", name)
