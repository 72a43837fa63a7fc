"""Why `judge` says what it says."""
