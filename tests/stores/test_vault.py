"""The vault: sealed for one person, beside one leaf; and forgetting."""

from __future__ import annotations

import os
import zlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bailiwick.core.errors import ConfigError, VerificationError
from bailiwick.ports import SubjectKey
from bailiwick.stores.keys import load_or_make
from bailiwick.stores.sqlite import SqliteJournal
from bailiwick.stores.sqlite_reads import SqliteRecords
from bailiwick.stores.text_seal import TextSeal
from bailiwick.stores.vault import ErasedError, Vault

SECRET = b"v" * 32


@pytest.fixture
async def stores(tmp_path: Path) -> AsyncIterator[tuple[SqliteJournal, SqliteRecords]]:
    journal = SqliteJournal(tmp_path / "b.db", seal=TextSeal(SECRET))
    records = SqliteRecords(tmp_path / "b.db", seal=TextSeal(SECRET))
    yield journal, records
    await journal.close()
    await records.close()


async def test_a_payload_opens_beside_its_leaf_also_after_a_restart(
    stores: tuple[SqliteJournal, SqliteRecords],
) -> None:
    journal, records = stores
    vault = Vault(SECRET, [], journal)
    await vault.ensure("ada", 1)
    await vault.ensure("ben", 1)
    sealed = vault.seal("ada", b"leaf", b"payload")
    assert b"payload" not in sealed
    assert sealed != vault.seal("ada", b"leaf", b"payload")
    again = Vault(SECRET, await records.subject_keys(), journal)
    assert again.open(b"leaf", sealed) == b"payload"
    assert again.pseudonym("ada") == vault.pseudonym("ada") != vault.pseudonym("ben")


async def test_a_payload_moved_or_altered_does_not_open(
    stores: tuple[SqliteJournal, SqliteRecords],
) -> None:
    vault = Vault(SECRET, [], stores[0])
    await vault.ensure("ada", 1)
    await vault.ensure("ben", 1)
    sealed = vault.seal("ada", b"leaf", b"payload")
    with pytest.raises(VerificationError):
        vault.open(b"another leaf", sealed)
    for at in range(len(sealed)):
        changed = bytearray(sealed)
        changed[at] ^= 1
        with pytest.raises(VerificationError):
            vault.open(b"leaf", bytes(changed))
    with pytest.raises(VerificationError):
        vault.open(b"leaf", b"")


async def test_a_payload_of_the_first_format_opens_beside_its_leaf(
    stores: tuple[SqliteJournal, SqliteRecords],
) -> None:
    key = (
        "000000000000000000000002aa90434e8341456687df917aa0abc1bd588e2cf5a3a4d47c984357ec2692d33c3d46"
        "f48f857680149753c955c8304ab1"
    )
    sealed = "0100000001000000000001000000000000796d884e4350779c5f8cdd59aa8553858db09a8ec93829"
    vault = Vault(SECRET, [SubjectKey(1, "ada", bytes.fromhex(key), 1)], stores[0])
    assert vault.open(b"leaf", bytes.fromhex(sealed)) == b"payload"
    assert vault.seal("ada", b"leaf", b"payload")[:1] == b"\x02"
    for leaf, text in ((b"another leaf", sealed), (b"leaf", "02" + sealed[2:])):
        with pytest.raises(VerificationError):
            vault.open(leaf, bytes.fromhex(text))


@pytest.mark.parametrize(
    ("payload", "form"),
    [
        (b'{"text":"' + b"once more, " * 372 + b'"}', 3),
        (b"a" * 4095, 2),
        (b"a" * 4096, 3),
        (b"a" * 65_536, 3),
        (b"a" * 65_537, 2),
        (os.urandom(5_000), 2),
    ],
)
async def test_a_payload_is_packed_where_that_makes_it_smaller(
    stores: tuple[SqliteJournal, SqliteRecords], payload: bytes, form: int
) -> None:
    vault = Vault(SECRET, [], stores[0])
    await vault.ensure("ada", 1)
    sealed = vault.seal("ada", b"leaf", payload)
    assert sealed[0] == form
    assert (len(sealed) < len(payload)) == (form == 3)
    assert vault.open(b"leaf", sealed) == payload
    with pytest.raises(VerificationError):
        vault.open(b"another leaf", sealed)


