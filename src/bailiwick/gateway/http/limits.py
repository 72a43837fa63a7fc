"""The bounds of one HTTP client."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """Bounds of one client. Seconds are checked by a sweep every `sweep_seconds`.

    Attributes:
        answer_seconds: from sending to the end of a whole body, or to the start of a stream.
        idle_seconds: between two chunks of a stream.
        keep_idle_seconds: how long an unused connection is kept. Shorter than the five seconds
            after which common servers close theirs, so that we close first: a request that meets
            a closing connection cannot be told from one that was carried out.
        max_waiting: requests that wait for a connection when all are in use.
        wait_seconds: longest wait for one of those in use; None for as long as it takes.
    """

    connect_seconds: float = 5.0
    answer_seconds: float = 60.0
    idle_seconds: float = 60.0
    keep_idle_seconds: float = 4.0
    max_connections: int = 256
    max_waiting: int = 2_048
    wait_seconds: float | None = None
    max_head_bytes: int = 64 * 1024
    max_body_bytes: int = 16 * 1024 * 1024
    sweep_seconds: float = 0.25
