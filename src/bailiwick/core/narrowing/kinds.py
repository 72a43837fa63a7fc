"""What one condition on a value says of another, kind by kind.

Each function answers whether the second condition holds for every value, null aside, for which the
first one holds. True only when that is certain. Kinds that are not in the table say nothing of each
other; that a condition says what it says itself is known without it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal

from bailiwick.core.conditions import (
    AtLeast,
    AtMost,
    Between,
    Bounds,
    Condition,
    Count,
    EndsWith,
    Length,
    Matches,
    Money,
    MoneyBeside,
    StartsWith,
    Under,
)
from bailiwick.core.conditions.commands import Command, CommandForm
from bailiwick.core.conditions.email import Email
from bailiwick.core.conditions.sql import Sql, TablePattern
from bailiwick.core.conditions.texts import literal
from bailiwick.core.conditions.urls import Url
from bailiwick.core.identical import identical
from bailiwick.core.narrowing.globs import includes
from bailiwick.core.texts.glob import Glob
from bailiwick.core.texts.hosts import HostPattern
from bailiwick.core.texts.paths import read_path
from bailiwick.core.values import HOLDS, Number

_LOWEST, _HIGHEST = Decimal("-Infinity"), Decimal("Infinity")

Globs = Sequence[Glob]


def implies(own: Condition, asked: Condition) -> bool:
    """Whether `asked` holds wherever `own` does, by their kinds."""
    by_kinds = _TABLE.get((type(own), type(asked)))
    if by_kinds is not None:
        return by_kinds(own, asked)
    one, other = _globs_of(own), _globs_of(asked)
    return one is not None and other is not None and all_within(one, other)


def amounts_within(own: MoneyBeside, asked: MoneyBeside) -> bool:
    """Whether `asked` permits whatever `own` permits: the same two arguments, in every currency."""
    return (
        identical((own.path, own.other), (asked.path, asked.other))
        and own.minor_units == asked.minor_units
        and own.optional <= asked.optional
        and all(
            code in asked.bounds and _bounds_within(bounds, asked.bounds[code])
            for code, bounds in own.bounds.items()
        )
    )


def all_within(own: Globs, asked: Globs) -> bool:
    """Whether whatever fits one of `own` fits one of `asked`."""
    return all(any(includes(wide, glob) for wide in asked) for glob in own)


# --- numbers, scales, money ----------------------------------------------------------------------


def _at_most(own: AtMost, asked: AtMost) -> bool:
    return own.bound <= asked.bound


def _at_least(own: AtLeast, asked: AtLeast) -> bool:
    return own.bound >= asked.bound


def _between(own: Between, asked: Between) -> bool:
    def bound(condition: Between, text: str, unbounded: Number) -> Number:
        found = condition.scale.read(text) if text else None
        return unbounded if found is None else found

    return (
        own.scale is asked.scale
        and bound(own, own.at_least, _LOWEST) >= bound(asked, asked.at_least, _LOWEST)
        and bound(own, own.at_most, _HIGHEST) <= bound(asked, asked.at_most, _HIGHEST)
    )


def _sized(own: Length | Count, asked: Length | Count) -> bool:
    least, most = own.at_least, own.at_most
    above = asked.at_least is None or (least is not None and least >= asked.at_least)
    below = asked.at_most is None or (most is not None and most <= asked.at_most)
    return above and below


def _counted(own: Count, asked: Count) -> bool:
    # Of an empty list only a bound from below tells anything: without one, it is not allowed.
    empty = own.at_least == 0 and asked.at_least is None
    return _sized(own, asked) and not empty


def _money(own: Money, asked: Money) -> bool:
    return (
        own.currency == asked.currency
        and own.minor_units == asked.minor_units
        and _bounds_within(own.bounds, asked.bounds)
    )


def _bounds_within(own: Bounds, asked: Bounds) -> bool:
    most = _HIGHEST if own.at_most is None else own.at_most
    return _lowest(own) >= _lowest(asked) and (asked.at_most is None or most <= asked.at_most)


def _lowest(bounds: Bounds) -> Number:
    """The lowest amount within: none is below zero unless the bounds speak of such."""
    if bounds.at_least is not None:
        return bounds.at_least if bounds.below_zero else max(bounds.at_least, 0)
    return _LOWEST if bounds.below_zero else 0


# --- texts, paths, addresses ---------------------------------------------------------------------


def _globs_of(condition: Condition) -> Globs | None:
    """A condition on text as globs; None if it is none."""
    match condition:
        case Matches(globs=globs):
            return globs
        case StartsWith(prefixes=prefixes):
            return [Glob(f"{literal(text)}*") for text in prefixes]
        case EndsWith(suffixes=suffixes):
            return [Glob(f"*{literal(text)}") for text in suffixes]
        case _:
            return None


def _under(own: Under, asked: Under) -> bool:
    return all(any(_below(root, wide) for wide in asked.roots) for root in own.roots)


def _below(root: str, wide: str) -> bool:
    inner, outer = read_path(root), read_path(wide)
    return not isinstance(inner, str) and not isinstance(outer, str) and inner.is_under(outer)


def _email(own: Email, asked: Email) -> bool:
    if not (asked.addresses or asked.domains):
        return True
    if not (own.addresses or own.domains):
        return False
    named = all(asked.of(address) is HOLDS for address in own.addresses)
    return named and _hosts_within(own.domains, asked.domains)


def _url(own: Url, asked: Url) -> bool:
    return (
        _fewer(own.schemes, asked.schemes)
        and (not asked.hosts or (bool(own.hosts) and _hosts_within(own.hosts, asked.hosts)))
        and _fewer(own.ports, asked.ports)
        and own.public >= asked.public
        and (
            not asked.url_paths
            or (bool(own.url_paths) and all_within(own.url_paths, asked.url_paths))
        )
    )


def _fewer(own: Sequence[object], asked: Sequence[object]) -> bool:
    """Whether `own` is some of `asked`, where naming none asks nothing."""
    return not asked or (bool(own) and set(own) <= set(asked))


def _hosts_within(own: Sequence[HostPattern], asked: Sequence[HostPattern]) -> bool:
    return all(any(_host_within(host, wide) for wide in asked) for host in own)


def _host_within(own: HostPattern, asked: HostPattern) -> bool:
    if identical(own, asked):
        return True
    if not own.below:
        return asked.of(own.host) is HOLDS
    # Subdomains of `a.example.com` are subdomains of `example.com`.
    return asked.below and (own.host.name == asked.host.name or asked.of(own.host) is HOLDS)


def _command(own: Command, asked: Command) -> bool:
    return all(any(_form_within(form, wide) for wide in asked.forms) for form in own.forms)


def _form_within(own: CommandForm, asked: CommandForm) -> bool:
    return (
        own.program == asked.program
        and bool(own.subcommands) == bool(asked.subcommands)
        and set(own.subcommands) <= set(asked.subcommands)
        and all(any(identical(glob, wide) for wide in asked.options) for glob in own.options)
        and all(any(identical(glob, wide) for wide in asked.words) for glob in own.words)
        and all(any(_below(root, wide) for wide in asked.under) for root in own.under)
    )


def _sql(own: Sql, asked: Sql) -> bool:
    return (
        own.dialect == asked.dialect
        and _fewer(own.statements, asked.statements)
        and set(own.functions) <= set(asked.functions)
        and (not asked.tables or (bool(own.tables) and _tables_within(own.tables, asked.tables)))
    )


def _tables_within(own: Sequence[TablePattern], asked: Sequence[TablePattern]) -> bool:
    return all(any(_table_within(table, wide) for wide in asked) for table in own)


def _table_within(own: TablePattern, asked: TablePattern) -> bool:
    # A star means no table of the database's own; only writing such a table out does.
    reserved = own.literal and own.is_system and not asked.literal
    return (
        not reserved
        and len(own.parts) == len(asked.parts)
        and all(map(includes, asked.parts, own.parts))
    )


_TABLE: dict[tuple[type[Condition], type[Condition]], Callable[..., bool]] = {
    (AtMost, AtMost): _at_most,
    (AtLeast, AtLeast): _at_least,
    (Between, Between): _between,
    (Length, Length): _sized,
    (Count, Count): _counted,
    (Money, Money): _money,
    (Under, Under): _under,
    (Email, Email): _email,
    (Url, Url): _url,
    (Command, Command): _command,
    (Sql, Sql): _sql,
}
