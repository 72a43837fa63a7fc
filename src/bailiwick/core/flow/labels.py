"""Flow: what a run has read, and where a value came from.

A run's memory (`RunMemory`, kept by the gateway) learns from the instruction and from every result.
`judge` asks it two things: what has this run seen (`Labels.untrusted`, `Labels.confidential`), and
is this value vouched for (`Labels.vouching`). Deterministic; no model decides.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from bailiwick.core.call import ModelUse
from bailiwick.core.canonical import Json
from bailiwick.core.target_pattern import TargetPattern


class Source(msgspec.Struct, frozen=True):
    """Where something was first seen.

    Attributes:
        kind: `instruction`, `mandate`, `result` or `stamp` for what was read or told; `arguments`
            for what the agent itself wrote before anybody else did; `unknown` if the run's past
            is not known any more.
        call: id of the call whose result (or arguments) it was, "" for the other kinds.
        name: of a result or of arguments their target (`mail/read`); of a stamp the person; of an
            instruction who supplied it (`person` or `agent`).
        path: where in the result, as an argument path; "" for the whole or for plain text.
    """

    kind: str
    call: str = ""
    name: str = ""
    path: str = ""


class Vouching(msgspec.Struct, frozen=True):
    """What is known of a value.

    Attributes:
        vouched: it comes from the person or from a trusted source.
        source: what vouches for it; if nothing does, where it was first seen, or None.
    """

    vouched: bool
    source: Source | None = None


class Facts(msgspec.Struct, frozen=True):
    """What the gateway knows of a run and its caller besides what it has read.

    Attributes:
        run: its id.
        purpose: of the run, as its starter said.
        run_labels: set by whoever started the run.
        end_user: for whom the agent acts; "" if unknown.
        end_user_by: who said so: `person`, `agent`, or "" if nobody did.
        zones: names of the declared network zones the caller's address lies in; None if the
            address is not known.
        started_by: `person` if a person started the run, else `agent`. `purpose` and
            `run_labels` are the starter's words.
        asked_by_model: how a tool call stands to what the models of its run asked for
            (`said_and_did.SaidAndDid`); `unknown` where that cannot be told.
        differences: where it differs from that, as argument paths.
        of_model: it is asked of a model call (see `core.thinking.model_calls`), and `use` is what
            is known of it, if anything.
    """

    run: str = ""
    purpose: str = ""
    run_labels: frozenset[str] = frozenset()
    end_user: str = ""
    end_user_by: str = ""
    zones: frozenset[str] | None = None
    started_by: str = "agent"
    asked_by_model: str = "unknown"
    differences: tuple[str, ...] = ()
    of_model: bool = False
    use: ModelUse | None = None


NO_FACTS = Facts()


class Labels(Protocol):
    """What a run has seen, as `judge` asks it."""

    @property
    def facts(self) -> Facts:
        """What is known of the run and its caller."""
        ...

    @property
    def untrusted(self) -> Source | None:
        """The first untrusted thing the run has read; None if there is none."""
        ...

    @property
    def confidential(self) -> Mapping[str, Source]:
        """Confidentiality labels of what the run has read, with where each first came from."""
        ...

    def vouching(self, value: Json) -> Vouching:
        """Whether `value` is vouched for, and by what."""
        ...


@dataclass(frozen=True, slots=True)
class FreshRun:
    """The labels of a run that has read nothing and was told nothing."""

    facts: Facts = NO_FACTS
    untrusted: Source | None = None
    confidential: Mapping[str, Source] = field(default_factory=dict)

    def vouching(self, value: Json) -> Vouching:
        """Nothing vouches for anything."""
        return Vouching(vouched=False)


NO_LABELS = FreshRun()


@dataclass(frozen=True, slots=True)
class ResultLabels:
    """What the results of some targets are worth.

    Attributes:
        trusted: whether values in them are vouched for; None says nothing about it. Results that
            nobody calls trusted are not (`worth.py`).
        confidential: labels that the run carries once it has read one.
        fields: if `trusted`, the only parts of these results that are, as `path_text` writes them
            (`contacts[].iban`); () for all of it. The rest is untrusted.
    """

    targets: tuple[TargetPattern, ...]
    trusted: bool | None = None
    confidential: frozenset[str] = frozenset()
    fields: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Accepts:
    """What some targets may be given by a run.

    Attributes:
        id: `MANDATE@VERSION/accepts/NAME`.
        untrusted: whether a run that has read something untrusted may call them.
        confidential: labels a run that calls them may carry; None for any.
        otherwise: `hold` or `refuse`.
        role: who may stamp, for `hold`; None for any person.
    """

    id: str
    targets: tuple[TargetPattern, ...]
    untrusted: bool = True
    confidential: frozenset[str] | None = None
    otherwise: str = "refuse"
    role: str | None = None


@dataclass(frozen=True, slots=True)
class Flow:
    """The flow rules of a mandate.

    Attributes:
        vouch_role: who may stamp a call for a value that is not vouched for; None for any person.
        person_instructs: only an instruction from a person vouches, not one of the agent's.
    """

    results: tuple[ResultLabels, ...] = ()
    accepts: tuple[Accepts, ...] = ()
    vouch_role: str | None = None
    person_instructs: bool = False


NO_FLOW = Flow()
