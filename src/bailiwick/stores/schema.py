"""The SQLite schema, and the check that a file really is ours and whole.

`application_id` tells our files from others; `user_version` counts schema versions. Older schemas
are migrated by the steps in `MIGRATIONS`, each in one transaction. What rows quote of payloads is
sealed (`sealed_rows.py`): a BLOB where the column says so, a BLOB or TEXT where it has no type.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from bailiwick.core.errors import StoreError

APPLICATION_ID = 0x42_61_69_6C  # "Bail"

MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE entries (
        idx INTEGER PRIMARY KEY, leaf BLOB NOT NULL, sealed BLOB NOT NULL
    );
    CREATE TABLE calls (
        id TEXT PRIMARY KEY, at_ms INTEGER NOT NULL, run TEXT NOT NULL, agent TEXT NOT NULL,
        mandate TEXT NOT NULL, principal TEXT NOT NULL, kind TEXT NOT NULL,
        upstream TEXT NOT NULL, name NOT NULL, digest NOT NULL, state TEXT NOT NULL,
        code TEXT NOT NULL, because NOT NULL, hold TEXT NOT NULL, ended_ms INTEGER,
        intent_index INTEGER NOT NULL, outcome_index INTEGER, approved_index INTEGER
    ) WITHOUT ROWID;
    CREATE INDEX calls_by_run ON calls (run, id);
    CREATE INDEX calls_open ON calls (id) WHERE state IN ('held', 'running');
    CREATE TABLE runs (
        id TEXT PRIMARY KEY, key TEXT NOT NULL, at_ms INTEGER NOT NULL, agent TEXT NOT NULL,
        mandate TEXT NOT NULL, UNIQUE (agent, mandate, key)
    ) WITHOUT ROWID;
    CREATE TABLE holds (
        id TEXT PRIMARY KEY, call TEXT NOT NULL, blind BLOB NOT NULL,
        digest BLOB NOT NULL CHECK (typeof(digest) = 'blob'), mandate TEXT NOT NULL,
        agent TEXT NOT NULL, run TEXT NOT NULL, kind TEXT NOT NULL, upstream TEXT NOT NULL,
        name NOT NULL, because BLOB NOT NULL CHECK (typeof(because) = 'blob'),
        rules TEXT NOT NULL, role TEXT NOT NULL, excluded TEXT NOT NULL, count INTEGER NOT NULL,
        rendering BLOB NOT NULL CHECK (typeof(rendering) = 'blob'),
        nonce TEXT NOT NULL, at_ms INTEGER NOT NULL, expires_ms INTEGER NOT NULL,
        state TEXT NOT NULL, decided_ms INTEGER
    ) WITHOUT ROWID;
    CREATE INDEX holds_by_call ON holds (blind, id);
    CREATE INDEX holds_by_state ON holds (state, id);
    CREATE TABLE stamps (
        hold TEXT NOT NULL, person TEXT NOT NULL, decision TEXT NOT NULL,
        reason BLOB NOT NULL CHECK (typeof(reason) = 'blob'), method TEXT NOT NULL,
        at_ms INTEGER NOT NULL, statement BLOB NOT NULL CHECK (typeof(statement) = 'blob'),
        entry_index INTEGER NOT NULL, PRIMARY KEY (hold, person)
    ) WITHOUT ROWID;
    CREATE TABLE objects (
        kind TEXT NOT NULL, name TEXT NOT NULL, version INTEGER NOT NULL, digest TEXT NOT NULL,
        document TEXT NOT NULL, state TEXT NOT NULL, at_ms INTEGER NOT NULL, by TEXT NOT NULL,
        PRIMARY KEY (kind, name, version)
    ) WITHOUT ROWID;
    CREATE TABLE pins (
        upstream TEXT NOT NULL, kind TEXT NOT NULL, name TEXT NOT NULL, digest TEXT NOT NULL,
        definition TEXT NOT NULL, state TEXT NOT NULL, at_ms INTEGER NOT NULL, by TEXT NOT NULL,
        PRIMARY KEY (upstream, kind, name, digest)
    ) WITHOUT ROWID;
    CREATE TABLE revoked_tokens (
        id TEXT PRIMARY KEY, expires_ms INTEGER NOT NULL, by TEXT NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE subject_keys (
        id INTEGER PRIMARY KEY, subject TEXT NOT NULL, wrapped BLOB NOT NULL,
        at_ms INTEGER NOT NULL
    );
    """,
    # What is taken of limits. `transfers` is the truth and only ever grows; `balances` and
    # `unsettled` follow from it and are kept beside it, so that no call has to add it all up.
    # OR and not IN: a list would be made anew for each row, which is most of what an insert costs.
    """
    CREATE TABLE accounts (
        id INTEGER PRIMARY KEY, account TEXT NOT NULL, key NOT NULL, member NOT NULL,
        UNIQUE (account, key, member)
    );
    CREATE TABLE transfers (
        idx INTEGER PRIMARY KEY, call TEXT NOT NULL, account INTEGER NOT NULL,
        at_ms INTEGER NOT NULL, reserved_ms INTEGER NOT NULL,
        source TEXT NOT NULL
            CHECK (source = 'free' OR source = 'pending' OR source = 'unknown'),
        target TEXT NOT NULL CHECK
            (target = 'free' OR target = 'pending' OR target = 'posted' OR target = 'unknown'),
        amount INTEGER NOT NULL CHECK (amount >= 0), ceiling INTEGER NOT NULL,
        since_ms INTEGER NOT NULL, pending_only INTEGER NOT NULL, CHECK (source <> target)
    );
    CREATE INDEX transfers_by_call ON transfers (call);
    CREATE INDEX transfers_sliding ON transfers (account, reserved_ms) WHERE since_ms > 0;
    CREATE TRIGGER transfers_never_change BEFORE UPDATE ON transfers
    BEGIN SELECT raise(ABORT, 'transfers are only ever appended'); END;
    CREATE TRIGGER transfers_never_go BEFORE DELETE ON transfers
    BEGIN SELECT raise(ABORT, 'transfers are only ever appended'); END;
    CREATE TABLE balances (
        account INTEGER PRIMARY KEY,
        pending INTEGER NOT NULL CHECK (typeof(pending) = 'integer' AND pending >= 0),
        posted INTEGER NOT NULL CHECK (typeof(posted) = 'integer' AND posted >= 0),
        unknown INTEGER NOT NULL CHECK (typeof(unknown) = 'integer' AND unknown >= 0)
    );
    CREATE TABLE unsettled (call TEXT PRIMARY KEY, at_ms INTEGER NOT NULL) WITHOUT ROWID;
    """,
    # A stamp holds for the policies its call was judged under; before, there were none.
    "ALTER TABLE holds ADD COLUMN policies TEXT NOT NULL DEFAULT '';",
    # Who began a run. What it was told stays in its entry, under the key of the person who said it.
    """
    ALTER TABLE runs ADD COLUMN started_by TEXT NOT NULL DEFAULT 'agent';
    ALTER TABLE runs ADD COLUMN person TEXT NOT NULL DEFAULT '';
    ALTER TABLE runs ADD COLUMN supplier TEXT NOT NULL DEFAULT '';
    ALTER TABLE runs ADD COLUMN token TEXT NOT NULL DEFAULT '';
    ALTER TABLE runs ADD COLUMN ended_ms INTEGER;
    ALTER TABLE runs ADD COLUMN entry_index INTEGER;
    """,
    # One row for all that one commit moves: a call under four limits wrote eight. `transfers` stays
    # what it was for whoever adds up: a view that takes the rows apart.
    """
    CREATE TABLE postings (
        idx INTEGER PRIMARY KEY, call TEXT NOT NULL, at_ms INTEGER NOT NULL, legs TEXT NOT NULL
    );
    INSERT INTO postings SELECT idx, call, at_ms, json_array(json_array(account, reserved_ms,
        source, target, amount, ceiling, since_ms, json(iif(pending_only, 'true', 'false'))))
        FROM transfers;
    CREATE INDEX postings_by_call ON postings (call);
    CREATE TABLE sliding (
        account INTEGER NOT NULL, reserved_ms INTEGER NOT NULL, call TEXT NOT NULL,
        PRIMARY KEY (account, reserved_ms, call)
    ) WITHOUT ROWID;
    INSERT OR IGNORE INTO sliding SELECT account, reserved_ms, call FROM transfers
        WHERE since_ms > 0;
    DROP TABLE transfers;
    CREATE TRIGGER postings_never_change BEFORE UPDATE ON postings
    BEGIN SELECT raise(ABORT, 'postings are only ever appended'); END;
    CREATE TRIGGER postings_never_go BEFORE DELETE ON postings
    BEGIN SELECT raise(ABORT, 'postings are only ever appended'); END;
    CREATE VIEW transfers AS SELECT
        p.idx << 20 | l.key AS idx, p.idx AS posting, p.call, l.value ->> 0 AS account, p.at_ms,
        l.value ->> 1 AS reserved_ms, l.value ->> 2 AS source, l.value ->> 3 AS target,
        l.value ->> 4 AS amount, l.value ->> 5 AS ceiling, l.value ->> 6 AS since_ms,
        l.value ->> 7 AS pending_only
        FROM postings p, json_each(p.legs) l;
    """,
    # Which entries hold the spans that an agent sent of a run.
    """
    CREATE TABLE agent_spans (
        id TEXT PRIMARY KEY, run TEXT NOT NULL, at_ms INTEGER NOT NULL, token TEXT NOT NULL,
        spans INTEGER NOT NULL, size_bytes INTEGER NOT NULL, entry_index INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX agent_spans_by_run ON agent_spans (run, id);
    """,
    # Entries of one transaction share a row (`entry_rows.py`); each had its own.
    "ALTER TABLE entries ADD COLUMN count INTEGER NOT NULL DEFAULT 1;",
    # What calls say alike stands once, and a call that ends is a row more (`call_rows.py`). It was
    # a row of eighteen columns in two indexes, written again when the call ended.
    """
    CREATE TABLE call_runs (number INTEGER PRIMARY KEY, run TEXT NOT NULL UNIQUE);
    CREATE TABLE call_heads (
        number INTEGER PRIMARY KEY, agent TEXT NOT NULL, mandate TEXT NOT NULL,
        principal TEXT NOT NULL, kind TEXT NOT NULL, upstream TEXT NOT NULL, name TEXT NOT NULL,
        code TEXT NOT NULL, because TEXT NOT NULL,
        UNIQUE (agent, mandate, principal, kind, upstream, name, code, because)
    );
    CREATE TABLE opened_calls (
        id TEXT PRIMARY KEY, intent_index INTEGER NOT NULL, at_ms INTEGER NOT NULL,
        run INTEGER NOT NULL, head INTEGER NOT NULL,
        name, digest, state TEXT, code TEXT, because, hold TEXT
    ) WITHOUT ROWID;
    CREATE TABLE moved_calls (
        id TEXT PRIMARY KEY, state TEXT NOT NULL, ended_ms INTEGER, code TEXT NOT NULL,
        because NOT NULL, outcome_index INTEGER, approved_index INTEGER
    ) WITHOUT ROWID;
    CREATE TABLE running_calls (one INTEGER PRIMARY KEY CHECK (one = 1), ids TEXT NOT NULL);
    INSERT INTO call_runs (run) SELECT DISTINCT run FROM calls;
    INSERT INTO call_heads (agent, mandate, principal, kind, upstream, name, code, because)
        SELECT DISTINCT agent, mandate, principal, kind, upstream, '', '', '' FROM calls;
    INSERT INTO opened_calls SELECT c.id, c.intent_index, c.at_ms, r.number, h.number, c.name,
        c.digest, c.state, c.code, c.because, c.hold
        FROM calls c JOIN call_runs r ON r.run = c.run JOIN call_heads h
        ON (h.agent, h.mandate, h.principal, h.kind, h.upstream) =
        (c.agent, c.mandate, c.principal, c.kind, c.upstream) ORDER BY c.id;
    INSERT INTO moved_calls SELECT id, state, ended_ms, '', '', outcome_index, approved_index
        FROM calls WHERE coalesce(ended_ms, outcome_index, approved_index) IS NOT NULL;
    INSERT INTO running_calls SELECT 1, json_group_array(id) FROM calls WHERE state = 'running';
    DROP TABLE calls;
    CREATE INDEX calls_by_run ON opened_calls (run, id);
    CREATE INDEX calls_once_held ON opened_calls (id) WHERE state = 'held';
    CREATE VIEW calls AS SELECT
        c.id, c.at_ms, r.run, h.agent, h.mandate, h.principal, h.kind, h.upstream,
        coalesce(c.name, h.name) AS name, coalesce(c.digest, '') AS digest,
        coalesce(m.state, c.state, 'running') AS state,
        coalesce(nullif(m.code, ''), c.code, h.code) AS code,
        coalesce(nullif(m.because, ''), c.because, h.because) AS because,
        coalesce(c.hold, '') AS hold, m.ended_ms, c.intent_index, m.outcome_index, m.approved_index
        FROM opened_calls c JOIN call_runs r ON r.number = c.run
        LEFT JOIN call_heads h ON h.number = c.head LEFT JOIN moved_calls m ON m.id = c.id;
    """,
    # Calls that run while many others do, which would make the one row of `running_calls` long.
    "CREATE TABLE long_calls (id TEXT PRIMARY KEY) WITHOUT ROWID;",
    # Postings of one transaction share a row (`posting_rows.py`): each had its own, in an index by
    # call, and a row of `sliding`. What leads to the postings of a call is its intent and its
    # outcome, or a row of `postings_by_call`: the trigger keeps the way to a replaced outcome. It
    # asks what is there, since OR IGNORE in a trigger gives way to the statement that fires it.
    """
    DROP VIEW transfers;
    DROP INDEX postings_by_call;
    CREATE TABLE shared_postings (idx INTEGER PRIMARY KEY, entry INTEGER, moves TEXT NOT NULL);
    CREATE TABLE postings_by_call (
        call TEXT NOT NULL, posting INTEGER NOT NULL, PRIMARY KEY (call, posting)
    ) WITHOUT ROWID;
    INSERT INTO shared_postings
        SELECT idx, NULL, json_group_array(json_array(call, at_ms, source, target, json(legs)))
        FROM (
            SELECT p.idx, p.call, p.at_ms, l.value ->> 2 AS source, l.value ->> 3 AS target,
                min(l.key) AS first, json_group_array(json_array(l.value -> 0, l.value -> 1,
                l.value -> 4, l.value -> 5, l.value -> 6, l.value -> 7)) AS legs
            FROM postings p, json_each(p.legs) l GROUP BY p.idx, source, target
            ORDER BY p.idx, first
        ) GROUP BY idx;
    INSERT INTO postings_by_call SELECT DISTINCT call, idx FROM postings;
    DROP TABLE postings;
    ALTER TABLE shared_postings RENAME TO postings;
    CREATE INDEX postings_by_entry ON postings (entry);
    CREATE TRIGGER postings_never_change BEFORE UPDATE ON postings
    BEGIN SELECT raise(ABORT, 'postings are only ever appended'); END;
    CREATE TRIGGER postings_never_go BEFORE DELETE ON postings
    BEGIN SELECT raise(ABORT, 'postings are only ever appended'); END;
    CREATE VIEW transfers AS SELECT
        (p.idx << 6 | m.key) << 20 | l.key AS idx, p.idx AS posting,
        m.value ->> 0 AS call, l.value ->> 0 AS account,
        m.value ->> 1 AS at_ms, l.value ->> 1 AS reserved_ms,
        m.value ->> 2 AS source, m.value ->> 3 AS target, l.value ->> 2 AS amount,
        l.value ->> 3 AS ceiling, l.value ->> 4 AS since_ms, l.value ->> 5 AS pending_only
        FROM postings p, json_each(p.moves) m, json_each(m.value, '$[4]') l;
    DROP TABLE sliding;
    CREATE TABLE sliding (
        account INTEGER NOT NULL, reserved_ms INTEGER NOT NULL, posting INTEGER NOT NULL,
        PRIMARY KEY (account, reserved_ms, posting)
    ) WITHOUT ROWID;
    INSERT INTO sliding SELECT account, max(reserved_ms), posting FROM transfers
        WHERE since_ms > 0 GROUP BY account, posting;
    CREATE TRIGGER outcome_replaced AFTER UPDATE OF outcome_index ON moved_calls
    WHEN OLD.outcome_index IS NOT NULL AND OLD.outcome_index IS NOT NEW.outcome_index
    BEGIN
        INSERT INTO postings_by_call SELECT OLD.id, p.idx FROM postings p
        WHERE p.entry = (SELECT max(entry) FROM postings WHERE entry <= OLD.outcome_index)
        AND NOT EXISTS (
            SELECT 1 FROM postings_by_call b WHERE b.call = OLD.id AND b.posting = p.idx
        );
    END;
    """,
)

