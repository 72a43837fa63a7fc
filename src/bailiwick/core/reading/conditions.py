"""Conditions in words, whole.

An allow rule asks a condition of everything its path leads to; a deny rule, a stamp rule and a
limit are content with one such thing. The words say which: "each of `items[].amount`" and "any of
`items[].amount`".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any

from bailiwick.core.argument_path import ArgumentPath, Each
from bailiwick.core.canonical import Json
from bailiwick.core.conditions import (
    Anything,
    AtLeast,
    AtMost,
    Between,
    Bounds,
    Compared,
    Condition,
    Count,
    EndsWith,
    Equals,
    FitsRegex,
    Items,
    Length,
    Matches,
    Money,
    MoneyBeside,
    OneOf,
    Present,
    StartsWith,
    Under,
    Vouched,
    Which,
)
from bailiwick.core.conditions.commands import Command, CommandForm
from bailiwick.core.conditions.email import Email
from bailiwick.core.conditions.sql import Sql
from bailiwick.core.conditions.urls import Url
from bailiwick.core.reading.quoting import all_of, number, one_of, quote, quote_path, value
from bailiwick.core.texts.currencies import decimals_of
from bailiwick.core.texts.glob import Glob
from bailiwick.core.texts.scales import Scale

_WHICH = {Which.ALL: "all of", Which.ANY: "at least one of", Which.NONE: "none of"}


def given_with(conditions: Iterable[Condition], *, others: bool) -> str:
    """What an allow rule lets be given, to follow what may be used: "with `amount` at most 5".

    Args:
        others: arguments that no condition names are fine.
    """
    asked = list(conditions)
    parts = _parts([each for each in asked if not isinstance(each, Anything)], "each of", " ")
    free = [each for each in asked if isinstance(each, Anything)]
    parts += [f"any {_named(each, 'each of')}{_if_given(each)}" for each in free]
    if others:
        return (
            f"with {' and '.join(parts)}, and any other arguments"
            if parts
            else ("with any arguments")
        )
    return f"with {' and '.join(parts)}, and no other arguments" if parts else "without arguments"


def where(conditions: Iterable[Condition]) -> str:
    """When a deny rule, a stamp rule or a limit applies: "where `amount` is at least 5"; or ""."""
    parts = _parts(conditions, "any of", " is ")
    return f"where {' and '.join(parts)}" if parts else ""


def phrase(condition: Condition) -> str:
    """What must be so, to follow the argument's name: "at most 5,000"."""
    say = _PHRASES.get(type(condition))
    if say is None:
        # A kind that nobody has taught this module: a test keeps there from being one.
        return f"{condition.phrase} (shortened: see what is declared)"
    return say(condition)


def _parts(conditions: Iterable[Condition], how_many: str, verb: str) -> list[str]:
    """One part for each argument, all that is asked of it together."""
    asked: dict[tuple[str, bool], list[str]] = {}
    for each in conditions:
        key = (_named(each, how_many), _passes_missing(each))
        asked.setdefault(key, []).append(phrase(each))
    return [
        f"{name}{verb}{' and '.join(phrases)}{', if given' if optional else ''}"
        for (name, optional), phrases in asked.items()
    ]


def _named(condition: Condition, how_many: str) -> str:
    name = quote_path(condition.path)
    if isinstance(condition, Items):
        return f"{_WHICH[condition.which]} {name}"
    goes_in = any(isinstance(step, Each) for step in condition.path)
    return f"{how_many} {name}" if goes_in else name


def _passes_missing(condition: Condition) -> bool:
    return condition.optional and not isinstance(condition, Anything)


def _if_given(free: Anything) -> str:
    """Anything is fine for it, nothing too, unless it says otherwise."""
    return "" if free.optional else " that is given"


# --- each kind -----------------------------------------------------------------------------------


def _from_to(low: str, high: str) -> str:
    if low and high:
        return f"exactly {low}" if low == high else f"from {low} to {high}"
    return f"at least {low}" if low else f"at most {high}"


def _whole(bound: int | None) -> str:
    return "" if bound is None else number(bound)


def _texts(texts: Iterable[str]) -> str:
    return one_of(quote(text) for text in texts)


def _globs(globs: Iterable[Glob]) -> str:
    return _texts(glob.text for glob in globs)


def _values(values: Iterable[Json]) -> str:
    return one_of(value(each) for each in values)


def _kind(scale: Scale) -> str:
    """ "a date", "a duration": what stands on a scale, without its example."""
    return scale.noun.partition(" such as")[0].partition(",")[0]


