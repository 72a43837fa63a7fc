"""The sentences of verdicts. They reach agents and people: bounded, and never a secret.

They quote the call's own arguments, shortened, and the mandate's own words.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bailiwick.core.argument_path import NameTree
from bailiwick.core.call import Call, Target
from bailiwick.core.circumstances import phrases
from bailiwick.core.conditions import (
    Anything,
    Condition,
    failure,
    name_of,
    permits,
    reason,
    sentence,
)
from bailiwick.core.mandate import AllowRule, DenyRule, Mandate, StampRule
from bailiwick.core.target_pattern import covers
from bailiwick.core.values import HOLDS, MAX_SHOWN, show
from bailiwick.core.verdict import Requirement

MAX_SENTENCE = 600
"""Longest text of a verdict, in characters."""

MAX_ALTERNATIVES = 5
"""How many rules a verdict offers as what would be allowed."""


def named(target: Target) -> str:
    """A target in backticks: an agent makes up its name, so it is shortened and made visible."""
    text = str(target)
    # Nearly every name is plain, and this is on the path of every call.
    if text.isascii() and text.isprintable() and len(text) <= MAX_SHOWN and "`" not in text:
        return f"`{text}`"
    return show(text)


def why_ambiguous(call: Call, twins: tuple[str, str]) -> str:
    """That two arguments may be taken for one."""
    one, other = (show(name) for name in twins)
    return f"{named(call.target)} is given {one} and {other}, which may be taken for one argument"


def what_is_allowed(mandate: Mandate, target: Target) -> str:
    """What would have been allowed, as a sentence a model can act on; "" if nothing like it."""
    plan = mandate.plan(target)
    if any(not rule.conditions and not rule.circumstances for rule in plan.deny):
        return ""
    if plan.allow:
        unless = "".join(f"; not {_unless(rule)}" for rule in plan.deny[:3])
        alternatives = _or(_with(named(target), rule) for rule in plan.allow)
        return shorten(f"What is allowed: {alternatives}{unless}")
    patterns = [
        show(str(pattern))
        for rule in mandate.allow
        for pattern in rule.targets
        if pattern.kind is target.kind
    ]
    return shorten(f"What is allowed: {_or(dict.fromkeys(patterns))}") if patterns else ""


def why_not_permitted(rule: AllowRule, call: Call, unnamed_argument: str = "") -> str:
    """Why the nearest allow rule does not let the call through."""
    if unnamed_argument:
        names = ", ".join(show(name) for name in _top_names(rule.names))
        rest = f"the mandate names {names}" if names else "the mandate names none"
        return shorten(f"{named(call.target)} may not be given {show(unnamed_argument)}: {rest}")
    failing = [rule for rule in rule.conditions if not permits(rule, call.judged)]
    faults = "; ".join(failure(condition, call.judged) for condition in failing[:3])
    return shorten(f"{named(call.target)} is refused: {faults}")


def why_denied(rule: DenyRule, call: Call) -> str:
    """Why a deny rule applies, in its own words if it has some."""
    return shorten(f"{named(call.target)} is denied by `{rule.id}`: {_because(rule, call)}")


def why_held(rules: Sequence[StampRule], requirement: Requirement, call: Call) -> str:
    """Why the call waits, and for whom."""
    reasons = "; ".join(dict.fromkeys(_because(rule, call) for rule in rules))
    return shorten(f"{named(call.target)} needs {whose_stamp(requirement)}: {reasons}")


def whose_stamp(requirement: Requirement) -> str:
    """Whose stamp is needed. Names nobody: this sentence reaches the agent."""
    many = requirement.count > 1
    count = f"the stamps of {requirement.count} people" if many else "the stamp of a person"
    role = f" with the role `{requirement.role}`" if requirement.role else ""
    return count + role


def describe(rule: AllowRule) -> str:
    """An allow rule as one phrase: "`bank/transfer` with `amount` at most 5000"."""
    return _with(_or(show(str(pattern)) for pattern in rule.targets), rule)


def shorten(text: str, limit: int = MAX_SENTENCE) -> str:
    """`text`, cut at `limit` characters with an ellipsis."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _because(rule: DenyRule | StampRule, call: Call) -> str:
    facts = "; ".join(reason(condition, call.judged) for condition in rule.conditions[:3])
    if rule.circumstances:
        facts = "; ".join(filter(None, (facts, phrases(rule.circumstances))))
    if rule.because:
        return f"{rule.because} ({facts})" if facts else rule.because
    if facts:
        return facts
    if covers(rule.targets, call.target) is HOLDS:
        return "the mandate says so for every such call"
    return f"{named(call.target)} may be read as something the rule means"


def _with(subject: str, rule: AllowRule) -> str:
    when = f", {phrases(rule.circumstances)}" if rule.circumstances else ""
    return _arguments(subject, rule) + when


def _arguments(subject: str, rule: AllowRule) -> str:
    plain = [condition for condition in rule.conditions if not isinstance(condition, Anything)]
    free = [condition for condition in rule.conditions if isinstance(condition, Anything)]
    parts = [sentence(condition).replace(" is ", " ", 1) for condition in plain]
    if free:
        parts.append("any " + ", ".join(name_of(condition) for condition in free))
    if rule.other_arguments:
        return f"{subject} with {' and '.join(parts)}" if parts else f"{subject} with any arguments"
    if not parts:
        return f"{subject} without arguments"
    return f"{subject} with {' and '.join(parts)}, and no other arguments"


def _unless(rule: DenyRule) -> str:
    parts = [f"if {_join(rule.conditions)}"] if rule.conditions else []
    return " and ".join((*parts, *(each.phrase for each in rule.circumstances)))


def _join(conditions: Iterable[Condition]) -> str:
    return " and ".join(sentence(condition) for condition in conditions)


def _or(phrases: Iterable[str]) -> str:
    all_phrases = list(phrases)
    text = " or ".join(all_phrases[:MAX_ALTERNATIVES])
    more = len(all_phrases) - MAX_ALTERNATIVES
    return f"{text} and {more} more" if more > 0 else text


def _top_names(names: NameTree) -> list[str]:
    return [str(name) for name in list(names)[:12]]
