"""Payloads at rest: encrypted under a key per person, bound to their ledger leaf.

A leaf holds commitments; what they commit to lies beside it, sealed. Destroying a person's key
makes their payloads unreadable and leaves every proof valid (promise 10). The vault's own key
wraps the people's keys and never leaves its file.
"""

from __future__ import annotations

import hmac
import os
import zlib
from collections.abc import Callable, Iterable
from hashlib import sha256
from itertools import count

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from bailiwick.core.errors import VerificationError
from bailiwick.ports import Journal, SubjectKey

_FORMAT = b"\x02"
_FORMAT_OF_HASH = b"\x01"
"""Whose associated data is SHA-256 of the leaf: a leaf is hashed once less by the newer one, since
it costs AES-GCM next to nothing to take it whole. Payloads of both are opened."""

_FORMAT_DEFLATED = b"\x03"
"""Packed before it was encrypted. Told in the associated data too: no other payload can be passed
off as a packed one by its first byte."""

_FORMATS = (_FORMAT, _FORMAT_OF_HASH, _FORMAT_DEFLATED)
_HEAD_BYTES = 1 + 4 + 12

_MIN_PACKED_BYTES = 4 * 1024
_MAX_PACKED_BYTES = 64 * 1024
"""Payloads between these are packed: what a model streams falls to a tenth or less, and 10 us of
packing save several times as much of writing. Below, there is little to save; above, packing what
cannot be packed would hold up other calls by more than a millisecond."""

_PACKED_STEP_BYTES = 512


class ErasedError(VerificationError):
    """The payload was erased: its person's key has been destroyed."""


class Vault:
    """Seals and opens payloads.

    A sealed payload is `0x02 || key id (4 bytes) || nonce (12) || AES-256-GCM ciphertext`, with
    the leaf as associated data, so that it opens only beside its own leaf. One that deflate makes
    smaller begins with `0x03`, and `0x03 || leaf` is its associated data. A copy of the file shows
    how long a payload is in any case; how well it could be packed would also tell whether words in
    it that are known repeat one that is not. So it is filled up with zeros to whole steps: that a
    word repeats is shown only where it moves the length across the edge of one.

    A nonce is 48 random bits, new with each vault, and a count of 48: within one process none comes
    twice for 2**48 payloads, and over a thousand processes two share their random bits with a
    chance of 2 in a billion (NIST SP 800-38D section 8.2.1; purely random nonces would wear a key
    out after 2**32 payloads, days at full load).
    """

    def __init__(
        self,
        secret: bytes,
        keys: Iterable[SubjectKey],
        journal: Journal,
        random: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._random = random
        self._secret = secret
        self._wrap = AESGCM(secret)
        self._journal = journal
        self._current: dict[str, tuple[bytes, Callable[[bytes, bytes, bytes], bytes]]] = {}
        self._by_id: dict[int, AESGCM | None] = {}
        self._pseudonyms: dict[str, str] = {}
        self._ids = count(1)
        self._nonces = count(int.from_bytes(random(6), "big") << 48)
        for key in keys:
            self._take(key)

    def knows(self, subject: str) -> bool:
        """Whether `seal` may be called for this person."""
        return subject in self._current

    async def ensure(self, subject: str, now_ms: int) -> None:
        """Make and durably keep a key for `subject` if there is none. Raises StoreError."""
        if subject in self._current:
            return
        key_id = next(self._ids)
        nonce = self._random(12)
        wrapped = nonce + self._wrap.encrypt(nonce, self._random(32), _wrap_data(key_id, subject))
        key = SubjectKey(key_id, subject, wrapped, now_ms)
        await self._journal.commit((), (key,))
        if subject not in self._current:
            self._take(key)

    def seal(self, subject: str, leaf: bytes, payload: bytes) -> bytes:
        """Encrypt `payload` for `subject`. The subject must be known (`ensure`)."""
        head, encrypt = self._current[subject]
        nonce = next(self._nonces).to_bytes(12, "big")
        if _MIN_PACKED_BYTES <= len(payload) <= _MAX_PACKED_BYTES:
            packed = zlib.compress(payload, 1)
            packed += bytes(-len(packed) % _PACKED_STEP_BYTES)
            if len(packed) < len(payload):
                sealed = encrypt(nonce, packed, _FORMAT_DEFLATED + leaf)
                return _FORMAT_DEFLATED + head[1:] + nonce + sealed
        return head + nonce + encrypt(nonce, payload, leaf)

    def open(self, leaf: bytes, sealed: bytes) -> bytes:
        """Decrypt a payload that stands beside `leaf`.

        Raises:
            ErasedError: its key was destroyed.
            VerificationError: `payload_damaged`; it was altered or belongs to another leaf.
        """
        form = sealed[:1]
        if len(sealed) < _HEAD_BYTES or form not in _FORMATS:
            raise VerificationError("payload_damaged", "the payload is not in a known format")
        key_id = int.from_bytes(sealed[1:5], "big")
        cipher = self._by_id.get(key_id)
        if cipher is None:
            raise ErasedError("payload_erased", "the payload was erased with its person's key")
        bound = leaf
        if form == _FORMAT_DEFLATED:
            bound = form + leaf
        elif form == _FORMAT_OF_HASH:
            bound = sha256(leaf).digest()
        try:
            payload = cipher.decrypt(sealed[5:_HEAD_BYTES], sealed[_HEAD_BYTES:], bound)
            # What follows the end of what was packed are zeros.
            return _unpack(payload) if form == _FORMAT_DEFLATED else payload
        except InvalidTag:
            raise VerificationError(
                "payload_damaged", "the payload was altered or belongs to another entry"
            ) from None

    def pseudonym(self, subject: str) -> str:
        """A stable name for a person in ledger leaves: `p_` and 24 hex digits.

        It cannot be linked to the name without the vault's key.
        """
        known = self._pseudonyms.get(subject)
        if known is None:
            mac = hmac.new(self._secret, b"pseudonym\x00" + subject.encode(), sha256)
            known = self._pseudonyms[subject] = "p_" + mac.hexdigest()[:24]
        return known

    def _take(self, key: SubjectKey) -> None:
        self._ids = count(max(key.id + 1, next(self._ids)))
        if not key.wrapped:
            self._by_id[key.id] = None
            return
        try:
            plain = self._wrap.decrypt(
                key.wrapped[:12], key.wrapped[12:], _wrap_data(key.id, key.subject)
            )
        except InvalidTag:
            raise VerificationError(
                "vault_key_wrong",
                f"the vault key does not open the payload key of `{key.subject}`: restore "
                "`keys/vault.key` from the same backup as the database",
            ) from None
        cipher = AESGCM(plain)
        self._by_id[key.id] = cipher
        self._current[key.subject] = (_FORMAT + key.id.to_bytes(4, "big"), cipher.encrypt)


def _unpack(packed: bytes) -> bytes:
    return zlib.decompressobj().decompress(packed)


def _wrap_data(key_id: int, subject: str) -> bytes:
    return b"bailiwick subject key\x00" + key_id.to_bytes(4, "big") + subject.encode()
