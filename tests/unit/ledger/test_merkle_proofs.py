"""Inclusion and consistency: all small trees against the plain definition, and all mutations."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bailiwick.ledger.errors import LedgerError
from bailiwick.ledger.proof import TileTree
from bailiwick.ledger.tree import EMPTY_ROOT, Edge, LeafHash, RootHash, leaf_hash
from bailiwick.ledger.verify import (
    ConsistencyProof,
    InclusionProof,
    verify_consistency,
    verify_inclusion,
)
from tests.unit.ledger import reference

P = TypeVar("P", InclusionProof, ConsistencyProof)

VECTORS = Path(__file__).parents[2] / "vectors"
LARGEST = 65
ENTRIES = [b"entry %d" % number for number in range(LARGEST)]
TREE = json.loads((VECTORS / "rfc6962_tree.json").read_text())


@lru_cache
def root(size: int) -> RootHash:
    return RootHash(reference.mth(ENTRIES[:size]))


@lru_cache
def fetch_from(size: int) -> Callable[[str], bytes | None]:
    """All tiles that a log grown to `size` holds, full ones and the last partial ones."""
    edge = Edge()
    files: dict[str, bytes] = {}
    for number in range(size):
        for tile, data in edge.append(leaf_hash(b"entry %d" % number)):
            files[tile.path] = data
    files.update({tile.path: data for tile, data in edge.partial_tiles()})
    return files.get


def test_the_known_inclusion_proofs_verify() -> None:
    entries = [leaf_hash(bytes.fromhex(text)) for text in TREE["entries"]]
    vectors = json.loads((VECTORS / "inclusion.json").read_text())["proofs"]
    assert len(vectors) == 36
    for vector in vectors:
        path = tuple(bytes.fromhex(item) for item in vector["path"])
        known = RootHash(bytes.fromhex(TREE["roots"][vector["size"] - 1]))
        proof = InclusionProof(vector["index"], vector["size"], path)
        verify_inclusion(entries[vector["index"]], proof, known)


def test_the_known_consistency_proofs_verify() -> None:
    vectors = json.loads((VECTORS / "consistency.json").read_text())["proofs"]
    assert len(vectors) == 36
    for vector in vectors:
        path = tuple(bytes.fromhex(item) for item in vector["path"])
        old, new = (
            RootHash(bytes.fromhex(TREE["roots"][vector[name] - 1]))
            for name in ("old_size", "size")
        )
        verify_consistency(ConsistencyProof(vector["old_size"], vector["size"], path), old, new)


def test_all_inclusion_proofs_of_small_trees_are_those_of_the_definition_and_verify() -> None:
    for size in range(1, LARGEST):
        tree = TileTree(fetch_from(size), size)
        for index in range(size):
            proof = tree.inclusion(index)
            assert list(proof.path) == reference.path(index, ENTRIES[:size])
            verify_inclusion(leaf_hash(ENTRIES[index]), proof, root(size))


def test_all_consistency_proofs_of_small_trees_are_those_of_the_definition_and_verify() -> None:
    for size in range(1, LARGEST):
        tree = TileTree(fetch_from(size), size)
        for old_size in range(size + 1):
            proof = tree.consistency(old_size)
            wanted = reference.proof(old_size, ENTRIES[:size]) if old_size else []
            assert list(proof.path) == wanted
            verify_consistency(proof, root(old_size), root(size))


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_proofs_over_several_levels_of_tiles_verify(data: st.DataObject) -> None:
    size = data.draw(st.sampled_from([255, 256, 257, 511, 1000, 65_536, 65_793, 70_000]))
    fetch = fetch_from(size)
    edge = Edge()
    index, old_size = data.draw(st.integers(0, size - 1)), data.draw(st.integers(0, size))
    old_root = None
    for number in range(size):
        if number == old_size:
            old_root = edge.root()
        edge.append(leaf_hash(b"entry %d" % number))
    tree = TileTree(fetch, size)
    verify_inclusion(leaf_hash(b"entry %d" % index), tree.inclusion(index), edge.root())
    verify_consistency(tree.consistency(old_size), old_root or edge.root(), edge.root())


def test_every_mutation_of_an_inclusion_proof_is_refused() -> None:
    for size in (1, 2, 3, 7, 8, 13):
        for index in range(size):
            leaf = leaf_hash(ENTRIES[index])
            proof = TileTree(fetch_from(size), size).inclusion(index)
            for wrong in _bent(proof):
                with pytest.raises(LedgerError):
                    verify_inclusion(leaf, wrong, root(size))
            for other in range(-1, size + 2):
                if other != index:
                    with pytest.raises(LedgerError):
                        verify_inclusion(leaf, replace(proof, index=other), root(size))
            with pytest.raises(LedgerError):
                verify_inclusion(LeafHash(_flip(leaf)), proof, root(size))
            with pytest.raises(LedgerError):
                verify_inclusion(leaf, proof, RootHash(_flip(root(size))))


def test_every_mutation_of_a_consistency_proof_is_refused() -> None:
    for size in (1, 2, 3, 7, 8, 13):
        for old_size in range(size + 1):
            proof = TileTree(fetch_from(size), size).consistency(old_size)
            for wrong in _bent(proof):
                with pytest.raises(LedgerError):
                    verify_consistency(wrong, root(old_size), root(size))
            for old in (-1, *range(size + 2)):
                if root(max(old, 0)) != root(old_size) or old < 0:
                    with pytest.raises(LedgerError):
                        verify_consistency(replace(proof, old_size=old), root(old_size), root(size))
            with pytest.raises(LedgerError):
                verify_consistency(proof, RootHash(_flip(root(old_size))), root(size))
            if old_size:
                with pytest.raises(LedgerError):
                    verify_consistency(proof, root(old_size), RootHash(_flip(root(size))))


def test_a_rewritten_history_has_no_consistency_proof() -> None:
    rewritten = [*ENTRIES[:4], b"rewritten", *ENTRIES[5:13]]
    new_root = RootHash(reference.mth(rewritten))
    for path in (reference.proof(7, rewritten), reference.proof(7, ENTRIES[:13])):
        with pytest.raises(LedgerError) as caught:
            verify_consistency(ConsistencyProof(7, 13, tuple(path)), root(7), new_root)
        assert caught.value.code == "consistency_mismatch"


def test_the_empty_tree_comes_before_every_tree_and_holds_nothing() -> None:
    verify_consistency(ConsistencyProof(0, 8, ()), EMPTY_ROOT, root(8))
    with pytest.raises(LedgerError):
        verify_consistency(ConsistencyProof(0, 8, ()), root(1), root(8))
    with pytest.raises(LedgerError):
        verify_inclusion(leaf_hash(b""), InclusionProof(0, 0, ()), EMPTY_ROOT)


@pytest.mark.parametrize("size", [2**40 + 1, 2**70])
def test_absurd_sizes_are_refused(size: int) -> None:
    with pytest.raises(LedgerError) as caught:
        verify_inclusion(leaf_hash(b""), InclusionProof(0, size, (bytes(32),) * 70), root(1))
    assert caught.value.code == "proof_malformed"


def _flip(data: bytes) -> bytes:
    return bytes([data[0] ^ 1]) + data[1:]


def _bent(proof: P) -> list[P]:
    return [replace(proof, path=item) for item in _bent_paths(proof.path)]


def _bent_paths(path: tuple[bytes, ...]) -> list[tuple[bytes, ...]]:
    bent = [
        (*path, bytes(32)),
        (bytes(32), *path),
        (*path, *path[-1:], *path[-1:], bytes(32)),
    ]
    for at in range(len(path)):
        bent.append((*path[:at], *path[at + 1 :]))
        bent.append((*path[:at], _flip(path[at]), *path[at + 1 :]))
        bent.append((*path[:at], path[at][:-1], *path[at + 1 :]))
        bent.append((*path[:at], path[at], *path[at:]))
    if len(path) > 1:
        bent.append(tuple(reversed(path)))
    return [item for item in bent if item != path]
