"""Commitments: a leaf shows that a value was fixed, without showing the value.

A commitment is HMAC-SHA-256 keyed with 16 random bytes over the value's canonical bytes, one
salt for each value. Without the salt nothing can be learnt or guessed (an unsalted hash of an
amount is found by trying amounts); with it, one value can be shown and checked, and no other.
Destroying the salts with the payloads makes the leaf say nothing more, and every proof still
holds.
"""

from __future__ import annotations

import hmac
from hashlib import sha256
from typing import Final, NewType

from bailiwick.ledger.errors import LedgerError

Commitment = NewType("Commitment", str)
"""64 lower-case hex digits."""

SALT_BYTES: Final = 16

# The salt and zeros up to SHA-256's block of 64 bytes, exclusive-or the two pads: by table for the
# salt, and written out for the zeros.
_IPAD: Final = bytes(byte ^ 0x36 for byte in range(256))
_OPAD: Final = bytes(byte ^ 0x5C for byte in range(256))
_INNER_REST: Final = b"\x36" * (64 - SALT_BYTES)
_OUTER_REST: Final = b"\x5c" * (64 - SALT_BYTES)


def commit(salt: bytes, value: bytes) -> Commitment:
    """Commit to `value` (canonical bytes) under a fresh random `salt` of 16 bytes.

    INVARIANT: the salt has exactly 16 bytes. HMAC pads keys with zero bytes, so salts of other
    lengths could collide.

    Raises:
        LedgerError: `salt_length`.
    """
    if len(salt) != SALT_BYTES:
        raise LedgerError("salt_length", f"a salt has 16 bytes, not {len(salt)}")
    # HMAC as RFC 2104 section 2 writes it. Each call makes two, and over the short values they are
    # of, `hmac.digest` takes nearly twice as long.
    inner = sha256(salt.translate(_IPAD) + _INNER_REST)
    inner.update(value)
    outer = sha256(salt.translate(_OPAD) + _OUTER_REST + inner.digest())
    return Commitment(outer.hexdigest())


def open_commitment(commitment: str, salt: bytes, value: bytes) -> None:
    """Check that `commitment` is to `value` under `salt`.

    Raises:
        LedgerError: `commitment_mismatch`, or `salt_length`.
    """
    if not hmac.compare_digest(commit(salt, value).encode(), commitment.encode()):
        raise LedgerError("commitment_mismatch", f"`{commitment}` is not to this value and salt")
