"""What is wrong with flow rules that their shape cannot say, and what is hardly meant."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from bailiwick.core.values import show
from bailiwick.declared.problems import Problem, did_you_mean
from bailiwick.declared.tree import Items, Node, Scalar, Table

NOT_HERE = (
    "`vouched` stands in allow rules only: a value that nobody vouches for makes the call wait, "
    "and neither denies it nor asks for a stamp by itself"
)


def flow_rules(mandate: Table) -> Iterator[tuple[str, Table]]:
    """The rules of `flow` that are about targets, with their section."""
    flow = mandate.get("flow")
    for section in ("results", "accepts"):
        for rule in _tables(flow.get(section) if isinstance(flow, Table) else None):
            yield section, rule


def check_flow(mandate: Table) -> Iterator[Problem]:
    """Problems with `flow` and with `vouched`. Shapes are sound already."""
    for section in ("deny", "stamp", "limits"):
        for rule in _tables(mandate.get(section)):
            for _, condition in _conditions(rule):
                vouched = condition.get("vouched")
                if vouched is not None:
                    yield Problem(vouched.place, NOT_HERE)
    for section, rule in flow_rules(mandate):
        if (
            section == "results"
            and rule.get("trusted") is None
            and rule.get("confidential") is None
        ):
            yield Problem(rule.place, "says nothing: give `trusted`, `confidential` or both")
        fields, trusted = rule.get("fields"), rule.get("trusted")
        if fields is not None and not (isinstance(trusted, Scalar) and trusted.value is True):
            message = "`fields` says what of a result is trusted: write `trusted: true`"
            yield Problem(fields.place, message)
        if section == "accepts":
            yield from _check_accepts(rule)


def _check_accepts(rule: Table) -> Iterator[Problem]:
    if rule.get("untrusted") is None and rule.get("confidential") is None:
        yield Problem(rule.place, "says nothing: give `untrusted`, `confidential` or both")
    otherwise, role = rule.get("otherwise"), rule.get("role")
    if role is not None and isinstance(otherwise, Scalar) and otherwise.value == "refuse":
        yield Problem(role.place, "nobody stamps what is refused: write `otherwise: hold`")


def warn_flow(
    mandate: Table, roles: Collection[str], server_labels: Collection[str]
) -> Iterator[Problem]:
    """What can be used but is probably not meant.

    Args:
        roles: that somebody has.
        server_labels: confidentiality labels that declarations of servers set.
    """
    flow = mandate.get("flow")
    vouch = flow.get("vouch") if isinstance(flow, Table) else None
    role = vouch.get("role") if isinstance(vouch, Table) else None
    yield from _nobody_has(role, roles)
    if isinstance(vouch, Table) and not any(
        condition.get("vouched") is not None
        for rule in _tables(mandate.get("allow"))
        for _, condition in _conditions(rule)
    ):
        yield Problem(vouch.place, "no allow rule asks for `vouched: true`, so this says nothing")
    known = set(server_labels)
    for section, rule in flow_rules(mandate):
        if section == "results":
            known |= {str(label.value) for label in _scalars(rule.get("confidential"))}
    for section, rule in flow_rules(mandate):
        if section != "accepts":
            continue
        yield from _nobody_has(rule.get("role"), roles)
        for label in _scalars(rule.get("confidential")):
            if label.value not in known:
                near = did_you_mean(str(label.value), known)
                yield Problem(label.place, f"no results carry the label {show(label.value)}{near}")


def _nobody_has(role: Node | None, roles: Collection[str]) -> Iterator[Problem]:
    if isinstance(role, Scalar) and role.value not in roles:
        near = did_you_mean(str(role.value), roles)
        yield Problem(
            role.place, f"nobody has the role {show(role.value)}, so nobody can stamp{near}"
        )


def _conditions(rule: Table) -> Iterator[tuple[Scalar, Table]]:
    when = rule.get("when")
    for key, condition in when.entries if isinstance(when, Table) else ():
        if isinstance(condition, Table):
            yield key, condition


def _tables(node: Node | None) -> Iterator[Table]:
    for item in node.items if isinstance(node, Items) else ():
        if isinstance(item, Table):
            yield item


def _scalars(node: Node | None) -> Iterator[Scalar]:
    if isinstance(node, Scalar):
        yield node
    elif isinstance(node, Items):
        yield from (item for item in node.items if isinstance(item, Scalar))
