"""The people's HTTP API, docs/reference/api.md in code: one module for each thing it serves."""
