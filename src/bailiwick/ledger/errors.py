"""What the ledger room raises.

The room is a library of its own: it imports nothing of the house, so its errors are its own too.
`stores/tlog.py` turns them into the house's `VerificationError` at the border.
"""

from __future__ import annotations


class LedgerError(Exception):
    """A leaf cannot be written, or a file, signature, proof or tree does not hold.

    Attributes:
        code: stable, snake case, part of the API.
        message: one line for people, input in backticks.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
