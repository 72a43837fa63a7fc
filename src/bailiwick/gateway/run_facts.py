"""What is known of a run: what it was told when it began, by whom, and whether it has ended."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from bailiwick.core.canonical import Json, JsonObject
from bailiwick.core.flow.labels import NO_LABELS, Facts, FreshRun
from bailiwick.core.run_words import RunWords
from bailiwick.core.thinking.said_and_did import Thought
from bailiwick.core.values import show
from bailiwick.core.verdict import Deny
from bailiwick.gateway.gate import NOTHING_SAID, Asked

PERSON = "person"
AGENT = "agent"
FIRST_MESSAGE = "first_message"


class RunFacts(msgspec.Struct, frozen=True):
    """A run as it was begun. Nothing of it changes afterwards but `ended`.

    Attributes:
        run: its id.
        instruction: what the run is to do, in the words given; "" if nothing was said.
        supplier: who gave the instruction: `person`, `agent` (its harness), "" without one.
        instruction_from: where an agent's came from, if not from what its harness said:
            `first_message` (of the run's first model call); else "".
        started_by: `person` or `agent`. It also says who gave `purpose` and `labels`.
        person: name of the person who started it, "" for an agent's.
        end_user: for whom the whole run is; "" leaves it to be said with each call.
        ended: nothing more is dispatched in it.
        fresh: made of the others: its labels while it has read nothing, for a call that says
            nothing of its own. Most calls are judged by just these.
    """

    run: str
    agent: str
    mandate: str
    instruction: str = ""
    supplier: str = ""
    instruction_from: str = ""
    started_by: str = AGENT
    person: str = ""
    purpose: str = ""
    labels: frozenset[str] = frozenset()
    end_user: str = ""
    ended: bool = False
    fresh: FreshRun = NO_LABELS

    def __post_init__(self) -> None:
        facts = Facts(
            run=self.run,
            purpose=self.purpose,
            run_labels=self.labels,
            end_user=self.end_user,
            end_user_by=self.started_by if self.end_user else "",
            started_by=self.started_by,
        )
        msgspec.structs.force_setattr(self, "fresh", FreshRun(facts))


def begun(run: str, agent: str, mandate: str, words: RunWords, person: str = "") -> RunFacts:
    """A run that begins with these words, said by `person`, or "" for the agent's side."""
    by = PERSON if person else AGENT
    return RunFacts(
        run=run,
        agent=agent,
        mandate=mandate,
        instruction=words.instruction,
        supplier=by if words.instruction else "",
        started_by=by,
        person=person,
        purpose=words.purpose,
        labels=frozenset(words.labels),
        end_user=words.end_user,
    )


def of_first_message(told: RunFacts, instruction: str) -> RunFacts:
    """The same run of an agent's, with what its first message says."""
    return msgspec.structs.replace(
        told, instruction=instruction, supplier=AGENT, instruction_from=FIRST_MESSAGE
    )


def as_payload(told: RunFacts, key: str) -> JsonObject:
    """What is sealed of a run when it begins."""
    origin = {"instruction_from": told.instruction_from} if told.instruction_from else {}
    return {
        "key": key,
        "instruction": told.instruction,
        **origin,
        "started_by": told.started_by,
        "person": told.person,
        "purpose": told.purpose,
        "labels": sorted(told.labels),
        "end_user": told.end_user,
    }


def from_payload(run: str, agent: str, mandate: str, payload: Json, *, ended: bool) -> RunFacts:
    """The run whose payload that is. What cannot be read (it was erased) counts as never said."""
    content = payload.get("content") if isinstance(payload, Mapping) else None
    if not isinstance(content, Mapping):
        return RunFacts(run, agent, mandate, ended=ended)
    labels = content.get("labels", ())
    assert isinstance(labels, list | tuple)
    person = str(content.get("person", ""))
    words = RunWords(
        str(content.get("instruction", "")),
        str(content.get("purpose", "")),
        tuple(str(label) for label in labels),
        str(content.get("end_user", "")),
    )
    told = begun(run, agent, mandate, words, person)
    origin = str(content.get("instruction_from", ""))
    return msgspec.structs.replace(told, instruction_from=origin, ended=ended)


def facts_of(told: RunFacts, asked: Asked, zones: frozenset[str] | None) -> Facts:
    """What `judge` is told of a call's run and caller.

    Args:
        zones: names of the network zones the caller is in; None if its address is not known.
    """
    facts = told.fresh.facts
    said = "" if told.end_user else asked.said.end_user
    if said:
        return msgspec.structs.replace(facts, zones=zones, end_user=said, end_user_by=AGENT)
    if zones is not None:
        return msgspec.structs.replace(facts, zones=zones)
    return facts


def thinking(facts: Facts, thought: Thought) -> Facts:
    """The same facts, with how the call stands to what its run's models asked for."""
    return msgspec.structs.replace(
        facts, asked_by_model=thought.match._value_, differences=thought.differences
    )


def objection(told: RunFacts, asked: Asked) -> Deny | None:
    """Why this call has no place in the run, or None.

    A run's words are said once, when it begins. To say the same again is fine, since a client that
    keeps no session sends its headers with every request; to say something else is refused.
    """
    said, bound = asked.said, asked.caller.run
    if said is NOTHING_SAID and not bound and not told.ended:
        return None
    if bound and said.joins and said.joins != bound:
        return Deny("run_fixed", (), f"this token belongs to the run `{bound}` and to no other")
    wanted = bound or said.joins
    if wanted and told.run != wanted:
        because = f"there is no run {show(wanted)} of this agent under this mandate"
        return Deny("run_unknown", (), because)
    if told.ended:
        because = f"the run `{told.run}` was ended by a person: nothing more is done in it"
        return Deny("run_ended", (), because)
    changed = _changed(told, asked)
    if changed:
        if told.started_by == PERSON:
            because = f"a person began this run, and its {changed} cannot be set or changed"
        else:
            because = (
                f"this run has begun, and its {changed} cannot be set or changed afterwards: other "
                "work is another run (another session, or one asked for at `POST /api/v1/runs`)"
            )
        return Deny("run_fixed", (), because)
    return None


def _changed(told: RunFacts, asked: Asked) -> str:
    said = asked.said
    if said.instruction and said.instruction != told.instruction:
        return "instruction"
    if said.purpose and said.purpose != told.purpose:
        return "purpose"
    if said.labels and frozenset(said.labels) != told.labels:
        return "labels"
    if said.end_user and told.end_user and said.end_user != told.end_user:
        return "end user"
    return ""