# Above this size a full check would cost seconds at every start; `bailiwick doctor` does it then.
QUICK_CHECK_MAX_BYTES = 64 * 2**20


def prepare(db: sqlite3.Connection, size_bytes: int) -> None:
    """Create or migrate the schema of an open database.

    Args:
        size_bytes: size of the file before it was opened; 0 when new.

    Raises:
        StoreError: `not_our_database`, `database_newer`, `database_damaged`; `store_unavailable`
            where the disk is full, say, or another process holds the file.
    """
    try:
        (application_id,) = db.execute("PRAGMA application_id").fetchone()
        (version,) = db.execute("PRAGMA user_version").fetchone()
        (tables,) = db.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        if tables and application_id != APPLICATION_ID:
            raise StoreError("not_our_database", "the database was made by another program")
        if version > len(MIGRATIONS):
            raise StoreError(
                "database_newer",
                f"the database has schema {version}, this version knows up to {len(MIGRATIONS)}: "
                "run the newer version of Bailiwick",
            )
        if tables and size_bytes <= QUICK_CHECK_MAX_BYTES:
            (answer,) = db.execute("PRAGMA quick_check(1)").fetchone()
            if answer != "ok":
                raise damaged(answer)
        for number, script in enumerate(MIGRATIONS[version:], start=version + 1):
            _migrate(db, number, script)
    except sqlite3.DatabaseError as error:
        # Nothing is wrong with what stands there; a backup of before would give spent room back.
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in _NOT_NOW:
            text = f"the database cannot be opened or migrated now: {error}"
            raise StoreError("store_unavailable", text) from error
        raise damaged(str(error)) from error


