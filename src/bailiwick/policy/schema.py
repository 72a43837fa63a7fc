"""The Cedar schema: one action for each tool, with the types of its arguments.

Made from the definitions that were accepted, so a policy is written and checked against what the
servers say they take. The pieces are put together as Cedar's JSON schema, where every name is a
JSON string: a tool whose name holds quotes or line breaks is an action with such a name, and
nothing else.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from cedarpy import Schema

from bailiwick.core.call import CallKind
from bailiwick.core.canonical import Json, JsonObject
from bailiwick.policy.circumstances import CIRCUMSTANCES, DOCS
from bailiwick.policy.input_types import type_of_input
from bailiwick.policy.types import (
    Attribute,
    RecordOf,
    SetOf,
    Simple,
    in_cedar,
)

Definitions = Mapping[str, Mapping[str, str]]
"""Accepted tool definitions, as JSON, by server and tool. A server that has not shown any yet is
left out."""

GROUPS: Mapping[CallKind, str] = {kind: kind.value for kind in CallKind}
"""The action of each kind of call. For tools it is the group that each tool's own action is in."""

_ENTITY_TYPES: dict[str, Json] = {
    "Agent": {
        "shape": {
            "type": "Record",
            "attributes": {"owner": {"type": "Entity", "name": "Person", "required": True}},
        }
    },
    "Person": {
        "shape": {
            "type": "Record",
            "attributes": {
                "roles": {"type": "Set", "element": {"type": "String"}, "required": True}
            },
        }
    },
    "Server": {},
}

ENTITY_TYPES = (*_ENTITY_TYPES, "Action")

_COMMON = {"mandate": "Mandate", "run": "Run", "time": "Time"}


@dataclass(frozen=True, slots=True)
class Action:
    """One action.

    Attributes:
        context: what a policy may look at.
        left_out: arguments without a type, and why.
        declared: names of all arguments the tool declares at the top.
    """

    id: str
    group: str
    server: str
    context: RecordOf
    left_out: tuple[tuple[str, str], ...] = ()
    declared: frozenset[str] = frozenset()


def action_id(server: str, tool: str) -> str:
    """The action of a tool. The first slash separates, as everywhere."""
    return f"{server}/{tool}"


def tool_action(server: str, tool: str, definition: str) -> Action:
    """The action of one tool, from its definition. Total: a damaged one has no arguments."""
    try:
        schema = json.loads(definition).get("inputSchema")
    except (ValueError, AttributeError, RecursionError):
        schema = None
    input_, left_out = type_of_input(schema)
    attributes = {
        **CIRCUMSTANCES,
        "input": Attribute(input_, True),
        "undeclared": Attribute(SetOf(Simple.TEXT), True),
    }
    properties = schema.get("properties") if isinstance(schema, dict) else None
    declared = frozenset(properties) if isinstance(properties, dict) else frozenset[str]()
    return Action(
        action_id(server, tool),
        GROUPS[CallKind.TOOL],
        server,
        RecordOf(attributes),
        tuple(left_out),
        declared,
    )


def group_action(kind: CallKind, server: str) -> Action:
    """The action of a call that is no tool call."""
    return Action(GROUPS[kind], GROUPS[kind], server, RecordOf(CIRCUMSTANCES))


def schema_json(actions: Iterable[Action], named: Iterable[str] = ()) -> str:
    """The JSON schema in which exactly `actions` can be asked for.

    Args:
        named: ids of further actions that statements may name; no request can be of one.
    """
    tool = GROUPS[CallKind.TOOL]
    declared: dict[str, Json] = {group: {} for group in GROUPS.values()}
    declared |= {name: {"memberOf": [{"id": tool}]} for name in named if name not in declared}
    for action in actions:
        declared[action.id] = {
            **({"memberOf": [{"id": action.group}]} if action.id != action.group else {}),
            "appliesTo": {
                "principalTypes": ["Agent"],
                "resourceTypes": ["Server"],
                "context": _context(action.context),
            },
        }
    common: dict[str, Json] = {
        name: in_cedar(CIRCUMSTANCES[each].type) for each, name in _COMMON.items()
    }
    whole = {"commonTypes": common, "entityTypes": _ENTITY_TYPES, "actions": declared}
    return json.dumps({"": whole})


def _context(context: RecordOf) -> JsonObject:
    """The type of a context, what all actions share by its name: it is most of the schema."""
    attributes: dict[str, Json] = {
        name: {"type": _COMMON[name], "required": True}
        if name in _COMMON and one is CIRCUMSTANCES[name]
        else {**in_cedar(one.type), "required": one.required}
        for name, one in context.attributes.items()
    }
    return {"type": "Record", "attributes": attributes}


def all_actions(definitions: Definitions) -> list[Action]:
    """Every action there is: the tools, and the other kinds of call."""
    tools = [
        tool_action(server, tool, definition)
        for server, shown in sorted(definitions.items())
        for tool, definition in sorted(shown.items())
    ]
    return tools + [group_action(kind, "") for kind in CallKind if kind is not CallKind.TOOL]


def schema_text(definitions: Definitions) -> str:
    """The whole schema in Cedar's own syntax, with a note of what was left out."""
    actions = all_actions(definitions)
    text = _plain(str(Schema.from_json_str(schema_json(actions))))
    notes = [
        "// What organisation policies are written against. Made from the servers' definitions.",
        "//",
        *(f"// context.{name}: {doc}" for name, doc in DOCS.items()),
    ]
    left_out = [
        f"//   {json.dumps(action.id)} context.input.{_visible(path)}: {why}"
        for action in actions
        for path, why in action.left_out
    ]
    if left_out:
        notes += ["//", "// Left out, because Cedar has no one type for it:", *left_out]
    return "\n".join(notes) + "\n\n" + text


_PREFIX = re.compile(r'("(?:[^"\\]|\\.)*")|__cedar::')


def _plain(text: str) -> str:
    """`String` for `__cedar::String`: nothing here is named like one of Cedar's types."""
    return _PREFIX.sub(lambda match: match.group(1) or "", text)


def _visible(path: str) -> str:
    return path if path.isascii() and path.isprintable() else json.dumps(path)
