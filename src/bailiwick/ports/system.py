"""Clocks, waiting and the vault."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
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


class Files(Protocol):
    """The files of the machine the gateway runs on. Implemented in `app/local_files.py`."""

    async def leads(
        self, server: str, folder: str | None, texts: Sequence[str]
    ) -> Mapping[str, str]:
        """Where these paths lead: absolute, through every symbolic link, `texts` in any order.

        Takes bounded time, whatever the file system does, and never raises for anything that is
        about these paths. Where one leads is "" if it cannot be told: a loop, a folder that may
        not be read, no answer in time. What is not there (yet) leads to where it would be.

        Args:
            server: for whom. One whose file systems hang is in nobody else's way.
            folder: where relative paths begin; "" for the gateway's own folder, None if that is
                not known.
            texts: as `core.texts.paths.read_path` takes them.

        Returns:
            All of `texts`; or nothing, if each leads where it says.
        """
        ...


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
