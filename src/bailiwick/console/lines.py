"""Lines of mandates for the pages: the tree, one mandate's place in it, the chain of a call."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from bailiwick.console.shapes import parsed
from bailiwick.core.canonical import Json, JsonObject
from bailiwick.core.delegation import parent_name
from bailiwick.ports import CallPath, ObjectRow


@dataclass(frozen=True, slots=True)
class Link:
    """One mandate of a chain as a call's record names it."""

    mandate: str
    digest: str


@dataclass(frozen=True, slots=True)
class Place:
    """Where a mandate stands.

    Attributes:
        made_from: `NAME@VERSION` of its parent, "" for a declared one.
        made_by: who made it of that, such as `agent clerk`.
        leave: what it says of passing on, in words; "" if it lets nobody.
        children: newest versions of those right below it.
        stopped_above: the nearest mandate above that is not active, or None.
    """

    made_from: str
    made_by: str
    leave: str
    children: Sequence[ObjectRow]
    stopped_above: ObjectRow | None


def as_tree(rows: Sequence[ObjectRow]) -> Iterator[tuple[int, ObjectRow]]:
    """Mandates with how deep each stands: a parent first, then its children.

    A child whose parent is not among them stands at the top.
    """
    children: dict[str, list[ObjectRow]] = {}
    named = {row.name for row in rows}
    for row in sorted(rows, key=lambda row: row.name):
        above = parent_name(row.name)
        children.setdefault(above if above in named else "", []).append(row)

    def below(parent: str, depth: int) -> Iterator[tuple[int, ObjectRow]]:
        for row in children.get(parent, ()):
            yield depth, row
            yield from below(row.name, depth + 1)

    yield from below("", 0)


def place_of(row: ObjectRow, rows: Sequence[ObjectRow]) -> Place:
    """The place of one mandate among the newest versions of all."""
    spec = _object(_object(parsed(row.document)).get("spec"))
    parent = _object(spec.get("parent"))
    newest = {each.name: each for each in rows}
    stopped = None
    above = parent_name(row.name)
    while above and stopped is None:
        found = newest.get(above)
        stopped = found if found is not None and found.state != "active" else None
        above = parent_name(above)
    return Place(
        made_from=_text(parent.get("mandate")),
        made_by=_text(parent.get("by")),
        leave=_leave(_object(spec.get("delegation"))),
        children=sorted(
            (each for each in rows if parent_name(each.name) == row.name),
            key=lambda each: each.name,
        ),
        stopped_above=stopped,
    )


def chain_of(path: CallPath) -> Sequence[Link]:
    """The chain in a call's record, from the mandate a person gave; empty for one alone."""
    for _index, leaf in path.leaves:
        chain = leaf.get("chain")
        if isinstance(chain, list | tuple):
            found = [_object(each) for each in chain]
            return [Link(_text(each.get("mandate")), _text(each.get("digest"))) for each in found]
    return ()


def _leave(asked: JsonObject) -> str:
    if not asked:
        return ""
    to = asked.get("to")
    names = to if isinstance(to, list | tuple) else [to]
    depth = asked.get("depth", 1)
    deep = "" if depth == 1 else f", {depth} deep"
    return f"to {', '.join(str(name) for name in names)}{deep}"


def _object(value: Json) -> JsonObject:
    return value if isinstance(value, Mapping) else {}


def _text(value: Json) -> str:
    return value if isinstance(value, str) else ""
