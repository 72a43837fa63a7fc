"""Statements: what each one is about, and what it looks at.

Read from Cedar's own JSON form of the policy, so that what is decided here (which calls a statement
concerns, which arguments must be expressed for it) follows the engine's reading of the text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import cedarpy

from bailiwick.core.canonical import Json, JsonObject
from bailiwick.policy.tokens import Piece, PolicyTextError, Token, cut

__all__ = ["Entity", "OrganisationPolicy", "PolicyTextError", "Statement", "Wanted", "find_name"]

MAX_REASON_CHARS = 300
"""Longest `because` or `@advice` told of one statement."""

_ANNOTATIONS = ("id", "because", "advice")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_QUOTED = re.compile(r"`([^`]+)`|: (\S+)$")


@dataclass(frozen=True, slots=True)
class OrganisationPolicy:
    """One declared policy object.

    Attributes:
        ref: `NAME@VERSION`.
        digest: of its declaration: names this exact version.
        cedar: its text; one or more statements.
        because: why, for people; a statement's own `@because` goes before it.
        deny_by_default: with it, what no statement permits is refused.
    """

    ref: str
    digest: str
    cedar: str
    because: str = ""
    deny_by_default: bool = False


@dataclass(frozen=True, slots=True)
class Entity:
    """An entity a statement names: `Action::"bank/transfer"`."""

    type: str
    id: str

    def __str__(self) -> str:
        return f"{self.type}::{json.dumps(self.id, ensure_ascii=False)}"


@dataclass(slots=True)
class Wanted:
    """Which attributes are looked at. `whole`: all of this one, whatever is in it."""

    whole: bool = False
    inside: dict[str, Wanted] = field(default_factory=dict)

    def add(self, path: Sequence[str], *, whole: bool) -> None:
        """Want the attribute at `path`."""
        here = self
        for name in path:
            here = here.inside.setdefault(name, Wanted())
        here.whole = here.whole or whole

    def merge(self, other: Wanted) -> None:
        """Want all that `other` wants."""
        self.whole = self.whole or other.whole
        for name, inside in other.inside.items():
            self.inside.setdefault(name, Wanted()).merge(inside)

    def at(self, name: str) -> Wanted | None:
        """What is wanted of the attribute `name`; None if nothing."""
        return Wanted(whole=True) if self.whole else self.inside.get(name)


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement of a policy.

    Attributes:
        id: `policy/NAME@VERSION/ID`, with the statement's `@id` or its number.
        offset: where it starts in the policy's text.
        actions, servers: what its scope restricts it to; None for no restriction.
        wanted: what it looks at in `context`.
        entities: every entity it names.
    """

    id: str
    text: str
    offset: int
    forbids: bool
    because: str
    advice: str
    actions: frozenset[str] | None
    servers: frozenset[str] | None
    wanted: Wanted
    entities: frozenset[Entity]
    tokens: Sequence[Token] = field(repr=False, compare=False)

    @property
    def asks_who(self) -> bool:
        """Whether it may matter to it which agent acts."""
        texts = [token.text for token in self.tokens]
        bare = texts.count("principal") == 1 and texts[texts.index("principal") + 1] == ","
        return not bare

    def concerns(self, action: str, group: str, server: str | None) -> bool:
        """Whether its scope lets it be about this action in this group; None is any server."""
        if self.actions is not None and self.actions.isdisjoint((action, group)):
            return False
        return self.servers is None or server is None or server in self.servers


def read_statements(policy: OrganisationPolicy) -> list[Statement]:
    """The statements of a policy, in their order.

    Raises:
        PolicyTextError: with the place in its text.
    """
    pieces = cut(policy.cedar)
    if not pieces:
        raise PolicyTextError(0, "holds no statement")
    found: list[Statement] = []
    for number, piece in enumerate(pieces, start=1):
        statement = _statement(policy, piece, number)
        if any(each.id == statement.id for each in found):
            name = statement.id.rpartition("/")[2]
            raise PolicyTextError(piece.offset, f"two statements are named `{name}`")
        found.append(statement)
    return found


def _statement(policy: OrganisationPolicy, piece: Piece, number: int) -> Statement:
    read = _parse(piece)
    annotations = _texts(read.get("annotations"))
    for name in annotations:
        if name not in _ANNOTATIONS:
            known = ", ".join(f"`@{each}`" for each in _ANNOTATIONS)
            at = find_name(piece.tokens, name, piece.offset)
            raise PolicyTextError(at, f"`@{name}` means nothing here; known are {known}")
    name = annotations.get("id", str(number))
    if "id" in annotations and (not _NAME.fullmatch(name) or name.isdigit()):
        at = find_name(piece.tokens, "id", piece.offset)
        raise PolicyTextError(at, "`@id` takes letters, digits, `-`, `_` and `.`, and no number")
    wanted, entities = Wanted(), set[Entity]()
    _look(read.get("conditions"), wanted, entities)
    for scope in ("principal", "action", "resource"):
        entities |= _entities_of(read.get(scope))
    return Statement(
        id=f"policy/{policy.ref}/{name}",
        text=piece.text,
        offset=piece.offset,
        forbids=read.get("effect") == "forbid",
        because=(annotations.get("because") or policy.because)[:MAX_REASON_CHARS],
        advice=annotations.get("advice", "")[:MAX_REASON_CHARS],
        actions=_scope(read.get("action"), "Action"),
        servers=_scope(read.get("resource"), "Server"),
        wanted=wanted,
        entities=frozenset(entities),
        tokens=piece.tokens,
    )


