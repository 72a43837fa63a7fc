"""Texts in the store's rows: sealed for their own place, and for nobody without the vault's key."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailiwick.core.errors import StoreError
from bailiwick.ports import (
    CallMoved,
    CallOpened,
    CallQuery,
    CallState,
    Change,
    Entry,
    HoldOpened,
    Records,
    Stamped,
)
from bailiwick.stores.sqlite import SqliteJournal
from bailiwick.stores.sqlite_reads import SqliteRecords
from bailiwick.stores.text_seal import TextSeal

SEAL = TextSeal(b"v" * 32)
Place = tuple[str, str] | tuple[str, str, str]
DIGEST, OTHER = "d" * 64, "e" * 64
places = st.tuples(st.text(), st.text(), st.text()) | st.tuples(st.text(), st.text())


def call(
    call_id: str, state: CallState, because: str, kind: str = "tool", digest: str = ""
) -> CallOpened:
    return CallOpened(
        id=call_id,
        at_ms=1,
        run="r1",
        agent="clerk",
        mandate="m@1",
        principal="ada",
        kind=kind,
        upstream="bank",
        name="file:///patients/marked-name" if kind == "resource" else "pay",
        digest=digest,
        state=state,
        code="code",
        because=because,
    )


def held(hold: str, digest: str = DIGEST, kind: str = "tool") -> HoldOpened:
    return HoldOpened(
        id=hold,
        call="c1",
        digest=digest,
        mandate="m@1",
        agent="clerk",
        run="r1",
        kind=kind,
        upstream="bank",
        name="file:///patients/marked-name" if kind == "resource" else "pay",
        because="marked-because",
        rules=("m@1/stamp/1",),
        role="treasurer",
        excluded=(),
        count=1,
        rendering=f"marked-rendering {digest}",
        nonce="n",
        at_ms=1,
        expires_ms=100,
    )


def stamp(hold: str, person: str) -> Stamped:
    return Stamped(hold, person, "approve", f"marked-reason {person}", "token", 3, f"marked {hold}")


async def write(path: Path, *changes: Change) -> None:
    journal = SqliteJournal(path, seal=SEAL)
    await journal.commit([Entry(b"{}")], changes)
    await journal.close()


def tamper(path: Path, sql: str, *values: object) -> None:
    with closing(sqlite3.connect(path)) as db:
        assert db.execute(sql, values).rowcount > 0
        db.commit()


def files_in(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.iterdir())


async def refused(path: Path, read: Callable[[Records], object], seal: TextSeal = SEAL) -> str:
    records = SqliteRecords(path, seal=seal)
    try:
        with pytest.raises(StoreError) as caught:
            await read(records)  # type: ignore[misc]
    finally:
        await records.close()
    assert "marked" not in caught.value.message
    return caught.value.code


# --- the seal itself ---------------------------------------------------------------------------


@given(st.text(), places)
def test_a_text_opens_at_its_own_place(text: str, place: Place) -> None:
    sealed = SEAL.seal(text, *place)
    assert TextSeal(b"v" * 32).open(sealed, *place) == text
    assert len(sealed) == 17 + len(text.encode())


@given(st.text(), places, places)
def test_a_text_opens_nowhere_else(text: str, place: Place, other: Place) -> None:
    if place == other:
        return
    with pytest.raises(StoreError) as caught:
        SEAL.open(SEAL.seal(text, *place), *other)
    assert caught.value.code == "text_damaged"


def test_a_text_altered_anywhere_does_not_open() -> None:
    sealed = SEAL.seal("text", "holds", "rendering", "h1")
    for at in range(len(sealed)):
        changed = bytearray(sealed)
        changed[at] ^= 1
        with pytest.raises(StoreError, match="`rendering` of `h1` in `holds`"):
            SEAL.open(bytes(changed), "holds", "rendering", "h1")


@pytest.mark.parametrize("value", ["text", b"", b"\x01", None, 1], ids=repr)
def test_what_is_not_sealed_does_not_open(value: object) -> None:
    with pytest.raises(StoreError, match="altered, or belongs elsewhere"):
        SEAL.open(value, "holds", "rendering", "h1")


def test_another_vault_key_opens_nothing() -> None:
    with pytest.raises(StoreError):
        TextSeal(b"w" * 32).open(SEAL.seal("text", "t", "c"), "t", "c")


def test_a_blind_is_equal_for_equal_values_among_the_same_only() -> None:
    blind = SEAL.blind(DIGEST, "m@1", "clerk")
    assert blind == TextSeal(b"v" * 32).blind(DIGEST, "m@1", "clerk")
    others = {
        SEAL.blind(OTHER, "m@1", "clerk"),
        SEAL.blind(DIGEST, "m@2", "clerk"),
        SEAL.blind(DIGEST, "m@1clerk"),
        TextSeal(b"w" * 32).blind(DIGEST, "m@1", "clerk"),
    }
    assert len(others) == 4
    assert blind not in others


def test_a_blind_cannot_be_opened_as_a_text() -> None:
    with pytest.raises(StoreError):
        SEAL.open(b"\x01" + SEAL.blind(DIGEST, "holds", "h1"), "holds", "h1")


# --- the rows ------------------------------------------------------------------------------------


async def test_rows_give_back_what_was_written_and_files_show_none_of_it(tmp_path: Path) -> None:
    path = tmp_path / "bailiwick.db"
    journal, records = SqliteJournal(path, seal=SEAL), SqliteRecords(path, seal=SEAL)
    denied = call("c0", CallState.DENIED, "`amount` is marked-because")
    waits = call("c1", CallState.HELD, "marked-because", digest=DIGEST)
    read = call("c2", CallState.RUNNING, "`file:///marked-name` is allowed", "resource")
    runs = call("c3", CallState.RUNNING, "`bank/pay` is allowed by `m@1/allow/1`")
    refuse = CallMoved("c1", 5, CallState.REFUSED, "stamp_refused", "refused: marked-reason")
    changes: list[Change] = [denied, waits, read, runs, held("h1"), held("h2", OTHER, "resource")]
    changes += [stamp("h1", "ben"), refuse]
    await journal.commit([Entry(b"{}")], changes)
    # While the gateway runs, most of it stands in the write-ahead log.
    shown = files_in(tmp_path)
    assert b"marked" not in shown
    for digest in (DIGEST, OTHER):
        assert digest.encode() not in shown
        assert bytes.fromhex(digest) not in shown
    assert runs.because.encode() in shown, "what quotes nothing costs nothing"

    rows = {row.id: row for row in await records.calls(CallQuery())}
    assert [rows[f"c{n}"].because for n in (0, 2, 3)] == [
        each.because for each in (denied, read, runs)
    ]
    assert rows["c1"].because == "refused: marked-reason"
    assert (rows["c1"].digest, rows["c3"].digest) == (DIGEST, "")
    assert rows["c2"].name == "file:///patients/marked-name"
    found = await records.hold_for(DIGEST, "m@1", "clerk")
    assert found is not None
    assert (found.id, found.digest, found.because) == ("h1", DIGEST, "marked-because")
    assert found.rendering == f"marked-rendering {DIGEST}"
    assert [(s.reason, s.statement) for s in found.stamps] == [("marked-reason ben", "marked h1")]
    other = await records.hold_for(OTHER, "m@1", "clerk")
    assert other is not None
    assert (other.id, other.name) == ("h2", "file:///patients/marked-name")
    await journal.close()
    await records.close()


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE holds SET rendering = (SELECT rendering FROM holds WHERE id = 'h2')",
        "UPDATE holds SET rendering = because",
        "UPDATE holds SET digest = (SELECT digest FROM holds WHERE id = 'h2')",
        "UPDATE holds SET blind = (SELECT blind FROM holds WHERE id = 'h2')",
        "UPDATE holds SET agent = 'other'",
        "UPDATE holds SET mandate = 'm@2'",
        "UPDATE stamps SET hold = 'h1' WHERE hold = 'h2'",
        "UPDATE stamps SET reason = statement WHERE hold = 'h1'",
        "UPDATE stamps SET reason = zeroblob(17) WHERE hold = 'h1'",
    ],
)
async def test_a_row_that_was_tampered_with_is_not_read(tmp_path: Path, sql: str) -> None:
    path = tmp_path / "b.db"
    await write(path, held("h1"), held("h2", OTHER), stamp("h1", "ben"), stamp("h2", "cat"))
    tamper(path, sql if "WHERE hold" in sql else f"{sql} WHERE id = 'h1'")
    assert await refused(path, lambda records: records.hold("h1")) == "text_damaged"


async def test_a_hold_that_was_given_another_calls_lookup_is_not_picked_up(tmp_path: Path) -> None:
    path = tmp_path / "b.db"
    await write(path, held("h1"))
    blind = SEAL.blind(OTHER, "holds", "m@1", "clerk")
    tamper(path, "UPDATE holds SET blind = ?", blind)
    read = refused(path, lambda records: records.hold_for(OTHER, "m@1", "clerk"))
    assert await read == "text_damaged"


@pytest.mark.parametrize("column", ["because", "digest", "name"])
async def test_a_calls_text_moved_to_another_call_is_not_read(tmp_path: Path, column: str) -> None:
    path = tmp_path / "b.db"
    calls = [call(f"c{n}", CallState.HELD, "why", "resource", DIGEST) for n in (1, 2)]
    await write(path, *calls)
    tamper(
        path,
        f"UPDATE opened_calls SET {column} = "
        f"(SELECT {column} FROM opened_calls WHERE id = 'c2') WHERE id = 'c1'",
    )
    assert await refused(path, lambda records: records.call("c1")) == "text_damaged"


@pytest.mark.parametrize("column", ["digest", "because", "rendering"])
async def test_the_schema_itself_takes_no_clear_text(tmp_path: Path, column: str) -> None:
    path = tmp_path / "b.db"
    await write(path, held("h1"))
    with pytest.raises(sqlite3.IntegrityError, match="CHECK"):
        tamper(path, f"UPDATE holds SET {column} = 'clear'")


async def test_a_store_is_not_read_with_another_vault_key(tmp_path: Path) -> None:
    path = tmp_path / "b.db"
    await write(path, held("h1"))
    wrong = TextSeal(b"w" * 32)
    assert await refused(path, lambda records: records.hold("h1"), wrong) == "text_damaged"
