"""Conditions held against the input schemas of the tools they are about.

A tool's definition says which arguments it takes and of what types. A condition on an argument that
is not there would never let anything through, or stop everything; so a misspelt name is a problem
of the declaration. Definitions are known once their server has shown them; what cannot be checked
yet, or ever, is a warning.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from bailiwick.core.argument_path import (
    ArgumentPath,
    format_argument_path,
    parse_argument_path,
)
from bailiwick.core.call import CallKind
from bailiwick.core.canonical import Json, JsonObject
from bailiwick.core.texts.glob import Glob
from bailiwick.core.values import HOLDS, compare, show
from bailiwick.declared.alternatives import argument_in
from bailiwick.declared.conditions import BY_KEY, conditions_on
from bailiwick.declared.objects import Declaration
from bailiwick.declared.problems import Place, Problem, did_you_mean
from bailiwick.declared.readings import TARGET_KINDS, read_target
from bailiwick.declared.tool_schema import Known, Open, Unknown, look_up, required
from bailiwick.declared.tree import Items, Node, Scalar, Table, to_json

Definitions = Mapping[str, Mapping[str, str]]
"""Tool definitions by server and name, as the JSON texts that servers gave."""

MAX_TOOLS = 50
"""How many tools of one pattern a condition is held against."""

_WORDS = {
    "null": "null",
    "boolean": "a boolean",
    "integer": "a whole number",
    "number": "a number",
    "string": "text",
    "array": "a list",
    "object": "an object",
}


@dataclass(frozen=True, slots=True)
class ToolFindings:
    """What the schemas say: `problems` are mistakes, `warnings` what could not be checked."""

    problems: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()


def check_tools(declarations: Iterable[Declaration], definitions: Definitions) -> ToolFindings:
    """Hold the conditions of every mandate in `declarations` against the tools they are about.

    Pure. Declarations without places (from a store) are passed over.

    Args:
        declarations: sound by their shapes.
        definitions: of the servers that have shown theirs. What is not here is not known.
    """
    problems: list[Problem] = []
    warnings: list[Problem] = []
    for each in declarations:
        if each.kind == "mandate" and isinstance(each.node, Table):
            check = _MandateCheck(definitions)
            check.mandate(each.node)
            problems += check.problems
            warnings += check.warnings
    return ToolFindings(tuple(sorted(set(problems))), tuple(sorted(set(warnings))))


@dataclass(frozen=True, slots=True)
class _Tool:
    """A tool with a known definition; `name` as people write it."""

    name: str
    schema: JsonObject


@dataclass(frozen=True, slots=True)
class _Asked:
    """One entry of `when`."""

    key: Scalar
    path: ArgumentPath
    conditions: Table


class _MandateCheck:
    """The check of one mandate."""

    def __init__(self, definitions: Definitions) -> None:
        self._definitions = definitions
        self._read: dict[tuple[str, str], _Tool | None] = {}
        self._unseen: dict[str, Place] = {}
        self.problems: list[Problem] = []
        self.warnings: list[Problem] = []

    def mandate(self, node: Table) -> None:
        """Check every rule and limit."""
        for section in ("allow", "deny", "stamp", "limits"):
            rules = node.get(section)
            for rule in rules.items if isinstance(rules, Items) else ():
                if isinstance(rule, Table):
                    self._rule(section, rule)
        if self._unseen:
            first, more = next(iter(self._unseen.items())), len(self._unseen) - 1
            others = f" and {more} more" if more else ""
            message = (
                f"conditions on {show(first[0])}{others} are not checked yet: their server has not "
                "shown its tools; look again once an agent has listed them"
            )
            self.warnings.append(Problem(first[1], message))

    def _rule(self, section: str, rule: Table) -> None:
        asked = list(_asked(rule))
        measured = list(_measured(rule)) if section == "limits" else []
        for target in _tool_targets(rule):
            tools = list(self._tools(target, bool(asked or measured)))
            for node in measured:
                self._path(parse_argument_path(str(node.value)), node.place, tools)
            for each in asked:
                self._path(each.path, each.key.place, tools)
                for other in _others(each):
                    self._path(other, each.conditions.place, tools)
                self._types(each, tools)
            if section == "allow" and rule.get("other_arguments") is None:
                named = {str(path[0]) for each in asked for path in (each.path, *_others(each))}
                self._required(rule, named, tools)

    def _tools(self, target: Scalar, conditional: bool) -> Iterator[_Tool]:
        """The known tools a pattern fits."""
        pattern = read_target(str(target.value), CallKind.TOOL)
        servers = Glob(pattern.upstream)
        meant = [server for server in self._definitions if servers.matches(server)]
        if not meant and conditional:
            self._unseen.setdefault(str(target.value), target.place)
        names = [(server, name) for server in meant for name in self._definitions[server]]
        glob = Glob(pattern.name)
        fitting = sorted(each for each in names if glob.matches(each[1]))
        for server, name in fitting[:MAX_TOOLS]:
            tool = self._tool(server, name)
            if tool is not None:
                yield tool

    def _tool(self, server: str, name: str) -> _Tool | None:
        key = (server, name)
        if key not in self._read:
            schema = _input_schema(self._definitions[server][name])
            self._read[key] = None if schema is None else _Tool(f"{server}/{name}", schema)
        return self._read[key]

    def _path(self, path: ArgumentPath, place: Place, tools: list[_Tool]) -> None:
        """An argument must be there in one of the tools that a rule is about."""
        found = [(tool, look_up(tool.schema, path)) for tool in tools]
        missing = [(tool, each) for tool, each in found if isinstance(each, Unknown)]
        if found and len(missing) == len(found):
            tool, unknown = missing[0]
            self.problems.append(Problem(place, _says_unknown(path, tool, unknown)))
        elif found and not any(isinstance(each, Known) for _, each in found):
            tool = next(tool for tool, each in found if isinstance(each, Open))
            message = (
                f"{show(format_argument_path(path))} cannot be checked: the schema of "
                f"{show(tool.name)} is open there"
            )
            self.warnings.append(Problem(place, message))

    def _types(self, asked: _Asked, tools: list[_Tool]) -> None:
        """Some value of the argument must be of a type the condition can hold for."""
        found = [look_up(tool.schema, asked.path) for tool in tools]
        known = [each for each in found if isinstance(each, Known)]
        if not known or any(isinstance(each, Open) for each in found):
            return
        types = frozenset[str]().union(*(each.types for each in known))
        for key, value in _flat(asked.conditions):
            wanted = _wanted(str(key.value), to_json(value))
            if wanted is not None and not wanted & types:
                message = (
                    f"{show(asked.key.value)} of {show(tools[0].name)} is {_or(types)}, and "
                    f"{show(key.value)} is for {_or(wanted)}"
                )
                self.problems.append(Problem(key.place, message))
        if len(known) == len(tools) and all(each.choices for each in known):
            choices = [choice for each in known for choice in each.choices]
            self._values(asked, choices, tools[0])

    def _values(self, asked: _Asked, choices: list[Json], tool: _Tool) -> None:
        """A literal that the tool never takes is probably misspelt."""
        for node in _literals(asked.conditions):
            value = to_json(node)
            if not any(compare(value, choice) is HOLDS for choice in choices):
                texts = [choice for choice in choices if isinstance(choice, str)]
                near = did_you_mean(str(value), texts)
                message = f"{show(tool.name)} never takes {show(value)} for {show(asked.key.value)}"
                self.warnings.append(Problem(node.place, f"{message}{near}"))

    def _required(self, rule: Table, named: set[str], tools: list[_Tool]) -> None:
        """An allow rule that lets a required argument not be given lets nothing through."""
        if len(tools) != 1:
            return
        missing = sorted(required(tools[0].schema) - named)
        if missing:
            names = ", ".join(show(name) for name in missing[:5])
            message = (
                f"{show(tools[0].name)} needs {names}, which this rule does not let be given: name "
                "it in `when`, or say `other_arguments: allow`"
            )
            self.warnings.append(Problem(rule.place, message))


def _says_unknown(path: ArgumentPath, tool: _Tool, unknown: Unknown) -> str:
    above = path[: unknown.depth]
    whole = format_argument_path(above) if above else ""
    where = f"{show(whole)} of {show(tool.name)}" if above else show(tool.name)
    step = path[unknown.depth]
    if not isinstance(step, str):
        return f"{where} is {_or(unknown.types)}, not a list: leave `[]` out"
    if "object" not in unknown.types:
        listing = "array" in unknown.types
        hint = f": write {show(f'{whole}[].{step}')}" if listing else ""
        return f"{where} is {_or(unknown.types)}, so there is no {show(step)} in it{hint}"
    return f"{where} has no argument {show(step)}{did_you_mean(step, unknown.names)}"


def _asked(rule: Table) -> Iterator[_Asked]:
    when = rule.get("when")
    for key, conditions in when.entries if isinstance(when, Table) else ():
        if isinstance(conditions, Table):
            yield _Asked(key, parse_argument_path(str(key.value)), conditions)


def _measured(limit: Table) -> Iterator[Scalar]:
    """The arguments that a limit looks at besides those in `when`."""
    for key in ("sum", "distinct", "per"):
        node = limit.get(key)
        for each in node.items if isinstance(node, Items) else (node,):
            if isinstance(each, Scalar):
                yield each
    currency = limit.get("currency")
    named = currency.get("argument") if isinstance(currency, Table) else None
    if isinstance(named, Scalar):
        yield named


def _others(asked: _Asked) -> Iterator[ArgumentPath]:
    """The other arguments that the conditions on one argument read."""
    spec = to_json(asked.conditions)
    assert isinstance(spec, Mapping)
    for condition in conditions_on(asked.path, spec):
        yield from (path for path in condition.paths if path != asked.path)


def _flat(conditions: Table) -> Iterator[tuple[Scalar, Node]]:
    """Each condition, those on the items of a list too."""
    for key, value in conditions.entries:
        if key.value in ("all", "any", "none") and isinstance(value, Table):
            yield from value.entries
        else:
            yield key, value


def _wanted(key: str, value: Json) -> frozenset[str] | None:
    kind = BY_KEY.get(key)
    if kind is None:
        return None
    return kind.types(value) if callable(kind.types) else kind.types


def _literals(conditions: Table) -> Iterator[Scalar]:
    equal, listed = conditions.get("equals"), conditions.get("one_of")
    if isinstance(equal, Scalar) and argument_in(to_json(equal)) is None:
        yield equal
    for item in listed.items if isinstance(listed, Items) else ():
        if isinstance(item, Scalar):
            yield item


def _tool_targets(rule: Table) -> Iterator[Scalar]:
    for key, kind in TARGET_KINDS.items():
        node = rule.get(key) if kind is CallKind.TOOL else None
        for each in node.items if isinstance(node, Items) else (node,):
            if isinstance(each, Scalar):
                yield each


def _input_schema(definition: str) -> JsonObject | None:
    try:
        tool = json.loads(definition)
    except (ValueError, RecursionError):
        return None
    schema = tool.get("inputSchema") if isinstance(tool, dict) else None
    return schema if isinstance(schema, dict) else None


def _or(types: frozenset[str]) -> str:
    names = types - {"integer"} if "number" in types else types
    return " or ".join(_WORDS[name] for name in sorted(names)) or "nothing"
