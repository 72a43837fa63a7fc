"""Which tool a model means by a name: agents write `server/tool` each in their own way. Pure.

An agent offers a tool under a name of its making, and the model asks for it by that name. What is
known is the tool behind the gateway, so each name is compared with what that tool could be called:

| written | by |
|---|---|
| `bank/pay`, `bank__pay` | the gateway's own endpoint, SDKs |
| `bailiwick__bank__pay`, `bank__pay` | goose: the extension's name, `__`, the tool's |
| `mcp__bailiwick__bank__pay` | Claude Code; Codex, also in a namespace (`dialect.name_in`) |
| `bailiwick_bank__pay`, `bank_pay` | opencode |
| `pay` | an agent that knows the one server only |
| a piece of the name and a digest | names over 64 characters: ours (`joined_for_model`), Codex's |

`mcp__other__pay` is in doubt: it may be a tool of the agent's that no gateway sees.

A name means a tool only if it means no other one as well as this, of those behind the gateway, and
if the agent offered no other name for the tool that is as good. Case counts. In doubt it is not
known, and never taken for a match.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterator
from functools import lru_cache

from bailiwick.core.values import CANNOT_TELL, FAILS, HOLDS, Truth
from bailiwick.protocols.mcp.names import MODEL_NAME_CHARS, joined_for_model

Tool = tuple[str, str]
"""A server's name, and the server's own name for one of its tools."""

_BETWEEN = ("__", "/", "_", ".", ":", "-")
"""What may stand between a server and its tool, and between an agent's own prefix and either."""

_CLEANED = (re.compile(r"[^A-Za-z0-9_-]"), re.compile(r"[^A-Za-z0-9_]"))
"""What agents replace by `_`: most keep the hyphen, some do not."""

_CODEX = re.compile(r"mcp__(.+?)__")
_SHA1_CHARS = 40
_LONG = 60

MAX_OFFERS = 64
"""Offers of which the best names are remembered."""

_Rank = tuple[int, int]
_Best = tuple[_Rank, frozenset[str]]
_NEAR: _Rank = (9, 0)
"""Of a name that resembles the tool's, without being one of the ways above."""


def means(name: str, tool: Tool, offered: Collection[str], tools: Collection[Tool]) -> Truth:
    """Whether a model that asks for `name` asks for `tool`.

    Args:
        offered: the names that the agent offered to the model.
        tools: all that are behind the gateway, as far as they are known.
    """
    rank = _rank(name, tool)
    if rank is None:
        return FAILS
    if rank == _NEAR:
        return CANNOT_TELL
    best = _best_names(tool, tuple(offered))
    if best is not None and best[0] < rank:
        return FAILS
    others = [found for other in tools if other != tool and (found := _rank(name, other))]
    if any(other < rank for other in others):
        return FAILS
    as_good = best is not None and best[0] == rank and best[1] != {name}
    return CANNOT_TELL if as_good or rank in others else HOLDS


_best_of_offers: dict[tuple[str, ...], dict[Tool, _Best | None]] = {}
"""Few offers, and all tools for each: an agent chooses its names, and makes them as long as it
likes; the tools are those of the servers."""


def _best_names(tool: Tool, offered: tuple[str, ...]) -> _Best | None:
    """The offered names that say `tool` best, and how well; None when none does."""
    known = _best_of_offers.get(offered)
    if known is None:
        if len(_best_of_offers) >= MAX_OFFERS:
            _best_of_offers.clear()
        known = _best_of_offers[offered] = {}
    if tool not in known:
        known[tool] = _find_best(tool, offered)
    return known[tool]


def _find_best(tool: Tool, offered: tuple[str, ...]) -> _Best | None:
    ranked = [(rank, name) for name in offered if (rank := _rank(name, tool))]
    best = min((rank for rank, _ in ranked), default=_NEAR)
    if best == _NEAR:
        return None
    return best, frozenset(name for rank, name in ranked if rank == best)


@lru_cache(16384)
def _rank(name: str, tool: Tool) -> _Rank | None:
    """How well a name says a tool: the less, the better; None when it does not.

    With the server in it is better than without, and more of the name's end said is better.
    """
    whole, alone = _spellings(tool)
    if name in whole:
        return 0, 0
    ends = [len(spelling) for spelling in whole if _ends(name, spelling)]
    if ends:
        return 1, -max(ends)
    if _is_shortened(name, tool):
        return 1, -len(name)
    if name in alone:
        return 2, 0
    near = any(_ends(name, spelling) for spelling in alone)
    cut = len(name) >= _LONG and _clean(tool[0]) in _clean(name)
    return _NEAR if near or cut else None


def _ends(name: str, spelling: str) -> bool:
    """Whether a name is a spelling with something of the agent's before it."""
    return name.endswith(spelling) and name[: -len(spelling)].endswith(_BETWEEN)


@lru_cache(4096)
def _spellings(tool: Tool) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """How a tool is written with its server, and without."""
    server, name = tool
    plain = [f"{server}{between}{name}" for between in _BETWEEN]
    whole = [joined_for_model(server, name), *_with_cleaned(plain)]
    return tuple(dict.fromkeys(whole)), tuple(dict.fromkeys(_with_cleaned([name])))


def _with_cleaned(names: list[str]) -> Iterator[str]:
    yield from names
    for sign in _CLEANED:
        for name in names:
            yield sign.sub("_", name)


def _is_shortened(name: str, tool: Tool) -> bool:
    """Whether this is Codex's way of writing a name over 64 characters.

    It cuts `mcp__ENTRY__TOOL` and puts the SHA-1 of the whole behind it.
    """
    if len(name) != MODEL_NAME_CHARS:
        return False
    entry = _CODEX.match(name)
    if entry is None:
        return False
    kept = name[:-_SHA1_CHARS]
    for spelling in (*_spellings(tool)[0], *_spellings(tool)[1]):
        whole = f"mcp__{entry[1]}__{spelling}"
        digest = hashlib.sha1(whole.encode(), usedforsecurity=False).hexdigest()
        if whole.startswith(kept) and name.endswith(digest):
            return True
    return False


def _clean(name: str) -> str:
    return _CLEANED[1].sub("_", name)
