"""The publisher keeps the directory in step with the store, and refuses to fork."""

from __future__ import annotations

import asyncio
import errno
import os
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bailiwick.core.errors import StoreError, VerificationError
from bailiwick.ledger.note import Signer
from bailiwick.ports import Entry
from bailiwick.stores.sqlite import SqliteJournal
from bailiwick.stores.sqlite_reads import SqliteRecords
from bailiwick.stores.text_seal import TextSeal
from bailiwick.stores.tile_directory import TileDirectory
from bailiwick.stores.tlog import Publisher
from tests.ledger.offline import copy, prove_in, verify_covered, verify_directory, verify_proof
from tests.ledger.stores import LOG, Entries, leaf, publisher


async def test_an_empty_store_has_a_signed_empty_log(tmp_path: Path) -> None:
    checkpoint = await publisher(Entries(), tmp_path).publish()
    assert checkpoint.size == 0
    assert verify_directory(tmp_path).checkpoint == checkpoint


async def test_each_publication_extends_the_last_and_verifies(tmp_path: Path) -> None:
    entries = Entries()
    ours = publisher(entries, tmp_path)
    for step in (1, 1, 253, 1, 1, 600, 0, 2000):
        entries.grow(step)
        checkpoint = await ours.publish()
        log = verify_directory(tmp_path)
        assert (log.checkpoint, log.beyond) == (checkpoint, ())
        assert checkpoint.size == len(entries.held)
        assert ours.checkpoint == checkpoint


async def test_nothing_new_means_nothing_written(tmp_path: Path) -> None:
    entries = Entries(300)
    ours = publisher(entries, tmp_path)
    first = await ours.publish()
    before = _times(tmp_path)
    assert await ours.publish() is first
    assert _times(tmp_path) == before


def _times(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


async def test_partial_files_go_once_the_full_one_is_there(tmp_path: Path) -> None:
    entries = Entries(100)
    ours = publisher(entries, tmp_path)
    await ours.publish()
    entries.grow(100)
    await ours.publish()
    partial = ["tile/0/000.p/100", "tile/0/000.p/200"]
    assert [name for name in TileDirectory(tmp_path).names() if "tile/0" in name] == partial
    entries.grow(60)
    await ours.publish()
    assert [name for name in TileDirectory(tmp_path).names() if "tile/0" in name] == [
        "tile/0/000",
        "tile/0/001.p/4",
    ]


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 600, 65_536])
async def test_a_new_publisher_goes_on_where_the_last_one_ended(tmp_path: Path, size: int) -> None:
    entries = Entries(size)
    await publisher(entries, tmp_path).publish()
    entries.grow(300)
    entries.reads = 0
    checkpoint = await publisher(entries, tmp_path).publish()
    assert verify_directory(tmp_path).checkpoint == checkpoint
    assert entries.reads <= 300 + 256, "recovery reads the last tile, not the whole store"

    whole = await publisher(entries, tmp_path / "whole").publish()
    assert whole == checkpoint, "the same entries give the same signed tree"


async def test_proofs_verify_offline_and_publish_what_they_need(tmp_path: Path) -> None:
    entries = Entries(300)
    ours = publisher(entries, tmp_path)
    for index in (0, 255, 299):
        proven = verify_proof(await ours.proof(index))
        assert (proven.index, proven.leaf) == (index, leaf(index))
    entries.grow(1)
    proven = verify_proof(await ours.proof(300))
    assert (proven.leaf, proven.checkpoint.size) == (leaf(300), 301)
    assert verify_proof(prove_in(tmp_path, 300)) == proven
    for index in (-1, 301):
        with pytest.raises(StoreError) as caught:
            await ours.proof(index)
        assert caught.value.code == "entry_unknown"


# --- what must never be signed -----------------------------------------------------------------


async def test_a_store_with_fewer_entries_than_were_signed_is_refused(tmp_path: Path) -> None:
    await publisher(Entries(300), tmp_path).publish()
    signed = (tmp_path / "checkpoint").read_bytes()
    ours = publisher(Entries(299), tmp_path)
    with pytest.raises(VerificationError, match="Restore the newest database") as caught:
        await ours.publish()
    assert caught.value.code == "ledger_ahead_of_store"
    assert ours.trouble is caught.value
    assert (tmp_path / "checkpoint").read_bytes() == signed


