"""`run`, `runs` and `holidays` on the command line."""

from __future__ import annotations

import io

import pytest

from bailiwick.cli.exits import Exit
from bailiwick.declared import load_text
from tests.cli.fakes import Command, FakeGateway

RUN = {
    "id": "01JRUN",
    "key": "run:01JRUN",
    "at_ms": 1795341600000,
    "agent": "clerk",
    "mandate": "payments",
    "calls": 2,
    "states": {"done": 2},
    "started_by": "person",
    "person": "ada",
    "supplier": "person",
    "token": "5f1c",
    "ended_ms": None,
    "entry_index": 40,
    "instruction": "Pay 4711.\nThen \u202estop.",
    "purpose": "suppliers",
    "labels": ["month-end"],
    "end_user": "eve",
    "erased": False,
}
STORY = "GET /api/v1/runs/01JRUN/story?limit=100"
TOKEN = {
    "token": "secret.run.token",
    "id": "5f1c",
    "agent": "clerk",
    "mandate": "payments",
    "expires_ms": 1795345200000,
}


def test_run_start_says_all_of_it_and_prints_nothing_but_the_token(
    asking: Command, gateway: FakeGateway
) -> None:
    gateway.says("POST /api/v1/runs", {"run": RUN, "token": TOKEN}, 201)
    ended = asking(
        *("run", "start", "payments", "Pay 4711.", "--label", "month-end", "--label", "audit"),
        *("--purpose", "suppliers", "--end-user", "eve", "--ttl", "8h"),
    )
    assert ended.code == Exit.OK
    assert ended.out == "secret.run.token\n"
    assert "bailiwick run end 01JRUN" in ended.err
    assert gateway.asked[0].body == {
        "mandate": "payments",
        "instruction": "Pay 4711.",
        "labels": ["month-end", "audit"],
        "purpose": "suppliers",
        "end_user": "eve",
        "lifetime_seconds": 8 * 3600,
    }


def test_run_start_reads_long_instructions_from_stdin(
    asking: Command, gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway.says("POST /api/v1/runs", {"run": RUN, "token": TOKEN}, 201)
    monkeypatch.setattr("sys.stdin", io.StringIO("Pay 4711.\nThen stop.\n"))
    assert asking("run", "start", "payments", "-").code == Exit.OK
    body = gateway.asked[0].body
    assert isinstance(body, dict)
    assert body["instruction"] == "Pay 4711.\nThen stop.\n"
    monkeypatch.setattr("sys.stdin", io.StringIO(" \n"))
    assert asking("run", "start", "payments", "-").code == Exit.USAGE


def test_run_show_says_who_gave_the_instruction_and_hides_nothing(
    asking: Command, gateway: FakeGateway
) -> None:
    gateway.says(STORY, {"run": RUN, "steps": [], "next": None})
    ended = asking("run", "show", "01JRUN")
    assert ended.code == Exit.OK
    for words in ("Pay 4711.\n", "<U+202E>stop.", "(given by ada)", "month-end", "eve", "2 done"):
        assert words in ended.out
    assert "\u202e" not in ended.out


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"supplier": "agent", "started_by": "agent", "person": ""}, "given by the agent's side"),
        ({"supplier": "", "instruction": ""}, "it has none"),
        ({"instruction": "", "erased": True}, "it was erased with its person's key"),
    ],
)
def test_run_show_tells_what_is_not_there_and_what_is_the_agents(
    asking: Command, gateway: FakeGateway, changed: dict[str, object], words: str
) -> None:
    gateway.says(STORY, {"run": {**RUN, **changed}, "steps": [], "next": None})
    assert words in asking("run", "show", "01JRUN").out


def test_no_instruction_of_an_agent_passes_for_a_persons(
    asking: Command, gateway: FakeGateway
) -> None:
    forged = {
        "supplier": "agent",
        "started_by": "agent",
        "person": "",
        "instruction": "x\n(given by ada)",
    }
    gateway.says(STORY, {"run": {**RUN, **forged}, "steps": [], "next": None})
    told = asking("run", "show", "01JRUN").out.partition("The instruction\n")[2]
    assert told.split("\n")[:2] == ["  (given by the agent's side)", "  x"]


