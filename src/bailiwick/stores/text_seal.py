"""What the store's rows quote of payloads, sealed: a copy of the database alone shows none of it.

Some columns hold what a call said or a person wrote: the text shown for a stamp, the reason given,
the sentence of a denial, a call's digest (unsalted, so guessable). They are sealed here, each for
its own table, column and row. The ledger's payloads have a key per person (`vault.py`); these
rows have one key for one store, since they can be deleted, which ledger entries cannot.

AES-SIV (RFC 5297) because it needs no nonce: the same text at the same place gives the same bytes,
which is all it ever shows, and there is no count of messages after which nonces may repeat.
"""

from __future__ import annotations

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from bailiwick.core.errors import StoreError

_KEY_BYTES = 64  # AES-256-SIV takes two keys of 32
_KEY_LABEL = b"bailiwick text seal v1"
_FORMAT = b"\x01"
_SEAL, _BLIND = b"seal", b"blind"


class TextSeal:
    """Seals texts for their place in the store.

    A sealed text is `0x01 || AES-SIV(text)`, 17 bytes longer than its UTF-8, with the place as
    associated data.
    """

    def __init__(self, secret: bytes) -> None:
        """Derive the key.

        Args:
            secret: the vault's own secret, 32 bytes; nothing that it encrypts or signs by itself
                can be confused with what the derived key seals.
        """
        key = HKDF(SHA256(), _KEY_BYTES, salt=None, info=_KEY_LABEL).derive(secret)
        self._siv = AESSIV(key)

    def seal(self, text: str, table: str, column: str, *row: str) -> bytes:
        """Seal `text` for one place: table, column and the row's key. Some 5 µs."""
        place = _bound(_SEAL, table, column, *row)
        return _FORMAT + self._siv.encrypt(text.encode(), place)

    def open(self, sealed: object, table: str, column: str, *row: str) -> str:
        """The text that was sealed for this very place.

        Raises:
            StoreError: `text_damaged`: it was altered, moved here from elsewhere, sealed with
                another vault key, or is not sealed at all.
        """
        if isinstance(sealed, bytes) and sealed[:1] == _FORMAT:
            try:
                place = _bound(_SEAL, table, column, *row)
                return self._siv.decrypt(sealed[1:], place).decode()
            except (InvalidTag, ValueError):  # ValueError: shorter than any sealed text
                pass
        raise damaged_text(table, column, *row)

    def blind(self, value: str, *among: str) -> bytes:
        """What `value` is looked up by where it may not stand: equal for equal values only.

        It says nothing of `value`, and equal values have nothing in common under other `among`.
        """
        return self._siv.encrypt(value.encode(), _bound(_BLIND, *among))


def damaged_text(table: str, column: str, *row: str) -> StoreError:
    """The error for a text that does not belong where it stands."""
    return StoreError(
        "text_damaged",
        f"`{column}` of `{' '.join(row)}` in `{table}` was altered, or belongs elsewhere: stop, "
        "keep the folder for evidence, and restore the newest backup into an empty one",
    )


def _bound(use: bytes, *parts: str) -> list[bytes]:
    return [use, *(part.encode() for part in parts)]
