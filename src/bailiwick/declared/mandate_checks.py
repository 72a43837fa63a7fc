"""What of a mandate can never matter, or never be met: found by comparing its rules.

These are warnings: such a mandate can be used, and hardly says what was meant. Nothing is reported
that does not follow; what rules leave open is not guessed at.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import combinations

from bailiwick.core.call import CallKind
from bailiwick.core.conditions import Equals, OneOf
from bailiwick.core.mandate import AllowRule, DenyRule, Mandate, StampRule
from bailiwick.core.narrowing import about_same, adds_nothing, applies_wherever_allowed
from bailiwick.core.texts.glob import Glob
from bailiwick.core.values import show
from bailiwick.declared.compiling import compile_all
from bailiwick.declared.load import load_texts
from bailiwick.declared.objects import Declaration, merged
from bailiwick.declared.problems import DeclarationError, Place, Problem
from bailiwick.declared.tool_checks import Definitions, check_tools
from bailiwick.declared.tool_schema import Open, look_up
from bailiwick.declared.tree import Items, Table

MAX_RULES = 300
MAX_TARGETS = 1_000
"""Rules of one mandate, and their targets, that are compared with each other."""

_UNHEARD_OF = "an argument nobody has heard of"


def check_texts(
    texts: Mapping[str, str],
    stored: Collection[Declaration],
    definitions: Definitions,
    now: int,
) -> list[tuple[str, Problem]]:
    """All that is wrong ("error") or doubtful ("warning") in declarations, as `load_texts` reads
    them, and in what their mandates say. Blocking.

    Args:
        stored: what is declared already.
        definitions, now: as for `warn_rules`.
    """
    try:
        declared = load_texts(texts, stored=stored, tools=definitions)
    except DeclarationError as error:
        return [("error", each) for each in error.problems]
    found = check_tools(declared.objects.values(), definitions)
    doubts = [*declared.warnings, *found.warnings]
    everything = merged(stored, declared)
    mandates = compile_all(
        each for key, each in everything.items() if key[0] != "mandate" or key in declared.objects
    )
    for name, each in declared.of("mandate").items():
        doubts += warn_rules(each, mandates[name], definitions, now)
    errors = [("error", each) for each in found.problems]
    return errors + [("warning", each) for each in sorted(set(doubts))]


def warn_rules(
    declaration: Declaration, mandate: Mandate, definitions: Definitions, now: int
) -> list[Problem]:
    """What is probably not meant in the rules of one mandate. Pure.

    Args:
        declaration: with its places, or nothing is found.
        mandate: the same, compiled.
        definitions: of the tools that are known.
        now: Unix milliseconds.
    """
    node = declaration.node
    if not isinstance(node, Table):
        return []
    places = _Places(node)
    found = [*_ended(node, mandate, now), *_wide_open(mandate, definitions, places)]
    rules: list[AllowRule | DenyRule | StampRule] = []
    for section in (mandate.allow, mandate.deny, mandate.stamp):
        rules.extend(section)
    if sum(len(rule.targets) for rule in rules) > MAX_TARGETS or len(rules) > MAX_RULES:
        message = "has too many rules for comparing each with the others"
        return sorted({*found, Problem(node.place, message)})
    found += _nothing_left(mandate, places)
    found += _said_already(mandate, places)
    found += _about_nothing(mandate, places)
    found += _at_odds(mandate, places)
    return sorted(set(found))


class _Places:
    """Where each rule stands: compiled rules are in the order in which they are declared."""

    def __init__(self, node: Table) -> None:
        self._node = node

    def of(self, section: str, number: int) -> Place:
        """Place of the rule `number` (from 0) of a section."""
        rules = self._node.get(section)
        if isinstance(rules, Items) and number < len(rules.items):
            return rules.items[number].place
        return self._node.place


def _ended(node: Table, mandate: Mandate, now: int) -> Iterator[Problem]:
    if mandate.not_after is not None and now >= mandate.not_after:
        valid = node.get("valid")
        yield Problem((valid or node).place, "has ended already: nothing can be done under it")


def _nothing_left(mandate: Mandate, places: _Places) -> Iterator[Problem]:
    """Allow rules of which a deny rule leaves nothing."""
    for number, rule in enumerate(mandate.allow):
        for deny in mandate.deny:
            if applies_wherever_allowed(deny, rule, mandate.circumstances):
                message = f"lets nothing through: {show(_name(deny))} denies all of it"
                yield Problem(places.of("allow", number), message)
                break


def _said_already(mandate: Mandate, places: _Places) -> Iterator[Problem]:
    """Allow rules that another one makes needless."""
    rules = mandate.allow
    # What an allow rule names is vouched for, so it may matter without letting anything through.
    vouching = any(rule.vouched for rule in rules)
    gone: set[int] = set()
    for number, rule in enumerate(rules):
        if vouching and any(isinstance(each, OneOf | Equals) for each in rule.conditions):
            continue
        for other_number, other in enumerate(rules):
            if other_number == number or other_number in gone:
                continue
            if not adds_nothing(rule, other, mandate.circumstances):
                continue
            if other_number > number and adds_nothing(other, rule, mandate.circumstances):
                continue  # of two that say the same, the later one is needless
            gone.add(number)
            message = f"lets nothing more through: {show(_name(other))} lets all of it through"
            yield Problem(places.of("allow", number), message)
            break


def _about_nothing(mandate: Mandate, places: _Places) -> Iterator[Problem]:
    """Deny and stamp rules about nothing that is allowed."""
    sections: tuple[tuple[str, Sequence[DenyRule | StampRule]], ...] = (
        ("deny", mandate.deny),
        ("stamp", mandate.stamp),
    )
    for section, rules in sections:
        for number, rule in enumerate(rules):
            if not about_same(rule, mandate.allow):
                message = "is about nothing that any rule allows, so it never matters"
                yield Problem(places.of(section, number), message)


def _at_odds(mandate: Mandate, places: _Places) -> Iterator[Problem]:
    """Stamp rules that ask for different roles at once: nobody's stamp would do."""
    for (one, first), (other, second) in combinations(enumerate(mandate.stamp), 2):
        if first.role is None or second.role is None or first.role == second.role:
            continue
        if not (about_same(first, mandate.allow) and about_same(second, mandate.allow)):
            continue
        for place, rule, wider in ((one, first, second), (other, second, first)):
            if applies_wherever_allowed(wider, rule, mandate.circumstances):
                message = (
                    f"can never be met: {show(_name(wider))} asks for another role, "
                    f"{show(wider.role)}, of all of it, and one stamp cannot be both"
                )
                yield Problem(places.of("stamp", place), message)
                break


