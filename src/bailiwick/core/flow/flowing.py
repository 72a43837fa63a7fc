"""What a mandate's flow rules say of one call, given what its run has read.

1. A rule of `accepts` that covers the call refuses or holds it when the run has read something
   untrusted, or carries a confidentiality label, that its target may not be given. A refusal comes
   before any hold. A rule whose pattern may be meant counts as meant.
2. An argument that the allow rule wants vouched for, and that is not, makes the call wait: one
   stamp rule for each such argument, naming the value and where it came from. Not at all given is
   not for this to judge: the condition that names the argument does.
"""

from __future__ import annotations

from collections.abc import Sequence

from bailiwick.core.argument_path import (
    MISSING,
    ArgumentPath,
    Gap,
    format_argument_path,
    parse_argument_path,
    reach,
)
from bailiwick.core.call import Call
from bailiwick.core.canonical import Json
from bailiwick.core.flow.labels import NO_FLOW, Accepts, Labels, Source
from bailiwick.core.flow.run_memory import MAX_LEAVES_ASKED, scalars
from bailiwick.core.mandate import AllowRule, Mandate, StampRule
from bailiwick.core.target_pattern import covers
from bailiwick.core.values import FAILS, show
from bailiwick.core.verdict import Deny

MAX_TOLD = 2
"""Values of one argument that a verdict names; `origins` lists them all for the person."""

MAX_ORIGINS = 50

_VOUCHED = "/vouched/"


def against_flow(
    mandate: Mandate, allow: AllowRule, call: Call, labels: Labels
) -> Deny | Sequence[StampRule]:
    """A refusal, or the stamps that flow asks for; none when all is well.

    Args:
        allow: the allow rule that let the call through.
    """
    if mandate.flow is NO_FLOW and not allow.vouched:
        return ()
    asking: list[StampRule] = []
    for rule in mandate.flow.accepts:
        if covers(rule.targets, call.target) is FAILS:
            continue
        against = _against(rule, labels)
        if not against:
            continue
        if rule.otherwise != "hold":
            because = f"{show(str(call.target))} may not be used now: {against}"
            return Deny("flow_refused", (rule.id,), because)
        asking.append(StampRule(rule.id, (), (), role=rule.role, because=against))
    for path in allow.vouched:
        missing = unvouched(path, call, labels)
        if missing:
            asking.append(
                StampRule(
                    f"{mandate.ref}{_VOUCHED}{format_argument_path(path)}",
                    (),
                    (),
                    role=mandate.flow.vouch_role,
                    because=_nobody_vouches(path, missing),
                )
            )
    return asking


def unvouched(
    path: ArgumentPath, call: Call, labels: Labels
) -> Sequence[tuple[Json, Source | None]]:
    """The values at `path` that nothing vouches for, each with where it was first seen.

    The value None stands for something that cannot be read, or for more values than are looked at.
    """
    missing: list[tuple[Json, Source | None]] = []
    count = 0
    for found in reach(path, call.arguments):
        if found is MISSING or found is None:
            continue
        if isinstance(found, Gap):
            missing.append((None, None))
            continue
        plain = list(scalars(found))
        if not plain:  # `[]` and `{}`: many tools take "none given" for "all"
            missing.append((found, None))
        for value in plain:
            count += 1
            if count > MAX_LEAVES_ASKED:
                return [*missing, (None, None)]
            vouching = labels.vouching(value)
            if not vouching.vouched:
                missing.append((value, vouching.source))
    return missing


def origins(rules: Sequence[str], call: Call, labels: Labels) -> tuple[str, ...]:
    """For the person who is to stamp: every value that `rules` (of a Hold) wait for, and where it
    came from, a line each."""
    lines: list[str] = []
    for path in vouched_paths(rules):
        name = show(format_argument_path(path))
        for value, source in unvouched(path, call, labels):
            what = "something that cannot be read" if value is None else show(value)
            lines.append(f"{name}: {what}, {first_seen(source)}")
    if len(lines) > MAX_ORIGINS:
        more = len(lines) - MAX_ORIGINS
        return (*lines[:MAX_ORIGINS], f"and {more} more, none of them vouched for")
    return tuple(lines)


def vouched_paths(rules: Sequence[str]) -> list[ArgumentPath]:
    """The arguments that a hold under `rules` was to vouch for: a stamp on it does."""
    found: dict[ArgumentPath, None] = {}
    for rule in rules:
        _, sign, text = rule.partition(_VOUCHED)
        if sign:
            found[parse_argument_path(text)] = None
    return list(found)


def stamped_values(rules: Sequence[str], call: Call) -> list[Json]:
    """The values that a stamp on a hold under `rules` vouches for from then on."""
    return [
        found
        for path in vouched_paths(rules)
        for found in reach(path, call.arguments)
        if not isinstance(found, Gap) and found is not None
    ]


def first_seen(source: Source | None) -> str:
    """Where something comes from, for people: "first seen in `body` in the result of `mail/read`".

    What a server or an agent made up (names, paths) stands shortened and in backticks.
    """
    if source is None:
        return "seen nowhere in what this run has read"
    if source.kind == "result":
        where = f"{show(source.path)} in " if source.path else ""
        return f"first seen in {where}the result of {show(source.name)} (call {source.call})"
    if source.kind == "arguments":
        return f"first written by the agent itself, to {show(source.name)} (call {source.call})"
    if source.kind == "unknown":
        return "of unknown origin"
    who = f" ({source.name})" if source.name else ""
    return f"known from the {source.kind}{who}"


def _nobody_vouches(path: ArgumentPath, missing: Sequence[tuple[Json, Source | None]]) -> str:
    name = show(format_argument_path(path))
    told = [
        f"{show(value)}, {first_seen(source)}"
        for value, source in missing[:MAX_TOLD]
        if value is not None
    ]
    if not told:
        return f"{name} cannot be read, so nobody vouches for it"
    more = len(missing) - len(told)
    rest = f", and {more} more" if more else ""
    return f"nobody vouches for {name}: {'; '.join(told)}{rest}"


def _against(rule: Accepts, labels: Labels) -> str:
    """What the run has read that `rule` does not accept, in words; "" if it accepts all."""
    untrusted = labels.untrusted
    if untrusted is not None and not rule.untrusted:
        return f"this run has read something untrusted, {_read_from(untrusted)}"
    if rule.confidential is None:
        return ""
    for label, source in labels.confidential.items():
        if label not in rule.confidential:
            return f"this run has read something confidential ({show(label)}), {_read_from(source)}"
    return ""


def _read_from(source: Source) -> str:
    if source.kind == "unknown":
        return "for all that is known: what it did before is not known any more"
    return f"first from {show(source.name)} (call {source.call})"
