"""Reading a ledger from a directory or a URL, by names that C2SP tlog-tiles defines."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from bailiwick.cli.api import web_address
from bailiwick.cli.exits import CliError, Exit

if TYPE_CHECKING:
    import http.client

MAX_FILE_BYTES = 256 * (2 + 65_535)
"""An entry bundle at its largest: 256 entries, each with its two-byte length."""

_TIMEOUT_SECONDS = 30.0


class Source(Protocol):
    """Where a ledger is read from."""

    def fetch(self, name: str) -> bytes | None:
        """The file `name`, or None when there is none."""
        ...

    def names(self) -> list[str] | None:
        """Every file there is, or None where they cannot be listed."""
        ...


@dataclass(frozen=True, slots=True)
class Folder:
    """A ledger on disk. Links, pipes, folders and the like in a file's place are no files of it."""

    root: Path

    def fetch(self, name: str) -> bytes | None:
        """Read one file.

        Raises:
            CliError: `ledger_unreadable`, so that nobody takes for missing what only looks odd.
        """
        path = self.root / name
        try:
            handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise CliError(Exit.USAGE, "ledger_unreadable", f"cannot read `{path}`") from error
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            os.close(handle)
            text = f"`{path}` is not a plain file"
            raise CliError(Exit.NOT_VERIFIED, "ledger_unreadable", text)
        with os.fdopen(handle, "rb") as file:
            return _bounded(file.read(MAX_FILE_BYTES + 1), name)

    def names(self) -> list[str] | None:
        """List every file under the folder."""
        return [
            str(path.relative_to(self.root)) for path in self.root.rglob("*") if not path.is_dir()
        ]


@dataclass(frozen=True, slots=True)
class Web:
    """A ledger served over HTTP, such as a gateway's `/ledger`. Redirects are not followed."""

    connection: http.client.HTTPConnection
    base: str

    def fetch(self, name: str) -> bytes | None:
        """GET one file."""
        from http.client import HTTPException

        try:
            self.connection.request("GET", f"{self.base}/{name}")
            response = self.connection.getresponse()
            body = response.read(MAX_FILE_BYTES + 1)
        except (OSError, HTTPException) as error:
            raise CliError(
                Exit.UNREACHABLE,
                "ledger_unreachable",
                f"cannot reach the ledger at {self.connection.host}:{self.connection.port}",
            ) from error
        if response.status == 404:
            return None
        if response.status != 200:
            raise CliError(
                Exit.UNREACHABLE, "ledger_unreachable", f"`{name}`: HTTP {response.status}"
            )
        return _bounded(body, name)

    def names(self) -> list[str] | None:
        """A server does not list its files."""
        return None


@contextmanager
def open_source(place: str) -> Iterator[Source]:
    """Open a directory or an `http(s)://` URL.

    Raises:
        CliError: it is neither.
    """
    if place.startswith(("http://", "https://")):
        import http.client

        parts = web_address(place)
        https = parts.scheme == "https"
        kind = http.client.HTTPSConnection if https else http.client.HTTPConnection
        connection = kind(parts.host, parts.port, timeout=_TIMEOUT_SECONDS)
        try:
            yield Web(connection, parts.path)
        finally:
            connection.close()
        return
    folder = Path(place)
    if not folder.is_dir():
        raise CliError(
            Exit.USAGE, "no_ledger", f"`{place}` is not a folder or a URL", "name a ledger"
        )
    yield Folder(folder)


def _bounded(data: bytes, name: str) -> bytes:
    if len(data) > MAX_FILE_BYTES:
        raise CliError(Exit.NOT_VERIFIED, "file_too_large", f"`{name}` is larger than any tile")
    return data
