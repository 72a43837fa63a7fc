"""What a judgement looked at besides the call, its mandates and the time: recorded to explain it.

Counters and what a run has read change with every call. So what they said when a call was judged
is kept in its sealed intent, where its mandates ask for either, and read back from there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from bailiwick.core.argument_path import ArgumentPath, Gap, reach
from bailiwick.core.call import NOTHING, Call, Target
from bailiwick.core.canonical import Json, JsonObject
from bailiwick.core.flow.labels import Facts, Labels, Source, Vouching
from bailiwick.core.flow.run_memory import scalars
from bailiwick.core.limits.charging import NOT_A_MEMBER, charges
from bailiwick.core.limits.forms import known_to
from bailiwick.core.limits.limit import Charge, Counters
from bailiwick.core.line import Line, line_of
from bailiwick.core.mandate import Mandate
from bailiwick.core.verdict import Deny, Verdict

MAX_VALUES = 64
"""Values of one call whose origin is recorded."""


def looked(chain: Sequence[Mandate], target: Target, *, policies: bool) -> Line | None:
    """What `chain` asks of calls to `target`, if judging them looks at anything of which `see`
    would tell; else None. Total."""
    try:
        line = line_of(chain, target)
        return line if policies or line.asks_more else None
    except Exception:  # noqa: BLE001 - as `see`, which then tells nothing
        return None


def see(
    call: Call,
    chain: Sequence[Mandate],
    verdict: Verdict,
    counters: Counters,
    labels: Labels,
    now: int,
    *,
    policies: bool,
    line: Line | None = None,
) -> JsonObject:
    """What is to be recorded of a judgement just made; {} where nothing was looked at.

    Total: what cannot be told must not keep a denial from being recorded.

    Args:
        policies: there are some, and they may ask what the run has read.
        line: of this very chain and the call's target, where the caller knows it (`looked`).
    """
    try:
        if line is None:
            line = looked(chain, call.target, policies=policies)
            if line is None:  # as of most
                return NOTHING
        found: dict[str, Json] = {}
        if line.limits:
            if isinstance(verdict, Deny):
                taken, before = _before(call, chain, counters, labels.facts.run, now)
            else:
                taken, before = verdict.charges, verdict.used
            if taken:
                found["used"] = _used(taken, before, counters)
        if policies or line.vouched or line.flows:
            _add_origins(found, call, line, labels)
        return found
    except Exception:  # noqa: BLE001 - it explains afterwards, and decides nothing
        return NOTHING


def _add_origins(found: dict[str, Json], call: Call, line: Line, labels: Labels) -> None:
    """Where what the run has read came from, and the call's own values that are vouched for."""
    if labels.untrusted is not None:
        found["untrusted"] = _source(labels.untrusted)
    if labels.confidential:
        confidential = labels.confidential.items()
        found["confidential"] = {label: _source(source) for label, source in confidential}
    vouched = line.vouched
    if vouched:
        found["values"] = [_vouching(labels.vouching(value)) for value in _values(call, vouched)]


def _values(call: Call, paths: Sequence[ArgumentPath]) -> list[Json]:
    """What stands there: the same values in the same order, whenever it is asked."""
    found = [
        value
        for path in dict.fromkeys(paths)
        for there in reach(path, call.arguments)
        if not isinstance(there, Gap)
        for value in scalars(there)
    ]
    return found[:MAX_VALUES]


def _before(
    call: Call, chain: Sequence[Mandate], counters: Counters, run: str, now: int
) -> tuple[tuple[Charge, ...], tuple[int, ...]]:
    """What a call that is denied would take, and what is used before each; none if it cannot be
    told."""
    taken = charges(call, chain, run, now)
    return ((), ()) if isinstance(taken, Deny) else (taken, tuple(map(counters.used, taken)))


def _used(taken: Sequence[Charge], before: Sequence[int], counters: Counters) -> list[list[int]]:
    """Used before the call, for each charge: with its own value counted, and without."""
    pairs = [[used, used] for used in before]
    known = known_to(taken, counters)
    if known is not None:  # few charges count values
        for at in known.members:
            pairs[at][1] = known.held[at].used_in_all(taken[at])
        return pairs
    for charge, pair in zip(taken, pairs, strict=True):
        if charge.member:
            pair[1] = counters.used(_memberless(charge))
    return pairs


def _memberless(charge: Charge) -> Charge:
    return msgspec.structs.replace(charge, member=NOT_A_MEMBER)


def _source(source: Source) -> JsonObject:
    return {key: value for key, value in msgspec.structs.asdict(source).items() if value}


def _vouching(vouching: Vouching) -> Json:
    said: dict[str, Json] = {"vouched": vouching.vouched}
    if vouching.source is not None:
        said["source"] = _source(vouching.source)
    return said


# --- reading it back -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Recorded:
    """What a recorded judgement saw: its `Labels` and, once its charges are known, `Counters`.

    Attributes:
        used: for each charge, in order; see `see`.
        values: how each was vouched for, by its own writing.
    """

    facts: Facts
    used: tuple[tuple[int, int], ...] = ()
    untrusted: Source | None = None
    confidential: Mapping[str, Source] = field(default_factory=dict)
    values: Mapping[str, Vouching] = field(default_factory=dict)

    def vouching(self, value: Json) -> Vouching:
        """As recorded; of what is not, nothing vouches."""
        return self.values.get(repr(value), Vouching(vouched=False))


@dataclass(frozen=True, slots=True)
class RecordedCounters:
    """What was used of limits before a recorded call."""

    known: Mapping[tuple[str, str, str, str], int]

    def used(self, charge: Charge) -> int:
        """As recorded; 0 if it was not."""
        return self.known.get(_key(charge), 0)


def recorded(facts: Facts, call: Call, chain: Sequence[Mandate], said: Json) -> Recorded:
    """What `see` made, read back. What is not of that shape counts as never recorded."""
    if not isinstance(said, Mapping):
        return Recorded(facts)
    used, values = said.get("used"), said.get("values")
    confidential = said.get("confidential")
    pairs = used if isinstance(used, list) else []
    known = values if isinstance(values, list) else []
    there = _values(call, line_of(chain, call.target).vouched) if chain else []
    return Recorded(
        facts,
        tuple((pair[0], pair[1]) for pair in pairs if _is_pair(pair)),
        _read_source(said.get("untrusted")),
        {
            label: _read_source(source) or Source("unknown")
            for label, source in (confidential.items() if isinstance(confidential, Mapping) else ())
        },
        {
            repr(value): Vouching(each.get("vouched") is True, _read_source(each.get("source")))
            for value, each in zip(there, known, strict=False)
            if isinstance(each, Mapping)
        },
    )


def counters_of(found: Recorded, taken: Sequence[Charge]) -> RecordedCounters | None:
    """Counters that say of `taken` what was recorded; None if that was of other charges."""
    if len(taken) != len(found.used):
        return None
    known: dict[tuple[str, str, str, str], int] = {}
    for charge, (without, in_all) in zip(taken, found.used, strict=True):
        known[_key(charge)] = without
        if charge.member:
            known[_key(_memberless(charge))] = in_all
    return RecordedCounters(known)


def _key(charge: Charge) -> tuple[str, str, str, str]:
    return charge.rule, charge.unit, charge.key, charge.member


def _is_pair(pair: Json) -> bool:
    return isinstance(pair, list | tuple) and [type(each) for each in pair] == [int, int]


def _read_source(said: Json) -> Source | None:
    if not isinstance(said, Mapping):
        return None
    return Source(*(str(said.get(key, "")) for key in ("kind", "call", "name", "path")))
