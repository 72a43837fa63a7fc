"""An agent that thinks and acts through one gate, for tests of how the two are joined."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass, field, replace

from bailiwick.core.call import CallKind, Target
from bailiwick.core.canonical import Json, JsonObject
from bailiwick.core.circumstances import AskedByModel
from bailiwick.core.flow.labels import Accepts, Flow
from bailiwick.core.mandate import AllowRule, DenyRule, Mandate, StampRule
from bailiwick.core.target_pattern import TargetPattern
from bailiwick.core.thinking.said_and_did import Retold, Thought, read_retold, read_thought
from bailiwick.gateway.gate import NOTHING_SAID, Answer, Answered, Asked, Hints
from bailiwick.gateway.gate import Said as RunSaid
from bailiwick.ledger.leaf import parse_leaf
from bailiwick.ports import Caller, CallQuery, CallRow, UpstreamReply
from bailiwick.protocols.llm.dialect import AskedTool, Said
from bailiwick.protocols.llm.kept import keep
from tests.gateway.house import CLERK, Dispatched, House, mandate

MODEL = Target(CallKind.MODEL, "local", "tiny")
PAY = Target(CallKind.TOOL, "bank", "pay")
READ = Target(CallKind.TOOL, "bank", "read")
OFFERED = ("bailiwick__bank__pay", "bailiwick__bank__read", "shell")
TOOLS = (("bank", "pay"), ("bank", "read"))
OTHERWISE = AskedByModel(frozenset({"altered", "unasked"}))

_TOOLS = (TargetPattern(CallKind.TOOL, "bank", "*"),)


def thoughtful(*, deny: bool = False, stamp: bool = False, flow: bool = False) -> Mandate:
    """Models and the bank's tools; what no model asked for is denied or held, if it is to be."""
    allow = (*_TOOLS, TargetPattern(CallKind.MODEL, "local", "*"))
    ref = "payments@1"
    return replace(
        mandate(),
        allow=(AllowRule(f"{ref}/allow/1", allow, (), other_arguments=True),),
        deny=(DenyRule(f"{ref}/deny/1", _TOOLS, (), circumstances=(OTHERWISE,)),) if deny else (),
        stamp=(
            (StampRule(f"{ref}/stamp/1", _TOOLS, (), circumstances=(OTHERWISE,)),) if stamp else ()
        ),
        flow=Flow(accepts=(Accepts(f"{ref}/accepts/1", _TOOLS),)) if flow else Flow(),
    )


def tool_call(name: str, arguments: JsonObject | str, ident: str = "") -> AskedTool:
    """A call as a model asks for it."""
    text = arguments if isinstance(arguments, str) else json.dumps(arguments)
    return AskedTool(ident, name, text)


@dataclass
class Agent:
    """One agent. `key`: what tells its runs apart; `session`: what its model calls name."""

    house: House
    key: str = "agent-session-id:s1@token-1"
    session: str = ""
    caller: Caller = CLERK
    messages: list[Json] = field(default_factory=list)
    said: RunSaid = NOTHING_SAID
    asked: Asked = field(init=False)
    _turns: itertools.count[int] = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        self.house.thoughts.tools = lambda: TOOLS

    async def think(
        self,
        *calls: AskedTool,
        said: Said | None = None,
        offered: tuple[str, ...] = OFFERED,
        traceparent: str = "",
        dispatch: Dispatched | None = None,
    ) -> Answer:
        """A model call that asks for `calls`."""
        kept = keep(said or Said(text="so", tool_calls=calls))
        body: JsonObject = {"model": "tiny", "messages": self.messages, "n": next(self._turns)}
        asked = Asked(
            self.caller,
            MODEL,
            body,
            self.key,
            "llm/chat",
            traceparent,
            said=self.said,
            hints=Hints(session=self.session, offered=offered),
        )
        reply = UpstreamReply(result=b'{"status":200}', said=kept.said)
        sending = dispatch or Dispatched(reply)
        return await self.house.gate.govern(asked, sending, self.house.on_tick)

    async def act(
        self,
        target: Target,
        arguments: JsonObject,
        ident: str = "",
        *,
        key: str = "",
        text: str = "done",
        traceparent: str = "",
        dispatch: Dispatched | None = None,
    ) -> Answer:
        """A tool call; `ident`: the model's id of it, as the agent says."""
        self.asked = Asked(
            self.caller,
            target,
            arguments,
            key or self.key,
            "mcp/2026-07-28",
            traceparent,
            hints=Hints(tool_call=ident),
        )
        body = json.dumps({"content": [{"type": "text", "text": text}]}).encode()
        sending = dispatch or Dispatched(UpstreamReply(result=body))
        return await self.house.gate.govern(self.asked, sending, self.house.on_tick)

    def tell(self, ident: str, text: str) -> None:
        """Put a result into the conversation."""
        self.messages.append({"role": "tool", "tool_call_id": ident, "content": text})

    # --- what is on record -----------------------------------------------------------------------

    async def newest(self) -> CallRow:
        """The latest call."""
        (row,) = await self.house.records.calls(CallQuery(limit=1))
        return row

    async def thought(self) -> Thought | None:
        """How the latest call stood to what was asked for, and that its leaf says the same."""
        leaf, payload = await self._intent()
        thought = read_thought(payload.get("thought"))
        assert leaf.get("thought") == (None if thought is None else thought.match.value)
        return thought

    async def match(self) -> str:
        """As `thought`, in a word; "" if nothing is recorded."""
        thought = await self.thought()
        return "" if thought is None else thought.match.value

    async def retold(self) -> tuple[Retold, ...]:
        """What the latest call told a model of results, and that its leaf counts the same."""
        leaf, payload = await self._intent()
        found = read_retold(payload.get("retold"))
        counted = leaf.get("retold", {})
        assert isinstance(counted, dict)
        assert sum(counted.values()) == len(found)
        return found

    async def _intent(self) -> tuple[dict[str, Json], dict[str, Json]]:
        row = await self.newest()
        index = row.intent_index if row.approved_index is None else row.approved_index
        (entry,) = await self.house.records.entries(index, index + 1)
        payload = self.house.recorder.open(entry.leaf, entry.sealed)
        assert isinstance(payload, dict)
        return dict(parse_leaf(entry.leaf).fields), payload


def done(answer: Answer) -> bool:
    """Whether a call ran."""
    return isinstance(answer, Answered)
