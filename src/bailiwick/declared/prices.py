"""What a model server's tokens cost and what bounds them: `prices` and `sizes` of a model server.

Both are tables by model. Of several patterns that a name fits, the most specific counts: each two
must be such that no name can fit both, or one fits only what the other fits too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

from bailiwick.core.canonical import Json, JsonObject
from bailiwick.core.limits.countable import steps_of
from bailiwick.core.limits.pricing import DEFAULT_TEMPLATE_TOKENS, MAX_TOKENS, Price, Size, Terms
from bailiwick.core.narrowing.globs import includes, overlap
from bailiwick.core.texts.currencies import CODES
from bailiwick.core.texts.glob import Glob
from bailiwick.core.values import show
from bailiwick.declared.objects import texts
from bailiwick.declared.problems import Problem, did_you_mean
from bailiwick.declared.shapes import Choice, Field, ListOf, MapOf, Quantity, Record, Text, Whole
from bailiwick.declared.tree import Items, Node, Scalar, Table

MAX_PATTERNS = 500
"""Most patterns in one table: each is compared with each."""

KINDS = ("input", "cached", "cache_written", "output", "reasoning")
"""Sorts of tokens that have a price of their own."""

BOUNDS = ("max_completion_tokens", "max_tokens", "max_output_tokens")
"""How requests bound their output."""

_T = TypeVar("_T")

_PATTERN = Text(reads=Glob, max_length=256)
_CURRENCY = Text(r"[A-Za-z][A-Za-z0-9]{0,11}", "is not a currency such as `USD`", max_length=12)
_TOKENS = Whole(1, MAX_TOKENS)

_PRICE = Record(
    "a price",
    {
        "currency": Field(_CURRENCY, "What it is in: `USD`.", required=True),
        "input": Field(Quantity(), "For a million tokens of input.", required=True),
        "cached": Field(
            Quantity(), "Of these, for what came from the provider's cache; as `input` without it."
        ),
        "cache_written": Field(
            Quantity(), "Of these, for what was put into the cache; as `input` without it."
        ),
        "output": Field(
            Quantity(), "For a million tokens of output. A model without it has no output."
        ),
        "reasoning": Field(Quantity(), "Of these, for reasoning; as `output` without it."),
    },
    needs={"reasoning": "output"},
)

_SIZE = Record(
    "a size",
    {
        "context": Field(_TOKENS, "Most tokens of input and output together."),
        "max_output": Field(_TOKENS, "Most tokens of one answer."),
        "template": Field(
            Whole(0, MAX_TOKENS),
            "Most tokens that the server adds to the text of a request: marks of roles, and what "
            f"the model is told about tools. {DEFAULT_TEMPLATE_TOKENS:,} unless said otherwise.",
        ),
        "heeds": Field(
            ListOf(Choice(BOUNDS), or_one=True, most=len(BOUNDS)),
            "Which bounds of the output it reads, where it does not read all that its dialect has. "
            "A call that states another has none.",
        ),
    },
    some_of=("context", "max_output", "template", "heeds"),
)

PRICES = Field(
    MapOf(_PATTERN, _PRICE, least=1),
    "What its models' tokens cost, by name or pattern, for a million of them. The most specific "
    "pattern counts.",
)
SIZES = Field(
    MapOf(_PATTERN, _SIZE, least=1),
    "What bounds a call of its models, by name or pattern, where the call itself does not.",
)


def check_terms(server: Table) -> Iterator[Problem]:
    """Problems with prices and sizes. Shapes are sound already."""
    for key, what in (("prices", "price has"), ("sizes", "size has")):
        table = server.get(key)
        if isinstance(table, Table):
            yield from _check_patterns(table, what)
    for _, price in _entries(server, "prices"):
        for kind in KINDS:
            amount = price.get(kind)
            if isinstance(amount, Scalar):
                yield from _check_amount(amount)
    for _, size in _entries(server, "sizes"):
        context, output = size.get("context"), size.get("max_output")
        if not (isinstance(context, Scalar) and isinstance(output, Scalar)):
            continue
        if int(str(output.value)) > int(str(context.value)):
            yield Problem(output.place, "is more than the whole `context`")


def warn_terms(server: Table) -> Iterator[Problem]:
    """What can be used but is probably not meant."""
    served = [Glob(str(each.value)) for each in _scalars(server.get("models"))]
    for key in ("prices", "sizes"):
        for name, _ in _entries(server, key):
            pattern = Glob(str(name.value))
            if served and not any(overlap(pattern, each) for each in served):
                message = f"is about no model of this server: {show(pattern.text)} is not served"
                yield Problem(name.place, message)
    spoken = {str(each.value) for each in _scalars(server.get("dialects"))}
    for _, price in _entries(server, "prices"):
        currency = price.get("currency")
        code = str(currency.value) if isinstance(currency, Scalar) else ""
        if code not in CODES and code.strip().upper() in CODES and currency is not None:
            near = did_you_mean(code.upper(), CODES)
            yield Problem(currency.place, f"{show(code)} is not the code of a currency{near}")
        if "messages" in spoken and price.get("cache_written") is None:
            message = (
                "says nothing of `cache_written`: those tokens count as `input`, and providers of "
                "the messages dialect charge up to twice as much for them"
            )
            yield Problem(price.place, message)


def compile_terms(spec: JsonObject) -> Terms:
    """The prices and sizes of a checked declaration."""
    return Terms(_sorted(spec.get("prices"), _price), _sorted(spec.get("sizes"), _size))


def _price(price: Mapping[str, Json]) -> Price:
    given = {kind: _steps(price[kind]) for kind in KINDS if kind in price}
    fresh, out = given["input"], given.get("output")
    return Price(
        currency=str(price["currency"]),
        input=fresh,
        cached=given.get("cached", fresh),
        cache_written=given.get("cache_written", fresh),
        output=out,
        reasoning=given.get("reasoning", out),
    )


def _size(size: Mapping[str, Json]) -> Size:
    template = _whole(size.get("template"))
    return Size(
        context=_whole(size.get("context")),
        max_output=_whole(size.get("max_output")),
        template_tokens=DEFAULT_TEMPLATE_TOKENS if template is None else template,
        heeds=texts(size, "heeds"),
    )


def _sorted(
    table: Json, compiled: Callable[[Mapping[str, Json]], _T]
) -> tuple[tuple[str, _T], ...]:
    """The entries of a table, the most specific pattern first.

    A pattern that fits only what another fits too has at least its letters, and fewer stars if it
    has no more of them.
    """
    assert table is None or isinstance(table, Mapping)
    found: list[tuple[int, int, str, _T]] = []
    for name, value in (table or {}).items():
        assert isinstance(value, Mapping)
        parts = Glob(name).parts
        found.append((-sum(map(len, parts)), len(parts), name, compiled(value)))
    found.sort(key=lambda each: each[:3])
    return tuple((name, value) for _, _, name, value in found)


def _check_patterns(table: Table, what: str) -> Iterator[Problem]:
    names = [name for name, _ in table.entries]
    if len(names) > MAX_PATTERNS:
        yield Problem(table.place, f"more than {MAX_PATTERNS} patterns")
        return
    globs = [Glob(str(name.value)) for name in names]
    for later, (name, one) in enumerate(zip(names, globs, strict=True)):
        for other in globs[:later]:
            wider, narrower = includes(one, other), includes(other, one)
            if wider is narrower and (wider or overlap(one, other)):
                message = (
                    f"which {what} a model that fits both {show(other.text)} and {show(one.text)}? "
                    "Make one of them fit only what the other fits too"
                )
                yield Problem(name.place, message)


def _check_amount(amount: Scalar) -> Iterator[Problem]:
    faults = {
        "amount_negative": "nothing costs less than nothing",
        "amount_too_fine": "has more than six decimals",
        "amount_too_large": "is more than can be counted",
    }
    steps = steps_of(amount.value)
    if isinstance(steps, str):
        yield Problem(amount.place, faults.get(steps, "is not a plain number"))


def _steps(value: Json) -> int:
    steps = steps_of(value)
    assert isinstance(steps, int)
    return steps


def _whole(value: Json) -> int | None:
    assert value is None or isinstance(value, int)
    return value


def _entries(server: Table, key: str) -> Iterator[tuple[Scalar, Table]]:
    table = server.get(key)
    for name, value in table.entries if isinstance(table, Table) else ():
        if isinstance(value, Table):
            yield name, value


def _scalars(node: Node | None) -> Iterator[Scalar]:
    if isinstance(node, Scalar):
        yield node
    elif isinstance(node, Items):
        yield from (each for each in node.items if isinstance(each, Scalar))
