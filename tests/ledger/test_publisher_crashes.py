"""Every durable write of a publication × {lost, persisted but reported failed, others persisted}.

After each fault the directory must hold together, a publisher must go on (the same one, or a new
one after a crash), everything once acknowledged must still be there, and every checkpoint that was
ever signed must be a prefix of what is published in the end. After Sunlight's `TestSequenceErrors`.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import pytest

from bailiwick.core.errors import StoreError
from bailiwick.ledger.checkpoint import SignedCheckpoint, open_checkpoint
from bailiwick.ledger.note import Signer
from bailiwick.ledger.proof import prove_consistency
from bailiwick.ledger.tile import BUNDLE, Resource, decode_bundle, resources
from bailiwick.stores.tile_directory import TileDirectory
from bailiwick.stores.tlog import Publisher
from tests.ledger.offline import verify_covered, verify_directory
from tests.ledger.stores import LOG, Entries

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).parents[2]

LOST = "lost"
REPORTED_FAILED = "persisted but reported failed"
OTHERS_PERSISTED = "lost, with the rest of its batch persisted"
MODES = (LOST, REPORTED_FAILED, OTHERS_PERSISTED)


class FaultyDirectory(TileDirectory):
    """Fails at one durable write, counted over files written and folders removed."""

    def __init__(self, root: Path, fail_at: int, mode: str) -> None:
        super().__init__(root)
        self.writes = 0
        self.failed = False
        self._fail_at = fail_at
        self._mode = mode

    def put(self, files: Sequence[tuple[str, bytes]]) -> None:
        for number, item in enumerate(files):
            if not self._fails():
                super().put([item])
                continue
            if self._mode == REPORTED_FAILED:
                super().put([item])
            if self._mode == OTHERS_PERSISTED and files[number + 1 :]:
                super().put(files[number + 1 :])
            raise StoreError("ledger_unwritable", "injected")

    def drop_partials(self, resource: Resource) -> None:
        if self._fails():
            if self._mode == REPORTED_FAILED:
                super().drop_partials(resource)
            raise StoreError("ledger_unwritable", "injected")
        super().drop_partials(resource)

    def _fails(self) -> bool:
        self.writes += 1
        if self.writes - 1 == self._fail_at:
            self.failed = True
            return True
        return False


@dataclass(frozen=True, slots=True)
class RecordingSigner(Signer):
    """Remembers every note it signed, published or not."""

    signed: list[bytes] = field(default_factory=list)

    def sign(self, text: str) -> bytes:
        note = Signer.sign(self, text)
        self.signed.append(note)
        return note


@dataclass
class Scenario:
    """A log that grows by `steps`, with one fault on the way."""

    root: Path
    entries: Entries
    steps: Sequence[int]
    fresh: bool
    acknowledged: SignedCheckpoint | None = None
    signer: RecordingSigner = field(default_factory=lambda: RecordingSigner(LOG.name, LOG.key))

    async def play(self, fail_at: int, mode: str) -> bool:
        """Play it all; returns whether the fault was met."""
        faulty = FaultyDirectory(self.root, fail_at, mode)
        publisher = Publisher(self.entries, faulty, self.signer)
        for step in self.steps:
            self.entries.grow(step)
            try:
                self.acknowledged = await publisher.publish()
            except StoreError:
                self._check_unfinished()
                if self.fresh:
                    publisher = Publisher(self.entries, TileDirectory(self.root), self.signer)
                self.acknowledged = await publisher.publish()
            assert self.acknowledged.size == len(self.entries.held)
        self._check_end()
        return faulty.failed

    def _check_unfinished(self) -> None:
        """A checkpoint never names what is not there, and never goes back."""
        if not (self.root / "checkpoint").exists():
            assert self.acknowledged is None
            return
        log = verify_covered(self.root)
        if self.acknowledged is not None:
            assert log.checkpoint.size >= self.acknowledged.size

    def _check_end(self) -> None:
        log = verify_directory(self.root)
        assert log.checkpoint == self.acknowledged
        fetch = TileDirectory(self.root).read
        held: list[bytes] = []
        for resource in resources(log.checkpoint.size):
            if resource.level == BUNDLE:
                held += decode_bundle(fetch(resource.path) or b"", resource.width)
        assert held == self.entries.held
        roots: dict[int, bytes] = {}
        for note in self.signer.signed:
            signed = open_checkpoint(note, LOG.verifier)
            assert roots.setdefault(signed.size, signed.root) == signed.root
            prove_consistency(fetch, signed, log.checkpoint)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("fresh", [True, False], ids=["a new publisher", "the same publisher"])
async def test_every_failing_write_is_recovered_from(
    tmp_path: Path, mode: str, fresh: bool
) -> None:
    steps = (100, 55, 101, 1, 300, 20)  # begins, fills a tile exactly, fills several, ends partial
    for fail_at in count():
        scenario = Scenario(tmp_path / str(fail_at), Entries(), steps, fresh)
        if not await scenario.play(fail_at, mode):
            break
    # Not fewer writes than: 2 files and a checkpoint a step, tiles above, folders tidied.
    assert fail_at >= 25


@pytest.fixture(scope="module")
def nearly_full(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Entries]:
    """A log of 65,530 entries, six short of filling a tile of level 1."""
    root, entries = tmp_path_factory.mktemp("nearly"), Entries(65_530)
    asyncio.run(Publisher(entries, TileDirectory(root), LOG).publish())
    return root, entries


@pytest.mark.parametrize("mode", MODES)
async def test_every_failing_write_is_recovered_from_where_three_levels_fill(
    tmp_path: Path, nearly_full: tuple[Path, Entries], mode: str
) -> None:
    for fail_at in count():
        root = tmp_path / str(fail_at)
        # Links are safe: nothing is ever written in place.
        shutil.copytree(nearly_full[0], root, copy_function=os.link)
        entries = Entries()
        entries.held = nearly_full[1].held.copy()
        scenario = Scenario(root, entries, (6, 1), fresh=True)
        if not await scenario.play(fail_at, mode):
            break
    assert fail_at >= 10


async def test_two_faults_in_a_row_are_recovered_from(tmp_path: Path) -> None:
    for first in range(0, 12, 3):
        for second in range(8):
            root = tmp_path / f"{first}-{second}"
            entries = Entries(250)
            await Publisher(entries, TileDirectory(root), LOG).publish()
            entries.grow(300)
            for fail_at, mode in ((first, OTHERS_PERSISTED), (second, REPORTED_FAILED)):
                try:
                    await Publisher(entries, FaultyDirectory(root, fail_at, mode), LOG).publish()
                except StoreError:
                    entries.grow(3)
            scenario = Scenario(root, entries, (0, 1), fresh=True)
            assert not await scenario.play(-1, LOST)


CHILD = """
import asyncio, sys
from pathlib import Path
from bailiwick.stores.tile_directory import TileDirectory
from bailiwick.stores.tlog import Publisher
from tests.ledger.stores import LOG, Entries

