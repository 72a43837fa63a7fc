"""Declared aliases: one name for several models, in the order in which they are asked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from bailiwick.core.canonical import Json, JsonObject
from bailiwick.core.texts.glob import Glob
from bailiwick.core.values import show
from bailiwick.declared.alternatives import ByForm
from bailiwick.declared.guarded import CHANGES
from bailiwick.declared.names import LINE
from bailiwick.declared.objects import Declaration, texts
from bailiwick.declared.problems import Place, Problem, did_you_mean
from bailiwick.declared.shapes import Choice, Field, ListOf, MapOf, Record, Text, Whole
from bailiwick.declared.tree import Items, Node, Scalar, Table

FAILURES = (
    "unreachable", "busy", "timeout", "rate_limited", "overloaded", "server_error", "broken",
    "key_refused", "denied", "limit_reached",
)  # fmt: skip
"""After what another model may be asked; `gateway.llm.failures` says what each means."""

DEFAULT_FAIL_OVER = frozenset(FAILURES) - {"denied", "limit_reached"}

MAX_MODELS = 20
"""Models that one alias stands for."""

MAX_ATTEMPTS = 5
DEFAULT_ATTEMPTS = 3
DEFAULT_BREAKER_FAILURES = 5
DEFAULT_BREAKER_SECONDS = 30

_MODEL = Text(r"[^/*]+/[!-)+-~]+", "is not `SERVER/MODEL`, the name of one model of a model server")

ALIAS = Record(
    "an alias",
    {
        "models": Field(
            ListOf(ByForm(_MODEL, MapOf(_MODEL, Whole(1, 1_000), least=1)), most=MAX_MODELS),
            "The models it stands for, as `SERVER/MODEL`: each is asked when the ones before it "
            "do not serve. A table of models with weights is one place in this order, shared by "
            "weight: `{local/a: 3, spare/a: 1}`.",
            required=True,
        ),
        "fail_over": Field(
            Record(
                "a way to fail over",
                {
                    "on": Field(
                        ListOf(Choice(FAILURES), least=0, most=len(FAILURES)),
                        "After what the next model is asked. Without it, after everything but "
                        "`denied` and `limit_reached`.",
                    ),
                    "attempts": Field(
                        Whole(1, MAX_ATTEMPTS), "Most models that one request is sent to; 3."
                    ),
                },
                some_of=("on", "attempts"),
            ),
            "When the next model is asked.",
        ),
        "breaker": Field(
            Record(
                "a breaker",
                {
                    "failures": Field(Whole(1, 1_000), "So many failures in a row; 5."),
                    "seconds": Field(Whole(1, 3_600), "So long it is not asked; 30."),
                },
                some_of=("failures", "seconds"),
            ),
            "When a model is given a rest.",
        ),
        "first_byte_seconds": Field(
            Whole(1, 3_600), "How long to wait for the first piece of a streamed answer."
        ),
        "whole_seconds": Field(Whole(1, 86_400), "How long one whole answer may take."),
        "spread": Field(
            Choice(("calls", "runs")),
            "What weights are about: each call by itself, or a run, whose calls all go to one "
            "model while it is well. Calls, unless said otherwise.",
        ),
        "changes": CHANGES,
        "description": Field(LINE, "What it is for, for people."),
    },
)


@dataclass(frozen=True, slots=True)
class DeclaredAlias:
    """A declared alias.

    Attributes:
        groups: of (server, model, weight); all of a group before any of the next.
        fail_over: of `FAILURES`.
    """

    name: str
    groups: tuple[tuple[tuple[str, str, int], ...], ...]
    fail_over: frozenset[str]
    attempts: int
    breaker_failures: int
    breaker_seconds: int
    first_byte_seconds: int | None
    whole_seconds: int | None
    by_run: bool
    description: str


def compile_alias(declaration: Declaration) -> DeclaredAlias:
    """The alias of a declaration of kind `alias`."""
    spec = declaration.spec
    fail_over, breaker = _table(spec.get("fail_over")), _table(spec.get("breaker"))
    return DeclaredAlias(
        name=declaration.name,
        groups=tuple(_groups(spec)),
        fail_over=frozenset(texts(fail_over, "on")) if "on" in fail_over else DEFAULT_FAIL_OVER,
        attempts=_whole(fail_over.get("attempts")) or DEFAULT_ATTEMPTS,
        breaker_failures=_whole(breaker.get("failures")) or DEFAULT_BREAKER_FAILURES,
        breaker_seconds=_whole(breaker.get("seconds")) or DEFAULT_BREAKER_SECONDS,
        first_byte_seconds=_whole(spec.get("first_byte_seconds")),
        whole_seconds=_whole(spec.get("whole_seconds")),
        by_run=spec.get("spread") == "runs",
        description=str(spec.get("description", "")),
    )


def check_aliases(
    declarations: Iterable[Declaration], everything: Mapping[tuple[str, str], Declaration]
) -> Iterator[Problem]:
    """Problems between aliases and model servers. Shapes are sound already.

    Both ways: an alias is held against what is declared already, and so is a model server.
    """
    servers = {name: each for (kind, name), each in everything.items() if kind == "model"}
    for each in declarations:
        if each.kind == "alias" and isinstance(each.node, Table):
            yield from _check_models(each.node, servers)
            for server in servers.values():
                yield from _check_name(each.name, server, each.place)
        elif each.kind == "model" and each.place is not None:
            for (kind, name), alias in everything.items():
                if kind == "alias" and alias.node is None:  # else it is looked at by itself
                    yield from _check_name(name, each, each.place)
                    yield from _check_served(alias, each, each.place)


def _check_models(node: Table, servers: Mapping[str, Declaration]) -> Iterator[Problem]:
    seen: set[str] = set()
    for scalar in _named(node.get("models")):
        text = str(scalar.value)
        server, _, model = text.partition("/")
        if text in seen:
            yield Problem(scalar.place, f"{show(text)} stands twice in this alias")
        seen.add(text)
        if server not in servers:
            near = did_you_mean(server, servers)
            yield Problem(scalar.place, f"there is no model server {show(server)}{near}")
        elif not _serves(servers[server], model):
            near = did_you_mean(model, _models(servers[server]))
            message = f"model server `{server}` is declared without the model {show(model)}{near}"
            yield Problem(scalar.place, message)


def _check_name(alias: str, server: Declaration, place: Place | None) -> Iterator[Problem]:
    """One name means one thing. A server that is declared to serve everything is no collision."""
    if place is None:
        return
    if server.name == alias:
        yield Problem(place, f"`{alias}` would be an alias and a model server")
    for text in _models(server):
        if text != "*" and Glob(text).matches(alias):
            message = f"`{alias}` would be an alias, and a model of `{server.name}` ({show(text)})"
            yield Problem(place, message)


def _check_served(alias: Declaration, server: Declaration, place: Place) -> Iterator[Problem]:
    for group in _groups(alias.spec):
        for name, model, _ in group:
            if name == server.name and not _serves(server, model):
                message = f"the alias `{alias.name}` stands for {show(model)} of it"
                yield Problem(place, f"{message}, which it would not serve any more")


def _groups(spec: JsonObject) -> Iterator[tuple[tuple[str, str, int], ...]]:
    models = spec.get("models")
    for place in models if isinstance(models, list | tuple) else ():
        weighted = place if isinstance(place, Mapping) else {str(place): 1}
        yield tuple(
            (*_split(text), weight if isinstance(weight, int) else 1)
            for text, weight in sorted(weighted.items())
        )


def _split(text: str) -> tuple[str, str]:
    server, _, model = text.partition("/")
    return server, model


def _serves(server: Declaration, model: str) -> bool:
    return any(Glob(text).matches(model) for text in _models(server))


def _models(server: Declaration) -> tuple[str, ...]:
    return texts(server.spec, "models") or ("*",)


def _named(node: Node | None) -> Iterator[Scalar]:
    for item in node.items if isinstance(node, Items) else ():
        if isinstance(item, Scalar):
            yield item
        elif isinstance(item, Table):
            yield from (key for key, _ in item.entries)


def _table(value: Json) -> JsonObject:
    return value if isinstance(value, Mapping) else {}


def _whole(value: Json) -> int | None:
    return value if isinstance(value, int) else None