@pytest.mark.parametrize("size", [1, 256, 300, 600])
@pytest.mark.parametrize("grown", [0, 50, 1000])
async def test_a_store_restored_from_a_backup_and_gone_on_is_refused(
    tmp_path: Path, size: int, grown: int
) -> None:
    await publisher(Entries(size), tmp_path).publish()
    signed = (tmp_path / "checkpoint").read_bytes()
    # The backup lacked the last entry; other calls were recorded since.
    other = Entries(size + grown)
    other.held[size - 1 :] = [leaf(number + 9_999) for number in range(grown + 1)]
    with pytest.raises(
        VerificationError, match="restore the database that belongs to it"
    ) as caught:
        await publisher(other, tmp_path).publish()
    assert caught.value.code == "ledger_diverged"
    assert (tmp_path / "checkpoint").read_bytes() == signed
    assert verify_directory(tmp_path).checkpoint.size == size


async def test_a_store_that_shrinks_while_running_is_refused(tmp_path: Path) -> None:
    entries = Entries(300)
    ours = publisher(entries, tmp_path)
    await ours.publish()
    entries.held.pop()
    with pytest.raises(VerificationError) as caught:
        await ours.publish()
    assert caught.value.code == "ledger_ahead_of_store"


async def test_a_ledger_signed_by_another_key_is_refused(tmp_path: Path) -> None:
    entries = Entries(3)
    await publisher(entries, tmp_path).publish()
    other = Signer(LOG.name, Ed25519PrivateKey.from_private_bytes(bytes(32)))
    with pytest.raises(VerificationError) as caught:
        await Publisher(entries, TileDirectory(tmp_path), other).publish()
    assert caught.value.code == "signature_missing"


async def test_a_store_that_lacks_an_entry_signs_nothing(tmp_path: Path) -> None:
    class Gappy(Entries):
        async def entry_count(self) -> int:
            return len(self.held) + 1

    ours = publisher(Gappy(10), tmp_path)
    with pytest.raises(StoreError) as caught:
        await ours.publish()
    assert caught.value.code == "ledger_gap"
    assert not (tmp_path / "checkpoint").exists()


# --- damage that heals -------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["tile/0/001.p/44", "tile/1/000.p/1", "tile/entries/001.p/44"])
@pytest.mark.parametrize("damage", ["missing", "empty", "changed"])
async def test_damaged_files_at_the_edge_do_not_stop_publishing(
    tmp_path: Path, name: str, damage: str
) -> None:
    entries = Entries(300)
    await publisher(entries, tmp_path).publish()
    path = tmp_path / name
    data = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(b"" if damage == "empty" else bytes([data[0] ^ 1]) + data[1:])
    entries.grow(1)
    checkpoint = await publisher(entries, tmp_path).publish()
    assert checkpoint.size == 301
    assert verify_covered(tmp_path).checkpoint == checkpoint
    if "entries" not in name:
        assert path.read_bytes() == data, "computed again from the store, against the signed root"


async def test_a_full_disk_is_reported_and_heals_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = Entries(300)
    ours = publisher(entries, tmp_path)
    await ours.publish()
    entries.grow(300)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(StoreError, match="No space left on device") as caught:
            await ours.publish()
        assert caught.value.code == "ledger_unwritable"
        assert ours.trouble is caught.value
    assert not list((tmp_path / ".staging").iterdir()), "staged files give their space back"
    assert verify_directory(tmp_path).checkpoint.size == 300

    assert (await ours.publish()).size == 600
    assert _trouble(ours) == ""
    assert verify_directory(tmp_path).beyond == ()


def _trouble(ours: Publisher) -> str:
    return ours.trouble.code if ours.trouble else ""


# --- the loop ----------------------------------------------------------------------------------


@dataclass
class Steps:
    """Stands in for sleeping: the loop halts at each pause until it is let go."""

    paused: asyncio.Event
    go: asyncio.Event
    slept: list[float]

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.paused.set()
        await self.go.wait()
        self.go.clear()


async def _paused(steps: Steps) -> None:
    async with asyncio.timeout(10):
        await steps.paused.wait()
    steps.paused.clear()


async def test_the_loop_publishes_when_poked_and_pauses_between(tmp_path: Path) -> None:
    entries = Entries(1)
    steps = Steps(asyncio.Event(), asyncio.Event(), [])
    ours = Publisher(entries, TileDirectory(tmp_path), LOG, 0.25, steps.sleep)
    loop = asyncio.create_task(ours.run())
    try:
        ours.poke()
        await _paused(steps)
        assert ours.checkpoint is not None
        assert (ours.checkpoint.size, steps.slept) == (1, [0.25])

        for _ in range(5):  # many appends, one publication
            entries.grow(1)
            ours.poke()
        assert ours.checkpoint.size == 1
        steps.go.set()
        await _paused(steps)
        assert ours.checkpoint.size == 6

        entries.grow(1)
        entries.fails = True  # the store goes away, and comes back
        ours.poke()
        steps.go.set()
        await _paused(steps)
        assert _trouble(ours) == "store_down"
        entries.fails = False
        steps.go.set()
        await _paused(steps)
        assert (_trouble(ours), ours.checkpoint.size) == ("", 7)
    finally:
        loop.cancel()
    with pytest.raises(asyncio.CancelledError):
        await loop


