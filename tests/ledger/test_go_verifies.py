"""Go's own `sumdb/note` and `sumdb/tlog` verify a large log that the publisher wrote.

The program in goverify/ is built offline from Debian's golang-golang-x-mod-dev. `make test`
installs it; a machine without it fails here rather than passing unseen.
"""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from bailiwick.ledger.errors import LedgerError
from bailiwick.ledger.tile import BUNDLE, TILE_WIDTH, Resource, resources
from bailiwick.stores.tile_directory import TileDirectory
from bailiwick.stores.tlog import Publisher
from tests.ledger.offline import copy, prove_in, verify_directory
from tests.ledger.stores import LOG, VKEY, Entries, leaf

pytestmark = pytest.mark.slow

GOCODE = Path("/usr/share/gocode")
OLDER, SIZE = 40_100, 70_123


@dataclass(frozen=True)
class Log:
    """A log that was published several times, and its checkpoint at OLDER entries."""

    root: Path
    older: Path


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Log:
    root = tmp_path_factory.mktemp("ledger")
    older = tmp_path_factory.mktemp("older") / "checkpoint"
    entries = Entries(OLDER)
    publisher = Publisher(entries, TileDirectory(root), LOG)

    async def publish() -> None:
        older.write_bytes((await publisher.publish()).note)
        for size in (65_536, 65_537, 70_000, SIZE):
            entries.grow(size - len(entries.held))
            await publisher.publish()

    asyncio.run(publish())
    return Log(root, older)


@pytest.fixture(scope="module")
def goverify(tmp_path_factory: pytest.TempPathFactory) -> Path:
    go = shutil.which("go")
    assert go, "install golang-go and golang-golang-x-mod-dev (`make setup-test`)"
    assert (GOCODE / "src/golang.org/x/mod/sumdb").is_dir(), "install golang-golang-x-mod-dev"
    built = tmp_path_factory.mktemp("go")
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(built),
        "GO111MODULE": "off",
        "GOPATH": str(GOCODE),
        "GOCACHE": str(built / "cache"),
        "GOPROXY": "off",
        "CGO_ENABLED": "0",
    }
    subprocess.run(
        [go, "build", "-o", str(built / "goverify"), "."],
        cwd=Path(__file__).parent / "goverify",
        env=environment,
        check=True,
        timeout=300,
    )
    return built / "goverify"


def run(goverify: Path, *arguments: str | Path) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [goverify, *arguments], capture_output=True, check=False, timeout=60, env={}
    )


@contextmanager
def changed(path: Path, at: int) -> Iterator[None]:
    """Change one bit of one byte of a file, and put it back."""
    data = path.read_bytes()
    path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
    try:
        yield
    finally:
        path.write_bytes(data)


def test_go_accepts_the_log_and_its_growth(log: Log, goverify: Path) -> None:
    result = run(goverify, VKEY, log.root, log.older)
    assert (result.returncode, result.stdout, result.stderr) == (0, b"%d\n" % SIZE, b"")
    assert (log.root / "tile/0/273.p/235").exists(), "the log ends in partial tiles"
    assert (log.root / "tile/2/000.p/1").exists()


@pytest.mark.parametrize("size", [1, 2, 255, 256, 257, 512, 700])
def test_go_accepts_small_logs(tmp_path: Path, goverify: Path, size: int) -> None:
    asyncio.run(Publisher(Entries(size), TileDirectory(tmp_path), LOG).publish())
    result = run(goverify, VKEY, tmp_path)
    assert (result.returncode, result.stdout) == (0, b"%d\n" % size)


def test_go_accepts_a_copy(log: Log, goverify: Path, tmp_path: Path) -> None:
    copy(log.root, tmp_path / "copy")
    assert run(goverify, VKEY, tmp_path / "copy", log.older).returncode == 0


def test_go_accepts_proofs_and_finds_the_entry(log: Log, goverify: Path, tmp_path: Path) -> None:
    for index in (0, 255, 256, 65_535, 65_536, SIZE - 1):
        proof = tmp_path / f"{index}.tlog-proof"
        proof.write_bytes(prove_in(log.root, index))
        result = run(goverify, "-proof", VKEY, proof)
        assert (result.returncode, result.stdout) == (0, leaf(index))
        with changed(proof, 60):  # within the entry
            assert run(goverify, "-proof", VKEY, proof).returncode == 1


def test_go_refuses_an_older_checkpoint_of_another_history(
    log: Log, goverify: Path, tmp_path: Path
) -> None:
    entries = Entries(OLDER)
    entries.held[17] = b"rewritten"
    forked = asyncio.run(Publisher(entries, TileDirectory(tmp_path / "fork"), LOG).publish())
    (tmp_path / "older").write_bytes(forked.note)
    assert run(goverify, VKEY, log.root, tmp_path / "older").returncode == 1


def test_go_and_we_refuse_sampled_one_byte_changes_to_the_large_log(
    log: Log, goverify: Path
) -> None:
    rng = random.Random(70_123)
    covered = list(resources(SIZE))
    edge = [item for item in covered if item.width < TILE_WIDTH or item.level > 0]
    sample = [*edge, *rng.sample(covered, 16)]
    for path in [log.root / "checkpoint", *(log.root / item.path for item in sample)]:
        at = rng.randrange(path.stat().st_size)
        with changed(path, at):
            refused = run(goverify, VKEY, log.root, log.older)
            assert refused.returncode == 1, f"Go took a change to {path} at {at}"
            with pytest.raises(LedgerError):
                verify_directory(log.root)
    assert run(goverify, VKEY, log.root, log.older).returncode == 0


def test_go_refuses_every_changed_byte_of_the_checkpoint(log: Log, goverify: Path) -> None:
    path = log.root / "checkpoint"
    for at in range(path.stat().st_size):
        with changed(path, at):
            assert run(goverify, VKEY, log.root).returncode == 1, f"Go took a change at {at}"


def test_every_file_of_a_middling_log_counts_at_many_places(tmp_path: Path) -> None:
    entries = Entries(1_000)
    publisher = Publisher(entries, TileDirectory(tmp_path), LOG)
    asyncio.run(publisher.publish())
    entries.grow(3_001)
    asyncio.run(publisher.publish())
    rng = random.Random(4_001)
    names = list(TileDirectory(tmp_path).names())
    assert len(names) == len(list(resources(4_001))) + 2  # checkpoint, tile/1/000.p/3
    for name in names:
        length = (tmp_path / name).stat().st_size
        for at in {0, 1, length - 1, *(rng.randrange(length) for _ in range(7))}:
            with changed(tmp_path / name, at), pytest.raises(LedgerError):
                verify_directory(tmp_path)
    assert verify_directory(tmp_path).checkpoint.size == 4_001


def test_every_byte_of_every_file_of_a_small_log_counts(tmp_path: Path) -> None:
    entries = Entries(2)
    publisher = Publisher(entries, TileDirectory(tmp_path), LOG)
    asyncio.run(publisher.publish())
    entries.grow(3)
    asyncio.run(publisher.publish())
    names = list(TileDirectory(tmp_path).names())
    assert Resource(BUNDLE, 0, 2).path in names, "a partial bundle of the earlier size"
    assert len(names) == 5
    for name in names:
        for at in range((tmp_path / name).stat().st_size):
            with changed(tmp_path / name, at), pytest.raises(LedgerError):
                verify_directory(tmp_path)
    assert verify_directory(tmp_path).checkpoint.size == 5
