"""What is wrong with a limit as a whole, and what of it is hardly meant."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from bailiwick.core.argument_path import ArgumentPath, format_argument_path, parse_argument_path
from bailiwick.core.call import CallKind
from bailiwick.core.canonical import Json, JsonObject
from bailiwick.core.conditions import AtMost, Condition, Money, MoneyBeside, OneOf, Present
from bailiwick.core.limits.countable import steps_of, steps_of_number
from bailiwick.core.limits.limit import TAKEN, ZONED, Limit, Measure, rows_of
from bailiwick.core.target_pattern import TargetPattern
from bailiwick.core.texts.currencies import CODES
from bailiwick.core.texts.glob import Glob
from bailiwick.core.values import show
from bailiwick.declared.conditions import conditions_on
from bailiwick.declared.limits import MAX_COUNT, MEASURES, compile_limit
from bailiwick.declared.objects import texts
from bailiwick.declared.problems import Problem, did_you_mean
from bailiwick.declared.readings import TARGET_KINDS, read_target
from bailiwick.declared.tree import Items, Node, Scalar, Table, to_json


def check_limits(mandate: Table) -> Iterator[Problem]:
    """Problems with the limits of a mandate. Shapes are sound already."""
    for limit in _tables(mandate, "limits"):
        problems = [*_check_window(limit), *_check_ceiling(limit), *_check_taken(limit)]
        yield from problems or _check_whole(limit)


def warn_limits(mandate: Table) -> Iterator[Problem]:
    """What can be used but is probably not meant."""
    allowed = [_Allowed(_json(rule)) for rule in _tables(mandate, "allow")]
    for table in _tables(mandate, "limits"):
        spec = _json(table)
        limit = compile_limit(spec, "mandate@1", _targets(spec), _conditions(spec))
        concerned = [rule for rule in allowed if rule.may_meet(limit.targets)]
        if not concerned:
            message = "counts nothing: no allow rule lets through what it is about"
            yield Problem(table.place, message)
            continue
        yield from _warn_unnamed(table, limit, concerned)
        most = table.get("at_most") or table
        if _never_binds(limit, concerned):
            message = "can never be reached: no allow rule lets so much through in one call"
            yield Problem(most.place, message)
        yield from _warn_letters(most, limit)
        named = {code for rule in concerned for code in rule.currencies(limit.currency)}
        for code in sorted(named - limit.ceilings.keys()):
            message = f"refuses {show(code)}, which an allow rule lets through: it has no ceiling"
            yield Problem(most.place, message)


def _warn_letters(most: Node, limit: Limit) -> Iterator[Problem]:
    """Codes of currencies in other letters: calls give them as they are, and would be refused."""
    for code in sorted(limit.ceilings.keys() - CODES):
        if code.strip().upper() in CODES:
            message = (
                f"{show(code)} is not the code of a currency{did_you_mean(code.upper(), CODES)}"
            )
            yield Problem(most.place, message)


def _never_binds(limit: Limit, concerned: list[_Allowed]) -> bool:
    if limit.measure is not Measure.SUM or limit.window.kind != "call" or limit.rows:
        return False
    return all(rule.stays_within(limit) for rule in concerned)


class _Allowed:
    """An allow rule, as far as limits have to do with it."""

    def __init__(self, spec: JsonObject) -> None:
        self.targets = _targets(spec)
        self.conditions = _conditions(spec)
        self.others = spec.get("other_arguments") == "allow"

    def may_meet(self, targets: tuple[TargetPattern, ...]) -> bool:
        """Whether some call may be meant by this rule and by one of `targets`."""
        return any(_may_meet(one, other) for one in self.targets for other in targets)

    def names(self, path: ArgumentPath) -> bool:
        """Whether it lets an argument at `path` through."""
        named = {each[0] for rule in self.conditions for each in rule.paths}
        return self.others or path[0] in named

    def stays_within(self, limit: Limit) -> bool:
        """Whether no amount that it lets through is above any ceiling of `limit`."""
        bounds = [
            rule.bound
            for rule in self.conditions
            if isinstance(rule, AtMost) and rule.path == limit.of and not limit.minor_units
        ]
        for rule in self.conditions:
            if isinstance(rule, Money) and (rule.path, rule.currency) == (limit.of, limit.unit):
                bounds += [rule.bounds.at_most] if rule.bounds.at_most is not None else []
        highest = steps_of_number(min(bounds)) if bounds else ""
        return isinstance(highest, int) and highest <= min(limit.ceilings.values())

    def currencies(self, path: ArgumentPath) -> set[str]:
        """The currencies that it names for the argument at `path`."""
        found: set[str] = set()
        for rule in self.conditions:
            if isinstance(rule, OneOf) and rule.path == path:
                found |= {each for each in rule.values if isinstance(each, str)}
            elif isinstance(rule, MoneyBeside) and rule.other == path:
                found |= rule.bounds.keys()
        return found


def _warn_unnamed(table: Table, limit: Limit, concerned: list[_Allowed]) -> Iterator[Problem]:
    """Arguments that it counts by, and that calls cannot have: it would refuse each of them."""
    asked = [(key, limit.of) for key in ("sum", "distinct") if table.get(key) is not None]
    asked += [("currency", limit.currency)] if limit.currency else []
    asked += [("per", path) for path in limit.per]
    only_given = {rule.path for rule in limit.conditions if isinstance(rule, Present)}
    for key, path in asked:
        without = [rule for rule in concerned if not rule.names(path)]
        if not without or path in only_given:
            continue
        name = show(format_argument_path(path))
        if len(without) == len(concerned):
            message = f"refuses every call: no allow rule lets {name} through, which it counts by"
        else:
            rule = ", ".join(show(str(target)) for target in without[0].targets)
            message = (
                f"refuses calls of {rule}, which cannot have {name}: to count those with it only, "
                f"say `when: {{{format_argument_path(path)}: {{present: true}}}}`"
            )
        yield Problem((table.get(key) or table).place, message)


def _may_meet(one: TargetPattern, other: TargetPattern) -> bool:
    return (
        one.kind is other.kind
        and _globs_may_meet(one.upstream, other.upstream)
        and _globs_may_meet(one.name, other.name)
    )


def _globs_may_meet(one: str, other: str) -> bool:
    """Whether some text fits both; True where that would be hard to tell."""
    left, right = Glob(one), Glob(other)
    if left.literal:
        return right.matches(one) if not right.literal else one == other
    return left.matches(other) if right.literal else True


def _targets(spec: JsonObject) -> tuple[TargetPattern, ...]:
    return tuple(
        read_target(text, kind) for key, kind in TARGET_KINDS.items() for text in texts(spec, key)
    )


def _conditions(spec: JsonObject) -> tuple[Condition, ...]:
    when = spec.get("when")
    return tuple(
        condition
        for name, asked in (when.items() if isinstance(when, Mapping) else ())
        for condition in conditions_on(parse_argument_path(name), _object(asked))
    )


def _object(value: Json) -> JsonObject:
    assert isinstance(value, Mapping)
    return value


def _tables(mandate: Table, section: str) -> Iterator[Table]:
    items = mandate.get(section)
    for each in items.items if isinstance(items, Items) else ():
        if isinstance(each, Table):
            yield each


def _measure(limit: Table) -> str:
    return next(key for key in MEASURES if limit.get(key) is not None)


def _check_window(limit: Table) -> Iterator[Problem]:
    measure = _measure(limit)
    each, within, zone = limit.get("each"), limit.get("within"), limit.get("zone")
    window = each.value if isinstance(each, Scalar) else None
    if measure == "at_once":
        for node in (each, within):
            if node is not None:
                yield Problem(node.place, "`at_once` counts what is under way now, over no time")
        return
    if each is not None and within is not None:
        yield Problem(within.place, "a limit cannot have both `each` and `within`")
    elif each is None and within is None:
        message = "a limit needs `each` or `within`: over what time does it count?"
        yield Problem(limit.place, message)
    if each is None:
        return
    if window in ZONED and window != "hour" and zone is None:
        message = f"`each: {window}` needs `zone`: a {window} begins at another time in every zone"
        yield Problem(each.place, message)
    if zone is not None and window not in ZONED:
        yield Problem(zone.place, f"`each: {window}` has no use for a time zone")
    if window == "call":
        if measure == "calls":
            yield Problem(each.place, "each call is one call: say `each: run`, or a longer time")
        for key in ("actual", "failed", "unknown"):
            node = limit.get(key)
            if node is not None:
                message = f"`{key}` needs a longer time: nothing is kept of `each: call`"
                yield Problem(node.place, message)


def _check_ceiling(limit: Table) -> Iterator[Problem]:
    measure, most, currency = _measure(limit), limit.get("at_most"), limit.get("currency")
    if measure in ("calls", "at_once") or MEASURES.get(measure) in TAKEN:
        if most is not None:
            said = f"{measure}: 5 USD" if measure == "cost" else f"{measure}: N"
            yield Problem(most.place, f"`at_most` has no use here: say `{said}`")
        return
    if most is None:
        yield Problem(limit.place, f"`{measure}` needs `at_most`")
        return
    if measure == "distinct":
        count = most.value if isinstance(most, Scalar) else None
        if type(count) is not int or not 1 <= count <= MAX_COUNT:
            yield Problem(most.place, f"expected a whole number from 1 to {MAX_COUNT}")
        return
    by_argument = isinstance(currency, Table)
    if by_argument and not isinstance(most, Table):
        message = "needs a ceiling for each currency: `at_most: {CHF: 20000}`"
        yield Problem(most.place, message)
    elif isinstance(most, Table) and not by_argument:
        message = "where does the currency come from? Say `currency: {argument: NAME}`"
        yield Problem(most.place, message)
    for _, amount in most.entries if isinstance(most, Table) else (("", most),):
        yield from _check_amount(amount)
    minor = limit.get("minor_units")
    if isinstance(minor, Scalar) and minor.value is True:
        named = [key for key, _ in most.entries] if isinstance(most, Table) else [currency]
        for unit in named:
            if isinstance(unit, Scalar) and unit.value not in CODES:
                near = did_you_mean(str(unit.value), CODES)
                message = f"how many decimals has {show(str(unit.value))}? It is not in ISO 4217"
                yield Problem(unit.place, message + near)


def _check_taken(limit: Table) -> Iterator[Problem]:
    """What only a model call takes."""
    measure = _measure(limit)
    if MEASURES.get(measure) not in TAKEN:
        return
    for key in TARGET_KINDS:
        node = limit.get(key)
        if node is not None and TARGET_KINDS[key] is not CallKind.MODEL:
            message = f"`{measure}` is what model calls take: say `model:` instead of `{key}:`"
            yield Problem(node.place, message)
    failed = limit.get("failed")
    if failed is not None:
        message = f"`{measure}` needs no `failed`: what a call took is what its answer reports"
        yield Problem(failed.place, message)
    cost = limit.get("cost")
    if isinstance(cost, Table):
        for _, amount in cost.entries:
            yield from _check_amount(amount)
    elif isinstance(cost, Scalar):
        yield from _check_amount(Scalar(cost.place, str(cost.value).partition(" ")[0]))


def _check_amount(amount: Node) -> Iterator[Problem]:
    steps = steps_of(amount.value) if isinstance(amount, Scalar) else "amount_unclear"
    faults = {
        "amount_negative": "nothing is less than nothing",
        "amount_too_fine": "has more than six decimals",
        "amount_too_large": "is more than can be counted (9000000000000)",
    }
    if steps == 0:
        yield Problem(amount.place, "nothing would fit: use a deny rule")
    elif isinstance(steps, str):
        yield Problem(amount.place, faults.get(steps, "is not a plain number"))


def _check_whole(limit: Table) -> Iterator[Problem]:
    try:
        compiled = compile_limit(_json(limit), "mandate@1", (), ())
    except ValueError as error:
        yield Problem(limit.place, str(error))
        return
    actual = limit.get("actual")
    apart = [path for path in (compiled.currency, *compiled.per) if rows_of(path)]
    if actual is not None and apart:
        name = show(format_argument_path(apart[0]))
        message = f"one result cannot say what was spent for each {name}: leave out one of them"
        yield Problem(actual.place, message)


def _json(table: Table) -> JsonObject:
    value = to_json(table)
    assert isinstance(value, dict)
    return value