def _amount(bounds: Bounds, code: str) -> str:
    low, high = (
        f"{code} {Decimal(bound):,.{decimals_of(code)}f}" if bound is not None else ""
        for bound in (bounds.at_least, bounds.at_most)
    )
    return _from_to(low, high)


def _minor(condition: Money | MoneyBeside) -> str:
    return ", given in the smallest unit of its currency" if condition.minor_units else ""


def _money(condition: Money) -> str:
    return _amount(condition.bounds, condition.currency) + _minor(condition)


def _money_beside(condition: MoneyBeside) -> str:
    amounts = one_of(_amount(bounds, code) for code, bounds in sorted(condition.bounds.items()))
    return f"{amounts}, in the currency that {quote_path(condition.other)} names{_minor(condition)}"


def _compared(condition: Compared) -> str:
    scale = "" if condition.scale is None else f", each {condition.scale.noun}"
    return f"{condition.how.value} the argument {quote_path(condition.other)}{scale}"


def _between(condition: Between) -> str:
    low, high = (quote(text) if text else "" for text in (condition.at_least, condition.at_most))
    return f"{_kind(condition.scale)}, {_from_to(low, high)}"


def _length(condition: Length) -> str:
    return f"{_from_to(_whole(condition.at_least), _whole(condition.at_most))} characters long"


def _count(condition: Count) -> str:
    return f"a list of {_from_to(_whole(condition.at_least), _whole(condition.at_most))} items"


def _url(condition: Url) -> str:
    parts = ["a public URL" if condition.public else "a URL"]
    if condition.schemes:
        parts.append(f"by {_texts(condition.schemes)}")
    if condition.hosts:
        parts.append(f"at {_texts(pattern.text for pattern in condition.hosts)}")
    if condition.ports:
        parts.append(f"on port {one_of(str(port) for port in condition.ports)}")
    if condition.url_paths:
        parts.append(f"with a path like {_globs(condition.url_paths)}")
    return " ".join(parts)


def _email(condition: Email) -> str:
    ways = [f"one of the addresses {_texts(condition.addresses)}"] if condition.addresses else []
    if condition.domains:
        ways.append(f"an address at {_texts(pattern.text for pattern in condition.domains)}")
    return " or ".join(ways) or "one plain email address"


def _form(form: CommandForm) -> str:
    text = quote(form.program)
    if form.subcommands:
        text += f" followed by {_texts(form.subcommands)}"
    if form.options:
        text += f", with options like {_globs(form.options)}"
    if form.words:
        text += f", with words like {_globs(form.words)}"
    if form.under:
        text += f", with paths under {_texts(form.under)}"
    return f"({text})"


def _sql(condition: Sql) -> str:
    kinds = one_of(kind.upper() for kind in condition.statements) or "any one statement"
    text = f"{kinds} of SQL ({condition.dialect})"
    if condition.tables:
        text += f", only on {_texts(pattern.text for pattern in condition.tables)}"
    if condition.functions:
        text += f", which may call {_texts(condition.functions)}"
    return text


def _items(condition: Items) -> str:
    return " and ".join(phrase(each) for each in condition.conditions)


_PHRASES: dict[type[Condition], Callable[[Any], str]] = {
    Anything: lambda _: "anything",
    AtLeast: lambda it: f"at least {number(it.bound)}",
    AtMost: lambda it: f"at most {number(it.bound)}",
    Between: _between,
    Command: lambda it: f"the command {one_of(_form(form) for form in it.forms)}",
    Compared: _compared,
    Count: _count,
    Email: _email,
    EndsWith: lambda it: f"text that ends with {_texts(it.suffixes)}",
    Equals: lambda it: f"equal to {value(it.value)}",
    FitsRegex: lambda it: f"text of the form {quote(it.regex.text)}",
    Items: _items,
    Length: _length,
    Matches: lambda it: f"like {_globs(it.globs)}",
    Money: _money,
    MoneyBeside: _money_beside,
    OneOf: lambda it: f"one of {_values(it.values)}",
    Present: lambda it: "given" if it.wanted else "not given",
    Sql: _sql,
    StartsWith: lambda it: f"text that starts with {_texts(it.prefixes)}",
    Under: lambda it: f"a path under {_texts(it.roots)}",
    Url: _url,
    Vouched: lambda _: "vouched for",
}
"""How each kind is said; a test holds that there is one for every kind."""


def vouched_besides(paths: Iterable[ArgumentPath], conditions: Iterable[Condition]) -> str:
    """Arguments that must be vouched for though no condition says so; ""."""
    said = {each.path for each in conditions if isinstance(each, Vouched)}
    more = [quote_path(path) for path in paths if path not in said]
    return f", and {all_of(more)} vouched for" if more else ""
