"""What real agents think and what they do is one run, and is compared, as they are."""

from __future__ import annotations

import pytest

from tests.agents.day import Day
from tests.agents.office import Office
from tests.agents.test_agents import recorded

pytestmark = [pytest.mark.agents, pytest.mark.slow]


def test_each_tool_call_is_known_for_what_the_model_asked_for(day: Day, office: Office) -> None:
    calls = recorded(day, office)
    (run,) = {call["run"] for call in calls}
    steps = office.as_person("ada").get(f"runs/{run}/story")["steps"]
    assert isinstance(steps, list)
    tools = [step for step in steps if step["kind"] == "tool"]
    thoughts = {step["id"] for step in steps if step["kind"] == "model"}
    assert [step["said_and_did"] for step in tools] == ["matched"] * 4
    assert {step["asked_by"] for step in tools} <= thoughts


def test_each_result_reached_the_model_as_it_came(day: Day, office: Office) -> None:
    calls = recorded(day, office)
    steps = office.as_person("ada").get(f"runs/{calls[0]['run']}/story")["steps"]
    assert isinstance(steps, list)
    told = [each for step in steps if "model" in step for each in step["model"]["retold"]]
    ours = [each for each in told if each.get("call")]
    assert [each["match"] for each in ours] == ["matched"] * 4
    assert {each["match"] for each in told if not each.get("call")} <= {"unasked"}
