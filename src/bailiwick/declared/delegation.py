"""`delegation:` in mandates: leave to pass on part of it. What children say is in children.py."""

from __future__ import annotations

from collections.abc import Mapping

from bailiwick.core.canonical import JsonObject
from bailiwick.core.delegation import DEFAULT_CHILDREN, MAX_CHILDREN, MAX_DEPTH, Delegation
from bailiwick.core.texts.glob import Glob
from bailiwick.declared.objects import texts
from bailiwick.declared.shapes import Field, ListOf, Record, Text, Whole

DELEGATION = Field(
    Record(
        "leave to delegate",
        {
            "to": Field(
                ListOf(Text(reads=Glob, max_length=64), or_one=True, most=50),
                "Which agents may be given a part of it; `*` is any run of characters.",
                required=True,
            ),
            "depth": Field(
                Whole(1, MAX_DEPTH),
                "How long a line of children may become below it; 1: children, and none of theirs.",
            ),
            "children": Field(
                Whole(1, MAX_CHILDREN),
                f"How many of its children may live at a time; {DEFAULT_CHILDREN}.",
            ),
        },
    ),
    "Lets its agent give other agents a part of it. Without it, nothing may be passed on.",
)


def compile_delegation(spec: JsonObject) -> Delegation | None:
    """The leave that a mandate's `delegation:` gives; None without it."""
    asked = spec.get("delegation")
    if not isinstance(asked, Mapping):
        return None
    depth, children = asked.get("depth", 1), asked.get("children", DEFAULT_CHILDREN)
    assert isinstance(depth, int)
    assert isinstance(children, int)
    return Delegation(tuple(Glob(text) for text in texts(asked, "to")), depth, children)
