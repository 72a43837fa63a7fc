"""Make proofs from tiles, and write and read them as text (`c2sp.org/tlog-proof@v1`)."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from bailiwick.ledger.checkpoint import SignedCheckpoint, open_checkpoint
from bailiwick.ledger.errors import LedgerError
from bailiwick.ledger.note import Verifier, decode_base64, encode_base64
from bailiwick.ledger.tile import (
    BUNDLE,
    HASH_BYTES,
    MAX_SIZE,
    TILE_WIDTH,
    Resource,
    decode_bundle,
    decode_tile,
    encode_bundle,
)
from bailiwick.ledger.tree import LeafHash, full_root, leaf_hash, node_hash
from bailiwick.ledger.verify import (
    ConsistencyProof,
    InclusionProof,
    verify_consistency,
    verify_inclusion,
)

Fetch = Callable[[str], bytes | None]
"""Reads one file of the log by its relative path; None when there is no such file."""

_HEADER = "c2sp.org/tlog-proof@v1"
_INDEX = re.compile(r"index (0|[1-9][0-9]{0,12})")


@dataclass(frozen=True, slots=True)
class EntryProof:
    """An entry with all that is needed to verify it, as read from text: not yet verified.

    Attributes:
        leaf: the entry itself, carried as the proof's extra data. Untrusted until it hashes into
            the tree.
        index: its place.
        path: hashes from the leaf's sibling up.
        note: the checkpoint, verbatim.
    """

    leaf: bytes
    index: int
    path: tuple[bytes, ...]
    note: bytes


@dataclass(frozen=True, slots=True)
class ProvenEntry:
    """Evidence: this leaf is in the log of this checkpoint. Only `verify_entry` makes one."""

    leaf: bytes
    index: int
    checkpoint: SignedCheckpoint


class TileTree:
    """A tree of `size` entries, read from tiles on demand. Nothing read is trusted.

    Keeps every tile it has read, so use one for each proof.
    """

    def __init__(self, fetch: Fetch, size: int) -> None:
        self.size = size
        self._fetch = fetch
        self._tiles: dict[tuple[int, int], list[bytes]] = {}

    def inclusion(self, index: int) -> InclusionProof:
        """The path of RFC 9162 section 2.1.3.1.

        Raises:
            LedgerError: `file_missing`, `tile_malformed`; `index_beyond_tree`.
        """
        if not 0 <= index < self.size:
            raise LedgerError("index_beyond_tree", f"the tree of {self.size} has no entry {index}")
        path: list[bytes] = []
        low, high = 0, self.size
        while high - low > 1:
            middle = low + _split(high - low)
            if index < middle:
                path.append(self._range(middle, high))
                high = middle
            else:
                path.append(self._range(low, middle))
                low = middle
        return InclusionProof(index, self.size, tuple(reversed(path)))

    def consistency(self, old_size: int) -> ConsistencyProof:
        """The path of RFC 9162 section 2.1.4.1.

        Raises:
            LedgerError: `file_missing`, `tile_malformed`; `index_beyond_tree`.
        """
        if not 0 <= old_size <= self.size:
            raise LedgerError("index_beyond_tree", f"{self.size} entries are less than {old_size}")
        if old_size in (0, self.size):
            return ConsistencyProof(old_size, self.size, ())
        path: list[bytes] = []
        low, high = 0, self.size
        while high != old_size:
            middle = low + _split(high - low)
            if old_size <= middle:
                path.append(self._range(middle, high))
                high = middle
            else:
                path.append(self._range(low, middle))
                low = middle
        if low:  # else the old tree is a whole subtree, whose root the verifier has
            path.append(self._range(low, high))
        return ConsistencyProof(old_size, self.size, tuple(reversed(path)))

    def leaf(self, index: int) -> bytes:
        """Entry `index` from its bundle.

        Raises:
            LedgerError: `file_missing`, `bundle_malformed`; `index_beyond_tree`.
        """
        if not 0 <= index < self.size:
            raise LedgerError("index_beyond_tree", f"the tree of {self.size} has no entry {index}")
        bundle = self._resource(BUNDLE, index // TILE_WIDTH)
        data = read_resource(self._fetch, bundle)
        return decode_bundle(data, bundle.width)[index % TILE_WIDTH]

    def _range(self, low: int, high: int) -> bytes:
        """Merkle Tree Hash of the entries low <= i < high; `low` is a multiple of the widest
        complete subtree within."""
        width = 1 << ((high - low).bit_length() - 1)
        left = self._subtree(width.bit_length() - 1, low // width)
        if width == high - low:
            return left
        return node_hash(left, self._range(low + width, high))

    def _subtree(self, height: int, index: int) -> bytes:
        level, within = divmod(height, 8)
        first = index << within
        row = self._tile(level, first // TILE_WIDTH)
        start = first % TILE_WIDTH
        return full_root(row[start : start + (1 << within)])

    def _tile(self, level: int, index: int) -> list[bytes]:
        if (level, index) not in self._tiles:
            tile = self._resource(level, index)
            data = read_resource(self._fetch, tile)
            self._tiles[level, index] = decode_tile(data, tile.width)
        return self._tiles[level, index]

    def _resource(self, level: int, index: int) -> Resource:
        count = self.size >> (8 * max(level, 0))
        return Resource(level, index, min(TILE_WIDTH, count - index * TILE_WIDTH))


def read_resource(fetch: Fetch, resource: Resource) -> bytes:
    """Read a tile or bundle, at the width it is asked for.

    A partial file may have been removed once its full one was there; then that is read and cut
    to size (C2SP tlog-tiles, "Partial Tiles"). What is read is not verified.

    Raises:
        LedgerError: `file_missing`; `bundle_malformed` for a full bundle that cannot be cut.
    """
    data = fetch(resource.path)
    if data is not None:
        return data
    full = fetch(resource.full.path) if resource.width < TILE_WIDTH else None
    if full is None:
        raise LedgerError("file_missing", f"`{resource.path}` is missing")
    if resource.level == BUNDLE:
        return encode_bundle(decode_bundle(full, TILE_WIDTH)[: resource.width])
    return full[: resource.width * HASH_BYTES]


def prove_entry(fetch: Fetch, checkpoint: SignedCheckpoint, index: int) -> EntryProof:
    """Prove entry `index` in the log of `checkpoint`, and verify the proof before it leaves.

    Raises:
        LedgerError: `index_beyond_tree`, `file_missing`, or those of `verify_inclusion` when the
            files do not hash to the checkpoint.
    """
    tree = TileTree(fetch, checkpoint.size)
    proof, leaf = tree.inclusion(index), tree.leaf(index)
    verify_inclusion(leaf_hash(leaf), proof, checkpoint.root)
    return EntryProof(leaf, index, proof.path, checkpoint.note)


def prove_consistency(
    fetch: Fetch, old: SignedCheckpoint, checkpoint: SignedCheckpoint
) -> ConsistencyProof:
    """Prove that the log of `checkpoint` begins with that of `old`, and verify the proof.

    Raises:
        LedgerError: `index_beyond_tree`, `file_missing`, or those of `verify_consistency`.
    """
    proof = TileTree(fetch, checkpoint.size).consistency(old.size)
    verify_consistency(proof, old.root, checkpoint.root)
    return proof


def encode_proof(proof: EntryProof) -> bytes:
    """Write the text of `c2sp.org/tlog-proof@v1`, with the leaf as extra data."""
    lines = [_HEADER, f"extra {encode_base64(proof.leaf)}", f"index {proof.index}"]
    lines += [encode_base64(item) for item in proof.path]
    return "\n".join([*lines, "", ""]).encode() + proof.note


def parse_proof(untrusted_proof: bytes) -> EntryProof:
    """Read a proof's text; nothing in it is verified yet.

    Raises:
        LedgerError: `proof_malformed`, also when the proof does not carry its leaf.
    """
    head, separator, note = untrusted_proof.partition(b"\n\n")
    try:
        lines = head.decode("ascii").split("\n")
    except UnicodeDecodeError as error:
        raise LedgerError("proof_malformed", "the proof's lines are not ASCII") from error
    if not separator or lines[0] != _HEADER:
        raise LedgerError("proof_malformed", f"the proof does not start with `{_HEADER}`")
    if len(lines) < 3 or not lines[1].startswith("extra "):
        raise LedgerError("proof_malformed", "the proof does not carry its entry as extra data")
    index = _INDEX.fullmatch(lines[2])
    if index is None:
        raise LedgerError("proof_malformed", f"`{lines[2][:100]}` does not give the entry's index")
    try:
        leaf = decode_base64(lines[1].removeprefix("extra "))
        path = tuple(decode_base64(line) for line in lines[3:])
    except LedgerError as error:
        raise LedgerError("proof_malformed", error.message) from error
    return EntryProof(leaf, int(index[1]), path, note)


def verify_entry(untrusted_proof: bytes, verifier: Verifier) -> ProvenEntry:
    """Verify a proof's text offline, with nothing but the log's public key.

    1. The text parses.
    2. Its checkpoint is signed by the log.
    3. The entry it carries is hashed.
    4. The path leads from that hash to the checkpoint's root.

    Raises:
        LedgerError: which step failed; nothing of the proof may be used.

    Source: https://c2sp.org/tlog-proof, "Verifying a tlog proof".
    """
    proof = parse_proof(untrusted_proof)  # 1
    checkpoint = open_checkpoint(proof.note, verifier)  # 2
    leaf = leaf_hash(proof.leaf)  # 3
    inclusion = InclusionProof(proof.index, checkpoint.size, proof.path)
    verify_inclusion(LeafHash(leaf), inclusion, checkpoint.root)  # 4
    return ProvenEntry(proof.leaf, proof.index, checkpoint)


def _split(width: int) -> int:
    """Largest power of two below `width`, which is 2 or more."""
    return 1 << ((width - 1).bit_length() - 1)


assert MAX_SIZE < 10**13  # what _INDEX admits
