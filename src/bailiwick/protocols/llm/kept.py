"""What a model said, as it is kept beside its raw answer: one form for every dialect.

    {"model": …, "text": …, "reasoning": [{"text": …, "visibility": …}], "tool_calls": [
     {"id": …, "name": …, "arguments": …}], "usage": {…}, "finish": …, "id": …, "error": …,
     "cut": false, "hosted_calls": []}

The reasoning is canonical JSON (RFC 8785), so that it can be committed to, and shown, by itself.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from bailiwick.core.canonical import Json
from bailiwick.protocols.llm.dialect import Said

_encode = msgspec.json.Encoder(order="sorted").encode

# INVARIANT: what msgspec knows of a class is made here, by one thread (see stores/sqlite_reads).
_decode = msgspec.json.Decoder(Said).decode


class Kept(msgspec.Struct, frozen=True):
    """One answer as it is sealed.

    Attributes:
        said: all of it, as JSON; b"" where a model said nothing (an embedding, a count).
        reasoning: of that the list `reasoning`, as it stands there; b"" for none.
    """

    said: bytes = b""
    reasoning: bytes = b""


_NOTHING = Kept()


def keep(said: Said) -> Kept:
    """The form that is kept. Never raises. O(length)."""
    told = said.text or said.reasoning or said.tool_calls or said.hosted_calls or said.error
    if not told and not said.cut:
        return _NOTHING
    return Kept(_encode(said), _encode(said.reasoning) if said.reasoning else b"")


def read_kept(said: bytes) -> Said | None:
    """What `keep` kept; None when it is nothing of that."""
    try:
        return _decode(said)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def said_of(opened: Json) -> Said | None:
    """What a model said, of an opened outcome; None when nothing was kept or it was erased."""
    if not isinstance(opened, Mapping) or "said" not in opened:
        return None
    try:
        return msgspec.convert(opened["said"], Said)
    except msgspec.ValidationError:
        return None
