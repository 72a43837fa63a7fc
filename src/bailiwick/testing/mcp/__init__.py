"""The MCP edge in tests: fakes around it, and a way to drive it."""
