"""The audit of limits: every balance worked out again from the transfers, and compared.

1. Each row of postings can be read. If not, that is all that is told: the rest does not add up
   anyway.
2. Each balance is what the transfers of its account add up to.
3. No reservation went above the ceiling it was held to, in the order in which they were written;
   and none of a sliding account counts from before another one there, or before it was made.
4. What a running call has reserved is pending; what an ended one has is not.
5. `unsettled` lists the calls of which something is unknown, and no others.
6. `sliding` leads to whatever was reserved of sliding accounts, and says no more.
7. Each posting is found by its call.

All of one snapshot. Each difference is told with the account or call it is about.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bailiwick.core.errors import StoreError
from bailiwick.core.limits.limit import Charge
from bailiwick.core.limits.sliding import SlidingWindow
from bailiwick.core.limits.transfers import Place, Transfer
from bailiwick.ports import Difference, LimitAudit
from bailiwick.stores.schema import APPLICATION_ID, MIGRATIONS

_Row = tuple[Any, ...]  # as SQLite gives it

MAX_DIFFERENCES = 1_000
"""Most differences that are told one by one."""

_BALANCES = """
WITH sums AS (
    SELECT account,
        sum((target = 'pending') * amount) - sum((source = 'pending') * amount) AS pending,
        sum((target = 'posted') * amount) AS posted,
        sum((target = 'unknown') * amount) - sum((source = 'unknown') * amount) AS unknown
    FROM transfers GROUP BY account
)
SELECT a.account, coalesce(b.pending, -1), coalesce(b.posted, -1), coalesce(b.unknown, -1),
    coalesce(s.pending, 0), coalesce(s.posted, 0), coalesce(s.unknown, 0)
FROM accounts a LEFT JOIN balances b ON b.account = a.id LEFT JOIN sums s ON s.account = a.id
WHERE b.account IS NULL OR b.pending <> coalesce(s.pending, 0)
    OR b.posted <> coalesce(s.posted, 0) OR b.unknown <> coalesce(s.unknown, 0) ORDER BY a.id
"""

# First of all, by themselves: of what is no JSON, nothing may be asked that looks into it.
_NO_LISTS = """
SELECT idx FROM postings WHERE typeof(moves) <> 'text' OR NOT json_valid(moves)
    OR json_type(iif(json_valid(moves), moves, '0')) <> 'array' OR moves = '[]' ORDER BY idx
"""

_NO_MOVES = """
SELECT p.idx FROM postings p JOIN json_each(p.moves) m WHERE m.type <> 'array' ORDER BY p.idx
"""

_NO_LEGS = """
SELECT p.idx FROM postings p JOIN json_each(p.moves) m
WHERE coalesce(json_type(m.value, '$[0]'), '') <> 'text' OR m.value ->> 0 = ''
    OR coalesce(json_type(m.value, '$[1]'), '') <> 'integer'
    OR coalesce(json_type(m.value, '$[4]'), '') <> 'array' OR m.value -> 4 = '[]' ORDER BY p.idx
"""

_NO_CELLS = """
SELECT p.idx FROM postings p JOIN json_each(p.moves) m JOIN json_each(m.value, '$[4]') l
WHERE l.type <> 'array' ORDER BY p.idx
"""

_UNREADABLE = """
SELECT posting FROM transfers WHERE typeof(account) <> 'integer' OR typeof(reserved_ms) <> 'integer'
    OR typeof(amount) <> 'integer' OR amount < 0 OR typeof(ceiling) <> 'integer'
    OR typeof(since_ms) <> 'integer' OR typeof(pending_only) <> 'integer' OR source = target
    OR source IS NULL OR source NOT IN ('free', 'pending', 'unknown')
    OR target IS NULL OR target NOT IN ('free', 'pending', 'posted', 'unknown') ORDER BY idx
