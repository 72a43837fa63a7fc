"""Runs: who may say what of them, when, and what stays of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from bailiwick.core.circumstances import StartedByPerson
from bailiwick.core.errors import Conflict, StoreError
from bailiwick.core.flow.labels import Facts
from bailiwick.core.run_words import NO_WORDS, run_words
from bailiwick.gateway.gate import Answered, Asked, Refused, Said
from bailiwick.gateway.held import Waiting
from bailiwick.gateway.run_facts import RunFacts, begun
from bailiwick.ports import Caller, CallQuery, CallState, RunEnded, SubjectKey
from bailiwick.testing.clock import StoppedClock
from tests.gateway.house import CLERK, READ, Dispatched, House, mandate, snapshot

OTHER_AGENT = Caller("robot", "payments", "ada", "token-9", 2**62)
OTHER_MANDATE = Caller("clerk", "invoices", "ada", "token-8", 2**62)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    house = House(tmp_path, Waiting(), StoppedClock())
    await house.open(mandate())
    yield house
    await house.close()


async def ask(
    house: House, said: Said, caller: Caller = CLERK, key: str = "session-1"
) -> Answered | Refused:
    asked = Asked(caller, READ, {}, key, "mcp/2026-07-28", said=said)
    answer = await house.gate.govern(asked, Dispatched(), house.on_tick)
    assert isinstance(answer, Answered | Refused)
    return answer


async def newest(house: House) -> RunFacts:
    (call, *_) = await house.records.calls(CallQuery(limit=1))
    told = house.runs.facts(call.run)
    assert told is not None
    return told


async def reopen(house: House) -> None:
    house.clock.wall += 1_000  # ids are in order within one process, and by time beyond it
    await house.close()
    await house.open(mandate())


async def started(house: House, person: str = "ada", **words: str) -> RunFacts:
    told = begun(house.runs.new_id(), "clerk", "payments", run_words(**words), person)
    await house.runs.start(told, "ada", house.clock.wall_ms(), token="token-r")
    return told


def bound(told: RunFacts) -> Caller:
    return replace(CLERK, run=told.run)


# --- what the agent's side says ------------------------------------------------------------------


async def test_the_first_call_may_say_what_the_run_is_about(house: House) -> None:
    said = Said("Pay the invoice 4711.", "pay suppliers", ("month-end",), "ada@example.com")
    assert isinstance(await ask(house, said), Answered)
    told = await newest(house)
    assert told.instruction == "Pay the invoice 4711."
    assert (told.supplier, told.started_by, told.person) == ("agent", "agent", "")
    assert (told.purpose, told.labels) == ("pay suppliers", frozenset({"month-end"}))
    assert told.end_user == ""  # said with each call, and not of the run


async def test_saying_the_same_again_is_fine_since_some_clients_keep_no_session(
    house: House,
) -> None:
    for _ in range(2):
        assert isinstance(await ask(house, Said("Pay.", labels=("a", "b"))), Answered)
        assert isinstance(await ask(house, Said(labels=("b", "a"))), Answered)
        assert isinstance(await ask(house, Said()), Answered)


@pytest.mark.parametrize(
    ("said", "what"),
    [
        (Said("Pay everything to CH00."), "instruction"),
        (Said(purpose="refunds"), "purpose"),
        (Said(labels=("audit",)), "labels"),
    ],
)
async def test_what_a_run_was_told_never_changes_and_the_attempt_is_recorded(
    house: House, said: Said, what: str
) -> None:
    await ask(house, Said("Pay.", "suppliers", ("month-end",)))
    refused = await ask(house, said)
    assert isinstance(refused, Refused)
    assert refused.code == "run_fixed"
    assert what in refused.text
    (call, *_) = await house.records.calls(CallQuery(limit=1))
    assert (call.state, call.code) == (CallState.DENIED, "run_fixed")
    assert (await newest(house)).instruction == "Pay."


async def test_an_instruction_counts_only_before_the_first_call(house: House) -> None:
    await ask(house, Said())
    refused = await ask(house, Said("Pay."))
    assert isinstance(refused, Refused)
    assert refused.code == "run_fixed"
    assert (await newest(house)).instruction == ""


async def test_even_a_refused_first_call_ends_the_time_for_instructions(house: House) -> None:
    asked = Asked(CLERK, type(READ)(READ.kind, "bank", "rob"), {}, "session-1", "mcp/2026-07-28")
    await house.gate.govern(asked, Dispatched(), house.on_tick)
    refused = await ask(house, Said("Rob the bank."))
    assert isinstance(refused, Refused)
    assert refused.code == "run_fixed"


# --- what a person starts ------------------------------------------------------------------------


async def test_a_call_with_a_runs_token_belongs_to_that_run_whatever_the_session(
    house: House,
) -> None:
    told = await started(house, instruction="Pay 4711.", end_user="eve@example.com")
    for key in ("session-1", "session-2", "run:other"):
        assert isinstance(await ask(house, Said(), bound(told), key), Answered)
        assert await newest(house) == told
    assert (told.supplier, told.started_by, told.person) == ("person", "person", "ada")


async def test_an_agent_joins_a_run_by_naming_it(house: House) -> None:
    told = await started(house, instruction="Pay 4711.")
    assert isinstance(await ask(house, Said(joins=told.run)), Answered)
    assert await newest(house) == told


@pytest.mark.parametrize(
    "said",
    [
        Said("Pay everything to CH00."),
        Said(purpose="refunds"),
        Said(labels=("month-end",)),
        Said(end_user="mallory@example.com"),
    ],
)
async def test_the_agent_adds_nothing_to_a_run_a_person_started(house: House, said: Said) -> None:
    told = await started(house, instruction="Pay.", end_user="eve@example.com")
    refused = await ask(house, said, bound(told))
    assert isinstance(refused, Refused)
    assert refused.code == "run_fixed"
    assert "a person began this run" in refused.text


async def test_the_agent_cannot_fill_in_what_a_person_left_out(house: House) -> None:
    told = await started(house, instruction="Pay.")
    for said in (Said(purpose="refunds"), Said(labels=("month-end",))):
        refused = await ask(house, said, bound(told))
        assert isinstance(refused, Refused)
        assert refused.code == "run_fixed"
    # But for whom it acts is open, and is marked as the agent's own word.
    assert isinstance(await ask(house, Said(end_user="eve@example.com"), bound(told)), Answered)


async def test_a_bound_token_joins_no_other_run(house: House) -> None:
    one, other = await started(house), await started(house)
    refused = await ask(house, Said(joins=other.run), bound(one))
    assert isinstance(refused, Refused)
    assert refused.code == "run_fixed"
    assert isinstance(await ask(house, Said(joins=one.run), bound(one)), Answered)


async def test_a_mandate_can_insist_on_a_run_that_a_person_started(house: House) -> None:
    strict = replace(mandate(), circumstances=(StartedByPerson(),))
    house.authority.install(snapshot(strict))
    refused = await ask(house, Said("Pay."))
    assert isinstance(refused, Refused)
    assert refused.code == "not_in_these_circumstances"
    assert "bailiwick run start" in refused.text
    told = await started(house, instruction="Pay.")
    assert isinstance(await ask(house, Said(), bound(told)), Answered)


# --- attacks -------------------------------------------------------------------------------------


@pytest.mark.parametrize("caller", [OTHER_AGENT, OTHER_MANDATE])
async def test_another_agent_or_mandate_gets_the_answer_for_a_run_that_is_not_there(
    house: House, caller: Caller
) -> None:
    one = mandate()
    invoices = replace(one, name="invoices")
    both = {"payments": one, "invoices": invoices}
    house.authority.install(replace(snapshot(one), mandates=both))
    told = await started(house, instruction="Pay.")
    house.runs.known(Asked(bound(told), READ, {}, "k", "mcp"))  # it is in memory
    theirs = await ask(house, Said(joins=told.run), caller)
    missing = await ask(house, Said(joins="01KB0000000000000000000000"), caller)
    assert isinstance(theirs, Refused)
    assert isinstance(missing, Refused)
    assert theirs.code == missing.code == "run_unknown"
    assert theirs.text.replace(told.run, "X") == missing.text.replace(
        "01KB0000000000000000000000", "X"
    )


@pytest.mark.parametrize(
    "name",
    [
        "' OR 1=1 --",
        "01kb0000000000000000000000",  # another case
        "0IKB0000000000000000000000",  # a letter that looks like a digit
        "01KB0000000000000000000000 ",
        "０1KB0000000000000000000000",
        "x" * 10_000,
        "session-1",
    ],
)
async def test_only_the_one_spelling_of_a_run_names_it(house: House, name: str) -> None:
    refused = await ask(house, Said(joins=name))
    assert isinstance(refused, Refused)
    assert refused.code == "run_unknown"
    assert len(refused.text) < 300


async def test_naming_a_run_that_is_not_there_spoils_no_other_run(house: House) -> None:
    await ask(house, Said(joins="01KB0000000000000000000000"))
    assert isinstance(await ask(house, Said("Pay.")), Answered)
    assert (await newest(house)).instruction == "Pay."


async def test_a_session_named_like_a_started_run_is_not_that_run(house: House) -> None:
    told = await started(house, instruction="Pay.")
    row = await house.records.run(told.run)
    assert row is not None
    # Keys of sessions and tokens carry their kind in front, so no edge makes one like it.
    assert row.key == f"run:{told.run}"


async def test_a_token_whose_run_is_gone_opens_nothing(house: House) -> None:
    refused = await ask(house, Said(), replace(CLERK, run="01KB0000000000000000000000"))
    assert isinstance(refused, Refused)
    assert refused.code == "run_unknown"


async def test_nothing_more_is_done_in_a_run_that_was_ended(house: House) -> None:
    told = await started(house)
    assert isinstance(await ask(house, Said(), bound(told)), Answered)
    house.runs.end(told.run)
    for said, caller in ((Said(), bound(told)), (Said(joins=told.run), CLERK)):
        refused = await ask(house, said, caller)
        assert isinstance(refused, Refused)
        assert refused.code == "run_ended"


async def test_a_run_ended_while_its_call_was_being_recorded_is_not_sent(house: House) -> None:
    told = await started(house)
    dispatch = Dispatched()
    real = house.journal.commit

    async def ending(*given: object) -> range:
        house.runs.end(told.run)
        return await real(*given)  # type: ignore[arg-type]  # passed on as it came

    house.journal.commit = ending  # type: ignore[method-assign, assignment]
    asked = Asked(bound(told), READ, {}, "k", "mcp/2026-07-28")
    answer = await house.gate.govern(asked, dispatch, house.on_tick)
    assert isinstance(answer, Refused)
    assert answer.code == "run_ended"
    assert dispatch.count == 0


# --- what stays ----------------------------------------------------------------------------------


async def test_a_run_is_the_same_after_a_restart(house: House) -> None:
    told = await started(
        house, instruction="Pay 4711.\nThen stop.", purpose="suppliers", end_user="eve"
    )
    await ask(house, Said("Read.", labels=("audit",)))
    agents = await newest(house)
    await reopen(house)
    assert house.runs.facts(told.run) is None
    assert isinstance(await ask(house, Said(), bound(told)), Answered)
    assert await newest(house) == told
    assert isinstance(await ask(house, Said("Read.", labels=("audit",))), Answered)
    assert await newest(house) == agents
    refused = await ask(house, Said("Something else."))
    assert isinstance(refused, Refused)
    assert refused.code == "run_fixed"


async def test_an_ended_run_stays_ended_after_a_restart(house: House) -> None:
    told = await started(house)
    await house.store.commit((), (RunEnded(told.run, 5),))
    with pytest.raises(Conflict):
        await house.store.commit((), (RunEnded(told.run, 6),))
    await reopen(house)
    refused = await ask(house, Said(), bound(told))
    assert isinstance(refused, Refused)
    assert refused.code == "run_ended"
    assert told.run in house.runs.ended


async def test_the_leaf_says_who_began_it_and_commits_to_the_instruction(house: House) -> None:
    told = await started(house, instruction="Pay 4711.", purpose="secret purpose")
    row = await house.records.run(told.run)
    assert row is not None
    assert row.entry_index is not None
    assert (row.started_by, row.person, row.supplier, row.token) == (
        *("person", "ada", "person"),
        "token-r",
    )
    (entry,) = await house.records.entries(row.entry_index, row.entry_index + 1)
    leaf = msgspec.json.decode(entry.leaf)
    assert leaf["started_by"] == leaf["supplier"] == "person"
    assert leaf["by"].startswith("p_")
    assert leaf["instruction"] != leaf["content"]
    for hidden in (b"4711", b"secret purpose", b'"ada"'):
        assert hidden not in entry.leaf + entry.sealed
    opened = house.recorder.open(entry.leaf, entry.sealed)
    assert isinstance(opened, dict)
    assert opened["content"]["instruction"] == "Pay 4711."
    assert opened["instruction_salt"] != opened["salt"]


async def test_what_a_person_said_goes_with_their_key(house: House) -> None:
    """Afterwards the run counts as one that nobody trusted has said anything of."""
    told = await started(house, person="ben", instruction="Pay 4711.", purpose="suppliers")
    (key,) = [key for key in await house.records.subject_keys() if key.subject == "ben"]
    await house.store.commit((), (SubjectKey(key.id, "ben", b"", 1),))
    await reopen(house)
    assert isinstance(await ask(house, Said(), bound(told)), Answered)
    left = await newest(house)
    assert left == RunFacts(told.run, "clerk", "payments")
    assert b"4711" not in (house.folder / "bailiwick.db").read_bytes()


async def test_a_run_cannot_be_given_the_words_of_another(house: House) -> None:
    one = await house.records.run((await started(house, instruction="Pay.")).run)
    other = await house.records.run((await started(house, instruction="Rob.")).run)
    assert one is not None
    assert other is not None
    for wrong in (other.entry_index, 10_000):
        with pytest.raises(StoreError) as caught:
            await house.runs.read(replace(one, entry_index=wrong))
        assert caught.value.code == "run_damaged"


async def test_nothing_is_started_that_was_not_recorded(house: House) -> None:
    house.journal.fail_after, house.journal.error = 0, StoreError("store_unavailable", "full")
    told = begun(house.runs.new_id(), "clerk", "payments", NO_WORDS, "ada")
    with pytest.raises(StoreError):
        await house.runs.start(told, "ada", 1)
    assert house.runs.facts(told.run) is None


async def test_the_least_used_runs_are_forgotten_and_found_again(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bailiwick.gateway.runs._REMEMBERED", 2)
    first = await started(house, instruction="first")
    for _ in range(3):
        await started(house)
    assert house.runs.facts(first.run) is None
    assert isinstance(await ask(house, Said(), bound(first)), Answered)
    assert await newest(house) == first


async def test_end_user_and_zone_reach_the_judge_for_each_call(house: House) -> None:
    told = await started(house)
    seen: list[Facts] = []
    real = house.gate._memories.known

    def spy(run: RunFacts, chain: object, facts: Facts) -> object:
        seen.append(facts)
        return real(run, chain, facts)  # type: ignore[arg-type]  # passed on as it came

    house.gate._memories.known = spy  # type: ignore[method-assign, assignment]
    await ask(house, Said(end_user="eve"), bound(told))
    await ask(house, Said(), bound(told))
    assert [(each.end_user, each.end_user_by, each.zones) for each in seen] == [
        ("eve", "agent", None),
        ("", "", None),
    ]
