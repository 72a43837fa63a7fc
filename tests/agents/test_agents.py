"""goose, Codex, opencode and Claude Code do a day's work through the gateway, and think through it.

`bailiwick connect` wires them. Their models are scripts; all else is real: the agents, the gateway,
its servers, the 75 seconds.
"""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from bailiwick.examples.bank_accounts import open_books
from tests.agents.agents import AGENTS
from tests.agents.conftest import Days
from tests.agents.day import HELD_SECONDS, Day
from tests.agents.known import KNOWN
from tests.agents.model.endpoint import DIALECTS
from tests.agents.model.script import LAST_WORD, Offered, find
from tests.agents.office import BECAUSE, COMMIT, KEY, MODEL_KEY, Office
from tests.agents.wire import Exchange, Message
from tests.app.running import command

pytestmark = [pytest.mark.agents, pytest.mark.slow]

DENIED = "`bank/transfer` is refused: `amount` is `9000.00`, allowed is at most 5000."


def called(day: Day) -> list[Exchange]:
    """The agent's four tool calls on the wire, in the script's order."""
    calls = day.desk.tap.exchanges("tools/call")
    assert len(calls) == 4
    return calls


def asked(day: Day) -> list[Message]:
    """The agent's model calls on the wire."""
    posts = (one.request for one in day.desk.tap.exchanges())
    return [one for one in posts if one.line.startswith("POST /v1/")]


def answered(exchange: Exchange) -> dict[str, Any]:
    """The JSON-RPC result of a call; on a busy machine it comes after signs of life."""
    last = exchange.response.rpc or events(exchange)[-1]
    result: dict[str, Any] = last["result"]
    return result


def recorded(day: Day, office: Office) -> list[dict[str, Any]]:
    """The calls of the agent's day, oldest first."""
    return office.calls(f"{day.agent.name}-office")


def events(exchange: Exchange) -> list[dict[str, Any]]:
    """The JSON-RPC messages of a streamed answer."""
    lines = exchange.response.body.decode().splitlines()
    return [json.loads(line[6:]) for line in lines if line.startswith("data: {")]


def test_the_model_is_offered_what_the_mandate_allows_under_names_it_can_use(day: Day) -> None:
    ours = [name for name in day.desk.model.said().offered if "bank__" in name or "git__" in name]
    assert len(ours) == 3
    assert KNOWN[day.agent.name].spelled in ours
    for tool in ("bank/balance", "bank/transfer", "git/git_log"):
        assert find([Offered(name) for name in ours], tool)


def test_an_allowed_call_works_and_its_result_reaches_the_model(day: Day) -> None:
    balance, log = day.desk.model.said().results[:2]
    assert json.loads(balance[balance.index("{") :]) == {
        "account": "reserve",
        "balance": "250000.00",
        "currency": "EUR",
    }
    assert COMMIT in log
    assert [answered(call)["isError"] for call in called(day)[:2]] == [False, False]


def test_a_denied_call_comes_back_as_the_agents_tool_error_with_the_reason(day: Day) -> None:
    assert DENIED in day.desk.model.said().results[2]
    result = answered(called(day)[2])
    assert result["isError"] is True
    assert result["_meta"]["bailiwick/code"] == "argument_refused"


def test_a_held_call_waits_75_seconds_is_stamped_and_completes(day: Day, office: Office) -> None:
    assert day.waited_seconds >= HELD_SECONDS == 75
    booked = day.desk.model.said().results[3]
    assert json.loads(booked[booked.index("{") :])["status"] == "booked"
    stamped = office.as_person("ben").get(f"holds/{day.hold['id']}")["hold"]
    assert isinstance(stamped, dict)
    assert stamped["state"] == "used"
    (stamp,) = stamped["stamps"]
    assert (stamp["person"], stamp["decision"]) == ("ben", "approve")


def test_the_agent_ends_well_and_its_last_word_is_the_banks_answer(day: Day) -> None:
    assert day.returncode == 0, day.output
    assert LAST_WORD + day.desk.model.said().results[3] in day.output
    assert day.desk.model.said().turns[-1].results == day.desk.model.said().results


def test_a_hold_is_one_open_stream_with_rising_progress_every_15_seconds(day: Day) -> None:
    held = called(day)[3]
    assert held.response.headers["content-type"] == "text/event-stream"
    token = held.request.rpc["params"]["_meta"]["progressToken"]
    *progress, last = events(held)
    values = [event["params"]["progress"] for event in progress]
    assert len(values) >= HELD_SECONDS / 15
    assert values == sorted(set(values))
    assert {event["params"]["progressToken"] for event in progress} == {token}
    assert BECAUSE in progress[0]["params"]["message"]
    assert last["id"] == held.request.rpc["id"]
    at = held.response.at
    # 15 s by the gateway's clock; what else this machine does meanwhile may delay one.
    assert max(after - before for before, after in pairwise(at)) < 20


def test_each_agent_speaks_the_revision_we_say_it_does(day: Day) -> None:
    revision = KNOWN[day.agent.name].revision
    for call in called(day):
        headers = call.request.headers
        assert headers["mcp-protocol-version"] == revision
        assert ("mcp-session-id" in headers) is (revision != "2026-07-28")


