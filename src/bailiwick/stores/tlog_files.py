"""What anyone can do with a published ledger, offline: verify it, prove from it, copy it.

Nothing here needs the database, a private key or a running gateway.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from bailiwick.core.errors import StoreError
from bailiwick.ledger.audit import CHECKPOINT_PATH, VerifiedLog, verify_files, verify_log
from bailiwick.ledger.checkpoint import SignedCheckpoint, open_checkpoint
from bailiwick.ledger.errors import LedgerError
from bailiwick.ledger.note import Verifier, parse_vkey
from bailiwick.ledger.proof import (
    Fetch,
    ProvenEntry,
    encode_proof,
    prove_entry,
    read_resource,
    verify_entry,
)
from bailiwick.ledger.tile import (
    BUNDLE,
    HASH_BYTES,
    Resource,
    decode_bundle,
    encode_bundle,
    resources,
)
from bailiwick.stores.tile_directory import TileDirectory, verifying

_COPY_AT_ONCE: Final = 128


def verify_directory(path: Path, vkey: str) -> VerifiedLog:
    """Verify every file of a log on disk, offline, with only its public key.

    Raises:
        VerificationError: which file is wrong and how; `vkey_malformed`.
        StoreError: `ledger_unreadable`.
    """
    directory = TileDirectory(path)
    with verifying():
        return verify_files(directory.read, parse_vkey(vkey), directory.names())


def verify_url(fetch: Fetch, vkey: str) -> VerifiedLog:
    """Verify a log whose files can be fetched but not listed. Raises as `verify_directory`."""
    with verifying():
        return verify_log(fetch, parse_vkey(vkey))


def verify_proof(untrusted_proof: bytes, vkey: str) -> ProvenEntry:
    """Verify a `tlog-proof` text offline, with only the log's public key.

    Raises:
        VerificationError: nothing of the proof may be used.
    """
    with verifying():
        return verify_entry(untrusted_proof, parse_vkey(vkey))


def prove_in(path: Path, vkey: str, index: int) -> bytes:
    """Prove entry `index` from the files of a log on disk, without its database.

    Raises:
        VerificationError: `index_beyond_tree`, or the files do not hold together.
        StoreError: `ledger_unreadable`.
    """
    fetch = TileDirectory(path).read
    with verifying():
        checkpoint = _read_checkpoint(fetch, parse_vkey(vkey))
        return encode_proof(prove_entry(fetch, checkpoint, index))


def export_directory(source: Path, target: Path, vkey: str) -> SignedCheckpoint:
    """Copy what the current checkpoint covers, and the checkpoint last, to a new folder.

    Raises:
        VerificationError: the source has no valid checkpoint, or a file is missing.
        StoreError: `ledger_unreadable`, `ledger_unwritable`; `export_not_empty`.
    """
    fetch, copy = TileDirectory(source).read, TileDirectory(target)
    if next(copy.names(), None) is not None:
        raise StoreError("export_not_empty", f"`{target}` is not empty")
    with verifying():
        checkpoint = _read_checkpoint(fetch, parse_vkey(vkey))
        files: list[tuple[str, bytes]] = []
        for resource in resources(checkpoint.size):
            files.append((resource.path, _read_exactly(fetch, resource)))
            if len(files) == _COPY_AT_ONCE:
                copy.put(files)
                files = []
        copy.put([*files])
        copy.put([(CHECKPOINT_PATH, checkpoint.note)])
        return checkpoint


def _read_checkpoint(fetch: Fetch, verifier: Verifier) -> SignedCheckpoint:
    note = fetch(CHECKPOINT_PATH)
    if note is None:
        raise LedgerError("file_missing", f"`{CHECKPOINT_PATH}` is missing")
    return open_checkpoint(note, verifier)


def _read_exactly(fetch: Fetch, resource: Resource) -> bytes:
    """Read what belongs under the resource's own name, from the full file if need be."""
    data, width = read_resource(fetch, resource)
    if width == resource.width:
        return data
    if resource.level == BUNDLE:
        return encode_bundle(decode_bundle(data, width)[: resource.width])
    return data[: resource.width * HASH_BYTES]
