"""`tlog-proof@v1` texts: what a person hands to an auditor."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from bailiwick.ledger.errors import LedgerError
from bailiwick.ledger.note import Signer, encode_base64
from bailiwick.ledger.proof import (
    EntryProof,
    encode_proof,
    parse_proof,
    prove_consistency,
    prove_entry,
    verify_entry,
)
from bailiwick.ledger.tree import Edge, leaf_hash
from tests.unit.ledger.logs import LOG, build, entry

ENTRIES = [entry(number) for number in range(300)]
FILES, CHECKPOINT = build(ENTRIES)


def proof_of(index: int) -> bytes:
    return encode_proof(prove_entry(FILES.get, CHECKPOINT, index))


@pytest.mark.parametrize("index", [0, 1, 255, 256, 299])
def test_a_proof_verifies_with_nothing_but_the_public_key(index: int) -> None:
    proven = verify_entry(proof_of(index), LOG.verifier)
    assert (proven.leaf, proven.index) == (ENTRIES[index], index)
    assert proven.checkpoint == CHECKPOINT


def test_the_text_is_laid_out_as_specified() -> None:
    lines = proof_of(256).decode().split("\n")
    assert lines[:3] == [
        "c2sp.org/tlog-proof@v1",
        f"extra {encode_base64(ENTRIES[256])}",
        "index 256",
    ]
    empty = lines.index("")
    assert all(len(line) == 44 for line in lines[3:empty])
    assert "\n".join(lines[empty + 1 :]).encode() == CHECKPOINT.note


def test_the_proof_of_the_only_entry_has_no_path() -> None:
    files, checkpoint = build([b"only"])
    text = encode_proof(prove_entry(files.get, checkpoint, 0))
    assert text.startswith(
        b"c2sp.org/tlog-proof@v1\nextra b25seQ==\nindex 0\n\nexample.com/log\n1\n"
    )
    assert verify_entry(text, LOG.verifier).leaf == b"only"


def test_every_one_byte_change_to_a_proof_is_refused() -> None:
    text = proof_of(42)
    for at, byte in enumerate(text):
        for other in {byte ^ 1, byte ^ 0x20, 0, 10, 48} - {byte}:
            changed = text[:at] + bytes([other]) + text[at + 1 :]
            with pytest.raises(LedgerError):
                verify_entry(changed, LOG.verifier)


def test_every_cut_and_every_added_line_is_refused() -> None:
    text = proof_of(42)
    for at in range(len(text)):
        with pytest.raises(LedgerError):
            verify_entry(text[:at], LOG.verifier)
    for wrong in (
        text.replace(b"index 42\n", b"index 42\n" + encode_base64(bytes(32)).encode() + b"\n"),
        text.replace(b"\nindex", b"\nextra AAAA\nindex"),
        text + b"\n",
        b"\n" + text,
    ):
        with pytest.raises(LedgerError):
            verify_entry(wrong, LOG.verifier)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("index 42", "index 042"),
        lambda text: text.replace("index 42", "index -42"),
        lambda text: text.replace("index 42", "index \u0664\u0662"),
        lambda text: text.replace("index 42", "index " + "9" * 5000),
        lambda text: text.replace("index 42", "Index 42"),
        lambda text: text.replace("extra ", "extra  "),
        lambda text: text.replace("@v1", "@v2"),
        lambda text: text.replace("\n", "\r\n"),
        lambda text: "\n".join(line for line in text.split("\n") if not line.startswith("extra")),
    ],
)
def test_a_proof_has_one_spelling(change: Callable[[str], str]) -> None:
    with pytest.raises(LedgerError) as caught:
        verify_entry(change(proof_of(42).decode()).encode(), LOG.verifier)
    assert caught.value.code == "proof_malformed"


def test_a_proof_by_another_log_of_the_same_name_is_refused() -> None:
    other = Signer(LOG.name, Ed25519PrivateKey.from_private_bytes(bytes(32)))
    with pytest.raises(LedgerError) as caught:
        verify_entry(proof_of(42), other.verifier)
    assert caught.value.code == "signature_missing"


def test_a_proof_of_one_entry_does_not_prove_another() -> None:
    first, second = parse_proof(proof_of(42)), parse_proof(proof_of(43))
    for forged in (
        EntryProof(second.leaf, first.index, first.path, first.note),
        EntryProof(first.leaf, second.index, first.path, first.note),
        EntryProof(first.leaf, first.index, second.path, first.note),
    ):
        with pytest.raises(LedgerError) as caught:
            verify_entry(encode_proof(forged), LOG.verifier)
        assert caught.value.code == "inclusion_mismatch"


def test_no_proof_is_made_from_files_that_do_not_hold() -> None:
    tile = bytearray(FILES["tile/0/000"])
    tile[33] ^= 1
    with pytest.raises(LedgerError) as caught:
        prove_entry({**FILES, "tile/0/000": bytes(tile)}.get, CHECKPOINT, 0)
    assert caught.value.code == "inclusion_mismatch"
    without = {name: data for name, data in FILES.items() if name != "tile/0/000"}
    with pytest.raises(LedgerError, match="`tile/0/000` is missing"):
        prove_entry(without.get, CHECKPOINT, 0)


@pytest.mark.parametrize("index", [-1, 300, 2**41])
def test_an_entry_beyond_the_checkpoint_is_not_proved(index: int) -> None:
    with pytest.raises(LedgerError) as caught:
        prove_entry(FILES.get, CHECKPOINT, index)
    assert caught.value.code == "index_beyond_tree"


def test_consistency_is_proved_and_a_fork_is_not() -> None:
    _, old = build(ENTRIES[:100])
    assert prove_consistency(FILES.get, old, CHECKPOINT).old_size == 100
    _, forked = build([*ENTRIES[:99], b"forked"])
    with pytest.raises(LedgerError) as caught:
        prove_consistency(FILES.get, forked, CHECKPOINT)
    assert caught.value.code == "consistency_mismatch"
    with pytest.raises(LedgerError) as caught:
        prove_consistency(FILES.get, CHECKPOINT, old)
    assert caught.value.code == "index_beyond_tree"


def test_a_full_file_stands_in_for_a_removed_partial_one() -> None:
    # The log has grown on since the checkpoint, and has tidied up its partial files.
    grown, _ = build([entry(number) for number in range(512)])
    files = {**grown, "tile/1/000.p/1": FILES["tile/1/000.p/1"]}
    proven = verify_entry(encode_proof(prove_entry(files.get, CHECKPOINT, 299)), LOG.verifier)
    assert proven.leaf == ENTRIES[299]


@given(st.binary(max_size=300))
def test_parsing_any_bytes_raises_only_ledger_errors(untrusted: bytes) -> None:
    with pytest.raises(LedgerError):
        verify_entry(b"c2sp.org/tlog-proof@v1\n" + untrusted, LOG.verifier)


@given(st.binary(max_size=64), st.integers(0, 2**40), st.lists(st.binary(max_size=40)))
def test_what_is_written_reads_back(leaf: bytes, index: int, path: list[bytes]) -> None:
    # An empty hash would be an empty line, which ends the path.
    proof = EntryProof(leaf, index, tuple(item for item in path if item), b"note")
    assert parse_proof(encode_proof(proof)) == proof


def test_the_edge_and_the_files_agree() -> None:
    edge = Edge()
    for item in ENTRIES:
        edge.append(leaf_hash(item))
    assert edge.root() == CHECKPOINT.root
