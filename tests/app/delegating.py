"""A whole gateway in one process, with agents that pass on what they may do."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent, indent

from bailiwick.app.control import GatewayControl
from bailiwick.app.data_folder import prepare_folder
from bailiwick.app.gateway import Gateway, open_gateway
from bailiwick.app.settings import Settings
from bailiwick.core.call import CallKind, Target
from bailiwick.core.canonical import Json, JsonObject
from bailiwick.core.mandate import MandateState
from bailiwick.gateway.gate import Answer, Answered, Asked, Tick
from bailiwick.ledger.leaf import Leaf, parse_leaf
from bailiwick.ports import Caller, CallRow, ChildAsked, MadeChild, Person, UpstreamReply

ADA = Person("ada", frozenset(), "token")
"""Who gives the mandate `pay`, and answers for its agent."""
BEN = Person("ben", frozenset(), "token")
"""Who answers for the helpers."""
OLA = Person("ola", frozenset({"operator"}), "token")
EVE = Person("eve", frozenset(), "token")

REPLY = UpstreamReply(result=b'{"content":[]}')

PAY = """
    from: ada
    to: clerk
    purpose: Pay suppliers.
    allow:
      - id: pay
        tool: bank/pay
        when: {amount: {at_most: 5000}, payee: {one_of: [acme, globex]}, memo: {any: true}}
      - tool: bank/list
    delegation: {to: "helper-*", depth: 2, children: 3}
"""

LESS = """
    to: helper-a
    allow:
      - tool: bank/pay
        when: {amount: {at_most: 100}, payee: {one_of: [acme]}}
"""


def declared(pay: str = PAY, more: str = "") -> str:
    """A file with the mandate `pay`, and `more` mandates."""
    mandates = f"  pay:\n{indent(dedent(pay), '    ')}\n{indent(dedent(more), '  ')}"
    return f"""
servers: {{bank: {{command: [{sys.executable}]}}}}
people:
  ada: {{name: Ada}}
  ben: {{name: Ben}}
  eve: {{name: Eve}}
  ola: {{name: Ola, roles: [operator]}}
agents:
  clerk: {{owner: ada}}
  helper-a: {{owner: ben}}
  helper-b: {{owner: ben}}
  stranger: {{owner: eve}}
mandates:
{mandates}
"""


@dataclass
class House:
    """The gateway, and short ways to act in it."""

    gateway: Gateway
    control: GatewayControl
    held: asyncio.Event = field(default_factory=asyncio.Event)

    def caller(self, agent: str, mandate: str, token: str = "token-1") -> Caller:
        return Caller(agent, mandate, "ada", token, 2**62)

    async def child(
        self, text: str, parent: str = "pay", by: Caller | Person | None = None
    ) -> MadeChild:
        """A child made by the parent's own agent, or by a person if it has a name."""
        agent = self.gateway.rooms.authority.snapshot.mandates[parent].agent
        maker = by or (ADA if "name:" in text else self.caller(agent, parent))
        return await self.control.delegate(maker, ChildAsked(parent, dedent(text), 600))

    async def call(
        self,
        mandate: str,
        name: str,
        first: Callable[[], Awaitable[None]] | None = None,
        **arguments: Json,
    ) -> Answer:
        """A call by the agent of this mandate."""
        agent = self.gateway.rooms.authority.mandate_agent(mandate) or "gone"
        target = Target(CallKind.TOOL, "bank", name)
        given: JsonObject = arguments
        asked = Asked(self.caller(agent, mandate), target, given, "session-1", "mcp/2026-07-28")

        async def dispatch() -> UpstreamReply:
            if first is not None:
                await first()
            return REPLY

        async def on_tick(_tick: Tick) -> None:
            self.held.set()

        return await self.gateway.rooms.pipeline.govern(asked, dispatch, on_tick)

    async def code(self, mandate: str, name: str, **arguments: Json) -> str:
        """What became of a call: `done`, or the code of its refusal."""
        answer = await self.call(mandate, name, None, **arguments)
        return "done" if isinstance(answer, Answered) else getattr(answer, "code", "waits")

    async def leaves(self, *types: str) -> list[Leaf]:
        """The ledger's leaves of these types, in order."""
        records = self.gateway.rooms.records
        stored = await records.leaves(0, await records.entry_count())
        return [leaf for leaf in map(parse_leaf, stored) if leaf.type in types]

    async def row(self, call_id: str) -> CallRow:
        row = await self.gateway.rooms.records.call(call_id)
        assert row is not None
        return row

    def state(self, mandate: str) -> MandateState:
        return self.gateway.rooms.authority.snapshot.mandates[mandate].state

    async def apply(self, pay: str, more: str = "") -> list[str]:
        """Declare again; returns what is said of it."""
        report = await self.control.apply(OLA, {"pay.yaml": declared(pay, more)}, dry_run=False)
        return [problem.message for problem in report.problems]


@asynccontextmanager
async def house(folder: Path, pay: str = PAY, more: str = "") -> AsyncIterator[House]:
    """A gateway on `folder`; what was declared there before goes on."""
    file = folder / "declared.yaml"
    file.write_text(declared(pay, more))
    settings = Settings(data=folder / "data", files=(file,), fsync=False)
    async with open_gateway(settings, prepare_folder(settings.data)) as gateway:
        yield House(gateway, GatewayControl(gateway.rooms))
