"""An edge with fakes all around it.

server = FakeUpstream("bank", tools=[{"name": "pay", "inputSchema": {"type": "object"}}])
house = make_house(server)
reply = await house.wire().post(modern("tools/call", name="bank/pay", arguments={}))
reply.result, house.gate.seen, server.of("tools/call")
"""

from __future__ import annotations

from dataclasses import dataclass

from bailiwick.gateway.mcp.core import Limits
from bailiwick.gateway.mcp.edge import EdgeSettings, McpEdge
from bailiwick.ports import (
    Upstream,
)
from bailiwick.testing.mcp.fakes import ADA, HOST, FakeAuthenticator, FakeClock, FakeGate, Pins
from bailiwick.testing.mcp.wire import Wire


@dataclass
class House:
    """An edge with everything around it."""

    edge: McpEdge
    gate: FakeGate
    pins: Pins
    clock: FakeClock
    authenticator: FakeAuthenticator
    servers: dict[str, Upstream]

    def wire(self, authorization: str | None = ADA) -> Wire:
        """A client's way in."""
        return Wire(self.edge, authorization)


def make_house(*servers: Upstream, limits: Limits | None = None) -> House:
    """An edge over fakes."""
    clock = FakeClock()
    gate = FakeGate()
    pins = Pins(clock)
    authenticator = FakeAuthenticator()
    by_name = {server.name: server for server in servers}
    edge = McpEdge(
        gate=gate,
        authenticator=authenticator,
        upstreams=lambda: by_name,
        pins=pins.book,
        hosts=(HOST,),
        clock=clock,
        public_url=f"https://{HOST}",
        settings=EdgeSettings(limits=limits or Limits()),
    )
    return House(edge, gate, pins, clock, authenticator, by_name)
