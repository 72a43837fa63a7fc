"""Allow, deny and stamp rules in words, whole."""

from __future__ import annotations

from bailiwick.core.limits.windows import duration
from bailiwick.core.mandate import AllowRule, DenyRule, StampRule
from bailiwick.core.reading.circumstances import circumstances
from bailiwick.core.reading.conditions import given_with, vouched_besides, where
from bailiwick.core.reading.quoting import one_of, people, quote, rule_name
from bailiwick.core.reading.targets import targets


def read_allow(rule: AllowRule) -> str:
    """ "May use the tool `bank/transfer` with `amount` at most 5,000, and no other arguments"."""
    given = given_with(rule.conditions, others=rule.other_arguments)
    besides = vouched_besides(rule.vouched, rule.conditions)
    only = circumstances(rule.circumstances)
    when = f", only {only}" if only else ""
    return f"May use {targets(rule.targets)} {given}{besides}{when} (rule {rule_name(rule.id)})."


def read_deny(rule: DenyRule) -> str:
    """ "Must never use the tool `bank/close`"."""
    return f"Must never use {_about(rule)}{_because(rule.because)} (rule {rule_name(rule.id)})."


def read_stamp(rule: StampRule) -> str:
    """ "Two different people with the role `treasurer` must stamp every use of …"."""
    role = f" with the role {quote(rule.role)}" if rule.role is not None else ""
    text = f"{people(rule.count)}{role} must stamp every use of {_about(rule)}"
    if rule.excluded:
        text += f"; not {one_of(map(quote, sorted(rule.excluded)))}"
    if rule.expires_after_seconds is not None:
        text += f"; it is refused if that takes longer than {duration(rule.expires_after_seconds)}"
    return f"{text}{_because(rule.because)} (rule {rule_name(rule.id)})."


def _about(rule: DenyRule | StampRule) -> str:
    about = " ".join(filter(None, (targets(rule.targets), where(rule.conditions))))
    return ", ".join(filter(None, (about, circumstances(rule.circumstances))))


def _because(because: str) -> str:
    return f"; the reason given is {quote(because)}" if because else ""
