"""Which model is meant: `SERVER/MODEL`, or a bare name that exactly one server serves. Pure.

A name means one thing or nothing. Model names may hold slashes (`Qwen/Qwen3-8B`), so what stands
before the first slash is a server only if there is one of that name, and a name that could be read
both ways is refused. Spelling counts: case, and nothing but printable ASCII without spaces, so that
no two names look alike.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Protocol

import msgspec

from bailiwick.core.errors import TheirError
from bailiwick.core.values import show

_NAME = re.compile(r"[!-~]{1,256}")

MAX_REMEMBERED = 1_024
"""Names of which it is remembered what they mean."""


class Serves(Protocol):
    """What is asked of a model server here."""

    @property
    def serves_all(self) -> bool:
        """Whether it is declared to serve whatever it is asked for."""
        ...

    def serves(self, model: str) -> bool:
        """Whether this is one of its models."""
        ...


class Meant(msgspec.Struct, frozen=True):
    """A model of a server, by the server's own name for it; `served`: it is one of its models."""

    server: str
    model: str
    served: bool


def meant(asked: str, servers: Mapping[str, Serves]) -> Meant:
    """What `asked` names.

    Raises:
        TheirError: `model_name_unusual`, `model_unknown`, `model_ambiguous`.
    """
    if not _NAME.fullmatch(asked):
        raise TheirError(
            "model_name_unusual", f"the model {show(asked)} is not printable ASCII without spaces"
        )
    prefix, slash, rest = asked.partition("/")
    bare = [name for name, server in servers.items() if server.serves(asked)]
    if slash and rest and prefix in servers:
        # That a server takes any name does not mean that it has a model of this one.
        if [name for name in bare if name != prefix and not servers[name].serves_all]:
            raise _ambiguous(asked)
        return Meant(prefix, rest, servers[prefix].serves(rest))
    if len(bare) > 1:
        raise _ambiguous(asked)
    if not bare:
        text = f"there is no model {show(asked)}; `/v1/models` lists those that may be asked for"
        raise TheirError("model_unknown", text)
    return Meant(bare[0], asked, served=True)


class Names:
    """What names mean among the servers there are, found once for each name."""

    def __init__(self) -> None:
        self._servers: Mapping[str, Serves] | None = None
        self._known: dict[str, Meant] = {}

    def meant(self, asked: str, servers: Mapping[str, Serves]) -> Meant:
        """As `meant`.

        Args:
            servers: never changes; another object when there are other servers.
        """
        if servers is not self._servers:
            self._servers, self._known = servers, {}
        found = self._known.get(asked)
        if found is None:
            found = meant(asked, servers)
            if len(self._known) >= MAX_REMEMBERED:
                self._known.clear()
            self._known[asked] = found
        return found


def _ambiguous(asked: str) -> TheirError:
    return TheirError(
        "model_ambiguous",
        f"more than one server could be meant by {show(asked)}: write SERVER/MODEL",
    )