async def test_a_hurry_ends_the_pause_and_not_the_one_after_a_failure(tmp_path: Path) -> None:
    entries = Entries(1)
    steps = Steps(asyncio.Event(), asyncio.Event(), [])
    ours = Publisher(entries, TileDirectory(tmp_path), LOG, 0.25, steps.sleep)
    loop = asyncio.create_task(ours.run())
    try:
        ours.poke()
        await _paused(steps)
        entries.grow(1)
        ours.poke(hurry=True)  # nobody lets the pause end
        await _paused(steps)
        assert ours.checkpoint is not None
        assert ours.checkpoint.size == 2

        entries.fails = True
        ours.poke(hurry=True)
        await _paused(steps)
        entries.fails = False
        ours.poke(hurry=True)
        for _ in range(20):
            await asyncio.sleep(0)
        assert _trouble(ours) == "store_down"
        steps.go.set()
        await _paused(steps)
        assert _trouble(ours) == ""
    finally:
        loop.cancel()
    with pytest.raises(asyncio.CancelledError):
        await loop


async def test_the_loop_ends_when_the_ledger_cannot_be_this_store_s(tmp_path: Path) -> None:
    await publisher(Entries(2), tmp_path).publish()
    ours = publisher(Entries(1), tmp_path)
    ours.poke()
    with pytest.raises(VerificationError):
        await ours.run()


async def test_publishing_a_large_backlog_lets_others_run(tmp_path: Path) -> None:
    entries = Entries(20_000)
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    await publisher(entries, tmp_path).publish()
    task.cancel()
    assert turns > 20_000 / 256


async def test_a_cancelled_publication_leaves_no_write_running(tmp_path: Path) -> None:
    entries = Entries(5_000)
    ours = publisher(entries, tmp_path)
    for _ in range(20):
        task = asyncio.create_task(ours.publish())
        for _ in range(30):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        entries.grow(7)
    checkpoint = await ours.publish()
    assert verify_directory(tmp_path).checkpoint == checkpoint


async def test_publications_at_once_are_one_after_the_other(tmp_path: Path) -> None:
    entries = Entries(300)
    ours = publisher(entries, tmp_path)
    checkpoints = await asyncio.gather(*(ours.publish() for _ in range(5)))
    assert {checkpoint.size for checkpoint in checkpoints} == {300}
    assert verify_directory(tmp_path).checkpoint.size == 300


# --- copies ------------------------------------------------------------------------------------


async def test_a_copy_holds_exactly_what_the_checkpoint_covers(tmp_path: Path) -> None:
    entries = Entries(100)
    ours = publisher(entries, tmp_path / "ledger")
    await ours.publish()
    entries.grow(70_000)
    checkpoint = await ours.publish()

    copied = copy(tmp_path / "ledger", tmp_path / "copy")

    assert copied == checkpoint
    log = verify_directory(tmp_path / "copy")
    assert (log.checkpoint, log.beyond) == (checkpoint, ())


async def test_a_copy_of_an_older_checkpoint_cuts_full_files_to_size(tmp_path: Path) -> None:
    entries = Entries(300)
    ours = publisher(entries, tmp_path / "ledger")
    old = await ours.publish()
    entries.grow(500)
    await ours.publish()
    (tmp_path / "ledger" / "checkpoint").write_bytes(old.note)

    assert copy(tmp_path / "ledger", tmp_path / "copy") == old
    log = verify_directory(tmp_path / "copy")
    assert (log.checkpoint, log.beyond) == (old, ())


async def test_only_names_of_a_log_are_opened(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    await publisher(Entries(1), tmp_path / "ledger").publish()
    directory = TileDirectory(tmp_path / "ledger")
    assert directory.read("checkpoint") is not None
    for untrusted_path in ("../secret", "tile/../../secret", str(tmp_path / "secret"), ".staging"):
        assert directory.read(untrusted_path) is None


async def test_the_embedded_store_is_published_as_it_stands(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    seal = TextSeal(bytes(32))
    journal, records = SqliteJournal(path, seal=seal), SqliteRecords(path, seal=seal)
    try:
        for start in (0, 300):
            await journal.commit([Entry(leaf(n), b"sealed") for n in range(start, start + 300)])
            await Publisher(records, TileDirectory(tmp_path / "ledger"), LOG).publish()
        assert await records.leaves(298, 302) == [leaf(number) for number in range(298, 302)]
        assert await records.leaves(599, 700) == [leaf(599)]
        assert verify_directory(tmp_path / "ledger").checkpoint.size == 600
        assert verify_proof(prove_in(tmp_path / "ledger", 300)).leaf == leaf(300)
    finally:
        await journal.close()
        await records.close()
