"""What a test sees of a call, whichever SDK makes it.

A call is named as its SDK names it (`chat.completions.create`) and takes the same body in each
language. What is streamed, and the items of a page, come piece by piece, as JSON.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

SECONDS = 30.0


@dataclass
class SdkError(Exception):
    """What an SDK raised.

    Attributes:
        family: the names of its class and of those that this extends.
        code: as the body of the answer says, if the SDK tells it.
        attempts: requests that were sent before it was raised.
    """

    family: tuple[str, ...]
    message: str
    attempts: int
    status: int | None = None
    code: str | None = None
    request_id: str | None = None
    headers: Mapping[str, str] | None = None

    def __str__(self) -> str:
        return f"{self.family[0]} {self.status}: {self.message}"


class Going(Protocol):
    """One call that was begun."""

    headers: Mapping[str, str]
    """Of the response, once it has begun."""

    def pieces(self) -> Iterator[Any]:
        """What it streams, as it comes. Raises SdkError."""

    def result(self) -> Any:
        """What it returns in the end; None for what only comes in pieces. Raises SdkError."""

    def abort(self) -> None:
        """Give it up, as a program does that no longer wants the answer."""


class Sdks(Protocol):
    """The SDKs of one language."""

    def point(self, url: str, token: str) -> None:
        """Where both look for their provider from now on, and with which key."""

    def openai(self, name: str, body: Mapping[str, Any] | str | None = None, /, *,
               retries: int = 2, token: str | None = None) -> Going:  # fmt: skip
        """Begin a call of OpenAI's."""

    def anthropic(self, name: str, body: Mapping[str, Any] | str | None = None, /, *,
                  retries: int = 2, token: str | None = None) -> Going:  # fmt: skip
        """Begin a call of Anthropic's."""
