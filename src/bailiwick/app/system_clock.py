"""The system's clocks."""

from __future__ import annotations

from time import monotonic, time_ns


class SystemClock:
    """`ports.Clock`, for real."""

    def wall_ms(self) -> int:
        """Unix milliseconds; may jump."""
        return time_ns() // 1_000_000

    monotonic = staticmethod(monotonic)
    """Seconds; never goes back."""
