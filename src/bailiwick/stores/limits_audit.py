"""The audit of limits: every balance worked out again from the transfers, and compared.

1. Each balance is what the transfers of its account add up to.
2. No reservation went above the ceiling it was held to, in the order in which they were written.
3. What a running call has reserved is pending; what an ended one has is not.
4. `unsettled` lists the calls of which something is unknown, and no others.

All of one snapshot. Each difference is told with the account or call it is about.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from itertools import groupby

from bailiwick.core.accounts import Account, Place, Transfer
from bailiwick.core.limits import Charge
from bailiwick.ports import Difference, LimitAudit

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

_LOST_ACCOUNTS = """
SELECT account FROM transfers WHERE account NOT IN (SELECT id FROM accounts)
UNION SELECT account FROM balances WHERE account NOT IN (SELECT id FROM accounts) ORDER BY 1
"""

# A line of a call stands where its last transfer took it.
_LINES = """
SELECT t.call, sum(t.target = 'pending'), sum(t.target = 'unknown'), c.state, u.call IS NOT NULL
FROM (SELECT call, target, max(idx) FROM transfers GROUP BY call, account) t
LEFT JOIN calls c ON c.id = t.call LEFT JOIN unsettled u ON u.call = t.call GROUP BY t.call
HAVING c.state IS NULL OR (c.state = 'running') <> (sum(t.target = 'pending') > 0)
    OR (u.call IS NOT NULL) <> (sum(t.target = 'unknown') > 0)
    OR (c.state IN ('done', 'failed', 'denied') AND sum(t.target = 'unknown') > 0)
    OR (c.state = 'held') ORDER BY t.call
"""

_LOST_UNSETTLED = """
SELECT call FROM unsettled WHERE call NOT IN (SELECT call FROM transfers) ORDER BY call
"""

_COUNTS = """
SELECT (SELECT count(*) FROM transfers), (SELECT count(*) FROM accounts),
    (SELECT count(DISTINCT call) FROM transfers), (SELECT count(*) FROM unsettled)
"""

# By their account and the value counted apart, as one window is looked at at a time.
_IN_ORDER = """
SELECT a.account, a.key, a.member, t.idx, t.call, t.source, t.target, t.amount, t.ceiling,
    t.reserved_ms, t.since_ms, t.pending_only
FROM transfers t JOIN accounts a ON a.id = t.account ORDER BY a.account, a.key, t.idx
"""


def audit(db: sqlite3.Connection) -> LimitAudit:
    """Compare all of it, inside the snapshot that is open on `db`. O(transfers)."""
    found: list[Difference] = []
    for each in _differences(db):
        found.append(each)
        if len(found) >= MAX_DIFFERENCES:
            break
    transfers, accounts, calls, unsettled = db.execute(_COUNTS).fetchone()
    return LimitAudit(transfers, accounts, calls, unsettled, tuple(found))


def _differences(db: sqlite3.Connection) -> Iterator[Difference]:
    yield from _balances(db)
    yield from _above(db)
    yield from _lines(db)


def _balances(db: sqlite3.Connection) -> Iterator[Difference]:
    for account, pending, posted, unknown, *sums in db.execute(_BALANCES):
        what = _places(pending, posted, unknown) if pending >= 0 else "missing"
        text = f"the balance is {what}; the transfers add up to {_places(*sums)}"
        yield Difference("balance_differs", str(account), text)
    for (number,) in db.execute(_LOST_ACCOUNTS):
        yield Difference("account_missing", str(number), "there is no such account")


def _above(db: sqlite3.Connection) -> Iterator[Difference]:
    """Reservations that did not fit when they were made."""
    for (name, _), rows in groupby(db.execute(_IN_ORDER), key=lambda row: (row[0], row[1])):
        account: Account | None = None
        for row in rows:
            charge, transfer = _read(row)
            if account is None:
                account = Account(sliding=charge.since_ms > 0)
            if transfer.source is Place.FREE and transfer.target is Place.PENDING:
                used = account.used(charge)
                if used + charge.amount > charge.ceiling:
                    text = (
                        f"call `{transfer.call}` reserved {charge.amount} above {used} of "
                        f"{charge.ceiling}"
                    )
                    yield Difference("above_ceiling", str(name), text)
            account.take(transfer)


def _read(row: Sequence[object]) -> tuple[Charge, Transfer]:
    account, key, member, _, call, source, target, *numbers = row
    amount, ceiling, reserved, since, only = (int(str(number)) for number in numbers)
    # Sealed as they are: equal values have equal bytes, and nothing else is asked of them here.
    apart, counted = _text(key), _text(member)
    charge = Charge("", str(account), amount, ceiling, apart, counted, since, bool(only))
    places = Place(str(source)), Place(str(target))
    transfer = Transfer(
        str(call), str(account), apart, counted, reserved, reserved, *places, amount, ceiling, since
    )
    return charge, transfer


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


def _text(cell: object) -> str:
    return cell.hex() if isinstance(cell, bytes) else str(cell)