_NOT_NOW = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_NOMEM,
}


def _migrate(db: sqlite3.Connection, number: int, script: str) -> None:
    """Bring the schema from version `number - 1` to `number`, or leave it as it is.

    Another process may do the same: whoever has the lock first does it.
    """
    db.execute("BEGIN IMMEDIATE")
    try:
        (version,) = db.execute("PRAGMA user_version").fetchone()
        if version < number:
            for statement in _statements(script):
                db.execute(statement)
            db.execute(f"PRAGMA application_id={APPLICATION_ID}")
            db.execute(f"PRAGMA user_version={number}")
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:  # SQLite has rolled back by itself where the disk is full
            db.execute("ROLLBACK")
        raise


def _statements(script: str) -> Iterator[str]:
    """A script's statements; `executescript` would commit before it begins."""
    *parts, rest = script.split(";")
    assert not rest.strip(), "each statement of a migration ends in a semicolon"
    statement = ""
    for part in parts:
        statement += f"{part};"
        if sqlite3.complete_statement(statement):  # in a trigger are several
            yield statement
            statement = ""


def damage_in(path: Path) -> str:
    """What is damaged in the database at `path`; "" where nothing is. Reads the whole file, beside
    a gateway that runs: some seconds for each GiB."""
    try:
        db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=5)
        with contextlib.closing(db):
            (answer,) = db.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.DatabaseError as error:
        return str(error)
    return "" if answer == "ok" else _in_one_line(answer)


def damaged(detail: str) -> StoreError:
    """The error for a database that cannot be trusted."""
    return StoreError(
        "database_damaged",
        f"the database is damaged ({_in_one_line(detail)}): stop, keep the folder for evidence, "
        "and restore the newest backup into an empty one",
    )


def _in_one_line(detail: str) -> str:
    """SQLite puts a heading on a line of its own."""
    return detail.removeprefix("*** in database main ***").strip().replace("\n", "; ")
