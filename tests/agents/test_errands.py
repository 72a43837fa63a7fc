"""What stops an agent that thinks through the gateway: its mandate, a limit, the person."""

from __future__ import annotations

import pytest

from tests.agents.agents import AGENTS
from tests.agents.conftest import Days
from tests.agents.errands import REASON
from tests.agents.known import KNOWN
from tests.agents.model.script import BRIEF, BRIEF_WORD, ENDLESS, ENDLESS_TOKENS, SCRIPTED, SLOW
from tests.agents.office import MOST_CALLS, MOST_TOKENS, model_id

pytestmark = [pytest.mark.agents, pytest.mark.slow]

EACH = pytest.mark.parametrize("agent", AGENTS)


@EACH
def test_a_model_that_the_mandate_does_not_allow_stops_the_agent_with_the_reason(
    days: Days, agent: str
) -> None:
    errand = days.errand(agent, "denied")
    assert errand.returncode != 0
    assert f"`{agent}-model/scripted` is not in the mandate" in errand.output
    assert {(call["state"], call["code"]) for call in errand.calls} == {
        ("denied", "not_in_mandate")
    }
    assert len(errand.calls) <= KNOWN[agent].tries


@EACH
def test_a_loop_without_end_stops_at_the_runs_limit_with_the_reason(days: Days, agent: str) -> None:
    errand = days.errand(agent, "endless")
    thoughts = [call for call in errand.calls if call["kind"] == "model"]
    done = [call for call in thoughts if call["state"] == "done"]
    refused = [call for call in thoughts if call["state"] == "denied"]
    assert len(done) == MOST_CALLS
    assert {call["code"] for call in refused} == {"limit_exceeded"}
    assert 1 <= len(refused) <= KNOWN[agent].tries
    assert len({call["run"] for call in thoughts}) == 1
    told = f"limit `thoughts`: {MOST_CALLS} of {MOST_CALLS} calls used in this run"
    assert told in errand.output


@EACH
def test_a_budget_of_tokens_stops_it_too_whatever_model_of_an_alias_served(
    days: Days, agent: str
) -> None:
    errand = days.errand(agent, "spent")
    thoughts = [call for call in errand.calls if call["kind"] == "model"]
    done = [call for call in thoughts if call["state"] == "done"]
    assert {(call["upstream"], call["name"]) for call in done} == {(f"{agent}-model", ENDLESS)}
    # Each took 10,001 tokens; the next one would have needed room for all it could take.
    assert 3 <= len(done) <= MOST_TOKENS // ENDLESS_TOKENS
    assert "limit_exceeded" in {call["code"] for call in thoughts}
    assert "limit `tokens`: " in errand.output
    assert "tokens used in this run" in errand.output
    answers = (
        one for one in errand.desk.tap.exchanges() if one.request.line.startswith("POST /v1/")
    )
    headers = [one.response.headers for one in answers if one.response.line == "200"]
    assert {each["bailiwick-served-by"] for each in headers} == {model_id(agent, ENDLESS)}
    reasons = {each["bailiwick-substitute"] for each in headers}
    assert {reason.partition(" ")[0] for reason in reasons} == {f"{agent}-away/{ENDLESS}"}


@EACH
def test_the_model_was_asked_as_often_as_the_record_says(days: Days, agent: str) -> None:
    calls = [call for kind in ("endless", "spent") for call in days.errand(agent, kind).calls]
    done = [call for call in calls if call["upstream"] == f"{agent}-model"]
    served = [call for call in done if call["state"] == "done"]
    assert len(served) == len(days.office.models[agent].said(ENDLESS).bodies)


@EACH
def test_a_thought_waits_for_a_stamp_like_an_act(days: Days, agent: str) -> None:
    errand = days.errand(agent, "held")
    assert errand.returncode == 0, errand.output
    assert BRIEF_WORD in errand.output
    waited = [call for call in errand.calls if call["hold"]]
    assert [(call["state"], call["code"]) for call in waited] == [("done", "approved")]
    streams = [one.response.body for one in errand.desk.tap.exchanges()]
    assert any(body.startswith(b": waiting for a stamp, hold ") for body in streams)


@EACH
def test_a_thought_that_a_person_refuses_stops_the_agent_with_their_words(
    days: Days, agent: str
) -> None:
    errand = days.errand(agent, "refused")
    assert errand.returncode != 0
    assert f"a person refused this call: {REASON}" in errand.output
    assert len({call["hold"] for call in errand.calls if call["hold"]}) == 1
    assert days.errand(agent, "held").returncode == 0
    thoughts = [turn for turn in days.office.models[agent].said(BRIEF).turns if turn.offered]
    assert len(thoughts) == 1, "the one that was approved"


@pytest.mark.parametrize("agent", [name for name in AGENTS if name != "opencode"])
def test_without_the_token_it_thinks_nowhere_else(days: Days, agent: str) -> None:
    """opencode takes the token from its file, and so cannot be without."""
    errand = days.errand(agent, "forgotten")
    assert errand.returncode != 0
    assert not errand.calls
    assert not errand.desk.outside.asked


@EACH
def test_ctrl_c_ends_the_models_answer(days: Days, agent: str) -> None:
    errand = days.errand(agent, "left")
    assert errand.desk.model.given_up.is_set()
    slow = [call for call in errand.calls if call["name"] == SLOW]
    assert "cancelled" in {call["state"] for call in slow}


@EACH
def test_the_model_is_written_down_as_the_gateway_lists_it(days: Days, agent: str) -> None:
    connected = days.errand(agent, "endless").desk.connected
    assert connected["model"] == model_id(agent, ENDLESS)
    assert {model_id(agent, name) for name in (ENDLESS, SLOW)} < set(connected["models"])
    assert f"{agent}-mind" in connected["models"]
    assert model_id(agent, SCRIPTED) not in connected["models"]
