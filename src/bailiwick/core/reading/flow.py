"""Flow rules in words, whole."""

from __future__ import annotations

from collections.abc import Iterator

from bailiwick.core.flow.labels import Accepts, ResultLabels
from bailiwick.core.mandate import Mandate
from bailiwick.core.reading.quoting import all_of, quote, rule_name
from bailiwick.core.reading.targets import targets


def read_flow(mandate: Mandate) -> Iterator[str]:
    """What results are worth, what may be given to whom, and who vouches."""
    flow = mandate.flow
    for labels in flow.results:
        yield _results(labels)
    for accepts in flow.accepts:
        yield read_accepts(accepts)
    vouches = any(rule.vouched for rule in mandate.allow)
    if vouches or flow.vouch_role is not None:
        whose = (
            f"a person with the role {quote(flow.vouch_role)}"
            if flow.vouch_role is not None
            else "a person"
        )
        yield f"A call with a value that must be vouched for, and is not, waits for {whose}."
    if flow.person_instructs:
        yield "An instruction vouches for values only if a person gave it."
    elif vouches:
        yield "An instruction vouches for values whether a person or the agent's side gave it."
    if vouches and not mandate.parent:
        yield "This mandate's own purpose, and the values that it allows by name, are vouched for."
    if flow.results or flow.accepts or vouches:
        yield "Results that neither this nor their server's declaration calls trusted are not."


def _results(labels: ResultLabels) -> str:
    said: list[str] = []
    if labels.trusted is not None:
        said.append("are trusted" if labels.trusted else "are untrusted")
    if labels.fields:
        said.append(f"of them only {all_of(map(quote, labels.fields))}")
    if labels.confidential:
        said.append(f"are confidential as {all_of(map(quote, sorted(labels.confidential)))}")
    return f"Results of {targets(labels.targets)} {', '.join(said) or 'are as their server says'}."


def read_accepts(rule: Accepts) -> str:
    """What a run may have read that calls these targets, and what happens otherwise."""
    asked: list[str] = []
    if not rule.untrusted:
        asked.append("has read nothing untrusted")
    if rule.confidential is not None:
        but = f" but {all_of(map(quote, sorted(rule.confidential)))}" if rule.confidential else ""
        asked.append(f"has read nothing confidential{but}")
    run = f"A run that {' and '.join(asked)} may use" if asked else "Any run may use"
    otherwise = "is refused"
    if rule.otherwise == "hold":
        otherwise = "waits for a person"
    if rule.role is not None:
        otherwise += f" with the role {quote(rule.role)}"
    name = rule_name(rule.id)
    return f"{run} {targets(rule.targets)}; any other such call {otherwise} (rule {name})."
