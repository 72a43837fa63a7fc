"""Leaves of calls as forms: laid out once, and filled in for each call.

Of what an intent says, nearly all is the same for all calls of one token to one tool: only the
commitment, the time, the ids and the trace differ. So its leaf is encoded once with blanks in those
places, and each call is joined into it: a sixth of the time that encoding all of it takes.

They are the bytes of `call_leaf.py`: tests/unit/ledger/test_call_form.py holds the two equal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from bailiwick.ledger.errors import LedgerError
from bailiwick.ledger.leaf import MAX_INTEGER, MAX_LEAF_BYTES

if TYPE_CHECKING:
    from bailiwick.ledger.call_leaf import IntentLeaf
    from bailiwick.ledger.commitment import Commitment

_encode: Final = msgspec.json.Encoder(order="sorted").encode

# JSON holds no NUL: in any text it is spelt out. So a blank is taken for nothing else.
_BLANK: Final = "\0"
_OF_TEXT: Final = msgspec.Raw(b'"\0"')
_OF_PART: Final = msgspec.Raw(b"\0")


class IntentForm:
    """The leaf of an intent, but for `arguments`, `at`, `id`, `run` and `traceparent`.

    Attributes:
        size: characters of what is laid out.
    """

    __slots__ = ("_parts", "size")

    def __init__(self, leaf: IntentLeaf) -> None:
        """Lay out a form from one of the leaves that it is of.

        Raises:
            LedgerError: `leaf_not_canonical`.
        """
        blanks = {"arguments": _OF_TEXT, "at": _OF_PART, "id": _OF_TEXT, "run": _OF_TEXT}
        try:
            text = _encode({**leaf, **blanks, "traceparent": _OF_PART}).decode()
        except UnicodeEncodeError as error:
            raise LedgerError("leaf_not_canonical", "text holds a lone surrogate") from error
        # What may be missing is filled in with its name.
        text = text.replace(f',"traceparent":{_BLANK}', _BLANK)
        self.size = len(text)
        first, second, third, fourth, fifth, last = text.split(_BLANK)
        self._parts = first, second, third, fourth, fifth, last

    def filled(
        self, arguments: Commitment, at_ms: int, ident: str, run: str, traceparent: str
    ) -> bytes:
        """The leaf of one call. `traceparent` "" is left out.

        Raises:
            LedgerError: `leaf_not_canonical`, `leaf_too_long`.
        """
        if not (ident + run).isalnum():  # as ids are: then nothing in them is spelt otherwise
            ident, run = _within_quotes(ident), _within_quotes(run)
        trace = f',"traceparent":"{_within_quotes(traceparent)}"' if traceparent else ""
        to_arguments, to_at, to_id, to_run, to_trace, end = self._parts
        at = str(at_ms)
        text = "".join(
            (to_arguments, arguments, to_at, at, to_id, ident, to_run, run, to_trace, trace, end)
        ).encode()
        if len(text) > MAX_LEAF_BYTES or abs(at_ms) > MAX_INTEGER:
            raise _unfit(text)
        return text


def result_leaf(result: Commitment, at_ms: int, ident: str, run: str, state: str) -> bytes:
    """The leaf of an outcome of which nothing is said but its result.

    Raises:
        LedgerError: `leaf_not_canonical`, `leaf_too_long`.
    """
    if not (ident + run).isalnum():
        ident, run = _within_quotes(ident), _within_quotes(run)
    leaf = (
        f'{{"at":{at_ms},"id":"{ident}","result":"{result}","run":"{run}","state":"{state}",'
        '"type":"call.outcome","v":1}'
    )
    text = leaf.encode()
    if len(text) > MAX_LEAF_BYTES or abs(at_ms) > MAX_INTEGER:
        raise _unfit(text)
    return text


def _unfit(leaf: bytes) -> LedgerError:
    if len(leaf) > MAX_LEAF_BYTES:
        return LedgerError("leaf_too_long", f"a leaf has {len(leaf)} bytes of 65,535 at most")
    return LedgerError("leaf_not_canonical", "an integer is beyond 2**53 - 1")


def _within_quotes(text: str) -> str:
    try:
        return _encode(text)[1:-1].decode()
    except UnicodeEncodeError as error:
        raise LedgerError("leaf_not_canonical", "text holds a lone surrogate") from error