def _parse(piece: Piece) -> JsonObject:
    try:
        whole = json.loads(cedarpy.policies_to_json_str(piece.text))
    except ValueError as error:
        raise PolicyTextError(_place(piece, str(error)), _message(str(error))) from error
    except RecursionError as error:
        raise PolicyTextError(piece.offset, "is nested too deep") from error
    policies = whole["staticPolicies"]
    if len(policies) != 1:
        raise PolicyTextError(piece.offset, "slots such as `?principal` are not used here")
    (read,) = policies.values()
    found: JsonObject = read
    return found


def _message(error: str) -> str:
    return error if len(error) <= MAX_REASON_CHARS else error[:MAX_REASON_CHARS] + "…"


def _place(piece: Piece, error: str) -> int:
    """Where the engine stopped, which it does not say.

    A text cut before the wrong token ends unexpectedly; cut after it, it is wrong already. So the
    token is found by halving, or is the last one like it before. What is wrong in another way is
    looked for by its name.
    """
    named = [one or other for one, other in _QUOTED.findall(error)]
    name = named[-1] if named else ""
    if not error.startswith(("unexpected token", "invalid token")):
        return find_name(piece.tokens, name, piece.offset)
    low, high = 0, len(piece.tokens) - 1
    while low < high:
        middle = (low + high) // 2
        end = piece.tokens[middle].end - piece.offset
        if _ends_early(piece.text[:end]):
            low = middle + 1
        else:
            high = middle
    like = [token for token in piece.tokens[: low + 1] if token.text == name]
    return (like[-1] if like else piece.tokens[low]).offset


def _ends_early(text: str) -> bool:
    try:
        cedarpy.policies_to_json_str(text)
    except ValueError as error:
        return str(error).startswith("unexpected end")
    return True


def find_name(tokens: Sequence[Token], name: str, otherwise: int) -> int:
    """Where `name` stands in a statement: as a word, in a text, or as the end of a path."""
    last = name.rpartition(".")[2]
    for wanted in (name, last, json.dumps(name), json.dumps(last)):
        for token in tokens:
            if token.text == wanted:
                return token.offset
    return otherwise


def _scope(constraint: Json, kind: str) -> frozenset[str] | None:
    """The ids of `kind` that a scope is restricted to; None when it is not, or in doubt."""
    if not isinstance(constraint, Mapping) or constraint.get("op") not in ("==", "in"):
        return None
    found = _entities_of(constraint)
    if not found or any(entity.type != kind for entity in found):
        return None
    return frozenset(entity.id for entity in found)


def _entities_of(constraint: Json) -> set[Entity]:
    found: set[Entity] = set()
    for node in _nodes(constraint):
        kind, ident = node.get("type"), node.get("id")
        if isinstance(kind, str) and isinstance(ident, str) and len(node) == 2:
            found.add(Entity(kind, ident))
    return found


def _look(conditions: Json, wanted: Wanted, entities: set[Entity]) -> None:
    """Note every attribute of `context` that is looked at, and every entity that is named."""
    stack: list[Json] = [conditions]
    while stack:
        node = stack.pop()
        if isinstance(node, list):
            stack += node
        if not isinstance(node, Mapping):
            continue
        path = _context_path(node)
        if path is not None:
            # `context has input` asks for no more than that it is there.
            wanted.add(path, whole="has" not in node)
            continue
        if "__entity" in node:
            entities |= _entities_of(node["__entity"])
            continue
        stack += node.values()


def _context_path(node: JsonObject) -> list[str] | None:
    """The attributes from `context` down to what this expression reads; None if it is another."""
    path: list[str] = []
    here: Json = node
    while isinstance(here, Mapping) and len(here) == 1:
        if here.get("Var") == "context":
            return path[::-1]
        ((kind, inside),) = here.items()
        if kind not in (".", "has") or (kind == "has" and here is not node):
            return None
        if not isinstance(inside, Mapping) or not isinstance(inside.get("attr"), str):
            return None
        path.append(str(inside["attr"]))
        here = inside.get("left")
    return None


def _nodes(value: Json) -> Iterator[JsonObject]:
    stack = [value]
    while stack:
        node = stack.pop()
        if isinstance(node, Mapping):
            yield node
            stack += node.values()
        elif isinstance(node, list):
            stack += node


def _texts(value: Json) -> dict[str, str]:
    if not isinstance(value, Mapping):
        return {}
    return {name: text if isinstance(text, str) else "" for name, text in value.items()}
