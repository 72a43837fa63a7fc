"""goose, Codex and opencode do a day's work through the gateway, wired by `bailiwick connect`.

Their model is a script; all else is real: the agents, the gateway, its servers, the 75 seconds.
"""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest

from bailiwick.examples.bank_accounts import open_books
from tests.agents.agents import AGENTS
from tests.agents.conftest import Days
from tests.agents.day import HELD_SECONDS, Day
from tests.agents.known import KNOWN
from tests.agents.model.script import LAST_WORD, Offered, find
from tests.agents.office import BECAUSE, COMMIT, KEY, Office
from tests.agents.wire import Exchange
from tests.app.running import command

pytestmark = [pytest.mark.agents, pytest.mark.slow]

DENIED = "`bank/transfer` is refused: `amount` is `9000.00`, allowed is at most 5000."


def called(day: Day) -> list[Exchange]:
    """The agent's four tool calls on the wire, in the script's order."""
    calls = day.tap.exchanges("tools/call")
    assert len(calls) == 4
    return calls


def answered(exchange: Exchange) -> dict[str, Any]:
    """The JSON-RPC result of a call that was answered at once."""
    result: dict[str, Any] = exchange.response.rpc["result"]
    return result


def events(exchange: Exchange) -> list[dict[str, Any]]:
    """The JSON-RPC messages of a streamed answer."""
    lines = exchange.response.body.decode().splitlines()
    return [json.loads(line[6:]) for line in lines if line.startswith("data: {")]


def test_the_model_is_offered_what_the_mandate_allows_under_names_it_can_use(day: Day) -> None:
    ours = [name for name in day.model.offered if "bank__" in name or "git__" in name]
    assert len(ours) == 3
    assert KNOWN[day.agent.name].spelled in ours
    for tool in ("bank/balance", "bank/transfer", "git/git_log"):
        assert find([Offered(name) for name in ours], tool)


def test_an_allowed_call_works_and_its_result_reaches_the_model(day: Day) -> None:
    balance, log = day.model.results[:2]
    assert json.loads(balance[balance.index("{") :]) == {
        "account": "reserve",
        "balance": "250000.00",
        "currency": "EUR",
    }
    assert COMMIT in log
    assert [answered(call)["isError"] for call in called(day)[:2]] == [False, False]


def test_a_denied_call_comes_back_as_the_agents_tool_error_with_the_reason(day: Day) -> None:
    assert DENIED in day.model.results[2]
    result = answered(called(day)[2])
    assert result["isError"] is True
    assert result["_meta"]["bailiwick/code"] == "argument_refused"


def test_a_held_call_waits_75_seconds_is_stamped_and_completes(day: Day, office: Office) -> None:
    assert day.waited_seconds >= HELD_SECONDS == 75
    booked = day.model.results[3]
    assert json.loads(booked[booked.index("{") :])["status"] == "booked"
    stamped = office.as_person("ben").get(f"holds/{day.hold['id']}")["hold"]
    assert isinstance(stamped, dict)
    assert stamped["state"] == "used"
    (stamp,) = stamped["stamps"]
    assert (stamp["person"], stamp["decision"]) == ("ben", "approve")


def test_the_agent_ends_well_and_its_last_word_is_the_banks_answer(day: Day) -> None:
    assert day.returncode == 0, day.output
    assert LAST_WORD + day.model.results[3] in day.output
    assert day.model.turns[-1].results == day.model.results


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
    mcp = [one.request for one in day.tap.exchanges() if one.request.line.endswith(" /mcp")]
    seen = {request.method or request.line.split()[0] for request in mcp}
    assert known.always <= seen <= known.always | known.sometimes


def test_the_record_has_it_all_in_one_run_of_each_agent(day: Day, office: Office) -> None:
    calls = office.calls(day.agent.name)
    assert [(call["upstream"], call["name"], call["state"], call["code"]) for call in calls] == [
        ("bank", "balance", "done", "allowed"),
        ("git", "git_log", "done", "allowed"),
        ("bank", "transfer", "denied", "argument_refused"),
        ("bank", "transfer", "done", "approved"),
    ]
    assert calls[3]["hold"] == day.hold["id"]
    (run,) = {call["run"] for call in calls}
    runs = {row["id"]: row for row in office.gateway.cli("runs")["runs"]}
    assert runs[run]["agent"] == day.agent.name
    assert runs[run]["states"] == {"done": 3, "denied": 1}
    assert runs[run]["key"].startswith(KNOWN[day.agent.name].run_key)


def test_neither_the_agents_token_nor_the_servers_key_is_where_it_should_not_be(day: Day) -> None:
    token = (day.home / f".config/bailiwick/tokens/{day.agent.name}-bailiwick").read_text().strip()
    settings = day.home / day.connected["settings"]
    assert token
    assert token not in settings.read_text()
    told = json.dumps(day.model.bodies) + day.output
    assert token not in told
    assert KEY not in told
    assert KEY.encode() not in b"".join(one.response.body for one in day.tap.exchanges())


def test_nothing_outside_is_asked_for_except_what_is_known(day: Day) -> None:
    asked = {line.split()[1].partition(".")[0] for line in day.outside.asked}
    assert asked <= KNOWN[day.agent.name].outside


def test_what_the_person_had_in_the_settings_is_still_there(day: Day) -> None:
    text = (day.home / day.connected["settings"]).read_text()
    assert "scripted" in text
    assert day.connected["changed"]
    assert day.connected["backup"]


def test_each_transfer_happened_once_and_the_ledger_verifies(days: Days) -> None:
    held = [days.of(name).hold["call"] for name in AGENTS]
    gateway = days.office.gateway
    done = [call for call in gateway.cli("calls")["calls"] if call["code"] == "approved"]
    assert {call["id"] for call in done} == set(held)
    for call in done:
        assert call["intent_index"] < call["approved_index"] < call["outcome_index"]
    with open_books(days.office.bank, KEY) as books:
        assert [row.amount_minor for row in books.transactions] == [1_200_00] * len(AGENTS)
    ledger = str(gateway.data / "ledger")
    verified = command("ledger", "verify", ledger, "--key", gateway.ledger_key, "--json")
    assert verified.returncode == 0, verified.stderr
    assert json.loads(verified.stdout)["size"] >= max(c["outcome_index"] for c in done) + 1
