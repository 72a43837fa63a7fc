"""What the gateway needs to know of a declared server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from bailiwick.core.errors import ConfigError

MODERN_VERSION = "2026-07-28"
LEGACY_VERSIONS = ("2025-11-25", "2025-06-18", "2025-03-26")
"""Newest first: the first is what we offer."""


class Revealable(Protocol):
    """A secret. Its text is taken at dispatch and appears in no repr, log or error."""

    def reveal(self) -> str:
        """The secret itself."""
        ...


Text = str | Revealable


def reveal(value: Text) -> str:
    """The text of a declared value, secret or not."""
    return value if isinstance(value, str) else value.reveal()


class Instances(StrEnum):
    """How many child processes a stdio server gets."""

    SHARED = "shared"
    """One for everybody. It is told of no client capabilities, so it can ask nobody anything."""
    SESSION = "session"
    """One for each client session, with that client's capabilities."""


class Whose(StrEnum):
    """Whose files a server works on."""

    HERE = "here"
    """Those of the gateway's machine, by the same paths: usual for a child process."""
    ELSEWHERE = "elsewhere"
    """Others: on another machine, or in a container. Usual for a server with a `url`."""


@dataclass(frozen=True, slots=True)
class ServerSpec:
    """One declared MCP server: either `url` or `command`.

    Attributes:
        name: unique; letters, digits, `-`, `_` and `.`.
        command: program and arguments; never passed through a shell.
        env: the child's whole environment; nothing is inherited.
        headers: sent with every request to `url`; where upstream credentials go.
        timeout_seconds: longest wait for an answer, or for the next sign of life on a stream.
        protocol: `auto`, or the one revision to speak.
        max_response_bytes: larger answers (or single events) are refused.
        max_sessions: bound on legacy sessions or `session` children kept at a time.
        session_idle_seconds: after which an unused session or child is ended.
        files: whether paths mean to it what they mean to the gateway; None for what is usual.
    """

    name: str
    url: str = ""
    command: tuple[str, ...] = ()
    env: Mapping[str, Text] = field(default_factory=dict, repr=False)
    headers: Mapping[str, Text] = field(default_factory=dict, repr=False)
    cwd: str = ""
    instances: Instances = Instances.SHARED
    timeout_seconds: float = 60.0
    protocol: str = "auto"
    max_response_bytes: int = 16 * 1024 * 1024
    max_sessions: int = 256
    session_idle_seconds: float = 1_800.0
    files: Whose | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot work. Raises ConfigError (`server_transport`, `server_protocol`)."""
        if bool(self.url) == bool(self.command):
            raise ConfigError(
                "server_transport", f"server `{self.name}` needs either `url` or `command`"
            )
        if self.protocol not in ("auto", MODERN_VERSION, *LEGACY_VERSIONS):
            known = ", ".join(("auto", MODERN_VERSION, *LEGACY_VERSIONS))
            raise ConfigError(
                "server_protocol",
                f"server `{self.name}`: protocol `{self.protocol}` is not one of {known}",
            )

    @property
    def files_here(self) -> bool:
        """Whether the gateway sees the files that it works on."""
        return self.files is Whose.HERE or (self.files is None and not self.url)

    @property
    def folder(self) -> str | None:
        """Where relative paths begin for it; "" for the gateway's own folder, None if unknown."""
        return None if self.url else self.cwd