async def main(root: Path) -> None:
    durable = root.with_suffix(".count")
    entries = Entries(int(durable.read_text()) if durable.exists() else 0)
    publisher = Publisher(entries, TileDirectory(root), LOG)
    while True:
        entries.grow(97)
        durable.with_suffix(".new").write_text(str(len(entries.held)))
        durable.with_suffix(".new").replace(durable)  # the store is durable before the ledger is
        print((await publisher.publish()).size, flush=True)

asyncio.run(main(Path(sys.argv[1])))
"""


def test_kill_9_at_any_moment_leaves_a_log_that_verifies(tmp_path: Path) -> None:
    root = tmp_path / "ledger"
    acknowledged = 0
    for round_number in range(8):
        with subprocess.Popen(
            [sys.executable, "-c", CHILD, str(root)],
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
            text=True,
        ) as child:
            assert child.stdout is not None
            for _ in range(3 + round_number):
                acknowledged = int(child.stdout.readline())
            # Somewhere within the next publication; where does not matter, only that it varies.
            deadline = time.monotonic() + round_number * 0.0007
            while time.monotonic() < deadline:
                pass
            child.kill()
            acknowledged = int((["", *child.stdout.read().split()])[-1] or acknowledged)
        log = verify_directory(root)
        assert log.checkpoint.size >= acknowledged > 0
