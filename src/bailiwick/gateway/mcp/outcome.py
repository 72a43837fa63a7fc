"""What an exchange comes to.

Apart from `wire.py`, which is compiled: of a Struct, the compiler would lose the keywords.
"""

from __future__ import annotations

import msgspec


class Outcome(msgspec.Struct, frozen=True):
    """A finished reply: one JSON-RPC message (or b"" for none) and its HTTP status."""

    status: int
    message: bytes
    failed: bool = False
