"""The Model Context Protocol, one module per era."""
