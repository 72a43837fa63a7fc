"""What anyone can do with a published ledger and its public key, with no store and no gateway."""

from __future__ import annotations

from pathlib import Path

from bailiwick.ledger.audit import CHECKPOINT_PATH, VerifiedLog, verify_files, verify_log
from bailiwick.ledger.checkpoint import SignedCheckpoint, open_checkpoint
from bailiwick.ledger.note import parse_vkey
from bailiwick.ledger.proof import (
    ProvenEntry,
    encode_proof,
    prove_entry,
    read_resource,
    verify_entry,
)
from bailiwick.ledger.tile import resources
from bailiwick.stores.tile_directory import TileDirectory
from tests.ledger.stores import VKEY

KEY = parse_vkey(VKEY)


def verify_directory(root: Path) -> VerifiedLog:
    """Every file of it."""
    directory = TileDirectory(root)
    return verify_files(directory.read, KEY, directory.names())


def verify_covered(root: Path) -> VerifiedLog:
    """What the checkpoint covers, as over HTTP."""
    return verify_log(TileDirectory(root).read, KEY)


def verify_proof(untrusted_proof: bytes) -> ProvenEntry:
    """One proof's text."""
    return verify_entry(untrusted_proof, KEY)


def prove_in(root: Path, index: int) -> bytes:
    """A proof's text from the files alone."""
    fetch = TileDirectory(root).read
    return encode_proof(prove_entry(fetch, checkpoint_in(root), index))


def checkpoint_in(root: Path) -> SignedCheckpoint:
    """The published checkpoint."""
    return open_checkpoint(TileDirectory(root).read(CHECKPOINT_PATH) or b"", KEY)


def copy(root: Path, target: Path) -> SignedCheckpoint:
    """Copy exactly what the checkpoint covers."""
    fetch, checkpoint = TileDirectory(root).read, checkpoint_in(root)
    files = [(item.path, read_resource(fetch, item)) for item in resources(checkpoint.size)]
    TileDirectory(target).put([*files, (CHECKPOINT_PATH, checkpoint.note)])
    return checkpoint
