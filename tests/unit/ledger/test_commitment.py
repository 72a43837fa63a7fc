"""Commitments hide, bind, and open with one salt only."""

from __future__ import annotations

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailiwick.ledger.commitment import SALT_BYTES, commit, open_commitment
from bailiwick.ledger.errors import LedgerError
from bailiwick.ledger.leaf import canonical_value

salts = st.binary(min_size=SALT_BYTES, max_size=SALT_BYTES)


@given(salts, st.binary())
def test_a_commitment_is_hmac_sha256_and_opens_with_its_salt(salt: bytes, value: bytes) -> None:
    commitment = commit(salt, value)
    assert commitment == hmac.new(salt, value, hashlib.sha256).hexdigest()
    open_commitment(commitment, salt, value)


@given(salts, salts, st.binary(), st.binary())
def test_another_salt_or_value_does_not_open_it(
    salt: bytes, other_salt: bytes, value: bytes, other: bytes
) -> None:
    commitment = commit(salt, value)
    if (other_salt, other) == (salt, value):
        return
    with pytest.raises(LedgerError) as caught:
        open_commitment(commitment, other_salt, other)
    assert caught.value.code == "commitment_mismatch"


@pytest.mark.parametrize("length", [0, 15, 17, 64, 65])
def test_a_salt_has_exactly_16_bytes_since_hmac_pads_with_zeros(length: int) -> None:
    with pytest.raises(LedgerError) as caught:
        commit(bytes(length), b"value")
    assert caught.value.code == "salt_length"


def test_text_that_is_no_commitment_is_refused() -> None:
    with pytest.raises(LedgerError, match="not to this value"):
        open_commitment("\u00e9", bytes(16), b"value")


def test_guessing_the_value_without_the_salt_finds_nothing() -> None:
    commitment = commit(bytes(range(16)), canonical_value("120.00"))
    guesses = (canonical_value(f"{amount}.00") for amount in range(1000))
    assert not any(hashlib.sha256(guess).hexdigest() == commitment for guess in guesses)
