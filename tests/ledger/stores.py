"""A store of entries in memory, and a log on disk that it was published to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bailiwick.core.errors import StoreError
from bailiwick.ledger.leaf import LeafType, LeafValue, encode_leaf
from bailiwick.ledger.note import Signer
from bailiwick.stores.tile_directory import TileDirectory
from bailiwick.stores.tlog import Publisher

LOG = Signer("example.com/log", Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
VKEY = LOG.verifier.vkey


def leaf(number: int) -> bytes:
    """A leaf such as the pipeline writes; lengths vary."""
    kind = LeafType.CALL_OUTCOME if number % 2 else LeafType.CALL_INTENT
    fields: dict[str, LeafValue] = {
        "agent": "clerk",
        "commit": {"arguments": f"{number:064x}"},
        "because": "x" * (number % 97),
    }
    return encode_leaf(kind, f"{number // 2:026d}", 1_790_000_000_000 + number, fields)


class Entries:
    """Durable entries, as `Records` gives them. `fails` makes every read a StoreError."""

    def __init__(self, count: int = 0) -> None:
        self.held = [leaf(number) for number in range(count)]
        self.fails = False
        self.reads = 0

    def grow(self, count: int) -> None:
        self.held += [leaf(number) for number in range(len(self.held), len(self.held) + count)]

    async def leaves(self, start: int, stop: int) -> Sequence[bytes]:
        self._check()
        self.reads += stop - start
        return self.held[start:stop]

    async def entry_count(self) -> int:
        self._check()
        return len(self.held)

    def _check(self) -> None:
        if self.fails:
            raise StoreError("store_down", "the store cannot be read")


def publisher(entries: Entries, root: Path) -> Publisher:
    return Publisher(entries, TileDirectory(root), LOG)
