"""A clock that stands still until it is told."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class StoppedClock:
    """`ports.Clock` for tests. The wall may be set back; the monotonic clock only goes on."""

    wall: int = 1_795_341_600_000
    seconds: float = 0.0

    def wall_ms(self) -> int:
        """Unix milliseconds."""
        return self.wall

    def monotonic(self) -> float:
        """Seconds."""
        return self.seconds

    def advance(self, seconds: float) -> None:
        """Let time pass on both clocks."""
        self.wall += int(seconds * 1000)
        self.seconds += seconds
