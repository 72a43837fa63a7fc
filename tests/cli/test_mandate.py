"""`bailiwick mandate` and `bailiwick explain`, against a gateway of the test's own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bailiwick.cli.exits import Exit
from tests.cli.fakes import Command, FakeGateway

READ = "GET /api/v1/mandates/pay?version=0"
CHECK = "POST /api/v1/mandates/check"
DOUBT = {
    "severity": "warning",
    "code": "declaration_doubtful",
    "message": "is about nothing that any rule allows",
    "file": "pay.yaml",
    "line": 3,
    "column": 7,
}
WRONG = {**DOUBT, "severity": "error", "message": "there is no person `eve`"}
HOUSE = """\
servers:
  bank: {url: "https://bank.example/mcp"}
people:
  ada: {name: Ada}
agents:
  clerk: {owner: ada}
mandates:
  pay:
    from: ada
    to: clerk
    allow:
      - tool: bank/pay
        when: {amount: {at_most: 5000}}
"""
TOOLS = {
    "bank": {
        "tools": [
            {
                "name": "pay",
                "inputSchema": {"type": "object", "properties": {"amuont": {"type": "integer"}}},
            }
        ]
    }
}


def test_read_prints_one_sentence_a_line_and_hides_nothing(
    asking: Command, gateway: FakeGateway
) -> None:
    sentences = ["May use the tool `bank/pay`.", "It is for this: `\u202eevil`."]
    gateway.says(READ, {"mandate": {"sentences": sentences, "above": ["root@2"]}})
    ended = asking("mandate", "read", "pay")
    assert ended.code == Exit.OK
    assert ended.out.splitlines()[0] == "May use the tool `bank/pay`."
    assert "<U+202E>" in ended.out
    assert "judged by `root@2` as well" in ended.err


def test_read_from_a_file_asks_no_gateway(asking: Command, tmp_path: Path) -> None:
    file = tmp_path / "house.yaml"
    file.write_text(HOUSE)
    ended = asking("mandate", "read", "pay", "-f", str(file), "--url", "http://127.0.0.1:1")
    assert (ended.code, "`amount` at most 5,000" in ended.out) == (Exit.OK, True)
    unknown = asking("mandate", "read", "nope", "-f", str(file))
    assert (unknown.code, "it has `pay`" in unknown.err) == (Exit.USAGE, True)


@pytest.mark.parametrize(
    ("problems", "more", "code"),
    [
        ([], (), Exit.OK),
        ([DOUBT], (), Exit.OK),
        ([DOUBT], ("--strict",), Exit.NO),
        ([WRONG, DOUBT], (), Exit.USAGE),
    ],
)
def test_check_ends_by_what_was_found(
    asking: Command,
    gateway: FakeGateway,
    problems: list[object],
    more: tuple[str, ...],
    code: Exit,
) -> None:
    gateway.says(CHECK, {"problems": problems})
    ended = asking("mandate", "check", "pay", *more)
    assert ended.code == code
    assert gateway.asked[-1].body == {"mandate": "pay"}
    assert ("pay.yaml:3:7: warning: is about nothing" in ended.err) == bool(problems)
    assert ("nothing wrong" in ended.err) == (not problems)


def test_check_sends_files_and_says_json(
    asking: Command, gateway: FakeGateway, tmp_path: Path
) -> None:
    file = tmp_path / "house.yaml"
    file.write_text(HOUSE)
    gateway.says(CHECK, {"problems": [DOUBT]})
    ended = asking("mandate", "check", str(file), "--json")
    assert ended.json == {"problems": [DOUBT]}
    assert gateway.asked[-1].body == {"files": {str(file): HOUSE}}


def test_check_with_tools_asks_no_gateway(asking: Command, tmp_path: Path) -> None:
    house, tools = tmp_path / "house.yaml", tmp_path / "tools.json"
    house.write_text(HOUSE)
    tools.write_text(json.dumps(TOOLS))
    ended = asking("mandate", "check", str(house), "--tools", str(tools))
    assert ended.code == Exit.USAGE
    assert (
        "house.yaml:13:16: error: `bank/pay` has no argument `amount`, did you mean `amuont`?"
        in (ended.err)
    )
    tools.write_text("[1]")
    damaged = asking("mandate", "check", str(house), "--tools", str(tools))
    assert (damaged.code, "holds no tools" in damaged.err) == (Exit.USAGE, True)


def test_check_without_a_gateway_looks_at_the_files_themselves(
    command: Command, tmp_path: Path
) -> None:
    file = tmp_path / "house.yaml"
    file.write_text(HOUSE.replace("from: ada", "from: eve"))
    wrong = command("mandate", "check", str(file))
    assert wrong.code == Exit.USAGE
    assert "no gateway runs here" in wrong.err
    assert "house.yaml:9:11: error:" in wrong.err
    assert "`eve`" in wrong.err
    in_force = command("mandate", "check", "pay")
    assert (in_force.code, "no gateway runs on" in in_force.err) == (Exit.UNREACHABLE, True)
    elsewhere = command("mandate", "check", str(file), "--url", "http://127.0.0.1:1")
    assert elsewhere.code != Exit.USAGE
    assert "`eve`" not in elsewhere.err


def test_a_misspelt_file_is_no_mandate(asking: Command) -> None:
    ended = asking("mandate", "check", "huose.yaml")
    assert (ended.code, "there is no file `huose.yaml`" in ended.err) == (Exit.USAGE, True)


def test_explain_marks_what_decided(asking: Command, gateway: FakeGateway) -> None:
    compared = {"asks": "`amount` is at most 5", "counted": False, "found": "`amount` is \u200b9"}
    rule = {
        "rule": "pay@1/allow/small",
        "does": "does not let it through",
        "says": "May use the tool `bank/pay`.",
        "decided": True,
        "compared": [compared],
    }
    told = {
        "recorded": "deny",
        "code": "argument_refused",
        "because": "too much",
        "doubts": ["something is gone"],
        "explanation": {"mandates": [{"mandate": "pay@1", "stands": [], "rules": [rule]}]},
    }
    gateway.says("GET /api/v1/calls/01J/explain", {"explained": told})
    ended = asking("explain", "01J")
    assert ended.code == Exit.OK
    assert ended.out.startswith("denied (argument_refused)\n  because too much\n")
    assert "→ allow/small: does not let it through" in ended.out
    assert "✗ `amount` is at most 5: `amount` is <U+200B>9" in ended.out
    assert "in doubt: something is gone" in ended.err


def test_explain_wants_a_call_or_a_file(asking: Command) -> None:
    assert asking("explain").code == Exit.USAGE
    assert asking("explain", "01J", "-f", "x.yaml").code == Exit.USAGE
