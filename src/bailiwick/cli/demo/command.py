"""`demo`."""

from __future__ import annotations

from bailiwick.cli.exits import Exit


def demo() -> int:
    """Show the main job on this machine."""
    return Exit.OK
