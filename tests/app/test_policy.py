"""Organisation policies in a real gateway: declared, swapped, recorded, bound by stamps."""

from __future__ import annotations

import json
import sys
import threading
from pathlib import Path
from typing import Any

from tests.app.running import Running, running

CHANGING = Path(__file__).parent / "changing_server.py"
TAKES = {
    "type": "object",
    "properties": {"amount": {"type": "integer"}, "memo": {"type": "string"}},
    "required": ["amount"],
}

FORBID = """\
policies:
  office:
    because: Above 5000 only by hand.
    cedar: |
      @id("large")
      forbid (principal, action == Action::"bank/pay", resource)
      when { context.input.amount > 5000 };
"""


def house(folder: Path, more: str = "", stamp: str = "") -> str:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "takes.json").write_text(json.dumps(TAKES))
    return f"""
servers:
  bank: {{command: [{sys.executable}, {CHANGING}, {folder / "takes.json"}]}}
people:
  ada: {{name: Ada, roles: [operator]}}
  ben: {{name: Ben}}
agents:
  clerk: {{owner: ada}}
mandates:
  work:
    from: ada
    to: clerk
    allow: [{{tool: "bank/*", other_arguments: allow}}]
    {stamp}
{more}"""


def said(result: dict[str, Any]) -> str:
    return str(result["content"][0]["text"])


def apply(gateway: Running, name: str, text: str) -> Any:
    file = gateway.folder / name
    file.write_text(text)
    return gateway.cli("apply", "-f", str(file), check=False)


def intents(gateway: Running) -> list[dict[str, Any]]:
    """The intents of all calls, oldest first."""
    calls = gateway.cli("calls")["calls"]
    paths = [gateway.cli("call", row["id"]) for row in reversed(calls)]
    return [path["leaves"][0]["leaf"] for path in paths]


def test_a_policy_declared_before_its_server_has_spoken_is_in_force_at_once(
    tmp_path: Path,
) -> None:
    with running(tmp_path, house(tmp_path, FORBID)) as gateway:
        assert "has not shown its tools yet" in gateway.said()
        gateway.agent_token()
        assert said(gateway.call("bank/pay", {"amount": 5000})) == "paid"
        denied = gateway.call("bank/pay", {"amount": 5001})
        assert denied["isError"]
        assert "`policy/office@1/large`: Above 5000 only by hand." in said(denied)
        checked = gateway.cli("policy", "check")
        assert checked["in_force"] == ["office@1"]
        assert checked["problems"] == []
        assert 'action "bank/pay"' in gateway.cli("policy", "schema")["schema"]
        good, bad = intents(gateway)
        assert good["policies"] == bad["policies"] == checked["version"]
        assert bad["rules"] == ["policy/office@1/large"]
        assert bad["code"] == "denied_by_policy"


def test_a_mistake_is_refused_with_its_place_and_the_old_policies_stay(tmp_path: Path) -> None:
    with running(tmp_path, house(tmp_path, FORBID)) as gateway:
        gateway.agent_token()
        gateway.call("bank/pay", {"amount": 1})
        wrong = FORBID.replace("context.input.amount", "context.input.amuont")
        report = apply(gateway, "wrong.yaml", wrong)
        assert report["applied"] is False
        (problem,) = report["problems"]
        assert (problem["line"], problem["column"]) == (7, 28)
        assert "did you mean `input.amount`?" in problem["message"]
        assert gateway.call("bank/pay", {"amount": 5001})["isError"]
        cedar = "forbid(principal, action, resource)\n when { context.time.hour > };"
        report = apply(gateway, "night.cedar", cedar)
        (problem,) = report["problems"]
        assert (problem["line"], problem["column"]) == (2, 29)
        assert problem["file"].endswith("night.cedar")
        checked = gateway.cli("policy", "check", "-f", str(tmp_path / "night.cedar"), check=False)
        assert checked["problems"] == [problem]


