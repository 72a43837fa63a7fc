"""What declared objects say of each other, and what is probably not meant."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping

from bailiwick.core.argument_path import parse_argument_path
from bailiwick.core.call import CallKind
from bailiwick.core.canonical import JsonObject
from bailiwick.core.errors import ConfigError
from bailiwick.core.texts.glob import Glob
from bailiwick.core.values import number_of, show
from bailiwick.declared.addresses import warn_urls
from bailiwick.declared.aliases import check_aliases
from bailiwick.declared.budget_checks import warn_budgets
from bailiwick.declared.circumstances import check_only
from bailiwick.declared.commands import warn_commands
from bailiwick.declared.conditions import conditions_on
from bailiwick.declared.flow import compile_results
from bailiwick.declared.flow_checks import check_flow, flow_rules, warn_flow
from bailiwick.declared.limit_checks import check_limits, warn_limits
from bailiwick.declared.model_calls import check_model_call
from bailiwick.declared.models import check_names
from bailiwick.declared.objects import Declaration, texts
from bailiwick.declared.prices import check_terms, warn_terms
from bailiwick.declared.problems import Place, Problem, did_you_mean, nearest
from bailiwick.declared.readings import TARGET_KINDS, read_moment, read_target
from bailiwick.declared.secrets import has_reference, resolve
from bailiwick.declared.tree import Items, Node, Scalar, Table, to_json

Objects = Mapping[tuple[str, str], Declaration]

RESERVED_PEOPLE = ("requester", "owner")
"""Words of `not:` in stamp rules; a person of that name could never be meant."""

MAX_HINTS = 10
"""How many unknown tools of one mandate get near names."""

_SECRET_HEADERS = frozenset({"authorization", "proxy-authorization", "cookie", "x-api-key"})
_SECRET_VARIABLE = re.compile(r"(?i)(?:token|secret|password|passwd|api_?key|credential)$")


def check_references(declarations: Iterable[Declaration], everything: Objects) -> list[Problem]:
    """Problems with what each declaration says of others. Shapes are sound already."""
    declarations = list(declarations)
    problems = [*check_names(declarations, everything), *check_aliases(declarations, everything)]
    for each in declarations:
        node = each.node
        if not isinstance(node, Table):
            continue
        if each.kind == "person" and each.name in RESERVED_PEOPLE:
            problems.append(Problem(node.place, f"a person cannot be called `{each.name}`"))
        elif each.kind == "person":
            problems += _check_person(node, everything)
        elif each.kind == "agent":
            problems += _named(node.get("owner"), "person", everything)
        elif each.kind in ("server", "model"):
            problems += _literal_secrets(node)
            problems += check_terms(node) if each.kind == "model" else ()
        elif each.kind == "mandate":
            problems += _check_mandate(node, everything)
    return problems


def check_secrets(
    declarations: Iterable[Declaration], environment: Mapping[str, str]
) -> list[Problem]:
    """Problems with secrets that are referred to but not there. Reads files."""
    problems: list[Problem] = []
    for node in _servers(declarations):
        for key, value in _secret_places(node):
            if has_reference(str(value.value)):
                try:
                    resolve(str(value.value), environment, one_line=key == "headers")
                except ConfigError as error:
                    problems.append(Problem(value.place, error.message))
    return problems


def warn(
    declarations: Iterable[Declaration],
    everything: Objects,
    tools: Mapping[str, Collection[str]],
) -> list[Problem]:
    """What can be used but is probably not meant."""
    warnings: list[Problem] = []
    for each in declarations:
        node = each.node
        if not isinstance(node, Table):
            continue
        if each.kind == "server":
            warnings += _literal_variables(node)
        elif each.kind == "model":
            warnings += warn_terms(node)
            warnings += _warn_changes(node, everything)
        elif each.kind == "alias":
            warnings += _warn_changes(node, everything)
        elif each.kind == "mandate":
            warnings += _warn_targets(node, everything, tools)
            warnings += _warn_arguments(node)
            warnings += _warn_fences(node)
            warnings += _warn_stamps(node, everything)
            warnings += warn_flow(node, _roles(everything), _server_labels(everything))
            warnings += warn_limits(node)
            warnings += warn_budgets(node, _models(everything))
        elif each.kind == "person":
            warnings += warn_budgets(node, _models(everything))
    return warnings


# --- mandates ------------------------------------------------------------------------------------


def _check_mandate(node: Table, everything: Objects) -> Iterator[Problem]:
    yield from _named(node.get("from"), "person", everything)
    yield from _named(node.get("to"), "agent", everything)
    yield from _check_validity(node.get("valid"))
    yield from check_only(node, everything)
    for _, rule in _rules(node):
        yield from _check_targets(rule, everything)
        yield from check_only(rule, everything)
        yield from check_model_call(rule)
        yield from _check_bounds(rule)
        for name in _scalars(rule.get("not")):
            if name.value not in RESERVED_PEOPLE:
                yield from _named(name, "person", everything, RESERVED_PEOPLE)
    yield from _check_rule_names(node)
    yield from check_limits(node)
    yield from check_flow(node)


def _check_person(node: Table, everything: Objects) -> Iterator[Problem]:
    for _, rule in _rules(node):
        yield from _check_targets(rule, everything)
        yield from _check_bounds(rule)
    yield from _check_rule_names(node)
    yield from check_limits(node)


def _check_targets(rule: Table, everything: Objects) -> Iterator[Problem]:
    for key, target in _targets(rule):
        upstream = str(target.value).partition("/")[0]
        servers, what = _upstreams(everything, TARGET_KINDS[key])
        if "*" not in upstream and upstream not in servers:
            message = f"there is no {what} {show(upstream)}{did_you_mean(upstream, servers)}"
            yield Problem(target.place, message)


def _named(
    node: Node | None, kind: str, everything: Objects, also: Collection[str] = ()
) -> Iterator[Problem]:
    if isinstance(node, Scalar) and (kind, str(node.value)) not in everything:
        known = {name for each, name in everything if each == kind} | set(also)
        near = did_you_mean(str(node.value), known)
        yield Problem(node.place, f"there is no {kind} {show(node.value)}{near}")


def _check_validity(node: Node | None) -> Iterator[Problem]:
    if not isinstance(node, Table):
        return
    start, end = node.get("from"), node.get("until")
    if not (isinstance(start, Scalar) and isinstance(end, Scalar)):
        return
    if read_moment(str(start.value)) >= read_moment(str(end.value)):
        yield Problem(end.place, "ends before it starts")


def _check_rule_names(node: Table) -> Iterator[Problem]:
    seen: dict[tuple[str, str], Place] = {}
    for section, rule in _rules(node):
        name = rule.get("id")
        if isinstance(name, Scalar):
            if str(name.value).isdigit():
                yield Problem(name.place, "a rule's name cannot be a number")
            first = seen.get((section, str(name.value)))
            seen[section, str(name.value)] = name.place
            if first is not None:
                message = f"the rule {show(name.value)} is there already, at {first}"
                yield Problem(name.place, message)


def _check_bounds(rule: Table) -> Iterator[Problem]:
    for key, condition in _conditions(rule):
        low, high = condition.get("at_least"), condition.get("at_most")
        if isinstance(low, Scalar) and isinstance(high, Scalar):
            least, most = number_of(low.value), number_of(high.value)
            if least is not None and most is not None and least > most:
                yield Problem(high.place, f"{show(key.value)} can never be both: {least} > {most}")
        present = condition.get("present")
        if isinstance(present, Scalar) and present.value is False and len(condition.entries) > 1:
            yield Problem(present.place, "`present: false` stands alone: there is no value to ask")
        anything = condition.get("any")
        if isinstance(anything, Scalar) and len(condition.entries) > 1:
            text = "`any` stands alone: it asks nothing of the value, which may be missing too"
            yield Problem(anything.place, text)
        yield from _check_made(key, condition)


def _check_made(key: Scalar, condition: Table) -> Iterator[Problem]:
    """What only shows when a condition is made: shapes look at one value at a time."""
    asked = to_json(condition)
    assert isinstance(asked, dict)
    try:
        list(conditions_on(parse_argument_path(str(key.value)), asked))
    except ValueError as error:
        yield Problem(condition.place, f"{show(key.value)}: {error}")


def _warn_targets(
    node: Table, everything: Objects, tools: Mapping[str, Collection[str]]
) -> Iterator[Problem]:
    hints = 0
    for _, rule in _rules(node):
        for key, target in _targets(rule):
            pattern = read_target(str(target.value), TARGET_KINDS[key])
            upstream = Glob(pattern.upstream)
            servers, what = _upstreams(everything, pattern.kind)
            meant = {name for name in servers if upstream.matches(name)}
            if not meant:
                yield Problem(target.place, f"{show(target.value)} fits no declared {what}")
            if pattern.kind is CallKind.MODEL and meant:
                yield from _warn_model(
                    target, pattern.name, [_served(everything, n) for n in meant]
                )
            if pattern.kind is not CallKind.TOOL or not meant or not meant <= tools.keys():
                continue
            glob = Glob(pattern.name)
            if not any(glob.matches(name) for server in meant for name in tools[server]):
                # Looking for near names among 10,000 takes a tenth of a second.
                hints += 1
                names = {name for server in meant for name in tools[server]}
                near = nearest(pattern.name, names, limit=3) if hints <= MAX_HINTS else []
                verb = "is" if len(near) == 1 else "are"
                hint = f"; near {verb} {', '.join(f'`{name}`' for name in near)}" if near else ""
                yield Problem(target.place, f"{show(target.value)} fits no known tool{hint}")


def _served(everything: Objects, server: str) -> tuple[str, ...]:
    return texts(everything["model", server].spec, "models") or ("*",)


def _warn_model(
    target: Scalar, wanted: str, served: Iterable[tuple[str, ...]]
) -> Iterator[Problem]:
    """A rule about a model that none of its servers is declared with: a slip of the pen."""
    names = {name for each in served for name in each}
    glob = Glob(wanted)
    # Of two patterns it is not told whether they meet: doubt warns of nothing.
    if any(glob.matches(each) or ("*" in each and "*" in wanted) for each in names):
        return
    if not any(Glob(each).matches(wanted) for each in names):
        hint = did_you_mean(wanted, names)
        yield Problem(target.place, f"{show(target.value)} fits no declared model{hint}")


def _warn_arguments(node: Table) -> Iterator[Problem]:
    for section, rule in _rules(node):
        bare = rule.get("when") is None and rule.get("other_arguments") is None
        kinds = {TARGET_KINDS[key] for key, _ in _targets(rule)}
        if section == "allow" and bare and kinds - {CallKind.RESOURCE}:
            message = (
                "allows calls without any arguments only: name them in `when`, or say "
                "`other_arguments: allow`"
            )
            yield Problem(rule.place, message)


def _warn_fences(node: Table) -> Iterator[Problem]:
    """Text that is meant to fence paths or URLs in, and does not: `/work/*` fits `/work/../etc`."""
    for section, rule in _rules(node):
        for _, condition in _conditions(rule) if section == "allow" else ():
            yield from warn_urls(condition)
            yield from warn_commands(condition)
            for key in ("prefix", "matches"):
                for piece in _scalars(condition.get(key)):
                    text = str(piece.value)
                    open_ended = key == "prefix" or "*" in text.partition("/")[2]
                    if open_ended and "://" in text:
                        message = f"{show(text)} does not tie a URL to its host: use `url`"
                        yield Problem(piece.place, message)
                    elif open_ended and text.startswith(("/", "./", "~/")):
                        message = f"{show(text)} also fits what leads out by `..`: use `under`"
                        yield Problem(piece.place, message)


def _warn_stamps(node: Table, everything: Objects) -> Iterator[Problem]:
    agent = everything.get(("agent", str(to_json(node.get("to") or node))))
    words = {
        "requester": str(to_json(node.get("from") or node)),
        "owner": str(agent.spec.get("owner")) if agent else "",
    }
    for section, rule in _rules(node):
        if section != "stamp":
            continue
        yield from _warn_stamp(rule, words, everything)


def _warn_changes(node: Table, everything: Objects) -> Iterator[Problem]:
    changes = node.get("changes")
    stamp = changes.get("stamp") if isinstance(changes, Table) else None
    if isinstance(stamp, Table):  # whom `requester` excludes is known once somebody changes it
        yield from _warn_stamp(stamp, {}, everything)


def _warn_stamp(rule: Table, words: Mapping[str, str], everything: Objects) -> Iterator[Problem]:
    role, people = rule.get("role"), rule.get("people")
    needed = people.value if isinstance(people, Scalar) else 1
    out = {str(name.value) for name in _scalars(rule.get("not"))}
    out |= {words[word] for word in out & words.keys()}
    able = {
        name
        for (kind, name), person in everything.items()
        if kind == "person" and name not in out
        if not isinstance(role, Scalar) or role.value in texts(person.spec, "roles")
    }
    if not isinstance(needed, int) or len(able) >= needed:
        return
    who, near = "", ""
    if isinstance(role, Scalar):
        who = f" with the role {show(role.value)}"
        roles = _roles(everything)
        near = "" if role.value in roles else did_you_mean(str(role.value), roles)
    asked = "1 person" if needed == 1 else f"{needed} people"
    there = {0: "nobody may", 1: "1 person may"}.get(len(able), f"{len(able)} may")
    place = (people or role or rule).place
    yield Problem(place, f"needs {asked}{who} to stamp, and {there}{near}")


def _upstreams(everything: Objects, kind: CallKind) -> tuple[set[str], str]:
    """The names that may stand before the slash in a target of this kind, and what they name."""
    declared = "model" if kind is CallKind.MODEL else "server"
    names = {name for each, name in everything if each == declared}
    return names, "model server" if kind is CallKind.MODEL else "server"


def _models(everything: Objects) -> dict[str, JsonObject]:
    return {name: each.spec for (kind, name), each in everything.items() if kind == "model"}


def _roles(everything: Objects) -> set[str]:
    people = (each for (kind, _), each in everything.items() if kind == "person")
    return {role for person in people for role in texts(person.spec, "roles")}


def _server_labels(everything: Objects) -> set[str]:
    servers = (each for (kind, _), each in everything.items() if kind == "server")
    said = (each for server in servers for each in compile_results(server.spec, server.name))
    return {label for each in said for label in each.confidential}


# --- servers -------------------------------------------------------------------------------------


def _literal_secrets(node: Table) -> Iterator[Problem]:
    headers = node.get("headers")
    for name, value in headers.entries if isinstance(headers, Table) else ():
        literal = isinstance(value, Scalar) and not has_reference(str(value.value))
        if literal and str(name.value).lower() in _SECRET_HEADERS:
            message = f"{show(name.value)} is a secret: write `${{env:NAME}}` or `${{file:PATH}}`"
            yield Problem(value.place, message)


def _literal_variables(node: Table) -> Iterator[Problem]:
    variables = node.get("env")
    for name, value in variables.entries if isinstance(variables, Table) else ():
        literal = isinstance(value, Scalar) and not has_reference(str(value.value))
        if literal and _SECRET_VARIABLE.search(str(name.value)):
            message = (
                f"{show(name.value)} looks like a secret, and is stored and shown as written: "
                "write `${env:NAME}` or `${file:PATH}`"
            )
            yield Problem(value.place, message)


def _servers(declarations: Iterable[Declaration]) -> Iterator[Table]:
    for each in declarations:
        if each.kind in ("server", "model") and isinstance(each.node, Table):
            yield each.node


def _secret_places(node: Table) -> Iterator[tuple[str, Scalar]]:
    for key in ("env", "headers"):
        table = node.get(key)
        for _, value in table.entries if isinstance(table, Table) else ():
            if isinstance(value, Scalar):
                yield key, value


# --- walking -------------------------------------------------------------------------------------


def _rules(node: Table) -> Iterator[tuple[str, Table]]:
    for section in ("allow", "deny", "stamp", "limits"):
        rules = node.get(section)
        for rule in rules.items if isinstance(rules, Items) else ():
            if isinstance(rule, Table):
                yield section, rule
    yield from flow_rules(node)


def _targets(rule: Table) -> Iterator[tuple[str, Scalar]]:
    for key in TARGET_KINDS:
        for scalar in _scalars(rule.get(key)):
            yield key, scalar


def _conditions(rule: Table) -> Iterator[tuple[Scalar, Table]]:
    when = rule.get("when")
    for key, condition in when.entries if isinstance(when, Table) else ():
        if isinstance(condition, Table):
            yield key, condition


def _scalars(node: Node | None) -> Iterator[Scalar]:
    if isinstance(node, Scalar):
        yield node
    elif isinstance(node, Items):
        yield from (item for item in node.items if isinstance(item, Scalar))
