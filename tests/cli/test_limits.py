"""`limits`, `limits audit` and `limits settle`: what they ask of the API, and what they show."""

from __future__ import annotations

from bailiwick.cli.exits import Exit
from tests.cli.fakes import Command, FakeGateway

ROW = {
    "mandate": "payables",
    "limit": "per-payee",
    "key": "ch93\u202e",
    "in_words": {
        "used": "CHF 12,090.50",
        "pending": "CHF 0.50",
        "unknown": "",
        "left": "CHF 7,909.50",
        "ceiling": "CHF 20,000",
    },
    "frees_ms": None,
}
LIMITS = {
    "limits": [ROW],
    "unsettled": [{"call": "01KB", "at_ms": 1795341600000}],
}
AUDIT = {"transfers": 8, "accounts": 2, "calls": 4, "unsettled": 1, "agree": True}


def test_limits_are_listed_with_what_is_unknown(asking: Command, gateway: FakeGateway) -> None:
    gateway.says("GET /api/v1/limits?mandate=payables", LIMITS)
    ended = asking("limits", "--mandate", "payables")
    assert ended.code == Exit.OK
    for said in ("per-payee", "CHF 12,090.50", "CHF 0.50", "CHF 7,909.50", "CHF 20,000"):
        assert said in ended.out
    assert "ch93<U+202E>" in ended.out
    assert "01KB since" in ended.out
    assert "limits settle" in ended.out
    assert asking("limits", "--mandate", "payables", "--json").json == LIMITS


def test_a_limit_of_each_run_says_which_run(asking: Command, gateway: FakeGateway) -> None:
    rows = LIMITS["limits"]
    assert isinstance(rows, list)
    (row,) = rows
    rows = [{**row, "key": "", "run": "01KR"}, {**row, "run": "01KS"}]
    gateway.says("GET /api/v1/limits", {"limits": rows, "unsettled": []})
    out = asking("limits").out
    assert "run 01KR" in out
    assert "ch93<U+202E>, run 01KS" in out


def test_where_there_are_no_limits_it_says_so(asking: Command, gateway: FakeGateway) -> None:
    gateway.says("GET /api/v1/limits", {"limits": [], "unsettled": []})
    ended = asking("limits")
    assert (ended.code, ended.out) == (Exit.OK, "")
    assert "no mandate has limits" in ended.err


def test_an_audit_that_agrees_ends_well(asking: Command, gateway: FakeGateway) -> None:
    gateway.says("GET /api/v1/limits/audit", {**AUDIT, "differences": []})
    ended = asking("limits", "audit", "--url", gateway.url)
    assert ended.code == Exit.OK
    assert ended.out == "8 transfers, 2 accounts, 4 calls; unsettled: 1\nall of it agrees\n"


def test_an_audit_that_differs_says_what_and_ends_with_no(
    asking: Command, gateway: FakeGateway
) -> None:
    difference = {"code": "balance_differs", "where": "payables:x", "text": "is 1, adds up to 2"}
    gateway.says("GET /api/v1/limits/audit", {**AUDIT, "differences": [difference]})
    for words in ((), ("--json",)):
        ended = asking("limits", "audit", "--url", gateway.url, *words)
        assert ended.code == Exit.NO
        assert "payables:x" in ended.out


def test_an_audit_whose_answer_is_odd_does_not_agree(asking: Command, gateway: FakeGateway) -> None:
    gateway.says("GET /api/v1/limits/audit", {})
    assert asking("limits", "audit", "--url", gateway.url).code == Exit.NO


def test_settling_sends_what_became_of_the_call(asking: Command, gateway: FakeGateway) -> None:
    call = {"call": {"upstream": "bank", "name": "pay"}}
    gateway.says("POST /api/v1/calls/01KB/settle", call)
    ended = asking("limits", "settle", "01KB", "--did-not-happen", "--reason", "no such payment")
    assert ended.out == "settled bank/pay: what it had reserved is free\n"
    assert gateway.asked[-1].body == {"happened": False, "reason": "no such payment"}
    ended = asking("limits", "settle", "01KB", "--happened", "--reason", "it is there")
    assert ended.out == "settled bank/pay: it counts\n"


def test_settling_guesses_nothing(asking: Command, gateway: FakeGateway) -> None:
    for words in ((), ("--happened", "--did-not-happen")):
        ended = asking("limits", "settle", "01KB", "--reason", "x", *words)
        assert ended.code == Exit.USAGE
    assert asking("limits", "settle", "01KB", "--happened").code == Exit.USAGE
    assert gateway.asked == []


def test_a_call_shows_what_it_takes_of_limits(asking: Command, gateway: FakeGateway) -> None:
    money = {
        "rule": "payables@3/limit/per-payee",
        "account": "a",
        "amount": 12_500_000,
        "ceiling": 1,
        "unit": "CHF",
        "scale": 1_000_000,
        "key": '["ch93\u202e"]',
    }
    count = {"rule": "payables@3/limit/pace", "account": "b", "amount": 1, "unit": "calls"}
    path = {
        "call": {"id": "01KB", "state": "done"},
        "intent": {"call": {}, "reserved": [money, count, {"amount": "odd"}]},
    }
    gateway.says("GET /api/v1/calls/01KB", path)
    shown = asking("call", "01KB").out
    assert 'CHF 12.50, for ["ch93<U+202E>"]' in shown
    assert "payables@3/limit/pace" in shown
    assert "1 call" in shown
    gateway.says("GET /api/v1/calls/01KB", {**path, "intent": {"call": {}}})
    assert "limits" not in asking("call", "01KB").out