def test_policies_are_swapped_while_the_gateway_runs(tmp_path: Path) -> None:
    with running(tmp_path, house(tmp_path)) as gateway:
        gateway.agent_token()
        assert "isError" not in gateway.call("bank/pay", {"amount": 9000})
        assert apply(gateway, "policy.yaml", FORBID)["applied"]
        assert gateway.call("bank/pay", {"amount": 9000})["isError"]
        looser = FORBID.replace("5000 }", "10000 }")
        report = apply(gateway, "policy.yaml", looser)
        assert [(c["action"], c["version"]) for c in report["changes"]] == [("change", 2)]
        assert "isError" not in gateway.call("bank/pay", {"amount": 9000})
        assert apply(gateway, "policy.yaml", FORBID + "    suspended: true\n")["applied"]
        assert "isError" not in gateway.call("bank/pay", {"amount": 90000})
        versions = [intent.get("policies", "") for intent in intents(gateway)]
        assert versions[0] == versions[3] == ""
        assert len(set(versions)) == 3


def test_policies_are_in_force_after_a_restart(tmp_path: Path) -> None:
    with running(tmp_path, house(tmp_path, FORBID)) as gateway:
        gateway.agent_token()
        assert gateway.call("bank/pay", {"amount": 5001})["isError"]
        gateway.stop()
    with running(tmp_path, house(tmp_path)) as gateway:
        gateway.agent_token()
        assert gateway.call("bank/pay", {"amount": 5001})["isError"]


def test_a_stamp_does_not_serve_under_other_policies(tmp_path: Path) -> None:
    stamp = "stamp: [{tool: bank/pay}]"
    with running(tmp_path, house(tmp_path, FORBID, stamp)) as gateway:
        gateway.agent_token()
        answers: list[dict[str, Any]] = []
        asking = threading.Thread(
            target=lambda: answers.append(gateway.call("bank/pay", {"amount": 100}, 60))
        )
        asking.start()
        hold = waiting_hold(gateway)
        assert hold["policies"] == gateway.cli("policy", "check")["version"]
        assert apply(gateway, "policy.yaml", FORBID.replace("5000 }", "6000 }"))["applied"]
        gateway.cli("stamp", hold["id"], "--approve", person="ben")
        asking.join(30)
        (answer,) = answers
        assert "organisation's policies" in said(answer)
        statement = json.loads(gateway.cli("holds", "--all")["holds"][0]["stamps"][0]["statement"])
        assert statement["policies"] == hold["policies"]


def test_a_policy_that_no_longer_fits_a_changed_tool_refuses_its_calls(tmp_path: Path) -> None:
    with running(tmp_path, house(tmp_path, FORBID)) as gateway:
        gateway.agent_token()
        assert "isError" not in gateway.call("bank/pay", {"amount": 1})
        gateway.stop()
        changed = {**TAKES, "properties": {"sum": {"type": "integer"}}, "required": ["sum"]}
        after = json.dumps(changed)
    with running(tmp_path, house(tmp_path)) as gateway:
        (tmp_path / "takes.json").write_text(after)
        gateway.agent_token()
        gateway.post("tools/list", {})
        pins = gateway.cli("pins")["pins"]
        (held,) = [pin for pin in pins if pin["state"] == "held"]
        gateway.cli("pins", "accept", "bank/tool/pay", held["digest"])
        denied = gateway.call("bank/pay", {"sum": 1})
        assert "does not fit it" in said(denied)
        checked = gateway.cli("policy", "check", check=False)
        (problem,) = checked["problems"]
        assert problem["severity"] == "error"
        assert problem["file"] == "policy office@1"


def waiting_hold(gateway: Running) -> dict[str, Any]:
    """The one hold that waits, once it does: the agent's request is on its way."""
    for _ in range(200):
        holds: list[dict[str, Any]] = gateway.cli("holds")["holds"]
        if holds:
            return holds[0]
    raise AssertionError("nothing was held")
