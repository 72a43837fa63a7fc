"""Real engines to stand behind the gateway in tests, each in an environment of its own."""
