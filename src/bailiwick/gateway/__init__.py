"""The async shell: the one place that performs effects on upstreams."""
