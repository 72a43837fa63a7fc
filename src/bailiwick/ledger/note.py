"""Signed notes (C2SP signed-note v1.0.0), with Ed25519 keys.

Everything is read strictly: base64 has one spelling, lines one shape. A note that was changed in
any byte either fails here or no longer carries a signature by a known key.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from bailiwick.ledger.errors import LedgerError

ED25519: Final = b"\x01"
"""Signature type identifier byte."""

MAX_NOTE_BYTES: Final = 1_000_000
MAX_SIGNATURES: Final = 100

_SIGNATURE_PREFIX: Final = "\u2014 "


@dataclass(frozen=True, slots=True)
class Verifier:
    """A named Ed25519 public key that note signatures are checked with.

    Attributes:
        name: key name: not empty, no Unicode spaces, no plus.
        key_id: 4 bytes.
        public_key: 32 bytes, RFC 8032.
    """

    name: str
    key_id: bytes
    public_key: bytes

    @property
    def vkey(self) -> str:
        """The verifier key as text: `NAME+HEX+BASE64`."""
        return f"{self.name}+{self.key_id.hex()}+{encode_base64(ED25519 + self.public_key)}"

    def verify(self, text: str, signature: bytes) -> None:
        """Check an Ed25519 signature over the note text.

        Raises:
            LedgerError: `signature_invalid`.
        """
        try:
            Ed25519PublicKey.from_public_bytes(self.public_key).verify(signature, text.encode())
        except (InvalidSignature, ValueError) as error:
            message = f"the signature by `{self.name}` does not hold"
            raise LedgerError("signature_invalid", message) from error


@dataclass(frozen=True, slots=True)
class Signer:
    """A named Ed25519 private key. Its repr shows no secret."""

    name: str
    key: Ed25519PrivateKey

    def __post_init__(self) -> None:
        """Refuse a name that no verifier would take."""
        _check_name(self.name)

    @property
    def verifier(self) -> Verifier:
        """The public half."""
        public_key = self.key.public_key().public_bytes_raw()
        return Verifier(self.name, _key_id(self.name, public_key), public_key)

    def sign(self, text: str) -> bytes:
        """Make a note of `text`, which ends in a newline, with this one signature.

        Raises:
            LedgerError: `note_malformed` when the text cannot be a note's.
        """
        if not text.endswith("\n") or not _is_note_text(text):
            raise LedgerError("note_malformed", "a note's text ends in a newline, without controls")
        signature = encode_base64(self.verifier.key_id + self.key.sign(text.encode()))
        return f"{text}\n{_SIGNATURE_PREFIX}{self.name} {signature}\n".encode()


@dataclass(frozen=True, slots=True)
class Note:
    """A note whose signatures by known keys hold. Only `open_note` makes one.

    Attributes:
        text: with its final newline.
        signers: the keys among those given whose signatures were verified; at least one.
    """

    text: str
    signers: tuple[Verifier, ...]


def parse_vkey(vkey: str) -> Verifier:
    """Parse a verifier key of type Ed25519.

    Raises:
        LedgerError: `vkey_malformed`.
    """
    parts = vkey.strip().split("+", 2)
    try:
        name, key_id, key = parts[0], parts[1], decode_base64(parts[2])
        _check_name(name)
    except (IndexError, LedgerError) as error:
        message = f"`{vkey}` is not a verifier key (`NAME+HASH+KEY`)"
        raise LedgerError("vkey_malformed", message) from error
    if key[:1] != ED25519 or len(key) != 33:
        raise LedgerError("vkey_malformed", f"`{vkey}` is not an Ed25519 verifier key")
    if _key_id(name, key[1:]).hex() != key_id:
        raise LedgerError("vkey_malformed", f"the hash in `{vkey}` is not that of its name and key")
    return Verifier(name, _key_id(name, key[1:]), key[1:])


def open_note(note: bytes, verifiers: Sequence[Verifier]) -> Note:
    """Verify a note against known keys.

    1. The note is UTF-8 without control characters but newline, and not oversized.
    2. The last empty line separates the text from one or more signature lines.
    3. Each signature line has the one shape, and strict base64 of more than 4 bytes.
    4. Signatures by unknown keys are ignored; one by a known key has to hold.
    5. At least one known key has signed.

    Raises:
        LedgerError: `note_malformed`, `signature_invalid`, `signature_missing`.

    Source: https://c2sp.org/signed-note@v1.0.0.
    """
    text, lines = _split(note)  # 1, 2
    known = {(verifier.name, verifier.key_id): verifier for verifier in verifiers}
    signers: list[Verifier] = []
    for line in lines:
        name, signature = _parse_signature(line)  # 3
        verifier = known.get((name, signature[:4]))
        if verifier is None:  # 4
            continue
        verifier.verify(text, signature[4:])
        if verifier not in signers:
            signers.append(verifier)
    if not signers:  # 5
        wanted = ", ".join(f"`{verifier.name}`" for verifier in verifiers) or "any key given"
        raise LedgerError("signature_missing", f"the note carries no signature by {wanted}")
    return Note(text, tuple(signers))


def encode_base64(data: bytes) -> str:
    """Standard base64 (RFC 4648 section 4), padded."""
    return base64.b64encode(data).decode()


def decode_base64(text: str) -> bytes:
    """Strict standard base64: padded, no other characters, unused bits zero.

    Raises:
        LedgerError: `base64_malformed`.
    """
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise LedgerError("base64_malformed", f"`{text[:100]}` is not base64") from error
    if encode_base64(data) != text:
        raise LedgerError("base64_malformed", f"`{text[:100]}` is not canonical base64")
    return data


def _split(note: bytes) -> tuple[str, list[str]]:
    if len(note) > MAX_NOTE_BYTES:
        raise LedgerError("note_malformed", f"the note has {len(note)} bytes, too many")
    try:
        message = note.decode()
    except UnicodeDecodeError as error:
        raise LedgerError("note_malformed", "the note is not UTF-8") from error
    if not _is_note_text(message):
        raise LedgerError("note_malformed", "the note holds control characters")
    text, separator, signatures = message.rpartition("\n\n")
    if not separator or not signatures.endswith("\n"):
        raise LedgerError("note_malformed", "the note has no block of signatures")
    lines = signatures[:-1].split("\n")
    if len(lines) > MAX_SIGNATURES:
        raise LedgerError("note_malformed", f"the note has {len(lines)} signatures, too many")
    return text + "\n", lines


def _parse_signature(line: str) -> tuple[str, bytes]:
    try:
        if not line.startswith(_SIGNATURE_PREFIX):
            raise LedgerError("note_malformed", "it does not start with a dash")
        name, _, encoded = line.removeprefix(_SIGNATURE_PREFIX).partition(" ")
        _check_name(name)
        signature = decode_base64(encoded)
        if len(signature) <= 4:
            raise LedgerError("note_malformed", "it is too short")
    except LedgerError as error:
        message = f"`{line[:100]}` is not a signature line: {error.message}"
        raise LedgerError("note_malformed", message) from error
    return name, signature


def _is_note_text(text: str) -> bool:
    return not any(char < " " and char != "\n" for char in text)


def _check_name(name: str) -> None:
    if not name or "+" in name or any(char.isspace() for char in name) or not _is_note_text(name):
        raise LedgerError("key_name_malformed", f"`{name}` cannot be a key name")


def _key_id(name: str, public_key: bytes) -> bytes:
    return sha256(name.encode() + b"\n" + ED25519 + public_key).digest()[:4]
