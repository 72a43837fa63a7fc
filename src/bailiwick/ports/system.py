"""Clocks, waiting and the vault."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol


class Clock(Protocol):
    """Time. `wall_ms` may jump; `monotonic` (seconds) never goes back."""

    def wall_ms(self) -> int:
        """Unix milliseconds."""
        ...

    def monotonic(self) -> float:
        """Seconds since some moment."""
        ...


Sleep = Callable[[float], Awaitable[None]]


class Vault(Protocol):
    """Seals payloads per person. Implemented in `stores/vault.py`."""

    def knows(self, subject: str) -> bool:
        """Whether `seal` may be called for this person."""
        ...

    async def ensure(self, subject: str, now_ms: int) -> None:
        """Make and durably keep a key for `subject` if there is none. Raises StoreError."""
        ...

    def seal(self, subject: str, leaf: bytes, payload: bytes) -> bytes:
        """Encrypt `payload` for a known person, bound to `leaf`."""
        ...

    def open(self, leaf: bytes, sealed: bytes) -> bytes:
        """Decrypt what stands beside `leaf`. Raises VerificationError (damaged or erased)."""
        ...

    def pseudonym(self, subject: str) -> str:
        """The name under which a person stands in leaves."""
        ...
