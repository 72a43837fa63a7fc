"""Flow: what a run has read, what that is worth, and where a value came from."""