def _wide_open(mandate: Mandate, definitions: Definitions, places: _Places) -> Iterator[Problem]:
    """`other_arguments: allow` for a tool that takes arguments its definition does not name."""
    for number, rule in enumerate(mandate.allow):
        if rule.other_arguments:
            tool = next(_open_tools(rule, definitions), "")
            if tool:
                message = (
                    f"lets any argument be given, and the schema of {show(tool)} is open: it may "
                    "take some that it does not name"
                )
                yield Problem(places.of("allow", number), message)


def _open_tools(rule: AllowRule, definitions: Definitions) -> Iterator[str]:
    for pattern in rule.targets:
        if pattern.kind is not CallKind.TOOL:
            continue
        servers, names = Glob(pattern.upstream), Glob(pattern.name)
        for server in sorted(filter(servers.matches, definitions)):
            for name in sorted(filter(names.matches, definitions[server])):
                if _is_open(definitions[server][name]):
                    yield f"{server}/{name}"


def _is_open(definition: str) -> bool:
    try:
        tool = json.loads(definition)
    except (ValueError, RecursionError):
        return True
    schema = tool.get("inputSchema") if isinstance(tool, dict) else None
    return not isinstance(schema, dict) or isinstance(look_up(schema, (_UNHEARD_OF,)), Open)


def _name(rule: AllowRule | DenyRule | StampRule) -> str:
    return rule.id.partition("/")[2]