"""

_WINDOWS = """
WITH latest AS (
    SELECT account, max(reserved_ms) AS reserved_ms, posting FROM transfers
    WHERE since_ms > 0 GROUP BY account, posting
)
SELECT account, reserved_ms, 'missing from'
    FROM (SELECT * FROM latest EXCEPT SELECT * FROM sliding)
UNION ALL SELECT account, reserved_ms, 'made up in'
    FROM (SELECT * FROM sliding EXCEPT SELECT * FROM latest) ORDER BY 1, 2
"""

_NOT_FOUND = """
SELECT DISTINCT call FROM (
    SELECT DISTINCT p.idx, p.entry, m.value ->> 0 AS call FROM postings p, json_each(p.moves) m
) p
WHERE NOT EXISTS (SELECT 1 FROM postings_by_call b WHERE b.call = p.call AND b.posting = p.idx)
    AND NOT EXISTS (SELECT 1 FROM opened_calls o WHERE o.id = p.call
        AND p.entry = (SELECT max(entry) FROM postings WHERE entry <= o.intent_index))
    AND NOT EXISTS (SELECT 1 FROM moved_calls o WHERE o.id = p.call
        AND p.entry = (SELECT max(entry) FROM postings WHERE entry <= o.outcome_index))
ORDER BY call
"""

_LOST_ACCOUNTS = """
SELECT account FROM transfers WHERE account NOT IN (SELECT id FROM accounts)
UNION SELECT account FROM balances WHERE account NOT IN (SELECT id FROM accounts) ORDER BY 1
"""

# A line of a call stands where its last transfer took it.
_LINES = """
WITH c AS (
    SELECT o.id, coalesce(m.state, o.state, 'running') AS state
    FROM opened_calls o LEFT JOIN moved_calls m ON m.id = o.id
)
SELECT t.call, sum(t.target = 'pending'), sum(t.target = 'unknown'), c.state, u.call IS NOT NULL
FROM (SELECT call, target, max(idx) FROM transfers GROUP BY call, account) t
LEFT JOIN c ON c.id = t.call LEFT JOIN unsettled u ON u.call = t.call GROUP BY t.call
HAVING c.state IS NULL OR (c.state = 'running') <> (sum(t.target = 'pending') > 0)
    OR (u.call IS NOT NULL) <> (sum(t.target = 'unknown') > 0)
    OR (c.state IN ('done', 'failed', 'denied') AND sum(t.target = 'unknown') > 0)
    OR (c.state = 'held') ORDER BY t.call
"""

_LOST_UNSETTLED = """
SELECT call FROM unsettled WHERE call NOT IN (SELECT call FROM transfers) ORDER BY call
"""

_COUNTS = """
WITH moves AS (
    SELECT m.value FROM postings p JOIN json_each(iif(json_valid(p.moves), p.moves, '[]')) m
    WHERE m.type = 'array'
)
SELECT (SELECT coalesce(sum(json_array_length(value, '$[4]')), 0) FROM moves),
    (SELECT count(*) FROM accounts), (SELECT count(DISTINCT value ->> 0) FROM moves),
    (SELECT count(*) FROM unsettled)
"""

_ACCOUNTS = "SELECT id, account, key, member FROM accounts"

_IN_ORDER = """
SELECT idx, call, account, source, target, amount, ceiling, reserved_ms, since_ms, pending_only,
    at_ms
FROM transfers ORDER BY idx
"""

_BEFORE = """
SELECT t.idx, t.call, t.account, t.source, t.target, t.amount, t.ceiling, t.reserved_ms, t.since_ms,
    t.pending_only, t.at_ms
