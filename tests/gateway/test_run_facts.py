"""What `judge` is told of a run: made once with the run, and the same as if made for each call."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from bailiwick.core.call import CallKind, Target
from bailiwick.core.flow.labels import Facts
from bailiwick.gateway.gate import NOTHING_SAID, Asked, Said
from bailiwick.gateway.run_facts import RunFacts, facts_of, objection
from bailiwick.ports import Caller

NAMES = st.sampled_from(["", "a", "b"])
RUNS = st.builds(
    RunFacts,
    run=st.sampled_from(["R1", "R2"]),
    agent=st.just("clerk"),
    mandate=st.just("payments"),
    purpose=NAMES,
    labels=st.frozensets(NAMES.filter(bool)),
    started_by=st.sampled_from(["person", "agent"]),
    end_user=NAMES,
    ended=st.booleans(),
)
SAID = st.just(NOTHING_SAID) | st.builds(Said, end_user=NAMES, purpose=NAMES, joins=NAMES)
ZONES = st.none() | st.frozensets(st.sampled_from(["office", "home"]))


def asked(said: Said, bound: str = "") -> Asked:
    caller = Caller("clerk", "payments", "ada", "token-1", 2**62, bound)
    return Asked(caller, Target(CallKind.TOOL, "bank", "pay"), {}, "key", "mcp", said=said)


@given(RUNS, SAID, ZONES)
def test_the_facts_of_a_call_are_those_of_its_run_and_what_it_says(
    told: RunFacts, said: Said, zones: frozenset[str] | None
) -> None:
    by = told.started_by if told.end_user else "agent" if said.end_user else ""
    assert facts_of(told, asked(said), zones) == Facts(
        run=told.run,
        purpose=told.purpose,
        run_labels=told.labels,
        end_user=told.end_user or said.end_user,
        end_user_by=by,
        zones=zones,
        started_by=told.started_by,
    )


@given(RUNS)
def test_most_calls_of_a_run_share_its_facts(told: RunFacts) -> None:
    assert facts_of(told, asked(NOTHING_SAID), None) is told.fresh.facts
    assert told.fresh.untrusted is None
    assert not told.fresh.confidential


@given(RUNS, RUNS)
def test_a_run_that_is_changed_has_the_facts_of_what_it_is_now(one: RunFacts, to: RunFacts) -> None:
    changed = msgspec.structs.replace(one, run=to.run, purpose=to.purpose, end_user=to.end_user)
    assert changed.fresh.facts.run == to.run
    assert changed.fresh.facts.purpose == to.purpose
    assert changed.fresh.facts.end_user == to.end_user


@given(RUNS, st.sampled_from(["", "R1", "R2"]))
def test_who_says_nothing_is_looked_at_as_closely_as_who_says_empty_words(
    told: RunFacts, bound: str
) -> None:
    assert objection(told, asked(NOTHING_SAID, bound)) == objection(told, asked(Said(), bound))
