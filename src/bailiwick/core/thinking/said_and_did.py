"""Said and did: how a tool call stands to what the model asked for, as it is recorded and shown.

A tool call's sealed intent has its `thought`, and a model call's sealed intent, for the results of
tools that it repeats to the model, `retold`. Both are about what was seen to pass through the
gateway: that a model asked for a call is no proof of why the agent made it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum

import msgspec

from bailiwick.core.canonical import Json, JsonObject
from bailiwick.core.values import show

MAX_RETOLD = 256
"""Most results of one model call that are recorded as retold."""

MAX_DIFFERENCES = 16
"""Most places named in which something differs."""


class SaidAndDid(StrEnum):
    """How a tool call stands to what the model asked for. The value is the word in records."""

    MATCHED = "matched"
    """The model asked for this call, with these arguments."""
    ALTERED = "altered"
    """The model asked for this tool, with other arguments."""
    UNASKED = "unasked"
    """The model calls of this run that were seen asked for no such call."""
    UNKNOWN = "unknown"
    """No model call of this run was seen, or not enough of what it said."""
    SHORTENED = "shortened"
    """Of results only: what the tool returned, with parts left out and nothing put in."""


class Thought(msgspec.Struct, frozen=True):
    """Where a tool call comes from. Sealed with its intent, as `thought`.

    Attributes:
        match: how it stands to what was asked for.
        model_call: our id of the model call that asked for it; "" for none.
        tool_call: the model's own id of the tool call it asked for; may be "".
        differences: of ALTERED, where its arguments differ, as argument paths.
    """

    match: SaidAndDid
    model_call: str = ""
    tool_call: str = ""
    differences: tuple[str, ...] = ()


class Retold(msgspec.Struct, frozen=True):
    """One result of a tool as the agent told it to the model. Sealed with the model call's intent,
    in the list `retold`.

    Attributes:
        match: MATCHED is what the tool returned, SHORTENED is pieces of it, ALTERED is something
            else, UNASKED is a result of a call that no gateway saw, and UNKNOWN could not be
            compared.
        tool_call: the model's own id of the tool call; may be "".
        call: our id of the tool call whose result it is; "" for none.
    """

    match: SaidAndDid
    tool_call: str = ""
    call: str = ""


def thought_payload(thought: Thought) -> JsonObject:
    """As it is sealed; what is empty is left out."""
    told: dict[str, Json] = {"match": thought.match.value}
    if thought.model_call:
        told["model_call"] = thought.model_call
    if thought.tool_call:
        told["tool_call"] = thought.tool_call
    if thought.differences:
        told["differences"] = list(thought.differences[:MAX_DIFFERENCES])
    return told


def thought_in_words(thought: Thought) -> str:
    """For a person who is to stamp the call; shortened, and what an agent made up in backticks."""
    where = ", ".join(show(path) for path in thought.differences)
    match thought.match:
        case SaidAndDid.MATCHED:
            return f"yes, exactly this (call {thought.model_call})"
        case SaidAndDid.ALTERED:
            return f"no, with other arguments: {where}" if where else "no, with other arguments"
        case SaidAndDid.UNASKED:
            return "no"
    return "not known"


def retold_payload(results: Sequence[Retold]) -> Sequence[JsonObject]:
    """As they are sealed: the newest `MAX_RETOLD`."""
    return [_retold(each) for each in results[-MAX_RETOLD:]]


def read_thought(sealed: Json) -> Thought | None:
    """The `thought` of an opened intent; None when there is none that can be read."""
    if not isinstance(sealed, Mapping):
        return None
    match = _match(sealed.get("match"))
    if match is None:
        return None
    paths = sealed.get("differences")
    found = [each for each in paths if isinstance(each, str)] if isinstance(paths, list) else []
    return Thought(
        match, _text(sealed.get("model_call")), _text(sealed.get("tool_call")), tuple(found)
    )


def read_retold(sealed: Json) -> tuple[Retold, ...]:
    """The `retold` of an opened intent, without what cannot be read."""
    found = []
    for each in sealed if isinstance(sealed, list | tuple) else ():
        match = _match(each.get("match")) if isinstance(each, Mapping) else None
        if isinstance(each, Mapping) and match is not None:
            found.append(Retold(match, _text(each.get("tool_call")), _text(each.get("call"))))
    return tuple(found)


def _retold(result: Retold) -> JsonObject:
    told: dict[str, Json] = {"match": result.match.value}
    if result.tool_call:
        told["tool_call"] = result.tool_call
    if result.call:
        told["call"] = result.call
    return told


def _match(word: Json) -> SaidAndDid | None:
    try:
        return SaidAndDid(word) if isinstance(word, str) else None
    except ValueError:
        return None


def _text(value: Json) -> str:
    return value if isinstance(value, str) else ""
