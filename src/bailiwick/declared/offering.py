"""`offered_tools:` of mandates: which of the tools that an agent offers go on to a model."""

from __future__ import annotations

from collections.abc import Mapping

from bailiwick.core.canonical import JsonObject
from bailiwick.core.texts.glob import Glob
from bailiwick.core.thinking.offering import Offering
from bailiwick.declared.objects import texts
from bailiwick.declared.shapes import Choice, Field, ListOf, Record, Text

OFFERED_TOOLS = Field(
    Record(
        "a filter of offered tools",
        {
            "hosted": Field(
                ListOf(Text(reads=Glob, max_length=256), least=0, most=100),
                "Tools run by the model's server that it may be offered, by their types "
                "(`web_search`). None, unless said otherwise.",
            ),
            "others": Field(
                Choice(("keep", "remove")),
                "What becomes of tools that are not known to stand behind the gateway: the "
                "agent's own. Kept, unless said otherwise.",
            ),
        },
        some_of=("hosted", "others"),
    ),
    "Take tools out of model calls that this mandate could not let through: the model never sees "
    "them.",
)


def compile_offering(spec: JsonObject) -> Offering | None:
    """What a mandate says of offered tools; None for nothing."""
    asked = spec.get("offered_tools")
    if not isinstance(asked, Mapping):
        return None
    hosted = tuple(Glob(text) for text in texts(asked, "hosted"))
    return Offering(hosted, asked.get("others") != "remove")
