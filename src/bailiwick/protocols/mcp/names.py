"""How things of many servers are named on one endpoint. Pure, and never ambiguous.

On `/mcp/SERVER` names are the server's own. On `/mcp`:

* tools and prompts are `SERVER/NAME`, or `SERVER__NAME` for clients whose model takes only
  letters, digits, `_` and `-`, up to 64 characters. Both spellings are understood.
* resources and resource templates are `SERVER+URI`, a URI whose scheme names the server. The
  prefix is literal in a URI template too, so expanding and prefixing commute.

A name is taken apart by the servers that exist: the prefix must be exactly one of theirs. No
server can thus answer under another's name, whatever it calls its own tools.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable

MODEL_NAME_CHARS = 64
MODEL_CLIENTS = ("goose", "codex", "opencode", "gemini-cli", "claude")
"""Beginnings of `clientInfo.name` of clients that hand tool names to a model unchanged."""

_MODEL_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_QUERY = re.compile(r"[?#]")
_ENCODED = re.compile(r"%(2[eEfF]|5[cC])")
_NOT_MODEL = re.compile(r"[^A-Za-z0-9_-]")


def joined(server: str, name: str) -> str:
    """`SERVER/NAME`."""
    return f"{server}/{name}"


def joined_for_model(server: str, name: str) -> str:
    """`SERVER__NAME`; where that is no model name, a cleaned one with a digest of the real one."""
    plain = f"{server}__{name}"
    if _MODEL_NAME.fullmatch(plain):
        return plain
    digest = hashlib.sha256(name.encode()).hexdigest()[:10]
    cleaned = _NOT_MODEL.sub("_", plain)[: MODEL_NAME_CHARS - 11]
    return f"{cleaned}_{digest}"


def joined_uri(server: str, uri: str) -> str:
    """`SERVER+URI`."""
    return f"{server}+{uri}"


def needs_model_names(client_name: str) -> bool:
    """Whether a client is known to need model names."""
    return client_name.lower().startswith(MODEL_CLIENTS)


def split(name: str, servers: Collection[str]) -> tuple[str, str] | None:
    """Take `SERVER/NAME` or `SERVER__NAME` apart; None when no server, or more than one, fits."""
    server, slash, rest = name.partition("/")
    if slash and rest and server in servers:
        return server, rest
    fitting = [server for server in servers if name.startswith(f"{server}__")]
    if len(fitting) != 1:
        return None
    rest = name[len(fitting[0]) + 2 :]
    return (fitting[0], rest) if rest else None


def split_uri(uri: str, servers: Collection[str]) -> tuple[str, str] | None:
    """Take `SERVER+URI` apart; None when it names no server."""
    server, plus, rest = uri.partition("+")
    return (server, rest) if plus and rest and server in servers else None


def is_ambiguous(uri: str) -> bool:
    """Whether two readers may take a URI for two resources.

    Dot segments (`/a/../b`, also percent-encoded) are resolved by one reader and kept by another,
    so a rule about the one would not hold for the other. RFC 3986 section 6.2.2.3.
    """
    path = _QUERY.split(uri, maxsplit=1)[0]
    if "." not in path and "%" not in path:
        return False
    plain = _ENCODED.sub(lambda match: chr(int(match[1], 16)), path).replace("\\", "/")
    return any(segment in (".", "..") for segment in plain.split("/"))


def find_cleaned(spelled: str, server: str, names: Iterable[str]) -> str | None:
    """The name that `joined_for_model` spells so, when it is exactly one."""
    fitting = [name for name in names if joined_for_model(server, name) == spelled]
    return fitting[0] if len(fitting) == 1 else None