FROM transfers t JOIN accounts a ON a.id = t.account
WHERE a.account = ? AND a.key = ? AND t.idx < ? AND t.reserved_ms > ? ORDER BY t.idx
"""

MAX_OLD = 100_000
"""Entries of one sliding window that are kept after they have left it. A clock that goes back
further than they reach has the journal read anew up to there."""


def audit_file(path: Path) -> LimitAudit:
    """Audit the database at `path`, whether or not a gateway runs on it.

    Raises:
        StoreError: `store_unavailable`, also for a file of another version; `not_our_database`.
    """
    try:
        # Not `mode=ro`: a database whose gateway is stopped has no shared memory to read by yet.
        uri = f"{path.absolute().as_uri()}?mode=rw"
        db = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=5)
        try:
            db.execute("PRAGMA query_only=ON")
            if db.execute("PRAGMA application_id").fetchone() != (APPLICATION_ID,):
                raise StoreError("not_our_database", f"`{path}` was made by another program")
            db.execute("BEGIN")
            (version,) = db.execute("PRAGMA user_version").fetchone()
            if version != len(MIGRATIONS):
                text = f"`{path}` has schema {version}, not {len(MIGRATIONS)}"
                text += ": start its gateway first, or use the version that wrote it"
                raise StoreError("store_unavailable", text)
            return audit(db)
        finally:
            db.close()
    except sqlite3.Error as error:
        raise StoreError("store_unavailable", f"cannot read `{path}`: {error}") from error


def audit(db: sqlite3.Connection) -> LimitAudit:
    """Compare all of it, inside the snapshot that is open on `db`.

    O(transfers), and once more for each time that the clock went back beyond `MAX_OLD`.
    """
    found: list[Difference] = []
    for each in _differences(db):
        found.append(each)
        if len(found) >= MAX_DIFFERENCES:
            break
    transfers, accounts, calls, unsettled = db.execute(_COUNTS).fetchone()
    return LimitAudit(transfers, accounts, calls, unsettled, tuple(found))


def _differences(db: sqlite3.Connection) -> Iterator[Difference]:
    for sql in (_NO_LISTS, _NO_MOVES, _NO_LEGS, _NO_CELLS, _UNREADABLE):
        unreadable = db.execute(sql).fetchmany(MAX_DIFFERENCES)
        for (index,) in unreadable:
            yield Difference("posting_unreadable", f"row {index}", "what it moved cannot be read")
        if unreadable:
            return
    yield from _balances(db)
    yield from _above(db)
    yield from _lines(db)
    for account, at_ms, how in db.execute(_WINDOWS):
        text = f"what was reserved at {at_ms} is {how} what sliding limits look at"
        yield Difference("window_differs", str(account), text)
    for (call,) in db.execute(_NOT_FOUND):
        yield Difference("posting_astray", str(call), "what it moved is not found by the call")


def _balances(db: sqlite3.Connection) -> Iterator[Difference]:
    for account, pending, posted, unknown, *sums in db.execute(_BALANCES):
        what = _places(pending, posted, unknown) if pending >= 0 else "missing"
        text = f"the balance is {what}; the transfers add up to {_places(*sums)}"
        yield Difference("balance_differs", str(account), text)
    for (number,) in db.execute(_LOST_ACCOUNTS):
        yield Difference("account_missing", str(number), "there is no such account")


def _above(db: sqlite3.Connection) -> Iterator[Difference]:
    """Reservations that did not fit when they were made: all is done once more, in its order."""
    replay = _Replay(db)
    for row in db.execute(_IN_ORDER):
        account = row[2]
        if account not in replay.groups:
            continue  # told as missing
        source, target, amount, ceiling = row[3:7]
        if source == "free" and target == "pending":
            used = replay.used(row)
            if used + amount > ceiling:
                name, _ = replay.groups[account]
                text = f"call `{row[1]}` reserved {amount} above {used} of {ceiling}"
                yield Difference("above_ceiling", str(name), text)
            if replay.is_too_early(row):
                text = "counts in a sliding limit from before it was reserved there"
                yield Difference("window_differs", str(row[1]), text)
        replay.take(row)


class _Replay:
    """What is used; simpler than `core.limits.accounts`, but where it slides.

    Attributes:
        groups: of each account's row, its name and key as they are stored. Equal values are
            sealed to equal bytes, and nothing else is asked of them here.
    """

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self.groups: dict[int, tuple[str, str | bytes]] = {}
        self._members: dict[int, str] = {}
        for number, account, key, member in db.execute(_ACCOUNTS):
            self.groups[number] = (account, key)
            if member != "":
                self._members[number] = member if isinstance(member, str) else member.hex()
        self._held: dict[int, int] = {}
        self._distinct: dict[tuple[str, str | bytes], int] = {}
        self._sliding: dict[tuple[str, str | bytes], SlidingWindow] = {}
        self._horizons: dict[tuple[str, str | bytes], int] = {}  # where a window has forgotten

    def used(self, row: _Row) -> int:
        """What counts against the ceiling of the reservation `row` before it."""
        account, since = row[2], row[8]
        group = self.groups[account]
        if since:
            window = self._sliding.get(group)
            if window is not None and since < self._horizons.get(group, 0):
                window = self._sliding[group] = SlidingWindow()
                before = self._db.execute(_BEFORE, (*group, row[0], since))
                window.take_all(map(self._transfer, before))
                self._horizons[group] = since
            return 0 if window is None else window.used(self._charge(row))
        if account in self._members:
            return self._distinct.get(group, 0) - (self._held.get(account, 0) > 0)
        return self._held.get(account, 0)

    def is_too_early(self, row: _Row) -> bool:
        """Whether a reservation counts from before the latest one of its sliding account, before it
        was made, or before the window it was held against: so that it would leave too soon."""
        reserved, since, at = row[7], row[8], row[10]
        if not since:
            return False
        window = self._sliding.get(self.groups[row[2]])
        latest = 0 if window is None else window.latest_ms
        return bool(reserved < max(at, latest) or reserved <= since)

    def take(self, row: _Row) -> None:
        """Go on by one transfer."""
        _, _, account, source, target, amount, _, _, since, pending_only, _ = row
        if since:
            group = self.groups[account]
            window = self._sliding.setdefault(group, SlidingWindow())
            window.take_all([self._transfer(row)])
            if window.old > MAX_OLD:
                self._horizons[group] = max(self._horizons.get(group, 0), window.drop_old())
            return
        before = self._held.get(account, 0)
        after = before
        if source != "free":
            after -= amount
        if target != "free" and not (pending_only and target == "posted"):
            after += amount
        self._held[account] = after
        if account in self._members and (before > 0) != (after > 0):
            group = self.groups[account]
            self._distinct[group] = self._distinct.get(group, 0) + (1 if after > 0 else -1)

    def _charge(self, row: _Row) -> Charge:
        _, _, account, _, _, amount, ceiling, _, since, only, _ = row
        member = self._members.get(account, "")
        return Charge("", "", amount, ceiling, "", member, since, bool(only))

    def _transfer(self, row: _Row) -> Transfer:
        _, call, account, source, target, amount, ceiling, reserved, since, only, _ = row
        member = self._members.get(account, "")
        places = Place(source), Place(target)
        return Transfer(
            call, "", "", member, reserved, reserved, *places, amount, ceiling, since, bool(only)
        )


def _lines(db: sqlite3.Connection) -> Iterator[Difference]:
    for call, pending, unknown, state, listed in db.execute(_LINES):
        stands = f"{pending} of its charges pending, {unknown} unknown"
        listing = "listed as unsettled" if listed else "not listed as unsettled"
        text = f"the call is {state or 'not recorded'}, with {stands}, and {listing}"
        yield Difference("call_differs", str(call), text)
    for (call,) in db.execute(_LOST_UNSETTLED):
        yield Difference("call_differs", str(call), "listed as unsettled, with nothing reserved")


def _places(pending: object, posted: object, unknown: object) -> str:
    return f"{pending} pending, {posted} posted, {unknown} unknown"
