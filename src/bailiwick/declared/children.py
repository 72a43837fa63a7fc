"""Child mandates: what an agent writes of one, and the whole of what is stored.

A child is written like a mandate, without `from`. What is stored of it can be read by itself. So
whatever of its parent binds it and can be said in a mandate is written into it:

* `from` is who gave the mandate at the top of the line;
* `valid` begins and ends with its parent's, where it says nothing of its own;
* what the parent's `only` and flow rules say and the child's do not;
* the parent's deny and stamp rules about anything that the child allows. `owner` in them goes on
  meaning the owner of the parent's agent, and the owner of the child's agent as well;
* the names of its own rules and limits are left out, or numbers, if an agent makes it: they stand
  in the public ledger beside each call, and an agent could put anything into them;
* the reasons in its own deny and stamp rules are marked as its maker's words: an agent writes them,
  and people decide by them;
* `parent` says which version it was made from, and by whom.

No declared file can hold such a name, nor `parent`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from bailiwick.core.canonical import Json, JsonObject, canonical
from bailiwick.core.conditions import Condition, FitsRegex, Items
from bailiwick.core.delegation import parent_name
from bailiwick.core.errors import TheirError
from bailiwick.core.mandate import DenyRule, Mandate, MandateState, StampRule
from bailiwick.core.narrowing import about_same, repeats
from bailiwick.core.values import show
from bailiwick.declared.cross_checks import check_references
from bailiwick.declared.names import NAME
from bailiwick.declared.objects import Declaration, from_document, texts
from bailiwick.declared.problems import DeclarationError, Place, Problem
from bailiwick.declared.readings import read_moment
from bailiwick.declared.schema import MANDATE
from bailiwick.declared.shapes import Field, Record, collect
from bailiwick.declared.tree import Table, parse_yaml, to_json
from bailiwick.ports import ObjectRow

MAX_CHILD_BYTES = 65_536
"""Longest child, as it is sent and in canonical form: agents write them, at any rate they like."""

MAX_TARGETS = 500
"""Most targets of all allow rules of a child: each is compared with every rule of its parent."""

CHILD = Record(
    "a child mandate",
    {
        "name": Field(NAME, "What it is called below its parent. Without it, one is made up."),
        **{name: field for name, field in MANDATE.fields.items() if name != "from"},
    },
)

_DAY_MS = 86_400_000

_FILLED_IN = ("valid", "only", "flow")
"""Tables in which the parent's keys stand wherever the child's has none."""


@dataclass(frozen=True, slots=True)
class WrittenChild:
    """A child as an agent wrote it: checked by itself, and not yet held against its parent."""

    name: str
    agent: str
    spec: JsonObject


def read_child(text: str, everything: Mapping[tuple[str, str], Declaration]) -> WrittenChild:
    """Read a child from YAML (or JSON, which is YAML).

    Args:
        text: one document.
        everything: what is declared, by kind and name.

    Raises:
        TheirError: `child_too_large`.
        DeclarationError: with every problem, placed in `child`.
    """
    if len(text) > MAX_CHILD_BYTES:
        raise TheirError("child_too_large", f"a child has at most {MAX_CHILD_BYTES} characters")
    documents = parse_yaml(text, "child")
    if len(documents) != 1 or not isinstance(documents[0], Table):
        message = "expected one child mandate, as a table"
        raise DeclarationError([Problem(Place("child", 1, 1), message)])
    node = documents[0]
    spec = to_json(node)
    assert isinstance(spec, dict)
    problems = collect(CHILD, node)[1]
    if not problems:
        problems = check_references([Declaration("mandate", "child", spec, node)], everything)
    if problems:
        raise DeclarationError(problems)
    name, agent = str(spec.pop("name", "")), str(spec["to"])
    if len(canonical(spec)) > MAX_CHILD_BYTES:
        raise TheirError("child_too_large", f"a child has at most {MAX_CHILD_BYTES} bytes")
    return WrittenChild(name, agent, spec)


def check_size(child: Mandate, parent: Mandate) -> None:
    """Refuse a child that would take long to compare, or much memory to keep.

    Raises:
        TheirError: `child_too_large`; `child_invalid`: a regular expression of its own. One implies
            nothing but itself, and each may take a megabyte.
    """
    new = _regexes(child) - _regexes(parent)
    if new:
        message = f"a child has the regular expressions of its parent only, not {show(min(new))}"
        raise TheirError("child_invalid", message)
    if sum(len(rule.targets) for rule in child.allow) > MAX_TARGETS:
        message = f"the allow rules of a child have at most {MAX_TARGETS} targets together"
        raise TheirError("child_too_large", message)


def unnamed(written: WrittenChild) -> WrittenChild:
    """The child of an agent without the names it chose.

    Raises:
        TheirError: `child_invalid`: it names the child itself.
    """
    if written.name:
        message = "only a person names a child: leave `name` out, and it gets one"
        raise TheirError("child_invalid", message)
    spec = dict(written.spec)
    for section in ("allow", "deny", "stamp"):
        if section in spec:
            spec[section] = [_without_id(rule) for rule in _list(spec[section])]
    if "limits" in spec:
        limits = enumerate(_list(spec["limits"]), start=1)
        spec["limits"] = [{**limit, "id": f"limit-{number}"} for number, limit in limits]
    flow = spec.get("flow")
    if isinstance(flow, Mapping) and "accepts" in flow:
        accepts = [_without_id(rule) for rule in _list(flow["accepts"])]
        spec["flow"] = {**flow, "accepts": accepts}
    return WrittenChild("", written.agent, spec)


def begun(written: WrittenChild, name: str, parent: Mandate, above: JsonObject) -> Declaration:
    """The child with what its parent's tables say and its own do not; still without rules of it.

    Args:
        written: what the agent wrote.
        name: full name of the child.
        parent: newest version.
        above: spec of that version.
    """
    spec: dict[str, Json] = {"from": parent.principal, **written.spec}
    for section in _FILLED_IN:
        own, given = written.spec.get(section), above.get(section)
        if isinstance(given, Mapping) and (own is None or isinstance(own, Mapping)):
            spec[section] = {**given, **(own or {})}
    leave = written.spec.get("delegation")
    if isinstance(leave, Mapping) and parent.delegation is not None:
        spec["delegation"] = {"children": parent.delegation.children, **leave}
    return Declaration("mandate", name, spec)


def completed(
    child: Declaration,
    compiled: Mandate,
    parent: Mandate,
    above: JsonObject,
    by: str,
    owner: str,
) -> Declaration:
    """The child with the rules of its parent that bind it, and with whose child it is.

    Args:
        child: from `begun`.
        compiled: the same, compiled.
        parent, above: as for `begun`.
        by: who makes it: `agent NAME` or `person NAME`.
        owner: who answers for the parent's agent.
    """
    spec: dict[str, Json] = dict(child.spec)
    for section, rules in (("deny", parent.deny), ("stamp", parent.stamp)):
        kept = _kept(_list(above.get(section)), rules, compiled, owner)
        own = [_attributed(rule, by) for rule in _list(child.spec.get(section))]
        if own or kept:
            named = {_text(rule, "id") for rule in own}
            spec[section] = [*own, *(_renamed(rule, named) for rule in kept)]
    spec["parent"] = {"mandate": parent.ref, "digest": parent.digest, "by": by}
    return Declaration("mandate", child.name, spec)


def long_ended(row: ObjectRow, now: int) -> bool:
    """Whether it is a child that has been over for a day: then it is only on record.

    Args:
        now: Unix milliseconds.
    """
    if row.kind != "mandate" or not parent_name(row.name):
        return False
    if row.state == MandateState.REVOKED.value:
        return row.at_ms < now - _DAY_MS
    valid = from_document(row.document).spec.get("valid")
    until = _text(valid, "until") if isinstance(valid, Mapping) else ""
    return bool(until) and read_moment(until) < now - _DAY_MS


def made_from(spec: JsonObject) -> str:
    """`NAME@VERSION` of the parent a stored mandate was made from; "" for a declared one."""
    parent = spec.get("parent")
    return _text(parent, "mandate") if isinstance(parent, Mapping) else ""


def _kept(
    written: Sequence[JsonObject],
    rules: Iterable[DenyRule | StampRule],
    child: Mandate,
    owner: str,
) -> list[JsonObject]:
    return [
        _for_both_owners(rule, owner)
        for rule, compiled in zip(written, rules, strict=True)
        if about_same(compiled, child.allow) and not repeats(child, compiled)
    ]


def _attributed(rule: JsonObject, by: str) -> JsonObject:
    """The rule with its reason as `by`'s words: people decide by reasons, and read them as ours."""
    because = _text(rule, "because")
    return {**rule, "because": f"{by} says: {because}"} if because else rule


def _regexes(mandate: Mandate) -> set[str]:
    """The regular expressions anywhere in it."""
    found: list[Condition] = []
    for rules in (mandate.allow, mandate.deny, mandate.stamp, mandate.limits):
        found += [condition for rule in rules for condition in rule.conditions]
    inner = [each for items in found if isinstance(items, Items) for each in items.conditions]
    return {each.regex.text for each in (*found, *inner) if isinstance(each, FitsRegex)}


def _for_both_owners(rule: JsonObject, owner: str) -> JsonObject:
    excluded = texts(rule, "not")
    if "owner" not in excluded:
        return rule
    return {**rule, "not": [*excluded, *(name for name in (owner,) if name not in excluded)]}


def _renamed(rule: JsonObject, taken: set[str]) -> JsonObject:
    """Without its name, if the child has a rule of that name: then it goes by its number."""
    return _without_id(rule) if _text(rule, "id") in taken else rule


def _without_id(rule: JsonObject) -> JsonObject:
    return {key: value for key, value in rule.items() if key != "id"}


def _list(value: Json) -> list[JsonObject]:
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, list) else []


def _text(table: JsonObject, key: str) -> str:
    value = table.get(key, "")
    return value if isinstance(value, str) else show(value)
