"""Verifying a whole log: every byte of every file counts, and the message names the file."""

from __future__ import annotations

import pytest

from bailiwick.ledger.audit import CHECKPOINT_PATH, verify_files, verify_log
from bailiwick.ledger.checkpoint import sign_checkpoint
from bailiwick.ledger.errors import LedgerError
from bailiwick.ledger.tile import encode_bundle
from bailiwick.ledger.tree import leaf_hash
from tests.unit.ledger.logs import LOG, build, entry

ENTRIES = [entry(number) for number in range(260)]
FILES, CHECKPOINT = build(ENTRIES)


def check(files: dict[str, bytes]) -> None:
    verify_files(files.get, LOG.verifier, files)


def refused(files: dict[str, bytes]) -> LedgerError:
    with pytest.raises(LedgerError) as caught:
        check(files)
    return caught.value


@pytest.mark.parametrize("size", [0, 1, 2, 255, 256, 257, 512, 600])
def test_a_log_of_any_size_verifies(size: int) -> None:
    files, checkpoint = build([entry(number) for number in range(size)])
    log = verify_files(files.get, LOG.verifier, files)
    assert (log.checkpoint, log.files, log.beyond) == (checkpoint, len(files), ())
    assert verify_log(files.get, LOG.verifier) == log


def test_every_byte_of_every_file_counts() -> None:
    assert set(FILES) == {
        "checkpoint",
        "tile/entries/000",
        "tile/entries/001.p/4",
        "tile/0/000",
        "tile/0/001.p/4",
        "tile/1/000.p/1",
    }
    small, _ = build([entry(number) for number in range(5)])
    for files, step in ((small, 1), (FILES, 13)):
        for name, data in files.items():
            for at in range(0, len(data), step):
                changed = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
                error = refused({**files, name: changed})
                if name != CHECKPOINT_PATH:
                    assert f"`{name}`" in error.message, error.message


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_missing_cut_or_longer_file_is_named(name: str) -> None:
    without = {path: data for path, data in FILES.items() if path != name}
    assert f"`{name}` is missing" in refused(without).message
    for changed in (FILES[name][:-1], FILES[name] + b"\x00", b""):
        error = refused({**FILES, name: changed})
        assert name == CHECKPOINT_PATH or f"`{name}`" in error.message


def test_a_rewritten_entry_with_a_tile_to_match_is_still_refused() -> None:
    entries = [*ENTRIES[:7], b"rewritten", *ENTRIES[8:]]
    forged, _ = build(entries)
    error = refused({**forged, CHECKPOINT_PATH: CHECKPOINT.note})
    assert (error.code, "root in `checkpoint`" in error.message) == ("log_mismatch", True)


def test_a_rewritten_entry_alone_names_its_bundle() -> None:
    entries = [*ENTRIES[:7], b"rewritten", *ENTRIES[8:256]]
    error = refused({**FILES, "tile/entries/000": encode_bundle(entries)})
    assert error.message.startswith("`tile/entries/000` does not hold the entries of the log")


def test_swapped_entries_are_refused() -> None:
    entries = [ENTRIES[1], ENTRIES[0], *ENTRIES[2:256]]
    assert refused({**FILES, "tile/entries/000": encode_bundle(entries)}).code == "log_mismatch"


@pytest.mark.parametrize(
    "name", ["notes.txt", "tile/0/000.bak", "tile/0/0", "tile/7/000.tmp", "tile/entries"]
)
def test_a_file_that_does_not_belong_is_named(name: str) -> None:
    error = refused({**FILES, name: b""})
    assert (error.code, f"`{name}`" in error.message) == ("file_unexpected", True)


def test_files_with_a_dot_are_no_part_of_a_log() -> None:
    check({**FILES, ".staging/0": b"half", "tile/0/.part-x": b"", "tile/.hidden/000": b"x"})


def test_partial_files_of_earlier_sizes_are_verified_too() -> None:
    early, _ = build(ENTRIES[:100])
    earlier = {name: data for name, data in early.items() if name != CHECKPOINT_PATH}
    assert set(earlier) == {"tile/entries/000.p/100", "tile/0/000.p/100"}
    check({**FILES, **earlier})
    for name, data in earlier.items():
        for at in range(0, len(data), 11):
            changed = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
            error = refused({**FILES, **earlier, name: changed})
            assert error.message == f"`{name}` is not what the log had at that size"


def test_files_beyond_the_checkpoint_are_reported_not_trusted() -> None:
    grown, _ = build([entry(number) for number in range(300)])
    files = {**FILES, **grown, CHECKPOINT_PATH: CHECKPOINT.note}
    log = verify_files(files.get, LOG.verifier, files)
    assert log.checkpoint == CHECKPOINT
    assert log.beyond == ("tile/0/001.p/44", "tile/entries/001.p/44")


def test_a_full_file_in_place_of_a_partial_one_is_read_and_reported() -> None:
    grown, _ = build([entry(number) for number in range(512)])
    gone = {"tile/0/001.p/4", "tile/entries/001.p/4"}
    files = {name: data for name, data in {**grown, **FILES}.items() if name not in gone}
    log = verify_files(files.get, LOG.verifier, files)
    assert log.checkpoint == CHECKPOINT
    assert log.beyond == ("tile/0/001", "tile/1/000.p/2", "tile/entries/001")


def test_a_checkpoint_for_another_tree_of_the_same_size_is_refused() -> None:
    other = sign_checkpoint(CHECKPOINT.size, build([b"x"] * 260)[1].root, LOG)
    assert refused({**FILES, CHECKPOINT_PATH: other.note}).code == "log_mismatch"


def test_a_checkpoint_for_fewer_entries_verifies_only_with_its_own_root() -> None:
    fewer = sign_checkpoint(259, CHECKPOINT.root, LOG)
    assert refused({**FILES, CHECKPOINT_PATH: fewer.note}).code in ("log_mismatch", "file_missing")


def test_no_checkpoint_no_log() -> None:
    with pytest.raises(LedgerError) as caught:
        verify_log(lambda _: None, LOG.verifier)
    assert caught.value.code == "file_missing"


def test_an_entry_is_hashed_as_a_leaf() -> None:
    assert FILES["tile/0/000"][:32] == leaf_hash(ENTRIES[0])