def test_run_end_asks_for_just_that(asking: Command, gateway: FakeGateway) -> None:
    gateway.says("POST /api/v1/runs/01JRUN/end", {"run": {**RUN, "ended_ms": 1795341660000}})
    ended = asking("run", "end", "01JRUN")
    assert ended.code == Exit.OK
    assert "nothing more is done in it" in ended.out
    gateway.refuses("POST /api/v1/runs/01JRUN/end", 409, "run_ended", "it has ended already")
    assert asking("run", "end", "01JRUN").code == Exit.NO


def test_runs_lists_who_told_what(asking: Command, gateway: FakeGateway) -> None:
    own = {**RUN, "id": "01JOWN", "supplier": "agent", "person": "", "instruction": "Mine."}
    gateway.says("GET /api/v1/runs?limit=50", {"runs": [RUN, own]})
    lines = asking("runs").out.splitlines()
    assert lines[0].split() == [
        *("RUN", "AT", "AGENT", "MANDATE", "TOLD", "BY", "CALLS"),
        *("HOW", "THEY", "ENDED", "INSTRUCTION"),
    ]
    assert "ada" in lines[1]
    assert "Pay 4711.<U+000A>Then" in lines[1]
    assert "agent" in lines[2].split("payments")[1]


def test_holidays_prints_a_calendar_that_can_be_declared(command: Command) -> None:
    ended = command("holidays", "CH", "ZH", "2026", "2027", "--language", "de")
    assert ended.code == Exit.OK
    days = load_text(ended.out).of("calendar")["ch-zh"].spec["days"]
    assert isinstance(days, dict)
    assert days["2027-12-25"] == "Weihnachten"
    assert days["2026-05-14"] == "Auffahrt"
    assert list(days) == sorted(days)
    named = command("holidays", "us", "2027", "--name", "bank-days")
    assert "2027-07-04" in str(load_text(named.out).of("calendar")["bank-days"].spec)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("CH", "ZH"), "at most one part and one to ten years"),
        (("CH", "ZH", "BE", "2027"), "at most one part and one to ten years"),
        (("CH", "1066"), "years are from 1970 to 2100"),
        (("XX", "2027"), "no holidays are known for `XX`"),
        (("CH", "QQ", "2027"), "`CH` has no part `QQ`"),
        (("CH", "2027", "--language", "xx"), "no names in `xx`"),
        (("CH", "2027", "--name", "Not A Name"), "`Not A Name` is not a name"),
        (
            ("CH", *(str(2020 + each) for each in range(11))),
            "at most one part and one to ten years",
        ),
    ],
)
def test_holidays_says_what_it_does_not_know(
    command: Command, words: tuple[str, ...], why: str
) -> None:
    ended = command("holidays", *words)
    assert ended.code == Exit.USAGE
    assert why in ended.err
    assert ended.out == ""


def test_call_says_for_whom_it_was_and_who_says_so(asking: Command, gateway: FakeGateway) -> None:
    call = {"id": "01JCALL", "upstream": "bank", "name": "pay", "state": "done", "run": "01JRUN"}
    path: dict[str, object] = {"call": call, "hold": None, "outcome": None, "leaves": []}
    for by, words in (("agent", "eve (the agent says)"), ("person", "eve (said by a person)")):
        intent = {"call": {}, "end_user": "eve", "end_user_by": by, "zones": ["home", "office"]}
        gateway.says("GET /api/v1/calls/01JCALL", {**path, "intent": intent})
        shown = asking("call", "01JCALL").out
        assert words in shown
        assert "home, office" in shown
    gateway.says("GET /api/v1/calls/01JCALL", {**path, "intent": {"call": {}, "zones": []}})
    assert "none of those declared" in asking("call", "01JCALL").out
