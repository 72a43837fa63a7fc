"""`bailiwick policy`."""

from __future__ import annotations

from pathlib import Path

import pytest

from bailiwick.cli.exits import Exit
from tests.cli.fakes import Command, FakeGateway

CHECK = "POST /api/v1/policies/check"
WRONG = {
    "severity": "error",
    "code": "declaration_invalid",
    "message": "there is no tool `bank/trasnfer`",
    "file": "office.cedar",
    "line": 3,
    "column": 7,
}
DOUBTFUL = {**WRONG, "severity": "warning", "message": "permits what is permitted \u202eanyway"}


def report(*problems: object, schema: str = "entity Agent;\n") -> dict[str, object]:
    return {
        "version": "9f2c",
        "in_force": ["office@2"],
        "schema": schema,
        "problems": list(problems),
    }


def test_check_says_that_nothing_is_wrong(asking: Command, gateway: FakeGateway) -> None:
    gateway.says(CHECK, report())
    ended = asking("policy", "check")
    assert ended.code == Exit.OK
    assert ended.out == "in force  office@2\n"
    assert ended.err == "nothing wrong\n"
    assert gateway.asked[-1].body == {"files": {}}


def test_check_sends_yaml_and_cedar_and_prints_places(
    asking: Command, gateway: FakeGateway, tmp_path: Path
) -> None:
    (tmp_path / "office.cedar").write_text("forbid(principal, action, resource);")
    (tmp_path / "more.yaml").write_text("policies: {}")
    (tmp_path / "notes.txt").write_text("no")
    gateway.says(CHECK, report(WRONG))
    ended = asking("policy", "check", "-f", str(tmp_path))
    assert ended.code == Exit.NO
    assert "office.cedar:3:7: error: there is no tool `bank/trasnfer`" in ended.err
    body = gateway.asked[-1].body
    assert isinstance(body, dict)
    assert sorted(body["files"]) == [str(tmp_path / "more.yaml"), str(tmp_path / "office.cedar")]


def test_a_warning_is_no_error_and_hides_nothing(asking: Command, gateway: FakeGateway) -> None:
    gateway.says(CHECK, report(DOUBTFUL))
    ended = asking("policy", "check")
    assert ended.code == Exit.OK
    assert "<U+202E>" in ended.err
    assert "nothing wrong" not in ended.err


@pytest.mark.parametrize(("problem", "code"), [(WRONG, Exit.NO), (DOUBTFUL, Exit.OK)])
def test_check_prints_json(
    asking: Command, gateway: FakeGateway, problem: dict[str, object], code: Exit
) -> None:
    gateway.says(CHECK, report(problem))
    ended = asking("policy", "check", "--json")
    assert ended.code == code
    assert ended.json == {"version": "9f2c", "in_force": ["office@2"], "problems": [problem]}


def test_schema_prints_cedar_with_nothing_hidden(asking: Command, gateway: FakeGateway) -> None:
    gateway.says(CHECK, report(schema='entity Agent;\naction "bank/\u202epay";\n'))
    ended = asking("policy", "schema")
    assert ended.code == Exit.OK
    assert ended.out == 'entity Agent;\naction "bank/<U+202E>pay";\n'
    assert asking("policy", "schema", "--json").json == {
        "schema": 'entity Agent;\naction "bank/\u202epay";\n'
    }
