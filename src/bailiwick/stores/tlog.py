"""Publish the ledger: from the store's entries to signed, verifiable files.

The store holds the entries and is the truth. The directory is derived from it: bundles and tiles
first, and the checkpoint last, so that a checkpoint never names what is not there. Recovery is
the same code as publishing: whatever was not finished is written again.

What can go wrong at start, and what happens:

* no checkpoint: the log is published from its first entry;
* tiles at the edge are missing or damaged: they are computed again from the store, and used only
  if they lead to the root that was signed;
* the store has fewer entries than the checkpoint, or others: refused. Going on would sign two
  histories under one name.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Final, ParamSpec, Protocol, TypeVar

from bailiwick.core.errors import BailiwickError, StoreError, VerificationError
from bailiwick.ledger.audit import CHECKPOINT_PATH
from bailiwick.ledger.checkpoint import SignedCheckpoint, open_checkpoint, sign_checkpoint
from bailiwick.ledger.errors import LedgerError
from bailiwick.ledger.note import Signer
from bailiwick.ledger.proof import Fetch, TileTree, encode_proof, prove_entry, read_resource
from bailiwick.ledger.tile import BUNDLE, TILE_WIDTH, Resource, encode_bundle
from bailiwick.ledger.tree import Edge, edge_tiles, leaf_hashes, restore_edge
from bailiwick.ledger.verify import verify_inclusion
from bailiwick.ports import Sleep
from bailiwick.stores.tile_directory import TileDirectory

_READ_AT_ONCE: Final = 1024
_WRITE_AT_ONCE: Final = 64
"""Files made durable together, about 2 MB of them: few enough to hold, enough to share a sync."""

_HASH_AT_ONCE: Final = 128
"""Entries hashed between two turns of the event loop: about 0.3 ms."""

_T = TypeVar("_T")
_P = ParamSpec("_P")

_log = logging.getLogger(__name__)


class EntrySource(Protocol):
    """The part of `Records` that a publisher needs."""

    async def leaves(self, start: int, stop: int) -> Sequence[bytes]:
        """Leaves of the entries with start <= index < stop, in order."""
        ...

    async def entry_count(self) -> int:
        """How many entries are durable."""
        ...


@dataclass(frozen=True, slots=True)
class _Head:
    """How far the directory is written.

    Attributes:
        leaves: the entries of the bundle that is not yet full.
        partials: paths of the partial files that are already durable.
        filled: tiles and bundles that became full since the last checkpoint.
    """

    edge: Edge = field(default_factory=Edge)
    leaves: tuple[bytes, ...] = ()
    partials: frozenset[str] = frozenset()
    filled: tuple[Resource, ...] = ()


class Publisher:
    """Keeps the directory up to date with the store. The only writer of its directory.

    Attributes:
        trouble: why the last attempt to publish failed; None when it went well. A StoreError is
            tried again by `run`; a VerificationError is final.
    """

    def __init__(
        self,
        records: EntrySource,
        directory: TileDirectory,
        signer: Signer,
        interval_seconds: float = 1.0,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self.trouble: BailiwickError | None = None
        self._records = records
        self._directory = directory
        self._signer = signer
        self._interval_seconds = interval_seconds
        self._sleep = sleep
        self._lock = asyncio.Lock()
        self._poked = asyncio.Event()
        self._hurried = asyncio.Event()
        self._head: _Head | None = None
        self._checkpoint: SignedCheckpoint | None = None

    @property
    def checkpoint(self) -> SignedCheckpoint | None:
        """The newest checkpoint this publisher knows to be durable; None before the first."""
        return self._checkpoint

    def poke(self, *, hurry: bool = False) -> None:
        """Say that entries were appended. Cheap: call it after every commit.

        Args:
            hurry: so much waits in memory that it is to be published without a pause.
        """
        self._poked.set()
        if hurry:
            self._hurried.set()

    async def run(self) -> None:
        """Publish when poked, until cancelled: at most once in `interval_seconds` but in a hurry.

        A store or disk that fails is tried again after the interval; calls do not depend on it.

        Raises:
            VerificationError: the ledger and the store do not belong together (see `publish`).
        """
        while True:
            await self._poked.wait()
            self._poked.clear()
            self._hurried.clear()
            try:
                await self.publish()
            except StoreError as error:
                _log.warning("ledger not published: %s", error.message)
                self._poked.set()
                await self._sleep(self._interval_seconds)
                continue
            await self._pause()

    async def _pause(self) -> None:
        """Until the interval is over, or somebody is in a hurry."""
        pause = asyncio.ensure_future(self._sleep(self._interval_seconds))
        hurried = asyncio.ensure_future(self._hurried.wait())
        try:
            await asyncio.wait((pause, hurried), return_when=asyncio.FIRST_COMPLETED)
        finally:
            pause.cancel()
            hurried.cancel()

    async def publish(self) -> SignedCheckpoint:
        """Publish every entry that is durable in the store now, and return the checkpoint.

        INVARIANT: no two checkpoints with one size and different roots are ever signed, and each
        is a prefix of the next: the tree only grows from the edge that the last durable
        checkpoint signed, by entries the store says are durable.

        Raises:
            StoreError: nothing may be relied upon; earlier checkpoints stand; try again.
            VerificationError: `ledger_ahead_of_store`, `ledger_diverged`, or the checkpoint's
                own trouble (another key). Nothing was signed, and trying again cannot help.
        """
        async with self._lock:
            try:
                with _verifying():
                    checkpoint = await self._publish()
            except BailiwickError as error:
                self.trouble = error
                raise
            self.trouble = None
            return checkpoint

    async def proof(self, index: int) -> bytes:
        """Prove entry `index`: a `c2sp.org/tlog-proof@v1` text that carries the entry.

        Publishes first when no checkpoint covers the entry yet. Reads the published files only,
        and verifies the proof before returning it.

        Raises:
            StoreError: `entry_unknown`, or those of `publish`.
            VerificationError: the published files do not hold together.
        """
        checkpoint = self._checkpoint
        if checkpoint is None or checkpoint.size <= index:
            checkpoint = await self.publish()
        if not 0 <= index < checkpoint.size:
            raise StoreError("entry_unknown", f"the ledger has no entry {index}")
        with _verifying():
            proof = await asyncio.to_thread(prove_entry, self._directory.read, checkpoint, index)
        return encode_proof(proof)

    async def _publish(self) -> SignedCheckpoint:
        if self._head is None:
            self._head, self._checkpoint = await self._recover()
        count = await self._records.entry_count()
        if self._checkpoint is not None and count == self._checkpoint.size:
            return self._checkpoint
        if count < self._head.edge.size:
            raise _ahead(self._head.edge.size, count)
        head = await self._extend(self._head, count)
        checkpoint = sign_checkpoint(count, head.edge.root(), self._signer)
        await _in_thread(self._directory.put, [(CHECKPOINT_PATH, checkpoint.note)])
        self._head = _Head(head.edge, head.leaves, head.partials)
        self._checkpoint = checkpoint
        await _in_thread(self._drop_partials, head.filled)
        return checkpoint

    async def _extend(self, head: _Head, count: int) -> _Head:
        """Write bundles and tiles up to `count` entries; durable when this returns."""
        edge, leaves, filled = head.edge.copy(), list(head.leaves), list(head.filled)
        files: list[tuple[Resource, bytes]] = []
        while edge.size < count:
            read = await self._read(edge.size, min(edge.size + _READ_AT_ONCE, count))
            at = 0
            while at < len(read):
                part = read[at : at + min(edge.room, _HASH_AT_ONCE)]
                at += len(part)
                leaves += part
                tiles = edge.extend(leaf_hashes(part))
                if tiles:
                    bundle = Resource(BUNDLE, edge.size // TILE_WIDTH - 1, TILE_WIDTH)
                    files += [(bundle, encode_bundle(leaves)), *tiles]
                    leaves.clear()
                await asyncio.sleep(0)
            if len(files) >= _WRITE_AT_ONCE:
                await self._put(files)
                filled += [resource for resource, _ in files]
                files = []
        filled += [resource for resource, _ in files]
        partials = list(edge.partial_tiles())
        if leaves:
            bundle = Resource(BUNDLE, edge.size // TILE_WIDTH, len(leaves))
            partials.append((bundle, encode_bundle(leaves)))
        files += [item for item in partials if item[0].path not in head.partials]
        await self._put(files)
        paths = frozenset(resource.path for resource, _ in partials)
        return _Head(edge, tuple(leaves), paths, tuple(filled))

    async def _recover(self) -> tuple[_Head, SignedCheckpoint | None]:
        """Find where the directory stands, from its own files, checked against the store.

        1. Without a checkpoint, start from nothing.
        2. The checkpoint is signed with our key.
        3. The store has at least its entries.
        4. The tiles at the edge lead to its root.
        5. The store's entries in the last tile are the ones in the tree. The store is
           append-only, so a store that parted from this ledger differs in the last entry.
        6. Where 4 or 5 fail, all entries of the store are hashed again: if they lead to the
           signed root, the files are written again, else this store is not this ledger's.
        """
        fetch = self._directory.read
        note = await _in_thread(fetch, CHECKPOINT_PATH)
        if note is None:  # 1
            return _Head(), None
        checkpoint = open_checkpoint(note, self._signer.verifier)  # 2
        count = await self._records.entry_count()
        if count < checkpoint.size:  # 3
            raise _ahead(checkpoint.size, count)
        start = max(0, checkpoint.size - 1) // TILE_WIDTH * TILE_WIDTH
        tail = await self._read(start, checkpoint.size)
        try:
            edge = await _in_thread(_read_edge, fetch, checkpoint)  # 4
            await _in_thread(_check_tail, fetch, checkpoint, edge, tail)  # 5
        except LedgerError as error:
            _log.warning("ledger files are computed again from the store: %s", error.message)
            return await self._rebuild(checkpoint), checkpoint  # 6
        leaves = tuple(tail[: checkpoint.size % TILE_WIDTH]) if edge.pending() else ()
        return _Head(edge, leaves), checkpoint

    async def _rebuild(self, checkpoint: SignedCheckpoint) -> _Head:
        edge = Edge()
        while edge.size < checkpoint.size:
            stop = min(edge.size + min(edge.room, _HASH_AT_ONCE), checkpoint.size)
            edge.extend(leaf_hashes(await self._read(edge.size, stop)))
        if edge.root() != checkpoint.root:
            raise VerificationError(
                "ledger_diverged",
                f"the database does not hold the {checkpoint.size} entries that the ledger in "
                f"`{self._directory.root}` signed: restore the database that belongs to it, or "
                "keep that folder for auditors and begin a new log under another name",
            )
        return await self._extend(_Head(), checkpoint.size)

    async def _read(self, start: int, stop: int) -> Sequence[bytes]:
        leaves = await self._records.leaves(start, stop)
        if len(leaves) != stop - start:
            raise StoreError("ledger_gap", f"the store lacks entries between {start} and {stop}")
        return leaves

    async def _put(self, files: Sequence[tuple[Resource, bytes]]) -> None:
        if files:
            named = [(resource.path, data) for resource, data in files]
            await _in_thread(self._directory.put, named)

    def _drop_partials(self, filled: Sequence[Resource]) -> None:
        # The checkpoint stands: what is left over is only untidy, and no reason to fail.
        try:
            for resource in filled:
                self._directory.drop_partials(resource)
        except StoreError as error:
            _log.warning("old partial tiles stay: %s", error.message)


@contextmanager
def _verifying() -> Iterator[None]:
    """Turn the ledger room's errors into the house's."""
    try:
        yield
    except LedgerError as error:
        raise VerificationError(error.code, error.message) from error


def _read_edge(fetch: Fetch, checkpoint: SignedCheckpoint) -> Edge:
    tiles = [read_resource(fetch, tile) for tile in edge_tiles(checkpoint.size)]
    return restore_edge(checkpoint.size, tiles, checkpoint.root)


def _check_tail(
    fetch: Fetch, checkpoint: SignedCheckpoint, edge: Edge, tail: Sequence[bytes]
) -> None:
    hashes = leaf_hashes(tail)
    pending = edge.pending()
    if pending and list(pending) != hashes:
        raise LedgerError("ledger_diverged", "the store's last entries are not those of the tiles")
    if hashes:
        proof = TileTree(fetch, checkpoint.size).inclusion(checkpoint.size - 1)
        verify_inclusion(hashes[-1], proof, checkpoint.root)


def _ahead(size: int, count: int) -> VerificationError:
    return VerificationError(
        "ledger_ahead_of_store",
        f"the ledger has signed {size} entries and the database holds {count}: the database is "
        "older than the ledger (restored from a backup?). Restore the newest database, or keep "
        "the ledger's folder for auditors and begin a new log under another name",
    )


async def _in_thread(act: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
    """Run `act` in a thread, and do not return before it has ended, even when cancelled.

    INVARIANT: one writer. Were the lock released while a cancelled write still ran, the next one
    would write over its staged files.
    """
    task = asyncio.ensure_future(asyncio.to_thread(act, *args, **kwargs))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        while not task.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait([task])
        raise
