"""An agent delegates from the command line, over HTTP, to a gateway that really runs."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tests.app.running import Running, command, running

CHILD = """
to: helper
allow: [{tool: bank/balance, when: {account: {equals: reserve}}}]
"""


def declared(folder: Path) -> str:
    (folder / "bank.key").write_text("k-1\n")
    bank = json.dumps([sys.executable, "-m", "bailiwick.examples.bank", str(folder / "bank")])
    key = f"${{file:{folder / 'bank.key'}}}"
    return f"""
servers: {{bank: {{command: {bank}, env: {{BANK_API_KEY: "{key}"}}}}}}
people: {{ada: {{name: Ada, roles: [operator]}}, ben: {{name: Ben}}}}
agents: {{clerk: {{owner: ada}}, helper: {{owner: ben}}}}
mandates:
  look:
    from: ada
    to: clerk
    allow: [{{tools: [bank/list_*, bank/balance], other_arguments: allow}}]
    delegation: {{to: helper}}
"""


def delegated(gateway: Running, child: str, folder: Path) -> tuple[int, str, str]:
    """`bailiwick delegate` by the agent, which has its token and no data folder."""
    file = folder / "child.yaml"
    file.write_text(child)
    env = {"BAILIWICK_TOKEN": gateway.agent_token(), "BAILIWICK_URL": gateway.url}
    done = command("delegate", "look", str(file), "--ttl", "10m", env=env)
    return done.returncode, done.stdout.strip(), done.stderr


def balance(gateway: Running, account: str) -> str:
    result = gateway.call("bank__balance", {"account": account})
    text = json.dumps(result)
    return "refused" if result.get("isError") else text


def test_a_child_made_from_the_command_line_acts_survives_a_power_cut_and_is_stopped(
    tmp_path: Path,
) -> None:
    file = declared(tmp_path)
    with running(tmp_path, file) as gateway:
        wide = CHILD.replace("{equals: reserve}", "{any: true}, x: {any: true}")
        code, _, said = delegated(gateway, wide.replace("balance", "transfer"), tmp_path)
        assert code != 0
        assert "it would allow `bank/transfer`" in said
        code, token, said = delegated(gateway, CHILD, tmp_path)
        assert code == 0, said
        gateway.token = token
        assert "250000.00" in balance(gateway, "reserve")
        assert balance(gateway, "current") == "refused"
        gateway.kill()
    with running(tmp_path, file) as gateway:
        gateway.token = token
        assert "250000.00" in balance(gateway, "reserve")
        tree = command("mandates", "--data", str(gateway.data), "--as", "ada").stdout
        assert "\n  look:helper-" in tree
        gateway.cli("suspend", "look")
        assert balance(gateway, "reserve") == "refused"
        gateway.cli("resume", "look")
        assert "250000.00" in balance(gateway, "reserve")
        gateway.cli("revoke", "look")
        assert balance(gateway, "reserve") == "refused"
        rows = gateway.cli("mandates")["objects"]
        assert [row["state"] for row in rows] == ["revoked", "revoked"]
        child = max(row["name"] for row in rows)
        calls = gateway.cli("calls", "--agent", "helper")["calls"]
        assert {call["mandate"] for call in calls} == {f"{child}@1"}
