"""A log in memory, for tests: files by path."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bailiwick.ledger.audit import CHECKPOINT_PATH
from bailiwick.ledger.checkpoint import SignedCheckpoint, sign_checkpoint
from bailiwick.ledger.note import Signer
from bailiwick.ledger.tile import BUNDLE, TILE_WIDTH, Resource, encode_bundle
from bailiwick.ledger.tree import Edge, leaf_hash

LOG = Signer("example.com/log", Ed25519PrivateKey.from_private_bytes(bytes(range(32))))


def entry(number: int) -> bytes:
    return b'{"entry":%d}' % number


def build(entries: list[bytes]) -> tuple[dict[str, bytes], SignedCheckpoint]:
    """All files of a log that was published once, at its full size."""
    edge, files = Edge(), {}
    for item in entries:
        for tile, data in edge.append(leaf_hash(item)):
            files[tile.path] = data
    files.update({tile.path: data for tile, data in edge.partial_tiles()})
    for start in range(0, len(entries), TILE_WIDTH):
        within = entries[start : start + TILE_WIDTH]
        files[Resource(BUNDLE, start // TILE_WIDTH, len(within)).path] = encode_bundle(within)
    checkpoint = sign_checkpoint(edge.size, edge.root(), LOG)
    files[CHECKPOINT_PATH] = checkpoint.note
    return files, checkpoint
