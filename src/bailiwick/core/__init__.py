"""Pure: calls, mandates, judging. No clock, no store, no network."""
