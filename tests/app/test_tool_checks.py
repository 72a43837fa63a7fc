"""Applying to a real gateway: conditions are held against the tools as their server showed them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from tests.app.running import Running, running

SERVER = Path(__file__).parent / "changing_server.py"
TAKES = {
    "type": "object",
    "properties": {"amount": {"type": "integer"}, "memo": {"type": "string"}},
    "required": ["amount"],
}


def house(folder: Path, when: str = "{amount: {at_most: 5}, memo: {any: true}}") -> str:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "takes.json").write_text(json.dumps(TAKES))
    return f"""
servers:
  bank: {{command: [{sys.executable}, {SERVER}, {folder / "takes.json"}]}}
people:
  ada: {{name: Ada, roles: [operator]}}
agents:
  clerk: {{owner: ada}}
mandates:
  work:
    from: ada
    to: clerk
    allow: [{{tool: bank/pay, when: {when}}}]
"""


def apply(gateway: Running, text: str) -> Any:
    file = gateway.folder / "office.yaml"
    file.write_text(text)
    return gateway.cli("apply", "-f", str(file), check=False)


def test_what_a_server_has_shown_is_what_conditions_are_held_against(tmp_path: Path) -> None:
    with running(tmp_path, house(tmp_path)) as gateway:
        unseen = (
            "conditions on `bank/pay` are not checked yet: their server has not shown its tools; "
            "look again once an agent has listed them"
        )
        assert unseen in gateway.said()
        gateway.agent_token()
        assert "isError" not in gateway.call("bank/pay", {"amount": 1})

        report = apply(
            gateway, house(tmp_path, "{amuont: {at_most: 5}, memo: {count: {at_most: 1}}}")
        )
        assert report["applied"] is False
        told = [problem["message"] for problem in report["problems"]]
        assert told == [
            "`bank/pay` has no argument `amuont`, did you mean `amount`?",
            "`memo` of `bank/pay` is text, and `count` is for a list",
        ]
        assert [problem["severity"] for problem in report["problems"]] == ["error", "error"]
        assert gateway.call("bank/pay", {"amount": 6})["isError"]

        report = apply(gateway, house(tmp_path, "{amount: {at_most: 7}, memo: {any: true}}"))
        assert (report["applied"], report["problems"]) == (True, [])
        assert "isError" not in gateway.call("bank/pay", {"amount": 6})
