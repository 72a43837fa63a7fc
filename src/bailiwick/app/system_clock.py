"""The system's clocks."""

from __future__ import annotations

import time


class SystemClock:
    """`ports.Clock`, for real."""

    def wall_ms(self) -> int:
        """Unix milliseconds; may jump."""
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        """Seconds; never goes back."""
        return time.monotonic()
