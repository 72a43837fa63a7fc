"""The Merkle tree of RFC 6962 section 2.1, grown at its right edge.

`Edge` is all that must be kept to append: for each tile level, the hashes of the tile that is
not yet full. A leaf costs one hash when appended and, over time, less than one more for the
nodes above it; a root costs at most 256 hashes for each tile level.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import sha256
from struct import Struct
from typing import Final, NewType, cast

from bailiwick.ledger.errors import LedgerError
from bailiwick.ledger.tile import HASH_BYTES, TILE_WIDTH, Resource, decode_tile

LeafHash = NewType("LeafHash", bytes)
"""SHA-256(0x00 || entry), 32 bytes."""

RootHash = NewType("RootHash", bytes)
"""Merkle Tree Hash of a whole tree, 32 bytes."""

_pairs: Final = Struct(f"{2 * HASH_BYTES}s").iter_unpack

EMPTY_ROOT: Final = RootHash(sha256(b"").digest())


def leaf_hash(entry: bytes) -> LeafHash:
    """Hash one entry."""
    return LeafHash(sha256(b"\x00" + entry).digest())


def leaf_hashes(entries: Sequence[bytes]) -> list[LeafHash]:
    """`leaf_hash` of each entry."""
    return cast("list[LeafHash]", [sha256(b"\x00" + entry).digest() for entry in entries])


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash an inner node. Both arguments have 32 bytes."""
    return sha256(b"\x01" + left + right).digest()


def full_root(hashes: Sequence[bytes]) -> bytes:
    """Root over a power of two of hashes (a full tile, or a whole part of one)."""
    row = b"".join(hashes)
    while len(row) > HASH_BYTES:
        # `node_hash` of each pair, written out: a leaf costs one such node.
        row = b"".join([sha256(b"\x01" + pair).digest() for (pair,) in _pairs(row)])
    return row


class Edge:
    """The right edge of a tree: enough to append to it and to know its root.

    Not thread-safe. `copy` is cheap (at most 256 hashes a level), so work on a copy and keep it
    once the result is safe.
    """

    __slots__ = ("_levels", "size")

    def __init__(self) -> None:
        self.size = 0
        self._levels: list[list[bytes]] = [[]]

    def copy(self) -> Edge:
        """An independent edge with the same contents."""
        twin = Edge()
        twin.size = self.size
        twin._levels = [list(level) for level in self._levels]
        return twin

    def append(self, leaf: LeafHash) -> list[tuple[Resource, bytes]]:
        """Append one leaf; returns the tiles this fills, lowest level first (mostly none)."""
        return self.extend([leaf])

    def extend(self, leaves: Sequence[LeafHash]) -> list[tuple[Resource, bytes]]:
        """Append leaves; returns the tiles they fill, as `append`.

        Raises:
            ValueError: there are more than `room`.
        """
        row = self._levels[0]
        if len(row) + len(leaves) > TILE_WIDTH:
            raise ValueError("more leaves than there is room for in one tile")
        self.size += len(leaves)
        row += leaves
        if len(row) < TILE_WIDTH:
            return []
        return self._carry()

    @property
    def room(self) -> int:
        """How many leaves fill the level 0 tile: 1 to 256."""
        return TILE_WIDTH - len(self._levels[0])

    def _carry(self) -> list[tuple[Resource, bytes]]:
        filled: list[tuple[Resource, bytes]] = []
        level, span = 0, TILE_WIDTH
        while len(self._levels[level]) == TILE_WIDTH:
            row = self._levels[level]
            tile = Resource(level, self.size // span - 1, TILE_WIDTH)
            filled.append((tile, b"".join(row)))
            self._levels[level] = []
            level, span = level + 1, span * TILE_WIDTH
            if level == len(self._levels):
                self._levels.append([])
            self._levels[level].append(full_root(row))
        return filled

    def partial_tiles(self) -> Iterator[tuple[Resource, bytes]]:
        """The tiles not yet full, lowest level first."""
        span = TILE_WIDTH
        for level, row in enumerate(self._levels):
            if row:
                yield Resource(level, self.size // span, len(row)), b"".join(row)
            span *= TILE_WIDTH

    def pending(self) -> tuple[bytes, ...]:
        """The leaf hashes of the level 0 tile that is not yet full: `size % 256` of them."""
        return tuple(self._levels[0])

    def root(self) -> RootHash:
        """Merkle Tree Hash of the whole tree (RFC 6962 section 2.1)."""
        root: bytes | None = None
        for row in self._levels:
            end = len(row)
            while end:
                # The lowest set bit is the width of the rightmost complete subtree.
                start = end - (end & -end)
                peak = full_root(row[start:end])
                root = peak if root is None else node_hash(peak, root)
                end = start
        return EMPTY_ROOT if root is None else RootHash(root)


def edge_tiles(size: int) -> list[Resource]:
    """The partial tiles that `restore_edge` needs for a tree of `size` entries."""
    tiles = []
    level, count = 0, size
    while count:
        if count % TILE_WIDTH:
            tiles.append(Resource(level, count // TILE_WIDTH, count % TILE_WIDTH))
        level, count = level + 1, count // TILE_WIDTH
    return tiles


def restore_edge(size: int, tiles: Sequence[bytes], root: bytes) -> Edge:
    """Rebuild the edge of a tree from the data of `edge_tiles(size)`, in that order.

    Args:
        size: entries in the tree.
        tiles: untrusted tile data.
        root: 32 bytes, from a checkpoint whose signature is already verified.

    Raises:
        LedgerError: `tile_malformed`, or `root_mismatch` when the tiles do not hash to `root`.
    """
    wanted = edge_tiles(size)
    edge = Edge()
    edge.size = size
    edge._levels = [[] for _ in range(wanted[-1].level + 1 if wanted else 1)]
    for tile, data in zip(wanted, tiles, strict=True):
        edge._levels[tile.level] = decode_tile(data, tile.width)
    if edge.root() != root:
        raise LedgerError("root_mismatch", f"the tiles at the edge of size {size} lead elsewhere")
    return edge
