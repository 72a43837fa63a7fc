"""Tiles and entry bundles: names and encoding (C2SP tlog-tiles).

A tile of level L holds up to 256 consecutive hashes, each the root of a full tile of level L-1
(or, at level 0, of a leaf). A bundle holds the entries under the level 0 tile of the same index.
A resource is *full* at width 256; narrower ones are *partial* and carry their width in the name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from struct import Struct
from struct import error as StructError  # noqa: N812 - an exception
from typing import Final

from bailiwick.ledger.errors import LedgerError

TILE_WIDTH: Final = 256
HASH_BYTES: Final = 32
MAX_ENTRY_BYTES: Final = 65_535
MAX_SIZE: Final = 2**40
"""Far beyond reach, and low enough that no arithmetic on an untrusted size can hurt."""

_length: Final = Struct(">H").pack

_PATH = re.compile(
    r"tile/(?P<level>entries|0|[1-9][0-9]?)"
    r"/(?P<index>(?:x[0-9]{3}/){0,5}[0-9]{3})(?:\.p/(?P<width>[1-9][0-9]{0,2}))?"
)


@dataclass(frozen=True, slots=True, order=True)
class Resource:
    """One tile or bundle.

    Attributes:
        level: 0 to 63 for a tile of hashes, `BUNDLE` for a bundle of entries.
        index: 0-based within its level.
        width: 1 to 256 hashes or entries.
    """

    level: int
    index: int
    width: int

    @property
    def path(self) -> str:
        """Relative path, such as `tile/0/x001/234.p/17` or `tile/entries/000`."""
        level = "entries" if self.level == BUNDLE else str(self.level)
        partial = "" if self.width == TILE_WIDTH else f".p/{self.width}"
        return f"tile/{level}/{_index_path(self.index)}{partial}"

    @property
    def full(self) -> Resource:
        """The same place, filled."""
        return Resource(self.level, self.index, TILE_WIDTH)


BUNDLE: Final = -1


def parse_path(untrusted_path: str) -> Resource:
    """Parse a tile or bundle path; exactly one path names each resource.

    Raises:
        LedgerError: `path_malformed`.
    """
    match = _PATH.fullmatch(untrusted_path)
    if match is not None:
        level = BUNDLE if match["level"] == "entries" else int(match["level"])
        index = int(match["index"].replace("/", "").replace("x", ""))
        width = int(match["width"] or TILE_WIDTH)
        resource = Resource(level, index, width)
        if level < 64 and width <= TILE_WIDTH and resource.path == untrusted_path:
            return resource
    raise LedgerError("path_malformed", f"`{untrusted_path}` is not the path of a tile or bundle")


def resources(size: int) -> Iterator[Resource]:
    """Every tile and bundle of a tree of `size` entries: bundles, then tiles by level."""
    for index in range(size // TILE_WIDTH):
        yield Resource(BUNDLE, index, TILE_WIDTH)
    if size % TILE_WIDTH:
        yield Resource(BUNDLE, size // TILE_WIDTH, size % TILE_WIDTH)
    level, count = 0, size
    while count:
        for index in range(count // TILE_WIDTH):
            yield Resource(level, index, TILE_WIDTH)
        if count % TILE_WIDTH:
            yield Resource(level, count // TILE_WIDTH, count % TILE_WIDTH)
        level, count = level + 1, count // TILE_WIDTH


def encode_bundle(entries: Sequence[bytes]) -> bytes:
    """Concatenate entries, each after its length as a big-endian uint16.

    Raises:
        LedgerError: `leaf_too_long`.
    """
    try:
        lengths = map(_length, map(len, entries))
        return b"".join(chain.from_iterable(zip(lengths, entries, strict=True)))
    except StructError:  # two bytes hold lengths up to MAX_ENTRY_BYTES
        longest = max(map(len, entries))
        text = f"an entry has {longest} bytes of 65,535 at most"
        raise LedgerError("leaf_too_long", text) from None


def decode_bundle(data: bytes, width: int) -> list[bytes]:
    """Split a bundle into exactly `width` entries.

    Raises:
        LedgerError: `bundle_malformed` when bytes are missing or left over.
    """
    entries: list[bytes] = []
    at = 0
    for _ in range(width):
        start = at + 2
        at = start + int.from_bytes(data[at:start], "big")
        if start > len(data) or at > len(data):
            raise LedgerError("bundle_malformed", f"the bundle ends within entry {len(entries)}")
        entries.append(data[start:at])
    if at != len(data):
        raise LedgerError("bundle_malformed", f"{len(data) - at} bytes follow the last entry")
    return entries


def decode_tile(data: bytes, width: int) -> list[bytes]:
    """Split a tile into exactly `width` hashes.

    Raises:
        LedgerError: `tile_malformed`.
    """
    if len(data) != width * HASH_BYTES:
        raise LedgerError(
            "tile_malformed", f"the tile has {len(data)} bytes where {width * HASH_BYTES} belong"
        )
    return [data[at : at + HASH_BYTES] for at in range(0, len(data), HASH_BYTES)]


def _index_path(index: int) -> str:
    path = f"{index % 1000:03d}"
    while index >= 1000:
        index //= 1000
        path = f"x{index % 1000:03d}/{path}"
    return path
