"""What the agent's side says of its run and its end user: headers, and `_meta` of a request.

| header | in `_meta` | |
|---|---|---|
| `Bailiwick-Run` | `bailiwick/run` | id of a run that was started for this agent and mandate |
| `Bailiwick-Instruction` | `bailiwick/instruction` | what the run is to do |
| `Bailiwick-Purpose` | `bailiwick/purpose` | what it is for |
| `Bailiwick-Run-Labels` | `bailiwick/run-labels` | names: with commas, or as a list |
| `Bailiwick-End-User` | `bailiwick/end-user` | for whom it acts |

Header values are UTF-8 with percent-encoding, so that any text has a spelling in a header. Said in
both places, they must say the same. None of it goes to a server: it is between the agent's side and
the gateway.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from urllib.parse import unquote_to_bytes

from msgspec.structs import replace

from bailiwick.core.canonical import Json, JsonObject
from bailiwick.core.errors import TheirError
from bailiwick.core.run_words import run_words
from bailiwick.core.verdict import Deny
from bailiwick.gateway.gate import NOTHING_SAID, Said
from bailiwick.protocols.mcp.headers import Headers
from bailiwick.protocols.mcp.jsonrpc import Request
from bailiwick.protocols.mcp.revisions import (
    META_CLIENT_CAPABILITIES,
    META_CLIENT_INFO,
    META_LOG_LEVEL,
    META_VERSION,
)

META_PREFIX = "bailiwick/"
MAX_RUN_CHARS = 64

_META = {
    "joins": "bailiwick/run",
    "instruction": "bailiwick/instruction",
    "purpose": "bailiwick/purpose",
    "labels": "bailiwick/run-labels",
    "end_user": "bailiwick/end-user",
}
_ENCODED = re.compile(rb"(?:[\x20-\x24\x26-\x7e]|%[0-9A-Fa-f]{2})*")
_OF_EVERY_CLIENT = frozenset(
    {
        META_CLIENT_CAPABILITIES,
        META_CLIENT_INFO,
        META_LOG_LEVEL,
        META_VERSION,
        "progressToken",
    }
)
_HEADERS = frozenset({"run", "instruction", "purpose", "run_labels", "end_user"})
_Values = tuple[bytes | None, bytes | None, bytes | None, bytes | None, bytes | None]


def read_said(headers: Headers, params: JsonObject) -> Said:
    """What a request says.

    Raises:
        TheirError: `bad_run_words`: it is malformed, too long, or said twice in different ways.
    """
    said = NOTHING_SAID
    if not headers.__dict__.keys().isdisjoint(_HEADERS):  # it holds what was received, no more
        said = _from_headers(
            (
                headers.run,
                headers.instruction,
                headers.purpose,
                headers.run_labels,
                headers.end_user,
            )
        )
    meta = _with_ours(params)
    if meta is None:
        return said
    return both(said, _from_meta(meta), "in a header and in `_meta`")


def both(one: Said, other: Said, places: str) -> Said:
    """What is said in two places, together.

    Raises:
        TheirError: `bad_run_words`: they say different things of one.
    """
    if one is NOTHING_SAID or other is NOTHING_SAID:
        return other if one is NOTHING_SAID else one
    merged: dict[str, object] = {}
    for name in Said.__struct_fields__:
        first, second = getattr(one, name), getattr(other, name)
        if first and second and first != second:
            raise _bad(f"`{_META[name]}` is said twice, {places}, and not alike")
        merged[name] = first or second
    return Said(**merged)  # type: ignore[arg-type]  # field by field of the same struct


def since_initialize(first: Said, now: Said) -> tuple[Said, Deny | None]:
    """What a session says, from its `initialize` on; a refusal when that is not alike."""
    try:
        return both(first, now, "when the session began and now"), None
    except TheirError as error:
        return first, Deny("run_fixed", (), error.message)


def without_ours(request: Request) -> Request:
    """A request as a server may see it: without what was said to the gateway."""
    meta = _with_ours(request.params)
    if meta is None:
        return request
    left = {name: item for name, item in meta.items() if not name.startswith(META_PREFIX)}
    others = {name: item for name, item in request.params.items() if name != "_meta"}
    return replace(request, params={**others, "_meta": left} if left else others)


def _with_ours(params: JsonObject) -> JsonObject | None:
    """The `_meta` that says something to the gateway; None if there is none."""
    meta = params.get("_meta")
    if type(meta) is dict:
        for name in meta:
            if name.startswith(META_PREFIX):
                return meta
    return None


def says_more(params: JsonObject) -> bool:
    """Whether `_meta` has any name that the protocol does not have every client say.

    Most say no more. So one look spares them being searched for each of the things that are told
    to the gateway there: words of a run, a session, a tool call, a trace.
    """
    meta = params.get("_meta")
    return meta is not None and not (type(meta) is dict and meta.keys() <= _OF_EVERY_CLIENT)


@lru_cache(256)
def _from_headers(values: _Values) -> Said:
    # A client without a session sends the same headers with every request.
    joins, instruction, purpose, labels, end_user = (_decoded(value) for value in values)
    return _said(joins, instruction, purpose, _names(labels), end_user)


def _from_meta(meta: Mapping[str, Json]) -> Said:
    labels = meta.get(_META["labels"], [])
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        raise _bad(f"`{_META['labels']}` must be a list of texts")
    texts: dict[str, str] = {}
    for name in ("joins", "instruction", "purpose", "end_user"):
        value = meta.get(_META[name], "")
        if not isinstance(value, str):
            raise _bad(f"`{_META[name]}` must be text")
        texts[name] = value
    names = tuple(str(label) for label in labels)
    return _said(texts["joins"], texts["instruction"], texts["purpose"], names, texts["end_user"])


def _said(
    joins: str, instruction: str, purpose: str, labels: tuple[str, ...], end_user: str
) -> Said:
    if len(joins) > MAX_RUN_CHARS:
        raise _bad(f"the id of a run has at most {MAX_RUN_CHARS} characters")
    words = run_words(instruction, purpose, labels, end_user)
    said = Said(words.instruction, words.purpose, words.labels, words.end_user, joins)
    return NOTHING_SAID if said == NOTHING_SAID else said


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",")) if text else ()


def _decoded(value: bytes | None) -> str:
    if not value:
        return ""
    if not _ENCODED.fullmatch(value):
        raise _bad("a header is not percent-encoded UTF-8")
    try:
        return unquote_to_bytes(value).decode()
    except UnicodeDecodeError as error:
        raise _bad("a header is not percent-encoded UTF-8") from error


def _bad(message: str) -> TheirError:
    return TheirError("bad_run_words", message)
