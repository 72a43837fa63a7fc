"""`mandates`, `delegate`, `suspend` and `resume`: what they ask of the API, and what they show."""

from __future__ import annotations

from pathlib import Path

from bailiwick.cli.delegate import as_tree
from bailiwick.cli.exits import Exit
from bailiwick.core.canonical import JsonObject
from tests.cli.fakes import Command, FakeGateway

CHILD = "to: helper\nallow: [{tool: bank/list}]\n"
MADE = {
    "name": "pay:helper-1",
    "version": 1,
    "digest": "9f",
    "parent": "pay@3",
    "document": {},
    "token": {"token": "eyJ", "id": "01", "agent": "helper", "expires_ms": 1795341600000},
}


def row(name: str, state: str = "active") -> JsonObject:
    spec = {"to": "clerk", "from": "ada", "purpose": "Pay."}
    return {"name": name, "version": 2, "state": state, "document": {"spec": spec}}


def test_mandates_show_each_child_below_its_parent(asking: Command, gateway: FakeGateway) -> None:
    rows = [row("pay:b"), row("zoo"), row("pay"), row("pay:a:c"), row("pay:a"), row("x", "revoked")]
    gateway.says("GET /api/v1/objects?kind=mandate", {"objects": rows})
    ended = asking("mandates")
    assert [line.split("  act")[0].rstrip() for line in ended.out.splitlines()[1:]] == [
        "pay@2",
        "  pay:a@2",
        "    pay:a:c@2",
        "  pay:b@2",
        "zoo@2",
    ]
    assert "x@2" in asking("mandates", "--all").out


def test_a_child_without_its_parent_is_not_lost() -> None:
    assert [(depth, each["name"]) for depth, each, _ in as_tree([row("gone:a"), row("b")])] == [
        (0, "b"),
        (0, "gone:a"),
    ]


def test_a_child_of_a_suspended_mandate_is_not_called_active(
    asking: Command, gateway: FakeGateway
) -> None:
    rows = [row("pay", "suspended"), row("pay:a"), row("pay:a:c"), row("zoo")]
    gateway.says("GET /api/v1/objects?kind=mandate", {"objects": rows})
    lines = asking("mandates").out.splitlines()[1:]
    assert ["suspended above" in line for line in lines] == [False, True, True, False]
    assert [" active " in line for line in lines] == [False, False, False, True]


def test_where_all_are_revoked_it_says_how_to_see_them(
    asking: Command, gateway: FakeGateway
) -> None:
    gateway.says("GET /api/v1/objects?kind=mandate", {"objects": [row("pay", "revoked")]})
    ended = asking("mandates")
    assert ended.out == ""
    assert "no mandate is in force" in ended.err
    assert "--all" in ended.err


def test_delegate_sends_the_file_and_prints_the_token_alone(
    asking: Command, gateway: FakeGateway, tmp_path: Path
) -> None:
    file = tmp_path / "child.yaml"
    file.write_text(CHILD)
    gateway.says("POST /api/v1/mandates/pay/children", MADE, 201)
    ended = asking("delegate", "pay", str(file), "--ttl", "10m")
    assert ended.out == "eyJ\n"
    assert "a part of `pay@3`" in ended.err
    assert "bailiwick revoke pay:helper-1" in ended.err
    assert gateway.asked[-1].body == {"child": CHILD, "lifetime_seconds": 600, "dry_run": False}


def test_a_dry_run_says_that_nothing_was_made(
    asking: Command, gateway: FakeGateway, tmp_path: Path
) -> None:
    file = tmp_path / "child.yaml"
    file.write_text(CHILD)
    gateway.says("POST /api/v1/mandates/pay/children", {**MADE, "token": None})
    ended = asking("delegate", "pay", str(file), "--dry-run")
    assert ended.out == "narrower than `pay@3`; nothing was made\n"


def test_a_wider_child_ends_with_the_call_that_shows_it(
    asking: Command, gateway: FakeGateway, tmp_path: Path
) -> None:
    file = tmp_path / "child.yaml"
    file.write_text(CHILD)
    why = 'it would allow `bank/pay` with `{"amount": 5001}`, and under `pay@3` …'
    gateway.refuses("POST /api/v1/mandates/pay/children", 422, "child_wider", why)
    ended = asking("delegate", "pay", str(file))
    assert ended.code == Exit.USAGE
    assert "5001" in ended.err


def test_suspend_lists_what_is_in_flight_and_resume_says_it_goes_on(
    asking: Command, gateway: FakeGateway
) -> None:
    flying = {"id": "01JCALL", "kind": "tool", "upstream": "bank", "name": "pay"}
    gateway.says(
        "POST /api/v1/mandates/pay%3Ahelper-1/suspend",
        {"mandate": "pay:helper-1", "in_flight": [flying]},
    )
    ended = asking("suspend", "pay:helper-1", "--reason", "odd")
    assert gateway.asked[-1].body == {"reason": "odd"}
    assert "suspended `pay:helper-1`" in ended.out
    assert "01JCALL" in ended.out
    gateway.says("POST /api/v1/mandates/pay/resume", {"mandate": "pay"})
    assert asking("resume", "pay").out == "`pay` goes on\n"
