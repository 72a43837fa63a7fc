"""The data folder: its lock, its identity and its keys.

Layout: `bailiwick.db` (state), `ledger/` (the public log, derived from it), `keys/` (owner only),
`instance` (this gateway's name), `gateway.json` (the running gateway's address), `lock`.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bailiwick.core.errors import ConfigError, StoreError
from bailiwick.identity.tokens import TokenKey
from bailiwick.stores.keys import load_or_make, signing_key


@dataclass(frozen=True, slots=True)
class DataFolder:
    """One data folder, prepared."""

    path: Path
    instance: str

    @property
    def database(self) -> Path:
        """The SQLite file."""
        return self.path / "bailiwick.db"

    @property
    def ledger(self) -> Path:
        """The tlog-tiles directory."""
        return self.path / "ledger"

    @property
    def origin(self) -> str:
        """The ledger's origin line and key name."""
        return f"bailiwick.local/{self.instance}"

    @property
    def issuer(self) -> str:
        """The name tokens are issued under."""
        return f"bailiwick:{self.instance}"

    def token_key(self) -> TokenKey:
        """The key that makes and verifies tokens."""
        return TokenKey(signing_key(self.path / "keys" / "token.key"), self.issuer)

    def vault_secret(self) -> bytes:
        """The vault's own key."""
        return load_or_make(self.path / "keys" / "vault.key")

    def state_key(self) -> bytes:
        """The key that seals what a stateless client carries for us between two requests."""
        return load_or_make(self.path / "keys" / "state.key")

    def ledger_key(self) -> Ed25519PrivateKey:
        """The key that signs checkpoints."""
        return signing_key(self.path / "keys" / "ledger.key")


def prepare_folder(path: Path) -> DataFolder:
    """Make the folder if need be, check that it can be written, and give it a name.

    Raises:
        ConfigError: `data_folder_unusable`.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
        name = path / "instance"
        with contextlib.suppress(FileExistsError):
            handle = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "w") as file:
                file.write(secrets.token_hex(8) + "\n")
        instance = name.read_text().strip()
    except OSError as error:
        raise ConfigError(
            "data_folder_unusable",
            f"the data folder `{path}` cannot be used: {error.strerror}",
        ) from error
    if not (instance.isascii() and instance.isalnum()):
        raise ConfigError("data_folder_unusable", f"`{name}` does not hold a name")
    return DataFolder(path, instance)


def open_folder(path: Path) -> DataFolder:
    """An existing data folder, for commands beside or after the gateway.

    Raises:
        ConfigError: `data_folder_missing`.
    """
    try:
        instance = (path / "instance").read_text().strip()
    except OSError as error:
        raise ConfigError(
            "data_folder_missing", f"`{path}` is not the data folder of a gateway"
        ) from error
    return DataFolder(path, instance)


@contextlib.contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold the folder's lock: one gateway to a data folder. The kernel drops it with the process.

    Raises:
        ConfigError: `data_folder_in_use`.
    """
    with open(path / "lock", "a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ConfigError(
                "data_folder_in_use",
                f"another gateway runs on `{path}`: stop it first, or give this one its own --data",
            ) from error
        yield


def announce(folder: DataFolder, url: str, ledger_key: str) -> None:
    """Write where the running gateway is, for commands that are given the folder."""
    text = json.dumps({"url": url, "pid": os.getpid(), "ledger_key": ledger_key})
    part = folder.path / "gateway.json.part"
    try:
        part.write_text(text + "\n")
        part.replace(folder.path / "gateway.json")
    except OSError as error:
        raise StoreError("store_unavailable", f"`gateway.json`: {error.strerror}") from error


def withdraw(folder: DataFolder) -> None:
    """Say that no gateway runs here any more."""
    with contextlib.suppress(OSError):
        (folder.path / "gateway.json").unlink()