def test_each_agent_asks_for_what_we_say_it_does(day: Day) -> None:
    known = KNOWN[day.agent.name]
    mcp = [one.request for one in day.desk.tap.exchanges() if one.request.line.endswith(" /mcp")]
    seen = {request.method or request.line.split()[0] for request in mcp}
    assert known.always <= seen <= known.always | known.sometimes


def test_the_record_has_it_all_in_one_run_of_each_agent(day: Day, office: Office) -> None:
    whole = recorded(day, office)
    calls = [call for call in whole if call["kind"] == "tool"]
    assert [(call["upstream"], call["name"], call["state"], call["code"]) for call in calls] == [
        ("bank", "balance", "done", "allowed"),
        ("git", "git_log", "done", "allowed"),
        ("bank", "transfer", "denied", "argument_refused"),
        ("bank", "transfer", "done", "approved"),
    ]
    assert calls[3]["hold"] == day.hold["id"]
    (run,) = {call["run"] for call in whole}
    runs = {row["id"]: row for row in office.gateway.cli("runs")["runs"]}
    assert runs[run]["agent"] == day.agent.name
    assert runs[run]["states"] == {"done": len(whole) - 1, "denied": 1}
    assert runs[run]["key"].startswith(KNOWN[day.agent.name].run_key)


def test_every_thought_is_in_the_record_before_the_act_it_led_to(day: Day, office: Office) -> None:
    whole = recorded(day, office)
    thoughts = [call for call in whole if call["kind"] == "model"]
    assert {(call["name"], call["state"], call["code"]) for call in thoughts} == {
        ("scripted", "done", "allowed")
    }
    assert len(thoughts) == len(asked(day)) == len(day.desk.model.said().turns)
    with_tools = [turn for turn in day.desk.model.said().turns if turn.offered]
    assert len(with_tools) == 5
    acts = [call for call in whole if call["kind"] == "tool"]
    ended = sorted(call["outcome_index"] for call in thoughts)
    for number, act in enumerate(acts, 1):
        assert ended[number - 1] < act["intent_index"]


def test_the_model_is_asked_in_the_agents_own_dialect_and_streams(day: Day) -> None:
    for request in asked(day):
        path = request.line.split()[1].partition("?")[0]
        assert DIALECTS[path].__name__.endswith(f".{day.agent.dialect}")
        assert json.loads(request.body)["stream"] is True


def test_each_agent_names_its_session_where_we_say_it_does(day: Day) -> None:
    known = KNOWN[day.agent.name]
    (session,) = {request.headers[known.session_header] for request in asked(day)}
    assert session
    metas = [call.request.rpc["params"]["_meta"] for call in called(day)]
    if known.session_meta:
        assert {meta[known.session_meta] for meta in metas} == {session}
    else:
        assert session not in json.dumps(metas)
    if known.call_meta:
        names = [meta[known.call_meta] for meta in metas]
        assert names == ["call_1", "call_2", "call_3", "call_4"]
    else:
        assert "call_1" not in json.dumps(metas)


def test_neither_the_agents_token_nor_the_servers_keys_are_where_they_should_not_be(
    day: Day,
) -> None:
    (file,) = (day.desk.home / ".config/bailiwick/tokens").iterdir()
    token = file.read_text().strip()
    assert token
    for path in day.desk.settings:
        assert token not in path.read_text()
    model = day.desk.model.said()
    assert {headers["authorization"] for headers in model.headers} == {f"Bearer {MODEL_KEY}"}
    told = json.dumps([model.bodies, model.headers]) + day.output
    assert token not in told
    seen = b"".join(one.response.body for one in day.desk.tap.exchanges()) + day.output.encode()
    assert KEY.encode() not in seen
    assert MODEL_KEY.encode() not in seen


def test_nothing_outside_is_asked_for_except_what_is_known(day: Day) -> None:
    asked = {line.split()[1].partition(".")[0] for line in day.desk.outside.asked}
    assert asked <= KNOWN[day.agent.name].outside


def test_what_the_person_had_in_the_settings_is_still_there(day: Day) -> None:
    files = [day.desk.connected, *day.desk.connected["also"]]
    had = [file for file in files if file["backup"]]
    assert had
    for file in had:
        assert "another" in Path(file["backup"]).read_text()
        assert "mine" in Path(file["settings"]).read_text()


def test_each_transfer_happened_once_and_the_ledger_verifies(days: Days) -> None:
    held = [days.of(name).hold["call"] for name in AGENTS]
    gateway = days.office.gateway
    days_calls = (call for name in AGENTS for call in days.office.calls(f"{name}-office"))
    done = [call for call in days_calls if call["code"] == "approved"]
    assert {call["id"] for call in done} == set(held)
    for call in done:
        assert call["intent_index"] < call["approved_index"] < call["outcome_index"]
    with open_books(days.office.bank, KEY) as books:
        assert [row.amount_minor for row in books.transactions] == [1_200_00] * len(AGENTS)
    ledger = str(gateway.data / "ledger")
    verified = command("ledger", "verify", ledger, "--key", gateway.ledger_key, "--json")
    assert verified.returncode == 0, verified.stderr
    assert json.loads(verified.stdout)["size"] >= max(c["outcome_index"] for c in done) + 1
