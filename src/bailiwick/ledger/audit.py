"""Verify a whole log offline: every file, from the public key alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from bailiwick.ledger.checkpoint import SignedCheckpoint, open_checkpoint
from bailiwick.ledger.errors import LedgerError
from bailiwick.ledger.note import Verifier
from bailiwick.ledger.proof import Fetch, read_resource
from bailiwick.ledger.tile import (
    BUNDLE,
    HASH_BYTES,
    TILE_WIDTH,
    Resource,
    decode_bundle,
    encode_bundle,
    parse_path,
)
from bailiwick.ledger.tree import Edge, leaf_hash

CHECKPOINT_PATH: Final = "checkpoint"


@dataclass(frozen=True, slots=True)
class VerifiedLog:
    """Evidence: every entry and tile of the log agrees with its signed checkpoint.

    Only `verify_log` and `verify_files` make one.

    Attributes:
        files: how many were read and found right.
        beyond: files that the checkpoint does not cover (a later one will); not verified.
    """

    checkpoint: SignedCheckpoint
    files: int
    beyond: tuple[str, ...] = ()


def verify_log(fetch: Fetch, verifier: Verifier) -> VerifiedLog:
    """Verify everything that the log's current checkpoint covers.

    1. The checkpoint is signed by the log (`open_checkpoint`).
    2. Every bundle is there and splits into exactly the entries it should hold.
    3. Every tile at every level is there and equals the one computed from the entries.
    4. The root computed from the entries is the checkpoint's.

    Needs one pass over the entries and little memory.

    Args:
        fetch: reads a file of the log; may raise what it likes, which passes through.
        verifier: the log's public key, from somewhere trusted.

    Raises:
        LedgerError: `log_mismatch` (the message names the wrong file), `file_missing`, or those
            of `open_checkpoint`.
    """
    return _verify(fetch, verifier)[0]


def verify_files(fetch: Fetch, verifier: Verifier, names: Iterable[str]) -> VerifiedLog:
    """Verify a log of which all files can be listed, such as a directory.

    As `verify_log`, and also:

    5. Every other file is a partial tile or bundle of an earlier size, and is a prefix of the
       verified one, or it lies beyond the checkpoint and is reported. There is nothing else
       but names with a leading dot, which are no part of a log (files half written or copied).

    Args:
        names: relative paths of all files.

    Raises:
        LedgerError: also `file_unexpected`.
    """
    log, covered = _verify(fetch, verifier)
    size = log.checkpoint.size
    files, beyond = log.files, []
    for name in sorted(names):
        if name in covered or name == CHECKPOINT_PATH or _is_hidden(name):
            continue
        resource = _known_place(name)
        if _end(resource) > size:
            beyond.append(name)
            continue
        _check_prefix(fetch, resource, size)
        files += 1
    return VerifiedLog(log.checkpoint, files, tuple(beyond))


def _verify(fetch: Fetch, verifier: Verifier) -> tuple[VerifiedLog, set[str]]:
    note = fetch(CHECKPOINT_PATH)
    if note is None:
        raise LedgerError("file_missing", f"`{CHECKPOINT_PATH}` is missing")
    checkpoint = open_checkpoint(note, verifier)  # 1
    walk = _Walk(fetch)
    edge = Edge()
    for index in range(-(-checkpoint.size // TILE_WIDTH)):
        width = min(TILE_WIDTH, checkpoint.size - index * TILE_WIDTH)
        for entry in walk.entries(Resource(BUNDLE, index, width)):  # 2
            for tile, data in edge.append(leaf_hash(entry)):
                walk.compare(tile, data)  # 3
    for tile, data in edge.partial_tiles():
        walk.compare(tile, data)  # 3
    if edge.root() != checkpoint.root:  # 4
        raise LedgerError("log_mismatch", walk.blame_entries())
    if walk.wrong:
        raise LedgerError("log_mismatch", f"`{walk.wrong[0]}` is not the tile of its entries")
    return VerifiedLog(checkpoint, len(walk.covered) + 1), walk.covered


class _Walk:
    """Reads each covered file once, and remembers tiles that differ until blame can be laid."""

    def __init__(self, fetch: Fetch) -> None:
        self.covered: set[str] = set()
        self.wrong: list[str] = []
        self._fetch = fetch

    def entries(self, bundle: Resource) -> list[bytes]:
        try:
            return decode_bundle(self._read(bundle), bundle.width)
        except LedgerError as error:
            if error.code == "file_missing":
                raise
            raise LedgerError("log_mismatch", f"`{bundle.path}`: {error.message}") from error

    def compare(self, tile: Resource, computed: bytes) -> None:
        if self._read(tile) != computed:
            self.wrong.append(tile.path)

    def blame_entries(self) -> str:
        """The entries do not hash to the checkpoint. Say where they part from the tiles."""
        for path in self.wrong:
            tile = parse_path(path)
            if tile.level == 0:
                bundle = Resource(BUNDLE, tile.index, tile.width)
                return f"`{bundle.path}` does not hold the entries of the log (see `{path}`)"
        return f"entries and tiles do not lead to the root in `{CHECKPOINT_PATH}`"

    def _read(self, resource: Resource) -> bytes:
        # When a full file stands in for a partial one, what it holds beyond the checkpoint stays
        # unverified: it is not marked as covered, so `verify_files` reports it.
        self.covered.add(resource.path)
        return read_resource(self._fetch, resource)


def _is_hidden(name: str) -> bool:
    return any(part.startswith(".") for part in name.split("/"))


def _known_place(name: str) -> Resource:
    try:
        return parse_path(name)
    except LedgerError as error:
        raise LedgerError("file_unexpected", f"`{name}` does not belong to the log") from error


def _end(resource: Resource) -> int:
    """First entry index after those under `resource`."""
    span: int = TILE_WIDTH ** max(resource.level, 0)
    return (resource.index * TILE_WIDTH + resource.width) * span


def _check_prefix(fetch: Fetch, partial: Resource, size: int) -> None:
    count = size // TILE_WIDTH ** max(partial.level, 0)
    width = min(TILE_WIDTH, count - partial.index * TILE_WIDTH)
    whole = read_resource(fetch, Resource(partial.level, partial.index, width))
    if partial.level == BUNDLE:
        wanted = encode_bundle(decode_bundle(whole, width)[: partial.width])
    else:
        wanted = whole[: partial.width * HASH_BYTES]
    if fetch(partial.path) != wanted:
        raise LedgerError("log_mismatch", f"`{partial.path}` is not what the log had at that size")
