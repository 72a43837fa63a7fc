"""Checkpoints: the signed head of the log (C2SP tlog-checkpoint v1.0.0)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from bailiwick.ledger.errors import LedgerError
from bailiwick.ledger.note import Signer, Verifier, decode_base64, encode_base64, open_note
from bailiwick.ledger.tile import HASH_BYTES, MAX_SIZE
from bailiwick.ledger.tree import RootHash

_SIZE = re.compile(r"0|[1-9][0-9]{0,12}")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a log says of itself, not yet known to be signed.

    Attributes:
        origin: the log's name; one line, not empty.
        size: entries; 0 <= size <= 2**40.
        root: 32 bytes.
    """

    origin: str
    size: int
    root: RootHash

    @property
    def text(self) -> str:
        """The note text."""
        return f"{self.origin}\n{self.size}\n{encode_base64(self.root)}\n"


@dataclass(frozen=True, slots=True)
class SignedCheckpoint:
    """Evidence: a checkpoint with a note whose signature by the log was made or verified.

    Only `sign_checkpoint` and `open_checkpoint` make one.

    Attributes:
        note: the signed bytes, verbatim, with any witness signatures.
    """

    checkpoint: Checkpoint
    note: bytes

    @property
    def size(self) -> int:
        """Entries in the log."""
        return self.checkpoint.size

    @property
    def root(self) -> RootHash:
        """Root hash at that size."""
        return self.checkpoint.root


def sign_checkpoint(size: int, root: RootHash, signer: Signer) -> SignedCheckpoint:
    """Sign the head of the log named as the signer is.

    INVARIANT (the caller's): nobody has ever signed another root for a size of this log, and
    every entry below `size` is durable.
    """
    checkpoint = Checkpoint(signer.name, size, root)
    return SignedCheckpoint(checkpoint, signer.sign(checkpoint.text))


def open_checkpoint(note: bytes, verifier: Verifier) -> SignedCheckpoint:
    """Verify a checkpoint of the log that `verifier` names.

    1. The note holds and is signed by `verifier` (`open_note`).
    2. The text has three lines: origin, size, root, each in its one spelling. Extension lines
       are refused: we write none, and nobody audits them.
    3. The origin is the verifier's name: a key signs for one log only.

    Raises:
        LedgerError: those of `open_note`; `checkpoint_malformed`; `origin_mismatch`.
    """
    text = open_note(note, [verifier]).text  # 1
    checkpoint = _parse(text)  # 2
    if checkpoint.origin != verifier.name:  # 3
        raise LedgerError(
            "origin_mismatch", f"the checkpoint is of `{checkpoint.origin}`, not `{verifier.name}`"
        )
    return SignedCheckpoint(checkpoint, note)


def _parse(text: str) -> Checkpoint:
    lines = text.split("\n")
    if len(lines) != 4 or lines[3] or not lines[0]:
        raise LedgerError("checkpoint_malformed", "a checkpoint has three lines of text")
    origin, size, root = lines[0], lines[1], decode_base64(lines[2])
    if not _SIZE.fullmatch(size) or int(size) > MAX_SIZE:
        raise LedgerError("checkpoint_malformed", f"`{size}` is not a tree size")
    if len(root) != HASH_BYTES:
        raise LedgerError("checkpoint_malformed", f"`{lines[2]}` is not a root hash")
    return Checkpoint(origin, int(size), RootHash(root))
