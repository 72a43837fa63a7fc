"""Declared objects: checked values out of files, and compiled values for the rest of the house."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from bailiwick.core.canonical import Digest, Json, JsonObject, canonical, digest_of
from bailiwick.core.errors import StoreError
from bailiwick.core.flow.labels import ResultLabels
from bailiwick.core.limits.limit import Limit
from bailiwick.declared.problems import Place, Problem
from bailiwick.declared.tree import Node

KINDS = (
    "server", "model", "alias", "person", "agent", "calendar", "zone", "proxy", "mandate", "policy",
)  # fmt: skip
"""In the order in which one may refer to another."""

DEFAULT_TIMEOUT_SECONDS = 60
DEFAULT_MAX_RESPONSE_BYTES = 10_485_760


@dataclass(frozen=True, slots=True)
class Declaration:
    """One declared object that passed every check, as it is stored.

    Attributes:
        kind: one of `KINDS`.
        spec: what was declared, with secrets as references.
        node: the tree it came from, for places in later messages; None when it comes from a store.
    """

    kind: str
    name: str
    spec: JsonObject
    node: Node | None = field(default=None, repr=False, compare=False)

    @property
    def document(self) -> str:
        """Canonical JSON of kind, name and spec: what is stored and hashed."""
        return canonical(self._value()).decode()

    @property
    def digest(self) -> Digest:
        """SHA-256 of `document`: names this exact version."""
        return digest_of(self._value())

    @property
    def place(self) -> Place | None:
        """Where it was declared, if it comes from a file."""
        return self.node.place if self.node is not None else None

    def _value(self) -> JsonObject:
        return {"kind": self.kind, "name": self.name, "spec": self.spec}


@dataclass(frozen=True, slots=True)
class Declared:
    """All objects of some files, checked together.

    Attributes:
        objects: by (kind, name).
        warnings: what is probably not meant, though it can be used.
    """

    objects: Mapping[tuple[str, str], Declaration]
    warnings: tuple[Problem, ...] = ()

    def of(self, kind: str) -> dict[str, Declaration]:
        """The objects of one kind, by name."""
        return {name: found for (each, name), found in self.objects.items() if each == kind}


def from_document(document: str) -> Declaration:
    """The declaration that a store kept (`Declaration.document`).

    Raises:
        StoreError: `document_damaged`: it is not one of ours.
    """
    try:
        value = json.loads(document)
        kind, name, spec = value["kind"], value["name"], value["spec"]
        found = Declaration(kind, name, spec)
        if kind in KINDS and isinstance(name, str) and found.document == document:
            return found
    except (ValueError, TypeError, KeyError):
        pass
    raise StoreError("document_damaged", "a stored declaration is not in its canonical form")


@dataclass(frozen=True, slots=True)
class Command:
    """A server started as a child process and spoken to over stdio.

    Attributes:
        argv: program and arguments.
        env: its whole environment; values may hold references (see `secrets.py`).
        cwd: where it starts; "" for the gateway's own folder.
        instances: `shared` by all, or one for each client `session`.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: str = ""
    instances: str = "shared"


@dataclass(frozen=True, slots=True)
class WebAddress:
    """A server spoken to over streamable HTTP. Header values may hold references."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Server:
    """A declared MCP server, ready to connect but for its secrets.

    Attributes:
        protocol: MCP revision to speak, or `auto`.
        digest: of its declaration; it is the same server as long as this is the same.
        results: what its results are worth, as its operator says.
        files: whose files it works on, `here` or `elsewhere`; "" if nothing is said.
    """

    name: str
    transport: Command | WebAddress
    digest: Digest
    timeout_seconds: int = DEFAULT_TIMEOUT_SECONDS
    protocol: str = "auto"
    description: str = ""
    max_response_bytes: int = DEFAULT_MAX_RESPONSE_BYTES
    results: tuple[ResultLabels, ...] = ()
    files: str = ""


@dataclass(frozen=True, slots=True)
class DeclaredPerson:
    """A declared person: not yet authenticated (that is `ports.Person`).

    Attributes:
        limits: over all mandates from this person.
    """

    name: str
    full_name: str
    email: str = ""
    roles: frozenset[str] = frozenset()
    limits: tuple[Limit, ...] = ()


@dataclass(frozen=True, slots=True)
class Agent:
    """A registered agent and the person accountable for it."""

    name: str
    owner: str
    description: str = ""


def merged(stored: Iterable[Declaration], declared: Declared) -> dict[tuple[str, str], Declaration]:
    """What is declared once `declared` is applied over what is `stored`."""
    objects = {(each.kind, each.name): each for each in stored}
    return objects | dict(declared.objects)


def texts(spec: JsonObject, key: str) -> tuple[str, ...]:
    """The text or list of texts at `key`, as a tuple; empty if there is none."""
    value: Json = spec.get(key)
    if value is None:
        return ()
    if isinstance(value, list | tuple):
        return tuple(str(item) for item in value)
    return (str(value),)
