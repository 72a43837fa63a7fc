"""Notes and checkpoints: the specification's example, and every way to bend one."""

from __future__ import annotations

import json
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from bailiwick.ledger.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from bailiwick.ledger.errors import LedgerError
from bailiwick.ledger.note import (
    Signer,
    Verifier,
    decode_base64,
    encode_base64,
    open_note,
    parse_vkey,
)
from bailiwick.ledger.tree import RootHash

EXAMPLE = json.loads(
    (Path(__file__).parents[2] / "vectors" / "signed_note.json").read_text(encoding="utf-8")
)
LOG = Signer("example.com/log", Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
WITNESS = Signer("witness.example", Ed25519PrivateKey.from_private_bytes(bytes(32)))
ROOT = RootHash(sha256(b"root").digest())


def test_the_example_of_the_specification_verifies() -> None:
    verifier = parse_vkey(EXAMPLE["vkey"])
    note = open_note(EXAMPLE["note"].encode(), [verifier])
    assert note.text == EXAMPLE["text"]
    assert note.signers == (verifier,)
    assert verifier.vkey == EXAMPLE["vkey"]


def test_every_one_byte_change_to_a_note_is_refused() -> None:
    note = EXAMPLE["note"].encode()
    verifier = parse_vkey(EXAMPLE["vkey"])
    for at, byte in enumerate(note):
        for other in {byte ^ 1, byte ^ 0x20, byte ^ 0x80, 0, 10, 61} - {byte}:
            changed = note[:at] + bytes([other]) + note[at + 1 :]
            with pytest.raises(LedgerError):
                open_note(changed, [verifier])


def test_every_cut_and_every_added_byte_is_refused() -> None:
    note = EXAMPLE["note"].encode()
    verifier = parse_vkey(EXAMPLE["vkey"])
    for at in range(len(note)):
        with pytest.raises(LedgerError):
            open_note(note[:at], [verifier])
        with pytest.raises(LedgerError):
            open_note(note[:at] + b"A" + note[at:], [verifier])
    with pytest.raises(LedgerError):
        open_note(note + b"\n", [verifier])


def test_a_vkey_is_read_only_when_its_hash_is_that_of_name_and_key() -> None:
    name, key_id, key = EXAMPLE["vkey"].split("+", 2)
    for wrong in (
        "",
        name,
        f"{name}+{key_id}",
        f"other.example+{key_id}+{key}",
        f"{name}+00000000+{key}",
        f"{name}+{key_id.upper()}+{key}",
        f"{name}+{key_id}+{key[:-4]}",
        f"{name}+{key_id}+AQ==",
        f"{name}+{key_id}+{'Ag' + key[2:]}",
        f"na me+{key_id}+{key}",
        f"+{key_id}+{key}",
    ):
        with pytest.raises(LedgerError) as caught:
            parse_vkey(wrong)
        assert caught.value.code == "vkey_malformed", wrong


def test_signatures_by_unknown_keys_are_ignored_and_never_enough() -> None:
    text = "log\n1\nroot\n"
    signed = LOG.sign(text)
    cosigned = signed + WITNESS.sign(text).split(b"\n\n")[1]

    assert open_note(cosigned, [LOG.verifier]).signers == (LOG.verifier,)
    both = open_note(cosigned, [LOG.verifier, WITNESS.verifier]).signers
    assert both == (LOG.verifier, WITNESS.verifier)
    for verifiers in ([], [WITNESS.verifier]):
        with pytest.raises(LedgerError) as caught:
            open_note(signed, verifiers)
        assert caught.value.code == "signature_missing"


def test_a_bad_signature_by_a_known_key_spoils_a_note_that_another_key_signed() -> None:
    text = "log\n1\nroot\n"
    forged = WITNESS.sign("other\n").split(b"\n\n")[1]
    with pytest.raises(LedgerError) as caught:
        open_note(LOG.sign(text) + forged, [LOG.verifier, WITNESS.verifier])
    assert caught.value.code == "signature_invalid"


def test_a_key_of_the_same_name_and_another_hash_is_another_key() -> None:
    impostor = Signer(LOG.name, WITNESS.key)
    with pytest.raises(LedgerError) as caught:
        open_note(impostor.sign("text\n"), [LOG.verifier])
    assert caught.value.code == "signature_missing"


def test_a_key_id_that_collides_still_has_to_verify() -> None:
    public = WITNESS.verifier.public_key
    colliding = Verifier(LOG.name, LOG.verifier.key_id, public)
    with pytest.raises(LedgerError) as caught:
        open_note(LOG.sign("text\n"), [colliding])
    assert caught.value.code == "signature_invalid"


@pytest.mark.parametrize("text", ["", "no newline", "tab\t\n", "null\0\n", "cr\r\n"])
def test_text_that_cannot_be_a_note_is_not_signed(text: str) -> None:
    with pytest.raises(LedgerError) as caught:
        LOG.sign(text)
    assert caught.value.code == "note_malformed"


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\nb", "a\u2003b"])
def test_a_signer_needs_a_name_that_verifiers_take(name: str) -> None:
    with pytest.raises(LedgerError) as caught:
        Signer(name, LOG.key)
    assert caught.value.code == "key_name_malformed"


def test_a_signer_shows_no_secret() -> None:
    assert LOG.key.private_bytes_raw().hex() not in repr(LOG)
    assert "bytes" not in repr(LOG)


def test_too_large_or_too_many_is_refused_before_any_work() -> None:
    line = LOG.sign("text\n").split(b"\n\n")[1]
    with pytest.raises(LedgerError, match="signatures, too many"):
        open_note(b"text\n\n" + line * 101, [LOG.verifier])
    with pytest.raises(LedgerError, match="bytes, too many"):
        open_note(bytes(1_000_001), [LOG.verifier])
    assert open_note(b"text\n\n" + line * 100, [LOG.verifier]).signers == (LOG.verifier,)


@given(st.binary(max_size=200))
def test_opening_any_bytes_raises_only_ledger_errors(untrusted: bytes) -> None:
    with pytest.raises(LedgerError):
        open_note(untrusted, [LOG.verifier])


@given(st.text(max_size=40))
def test_what_reads_as_base64_is_spelt_as_it_would_be_written(untrusted: str) -> None:
    try:
        data = decode_base64(untrusted)
    except LedgerError:
        return
    assert encode_base64(data) == untrusted


@pytest.mark.parametrize("text", ["QQ", "QQ=", "QR==", "QQ==\n", " QQ==", "Q-==", "QQ==QQ=="])
def test_base64_has_one_spelling(text: str) -> None:
    assert decode_base64("QQ==") == b"A"
    with pytest.raises(LedgerError) as caught:
        decode_base64(text)
    assert caught.value.code == "base64_malformed"


# --- checkpoints -------------------------------------------------------------------------------


@given(st.integers(0, 2**40), st.binary(min_size=32, max_size=32))
def test_a_signed_checkpoint_opens_as_signed(size: int, root: bytes) -> None:
    signed = sign_checkpoint(size, RootHash(root), LOG)
    opened = open_checkpoint(signed.note, LOG.verifier)
    assert opened == signed
    assert opened.checkpoint == Checkpoint(LOG.name, size, RootHash(root))


def test_every_one_byte_change_to_a_checkpoint_is_refused() -> None:
    note = sign_checkpoint(70_000, ROOT, LOG).note
    for at, byte in enumerate(note):
        for bit in range(8):
            changed = note[:at] + bytes([byte ^ (1 << bit)]) + note[at + 1 :]
            with pytest.raises(LedgerError):
                open_checkpoint(changed, LOG.verifier)


def _resigned(change: Callable[[str], str]) -> bytes:
    return LOG.sign(change(sign_checkpoint(7, ROOT, LOG).checkpoint.text))


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda text: text.replace("\n7\n", "\n07\n"), "checkpoint_malformed"),
        (lambda text: text.replace("\n7\n", "\n-7\n"), "checkpoint_malformed"),
        (lambda text: text.replace("\n7\n", "\n+7\n"), "checkpoint_malformed"),
        (lambda text: text.replace("\n7\n", "\n\u0667\n"), "checkpoint_malformed"),
        (lambda text: text.replace("\n7\n", f"\n{2**40 + 1}\n"), "checkpoint_malformed"),
        (lambda text: text.replace("\n7\n", "\n" + "9" * 5000 + "\n"), "checkpoint_malformed"),
        (lambda text: text + "extension\n", "checkpoint_malformed"),
        (lambda text: text.replace("\n7\n", "\n\n7\n"), "checkpoint_malformed"),
        (lambda text: text.split("\n", 1)[1], "checkpoint_malformed"),
        (lambda text: "\n" + text.split("\n", 1)[1], "checkpoint_malformed"),
        (lambda text: text.replace("=", ""), "base64_malformed"),
        (lambda text: text.rsplit("\n", 2)[0] + "\nQQ==\n", "checkpoint_malformed"),
        (lambda text: text.replace("example.com/log", "other.example"), "origin_mismatch"),
    ],
)
def test_a_signature_alone_does_not_make_a_checkpoint(
    change: Callable[[str], str], code: str
) -> None:
    with pytest.raises(LedgerError) as caught:
        open_checkpoint(_resigned(change), LOG.verifier)
    assert caught.value.code == code


def test_witness_signatures_do_not_disturb() -> None:
    signed = sign_checkpoint(7, ROOT, LOG)
    cosigned = signed.note + WITNESS.sign(signed.checkpoint.text).split(b"\n\n")[1]
    opened = open_checkpoint(cosigned, LOG.verifier)
    assert (opened.checkpoint, opened.note) == (signed.checkpoint, cosigned)
