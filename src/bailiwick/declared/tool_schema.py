"""Looking up an argument in a tool's input schema (JSON Schema, draft 2020-12 and 7).

A schema comes from a server and is not to be trusted: references in circles, branches without end
and deep nesting are cut off at a bound, beyond which nothing is known. Whatever may be meant
counts: of `anyOf` and `oneOf` any branch, of `allOf` all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote

from bailiwick.core.argument_path import ArgumentPath, Each
from bailiwick.core.canonical import Json, JsonObject

MAX_NODES = 2_000
"""Most parts of one schema that are looked at for one argument."""

MAX_DEPTH = 16
"""How far references and branches are followed for one part."""

TYPES = frozenset({"null", "boolean", "integer", "number", "string", "array", "object"})


@dataclass(frozen=True, slots=True)
class Known:
    """The argument is there.

    Attributes:
        types: JSON types it may have.
        choices: the only values it may have, if the schema lists them; else ().
    """

    types: frozenset[str]
    choices: tuple[Json, ...] = ()


@dataclass(frozen=True, slots=True)
class Open:
    """Nothing is known of it: the schema leaves open what may stand there."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """There is no such argument.

    Attributes:
        depth: steps of the path that are there.
        names: what is there instead, if that is an object.
        types: types of what is there instead.
    """

    depth: int
    names: frozenset[str] = field(default_factory=frozenset)
    types: frozenset[str] = TYPES


def look_up(schema: JsonObject, path: ArgumentPath) -> Known | Open | Unknown:
    """What `schema` says of the argument at `path`. Pure; bounded, whatever the schema."""
    try:
        return _Search(schema).look_up(path)
    except _TooMuch:
        return Open()


def required(schema: JsonObject) -> frozenset[str]:
    """Arguments that a call must have, as far as the top of `schema` says so."""
    stated = schema.get("required")
    names = stated if isinstance(stated, list) else []
    return frozenset(name for name in names if isinstance(name, str))


class _TooMuch(Exception):
    """More parts than are looked at."""


class _Search:
    """One look-up. Counts the parts it looks at, since branches and references can multiply."""

    def __init__(self, root: JsonObject) -> None:
        self._root = root
        self._left = MAX_NODES

    def look_up(self, path: ArgumentPath) -> Known | Open | Unknown:
        nodes: list[Json] = [self._root]
        for depth, step in enumerate(path):
            tables = self._tables(nodes)
            if tables is None:
                return Open()
            types = self._types(nodes)
            if ("array" if isinstance(step, Each) else "object") not in types:
                return Unknown(depth, types=types)
            below = _items(tables) if isinstance(step, Each) else _property(step, tables)
            if below is None:
                return Open()
            if not below:
                return Unknown(depth, frozenset(_names(tables)), types)
            nodes = below
        return Open() if self._tables(nodes) is None else self._known(nodes)

    def _known(self, nodes: list[Json]) -> Known:
        return Known(self._types(nodes), self._choices(nodes))

    def _count(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise _TooMuch

    def _tables(self, nodes: list[Json]) -> list[JsonObject] | None:
        """`nodes` and all they are put together from; None if that is not all known."""
        found: list[JsonObject] = []
        seen: set[int] = set()
        waiting = list(nodes)
        while waiting:
            node = waiting.pop()
            if node is False or id(node) in seen:
                continue
            if not isinstance(node, Mapping):
                return None
            self._count()
            seen.add(id(node))
            found.append(node)
            waiting += self._inside(node)
        return found

    def _inside(self, node: JsonObject) -> Iterator[Json]:
        for key in ("$ref", "$dynamicRef"):
            if key in node:
                yield self._resolve(node[key])
        for key in ("allOf", "anyOf", "oneOf"):
            yield from _listed(node, key)
        yield from (node[key] for key in ("then", "else") if key in node)

    def _resolve(self, reference: Json) -> Json:
        """What a reference inside the schema leads to; True (nothing is known) if nowhere."""
        if not isinstance(reference, str) or not (reference == "#" or reference.startswith("#/")):
            return True
        found: Json = self._root
        for part in reference.split("/")[1:]:
            key = unquote(part).replace("~1", "/").replace("~0", "~")
            if isinstance(found, Mapping) and key in found:
                found = found[key]
            elif isinstance(found, list) and key.isascii() and key.isdigit():
                found = found[int(key)] if int(key[:6]) < len(found) else True
            else:
                return True
        return found if isinstance(found, Mapping | bool) else True

    def _types(self, nodes: Iterable[Json]) -> frozenset[str]:
        """Types a value may have that fits one of `nodes`."""
        return frozenset[str]().union(*(self._types_of(node, 0) for node in nodes))

    def _types_of(self, node: Json, depth: int) -> frozenset[str]:
        self._count()
        if node is False:
            return frozenset()
        if not isinstance(node, Mapping) or depth > MAX_DEPTH:  # so deep, it may be a circle
            return TYPES
        found = _stated_types(node)
        if "$ref" in node:
            found &= self._types_of(self._resolve(node["$ref"]), depth + 1)
        for each in _listed(node, "allOf"):
            found &= self._types_of(each, depth + 1)
        for key in ("anyOf", "oneOf"):
            branches = _listed(node, key)
            if branches:
                found &= frozenset[str]().union(
                    *(self._types_of(each, depth + 1) for each in branches)
                )
        return found

    def _choices(self, nodes: list[Json]) -> tuple[Json, ...]:
        """The values listed for it, if every branch lists some."""
        listed: list[Json] = []
        for node in nodes:
            for _ in range(MAX_DEPTH):
                if not isinstance(node, Mapping) or "$ref" not in node:
                    break
                node = self._resolve(node["$ref"])
            if not isinstance(node, Mapping) or not ("enum" in node or "const" in node):
                return ()
            listed += _listed(node, "enum") or [node.get("const")]
        return tuple(listed)


def _property(key: str, tables: list[JsonObject]) -> list[Json] | None:
    """Schemas of the property; [] if there is none; None if the schema leaves it open."""
    found: list[Json] = []
    for table in tables:
        properties = table.get("properties")
        if isinstance(properties, Mapping) and key in properties:
            found.append(properties[key])
    if found:
        return found
    for table in tables:
        more = table.get("additionalProperties")
        if isinstance(more, Mapping):
            found.append(more)
        elif more is True or "patternProperties" in table:
            return None
    # Nearly every tool leaves `additionalProperties` out and means the properties it lists. One
    # that lists none says nothing.
    listing = any(isinstance(table.get("properties"), Mapping) for table in tables)
    closed = any(table.get("additionalProperties") is False for table in tables)
    return found if found or listing or closed else None


def _items(tables: list[JsonObject]) -> list[Json] | None:
    found: list[Json] = []
    for table in tables:
        for key in ("items", "prefixItems"):
            stated = table.get(key)
            if isinstance(stated, list):
                found += stated
            elif stated is not None and stated is not False:
                found.append(stated)
    return found or None


def _names(tables: Iterable[JsonObject]) -> Iterator[str]:
    for table in tables:
        properties = table.get("properties")
        yield from properties if isinstance(properties, Mapping) else ()


def _stated_types(node: JsonObject) -> frozenset[str]:
    stated = node.get("type")
    names = [stated] if isinstance(stated, str) else stated
    found = TYPES
    if isinstance(names, list):  # of whatever a server put there
        found = frozenset(name for name in TYPES if name in names)
    if "enum" in node or "const" in node:
        listed = _listed(node, "enum") or [node.get("const")]
        found &= frozenset[str]().union(*(_types_of_value(each) for each in listed))
    return found | {"integer"} if "number" in found else found


def _types_of_value(value: Json) -> frozenset[str]:
    if value is None:
        return frozenset({"null"})
    if isinstance(value, bool):
        return frozenset({"boolean"})
    if isinstance(value, int | float):
        return frozenset({"integer", "number"})
    if isinstance(value, str):
        return frozenset({"string"})
    return frozenset({"object"} if isinstance(value, Mapping) else {"array"})


def _listed(node: JsonObject, key: str) -> list[Json]:
    found = node.get(key)
    return found if isinstance(found, list) else []
