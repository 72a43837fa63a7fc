"""`only: {model_call: …}`: conditions on how a model is asked, and for what."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from bailiwick.core.call import CallKind
from bailiwick.core.canonical import Json, JsonObject
from bailiwick.core.circumstances import Circumstance
from bailiwick.core.texts.glob import Glob
from bailiwick.core.thinking.model_calls import (
    AskedAs,
    IsSubstitute,
    OffersAny,
    OffersOnly,
    OutputAtMost,
    OutputOver,
)
from bailiwick.declared.objects import texts
from bailiwick.declared.problems import Problem
from bailiwick.declared.readings import TARGET_KINDS
from bailiwick.declared.shapes import Field, Flag, ListOf, Record, Text, Whole
from bailiwick.declared.tree import Table

MAX_TOKENS = 1_000_000_000
_GLOB = Text(reads=Glob, max_length=256)
_KEYS = (
    *("asked_as", "substitute", "max_output", "more_output_than", "tools", "hosted_tools"),
    "any_tool",
)

MODEL_CALL = Field(
    Record(
        "conditions on model calls",
        {
            "asked_as": Field(
                ListOf(_GLOB, or_one=True, most=50),
                "The agent asked for it under one of these names: an alias, or `SERVER/MODEL`.",
            ),
            "substitute": Field(
                Flag(), "Whether it stands in for another model of an alias, which did not serve."
            ),
            "max_output": Field(
                Whole(0, MAX_TOKENS),
                "The answer is bounded, and takes at most so many tokens over all its choices.",
            ),
            "more_output_than": Field(
                Whole(0, MAX_TOKENS),
                "The answer may take more than so many tokens, or nothing bounds it.",
            ),
            "tools": Field(
                ListOf(_GLOB, least=0, most=1_000),
                "It offers the model no other tools than these, and none that the model's server "
                "runs by itself but `hosted_tools`.",
            ),
            "hosted_tools": Field(
                ListOf(_GLOB, least=0, most=100),
                "Of tools that the model's server runs by itself, by their types "
                "(`web_search`), it offers no others than these; `[]` for none.",
            ),
            "any_tool": Field(
                ListOf(_GLOB, or_one=True, most=1_000), "It offers the model one of these tools."
            ),
        },
        some_of=_KEYS,
    ),
    "Of model calls, in whatever dialect. Calls of tools are not concerned.",
)


def of_model_calls(asked: Json) -> Iterator[Circumstance]:
    """What `model_call` asks for; nothing without it."""
    if not isinstance(asked, Mapping):
        return
    if "asked_as" in asked:
        yield AskedAs(_globs(asked, "asked_as"))
    if "substitute" in asked:
        yield IsSubstitute(asked["substitute"] is True)
    most, over = asked.get("max_output"), asked.get("more_output_than")
    if isinstance(most, int):
        yield OutputAtMost(most)
    if isinstance(over, int):
        yield OutputOver(over)
    if "tools" in asked or "hosted_tools" in asked:
        own = _globs(asked, "tools") if "tools" in asked else None
        yield OffersOnly(own, _globs(asked, "hosted_tools"))
    if "any_tool" in asked:
        yield OffersAny(_globs(asked, "any_tool"))


def check_model_call(rule: Table) -> Iterator[Problem]:
    """A rule that asks for conditions on model calls and is about something else too."""
    only = rule.get("only")
    asked = only.get("model_call") if isinstance(only, Table) else None
    if asked is None:
        return
    others = [key for key, kind in TARGET_KINDS.items() if kind is not CallKind.MODEL]
    for key in others:
        if rule.get(key) is not None:
            message = f"`model_call` is about models only; this rule is about `{key}` too"
            yield Problem(asked.place, message)
            return


def _globs(asked: JsonObject, key: str) -> tuple[Glob, ...]:
    return tuple(Glob(text) for text in texts(asked, key))
