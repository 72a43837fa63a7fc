"""The MCP edge: agents on one side, the gate and the upstreams on the other."""
