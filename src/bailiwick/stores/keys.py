"""Key files of one data folder. Made once, owner-only, never overwritten.

The data folder is the root of trust of an embedded gateway: whoever can read `keys/` can make
tokens and sign checkpoints. A file that others may read is refused.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bailiwick.core.errors import ConfigError, StoreError


def load_or_make(path: Path) -> bytes:
    """The 32 secret bytes in `path`, made from the system's randomness if it is not there.

    Raises:
        ConfigError: `key_exposed` when the file may be read by others, `key_damaged` when it does
            not hold 32 bytes in hex.
        StoreError: `store_unavailable` when it cannot be read or written.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return _load(path)
        secret = os.urandom(32)
        with os.fdopen(handle, "w") as file:
            file.write(secret.hex() + "\n")
            file.flush()
            os.fsync(file.fileno())
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise StoreError("store_unavailable", f"key file `{path}`: {error.strerror}") from error
    return secret


def signing_key(path: Path) -> Ed25519PrivateKey:
    """The Ed25519 key whose seed is in `path` (see `load_or_make`)."""
    return Ed25519PrivateKey.from_private_bytes(load_or_make(path))


def _load(path: Path) -> bytes:
    mode = path.stat().st_mode
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ConfigError(
            "key_exposed",
            f"key file `{path}` may be read by others (mode {stat.S_IMODE(mode):03o}): "
            "chmod 600 it, and replace the key if anybody may have read it",
        )
    try:
        secret = bytes.fromhex(path.read_text().strip())
    except ValueError as error:
        raise ConfigError("key_damaged", f"key file `{path}` is not hex") from error
    if len(secret) != 32:
        raise ConfigError("key_damaged", f"key file `{path}` holds {len(secret)} bytes, not 32")
    return secret
