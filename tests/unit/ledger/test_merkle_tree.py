"""The tree hashes as RFC 6962 says, however it was grown or restored."""

from __future__ import annotations

import itertools
import json
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bailiwick.ledger.errors import LedgerError
from bailiwick.ledger.tile import TILE_WIDTH, Resource
from bailiwick.ledger.tree import (
    EMPTY_ROOT,
    Edge,
    edge_tiles,
    leaf_hash,
    leaf_hashes,
    restore_edge,
)
from tests.unit.ledger import reference

VECTORS = Path(__file__).parents[2] / "vectors"


def entry(number: int) -> bytes:
    return b"entry %d" % number


def grow(size: int) -> tuple[Edge, dict[Resource, bytes]]:
    edge = Edge()
    tiles: dict[Resource, bytes] = {}
    for number in range(size):
        tiles.update(edge.append(leaf_hash(entry(number))))
    return edge, tiles


def test_the_known_trees_have_their_known_roots() -> None:
    vectors = json.loads((VECTORS / "rfc6962_tree.json").read_text())
    edge = Edge()
    assert edge.root().hex() == vectors["empty_root"] == EMPTY_ROOT.hex()
    for text, root in zip(vectors["entries"], vectors["roots"], strict=True):
        assert edge.append(leaf_hash(bytes.fromhex(text))) == []
        assert edge.root().hex() == root


def test_each_root_up_to_600_entries_is_that_of_the_plain_definition() -> None:
    edge = Edge()
    entries = [entry(number) for number in range(600)]
    for size in range(600):
        if size % 37 == 0 or size in (255, 256, 257, 511, 512, 513):
            assert edge.root() == reference.mth(entries[:size]), size
        edge.append(leaf_hash(entries[size]))
    assert edge.root() == reference.mth(entries)


def test_70000_entries_fill_the_tiles_the_specification_counts() -> None:
    edge, tiles = grow(70_000)
    full = [tile for tile in tiles if tile.level == 0]
    assert len(full) == 273
    assert [tile for tile in tiles if tile.level > 0] == [Resource(1, 0, TILE_WIDTH)]
    assert [tile for tile, _ in edge.partial_tiles()] == [
        Resource(0, 273, 112),
        Resource(1, 1, 17),
        Resource(2, 0, 1),
    ]
    assert tiles[Resource(0, 2, TILE_WIDTH)] == b"".join(
        leaf_hash(entry(number)) for number in range(512, 768)
    )
    # A level 1 hash is the root over the 256 entries below it.
    first = tiles[Resource(1, 0, TILE_WIDTH)][:32]
    assert first == reference.mth([entry(number) for number in range(256)])


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 1500) | st.sampled_from([256, 512, 65_535, 65_536, 65_537, 65_792]))
def test_an_edge_restored_from_tiles_grows_on_as_if_never_stored(size: int) -> None:
    edge, _ = grow(size)
    stored = dict(edge.partial_tiles())
    assert list(stored) == edge_tiles(size)

    restored = restore_edge(size, [stored[tile] for tile in edge_tiles(size)], edge.root())

    assert restored.pending() == edge.pending()
    for number in range(size, size + 300):
        assert restored.append(leaf_hash(entry(number))) == edge.append(leaf_hash(entry(number)))
    assert (restored.size, restored.root()) == (edge.size, edge.root())


@pytest.mark.parametrize("size", [1, 2, 255, 256, 300, 600])
def test_tiles_that_were_changed_in_any_byte_do_not_restore(size: int) -> None:
    edge, _ = grow(size)
    tiles = [data for _, data in edge.partial_tiles()]
    for which, data in enumerate(tiles):
        for at in range(0, len(data), 7):
            changed = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
            with pytest.raises(LedgerError) as caught:
                restore_edge(size, [*tiles[:which], changed, *tiles[which + 1 :]], edge.root())
            assert caught.value.code == "root_mismatch"
    with pytest.raises(LedgerError) as caught:
        restore_edge(size, [*tiles[:-1], tiles[-1] + bytes(32)], edge.root())
    assert caught.value.code == "tile_malformed"


def test_a_copy_grows_apart_from_its_original() -> None:
    edge, _ = grow(256 + 3)
    root = edge.root()
    twin = edge.copy()
    twin.append(leaf_hash(b"other"))
    assert (edge.size, edge.root()) == (259, root)
    assert twin.root() != root


def test_leaves_and_nodes_hash_apart() -> None:
    # Second preimage: an entry that spells two child hashes is not their parent.
    left, right = leaf_hash(b"a"), leaf_hash(b"b")
    assert leaf_hash(left + right) != sha256(b"\x01" + left + right).digest()
    edge = Edge()
    edge.append(leaf_hash(left + right))
    assert edge.root() != reference.mth([b"a", b"b"])


def test_leaves_appended_together_give_the_tree_of_leaves_appended_one_by_one() -> None:
    together, singly = Edge(), Edge()
    entries = [entry(number) for number in range(700)]
    at, sizes = 0, itertools.cycle([1, 0, 100, 7, 256])
    while at < len(entries):
        part = entries[at : at + min(next(sizes), together.room)]
        at += len(part)
        tiles = [tile for each in part for tile in singly.append(leaf_hash(each))]
        assert together.extend(leaf_hashes(part)) == tiles
        assert (together.size, together.root()) == (singly.size, singly.root())
    assert together.room == 256 - 700 % 256


def test_more_leaves_than_fill_a_tile_are_refused() -> None:
    edge = Edge()
    edge.append(leaf_hash(b"one"))
    with pytest.raises(ValueError, match="room"):
        edge.extend(leaf_hashes([b"more"] * 256))
    assert (edge.size, edge.pending()) == (1, (leaf_hash(b"one"),))
