"""Databases of earlier versions: migrated step by step, with what they hold."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from bailiwick.stores.schema import APPLICATION_ID, MIGRATIONS
from bailiwick.stores.sqlite import SqliteJournal
from bailiwick.stores.sqlite_reads import SqliteRecords
from bailiwick.stores.text_seal import TextSeal

SEAL = TextSeal(b"k" * 32)


@pytest.mark.parametrize("version", range(1, len(MIGRATIONS)))
async def test_an_older_database_keeps_its_runs(tmp_path: Path, version: int) -> None:
    path = tmp_path / "bailiwick.db"
    old = sqlite3.connect(path)
    for script in MIGRATIONS[:version]:
        old.executescript(script)
    old.execute(
        "INSERT INTO runs (id, key, at_ms, agent, mandate) VALUES ('r1', 'k', 1, 'clerk', 'm')"
    )
    old.execute(f"PRAGMA application_id={APPLICATION_ID}")
    old.execute(f"PRAGMA user_version={version}")
    old.commit()
    old.close()
    journal = SqliteJournal(path, seal=SEAL)
    records = SqliteRecords(path, seal=SEAL)
    run = await records.run("r1")
    assert run is not None
    assert (run.key, run.started_by, run.supplier, run.ended_ms) == ("k", "agent", "", None)
    await records.close()
    await journal.close()
