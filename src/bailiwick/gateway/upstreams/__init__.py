"""MCP servers behind the gateway: one module per era and transport, one registry for all."""
