"""Verify inclusion and consistency proofs (RFC 9162 sections 2.1.3.2 and 2.1.4.2).

Verification raises and never returns a flag. The numbers in the code are the sections' steps.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass

from bailiwick.ledger.errors import LedgerError
from bailiwick.ledger.tile import HASH_BYTES, MAX_SIZE
from bailiwick.ledger.tree import EMPTY_ROOT, LeafHash, RootHash, node_hash


@dataclass(frozen=True, slots=True)
class InclusionProof:
    """That an entry is in a tree.

    Attributes:
        index, size: 0 <= index < size <= 2**40.
        path: 32-byte hashes, from the leaf's sibling up to the root's child.
    """

    index: int
    size: int
    path: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class ConsistencyProof:
    """That a tree begins with an older tree.

    Attributes:
        old_size, size: 0 <= old_size <= size <= 2**40.
        path: 32-byte hashes; empty when the sizes are equal or `old_size` is 0.
    """

    old_size: int
    size: int
    path: tuple[bytes, ...]


def verify_inclusion(leaf: LeafHash, proof: InclusionProof, root: RootHash) -> None:
    """Verify that `leaf` is entry `proof.index` of the tree of `proof.size` entries.

    Pure. O(log size) hashes.

    1. The index is below the size.
    2. Set fn to the index and sn to size - 1.
    3. Set r to the leaf's hash.
    4. For each p of the path: fail if sn is 0. If fn is odd or equals sn, r = H(1 || p || r),
       and if fn is even, shift both right until fn is odd or 0; else r = H(1 || r || p). Shift
       both right once.
    5. sn is 0, and r is the root.

    Args:
        leaf: 32 bytes, SHA-256(0x00 || entry).
        proof: untrusted.
        root: 32 bytes, from a checkpoint whose signature is already verified.

    Raises:
        LedgerError: `proof_malformed` for impossible sizes or lengths, `inclusion_mismatch` when
            the path does not reach `root`.

    Source: RFC 9162 section 2.1.3.2. Vectors: tests/vectors/inclusion.json.
    """
    _check_hashes((leaf, root, *proof.path))
    if not 0 <= proof.index < proof.size <= MAX_SIZE:  # 1
        raise LedgerError(
            "proof_malformed", f"no entry {proof.index} is in a tree of {proof.size} entries"
        )
    fn, sn = proof.index, proof.size - 1  # 2
    r: bytes = leaf  # 3
    for p in proof.path:  # 4
        if sn == 0:
            raise LedgerError("proof_malformed", "the inclusion path is too long")
        if fn & 1 or fn == sn:
            r = node_hash(p, r)
            if not fn & 1:
                fn, sn = _shift_to_odd(fn, sn)
        else:
            r = node_hash(r, p)
        fn, sn = fn >> 1, sn >> 1
    if sn != 0:  # 5
        raise LedgerError("proof_malformed", "the inclusion path is too short")
    if not hmac.compare_digest(r, root):
        raise LedgerError(
            "inclusion_mismatch", f"entry {proof.index} is not in the tree of {proof.size} entries"
        )


def verify_consistency(proof: ConsistencyProof, old_root: RootHash, root: RootHash) -> None:
    """Verify that the tree of `proof.size` entries begins with the one of `proof.old_size`.

    Pure. O(log size) hashes. Sizes 0 and equal sizes are outside the RFC's algorithm: their
    path is empty, and the old root is the empty root or `root` itself.

    1. The path is not empty.
    2. If the old size is a power of two, the old root goes before the path.
    3. Set fn to old size - 1 and sn to size - 1.
    4. Shift both right while fn is odd.
    5. Set fr and sr to the first hash of the path.
    6. For each later c: fail if sn is 0. If fn is odd or equals sn, fr = H(1 || c || fr) and
       sr = H(1 || c || sr), and if fn is even, shift both right until fn is odd or 0; else
       sr = H(1 || sr || c). Shift both right once.
    7. fr is the old root, sr is the root, and sn is 0.

    Args:
        proof: untrusted.
        old_root, root: 32 bytes each, from checkpoints whose signatures are already verified.

    Raises:
        LedgerError: `proof_malformed`, `consistency_mismatch`.

    Source: RFC 9162 section 2.1.4.2. Vectors: tests/vectors/consistency.json.
    """
    _check_hashes((old_root, root, *proof.path))
    if not 0 <= proof.old_size <= proof.size <= MAX_SIZE:
        raise LedgerError(
            "proof_malformed",
            f"a tree of {proof.size} entries cannot begin with one of {proof.old_size}",
        )
    if proof.old_size in (0, proof.size):
        _verify_trivial(proof, old_root, root)
        return
    if not proof.path:  # 1
        raise LedgerError("proof_malformed", "the consistency path is empty")
    power_of_two = proof.old_size & (proof.old_size - 1) == 0
    first, *rest = (old_root, *proof.path) if power_of_two else proof.path  # 2
    fn, sn = proof.old_size - 1, proof.size - 1  # 3
    while fn & 1:  # 4
        fn, sn = fn >> 1, sn >> 1
    fr = sr = first  # 5
    for c in rest:  # 6
        if sn == 0:
            raise LedgerError("proof_malformed", "the consistency path is too long")
        if fn & 1 or fn == sn:
            fr, sr = node_hash(c, fr), node_hash(c, sr)
            if not fn & 1:
                fn, sn = _shift_to_odd(fn, sn)
        else:
            sr = node_hash(sr, c)
        fn, sn = fn >> 1, sn >> 1
    if sn != 0:  # 7
        raise LedgerError("proof_malformed", "the consistency path is too short")
    if not (hmac.compare_digest(fr, old_root) and hmac.compare_digest(sr, root)):
        raise _inconsistent(proof)


def _verify_trivial(proof: ConsistencyProof, old_root: RootHash, root: RootHash) -> None:
    if proof.path:
        raise LedgerError("proof_malformed", "the consistency path is too long")
    if proof.old_size == proof.size and old_root != root:
        raise _inconsistent(proof)
    if proof.old_size == 0 and old_root != EMPTY_ROOT:
        raise _inconsistent(proof)


def _inconsistent(proof: ConsistencyProof) -> LedgerError:
    return LedgerError(
        "consistency_mismatch",
        f"the tree of {proof.size} entries does not begin with the one of {proof.old_size}",
    )


def _shift_to_odd(fn: int, sn: int) -> tuple[int, int]:
    while fn and not fn & 1:
        fn, sn = fn >> 1, sn >> 1
    return fn, sn


def _check_hashes(hashes: Sequence[bytes]) -> None:
    if any(len(item) != HASH_BYTES for item in hashes):
        raise LedgerError("proof_malformed", "a hash has 32 bytes")