async def test_how_long_a_packed_payload_is_does_not_tell_what_repeats_in_it(
    stores: tuple[SqliteJournal, SqliteRecords],
) -> None:
    vault = Vault(SECRET, [], stores[0])
    await vault.ensure("ada", 1)
    form = b"".join(b"%d:%d;" % (number, number * number) for number in range(500))
    known = b"diagnosis: melanoma of the left foot. " + form
    lengths = {
        len(vault.seal("ada", b"leaf", known + secret.ljust(40)))
        for secret in (b"melanoma of the left foot", b"vertigo, since the accident", b"none")
    }
    assert len(lengths) == 1


async def test_a_payload_is_not_taken_for_a_packed_one(
    stores: tuple[SqliteJournal, SqliteRecords],
) -> None:
    # An agent may say what is itself packed text; who can write the file must not have it opened.
    vault = Vault(SECRET, [], stores[0])
    await vault.ensure("ada", 1)
    said = vault.seal("ada", b"leaf", zlib.compress(b"something else"))
    packed = vault.seal("ada", b"leaf", b"a" * 5_000)
    for sealed, other in ((said, b"\x03"), (packed, b"\x02"), (packed, b"\x01")):
        with pytest.raises(VerificationError, match="altered"):
            vault.open(b"leaf", other + sealed[1:])


async def test_no_nonce_comes_twice(stores: tuple[SqliteJournal, SqliteRecords]) -> None:
    journal, records = stores
    vault = Vault(SECRET, [], journal)
    await vault.ensure("ada", 1)
    again = Vault(SECRET, await records.subject_keys(), journal)
    sealed = [each.seal("ada", b"l", b"p") for each in (vault, again) for _ in range(2000)]
    assert len({one[5:17] for one in sealed}) == 4000


async def test_destroying_a_persons_key_erases_their_payloads_and_no_others(
    stores: tuple[SqliteJournal, SqliteRecords],
) -> None:
    journal, records = stores
    vault = Vault(SECRET, [], journal)
    await vault.ensure("ada", 1)
    await vault.ensure("ben", 1)
    of_ada, of_ben = vault.seal("ada", b"l", b"1"), vault.seal("ben", b"l", b"2")
    ada, _ = await records.subject_keys()
    await journal.commit((), [SubjectKey(ada.id, "", b"", 2)])
    after = Vault(SECRET, await records.subject_keys(), journal)
    with pytest.raises(ErasedError):
        after.open(b"l", of_ada)
    assert after.open(b"l", of_ben) == b"2"
    await after.ensure("ada", 3)
    assert after.open(b"l", after.seal("ada", b"l", b"3")) == b"3"
    with pytest.raises(ErasedError):
        after.open(b"l", of_ada)


async def test_the_wrong_vault_key_is_noticed_at_once(
    stores: tuple[SqliteJournal, SqliteRecords],
) -> None:
    journal, records = stores
    await Vault(SECRET, [], journal).ensure("ada", 1)
    with pytest.raises(VerificationError, match=r"vault\.key"):
        Vault(b"w" * 32, await records.subject_keys(), journal)


def test_a_key_file_is_made_once_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "token.key"
    secret = load_or_make(path)
    assert len(secret) == 32
    assert path.stat().st_mode & 0o777 == 0o600
    assert load_or_make(path) == secret


@pytest.mark.parametrize(("mode", "content"), [(0o644, "00" * 32), (0o600, "zz"), (0o600, "00")])
def test_an_exposed_or_damaged_key_file_is_refused(tmp_path: Path, mode: int, content: str) -> None:
    path = tmp_path / "token.key"
    path.write_text(content)
    path.chmod(mode)
    with pytest.raises(ConfigError) as caught:
        load_or_make(path)
    assert caught.value.code in ("key_exposed", "key_damaged")
    assert content not in caught.value.message.replace(str(tmp_path), "")
