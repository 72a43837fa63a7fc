"""The command line against a gateway that really runs: what the fakes assume is true."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from mcp.client.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client

from bailiwick.cli.exits import Exit
from bailiwick.examples.agent import at_work
from tests.app.running import command
from tests.cli.fakes import Command, Ended

DECLARED = """\
people:
  ada: {{name: Ada, roles: [operator]}}
  ben: {{name: Ben, roles: [treasurer]}}
agents:
  clerk: {{owner: ada}}
servers:
  bank:
    command: [{python}, -m, bailiwick.examples.bank, {bank}]
    env: {{BANK_API_KEY: "${{file:{key}}}"}}
mandates:
  look:
    from: ada
    to: clerk
    allow:
      - {{tools: [bank/list_*, bank/balance], other_arguments: allow}}
"""


class Up:
    def __init__(self, folder: Path) -> None:
        self.data = folder / "data"
        self.declared = folder / "office.yaml"
        (folder / "bank.key").write_text("k-1\n")
        self.declared.write_text(
            DECLARED.format(
                python=json.dumps(sys.executable), bank=folder / "bank", key=folder / "bank.key"
            )
        )
        environ = {name: value for name, value in os.environ.items() if "BAILIWICK" not in name}
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "bailiwick.cli", "up", "-f", str(self.declared)),
                *("--data", str(self.data), "--listen", "127.0.0.1:0", "--no-fsync"),
            ],
            stderr=subprocess.PIPE,
            text=True,
            env=environ,
        )
        assert self.process.stderr is not None
        self.said = self.process.stderr.readline()
        self._rest = threading.Thread(target=self.process.stderr.read)
        self._rest.start()
        assert "answers at http://127.0.0.1:" in self.said

    def down(self) -> None:
        self.process.terminate()
        assert self.process.wait(30) == 0
        self._rest.join()
        assert self.process.stderr is not None
        self.process.stderr.close()


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    gateway = Up(tmp_path_factory.mktemp("up"))
    yield gateway
    gateway.down()


@pytest.fixture
def at(command: Command, up: Up) -> Command:
    """Run a command on that gateway's data folder, as ada unless said otherwise."""

    def called(*args: str) -> Ended:
        person = () if "--as" in args else ("--as", "ada")
        return command(*args, "--data", str(up.data), *person)

    return called


def test_an_unchanged_file_is_the_same_and_a_changed_one_shows_its_difference(
    at: Command, up: Up, tmp_path: Path
) -> None:
    ended = at("apply", "-f", str(up.declared), "--dry-run", "--json")
    changes = ended.json["changes"]
    assert isinstance(changes, list)
    assert {change["action"] for change in changes} == {"same"}
    changed = tmp_path / "changed.yaml"
    changed.write_text(up.declared.read_text().replace("bank/balance", "bank/transfer"))
    ended = at("apply", "-f", str(changed), "--dry-run")
    assert "change  mandate look (version 2)" in ended.out
    assert "bank/transfer" in ended.out
    assert at("apply", "-f", str(changed), "--as", "ben").code == Exit.NOT_ALLOWED


def test_a_wrong_file_is_refused_with_its_line_and_the_right_word(
    at: Command, up: Up, tmp_path: Path
) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(up.declared.read_text().replace("owner:", "ownr:"))
    ended = at("apply", "-f", str(wrong))
    assert ended.code == Exit.NO
    assert f"{wrong}:5:11: error: unknown key `ownr`, did you mean `owner`?" in ended.err


def test_a_call_of_an_agent_is_listed_shown_and_proved(at: Command, up: Up, tmp_path: Path) -> None:
    token = at("agents", "token", "clerk", "--ttl", "5m").out.strip()
    url = json.loads((up.data / "gateway.json").read_text())["url"]

    async def work() -> None:
        async with at_work(url + "/mcp", token) as clerk:
            assert not clerk.named("bank", "transfer")
            said = await clerk.call(clerk.named("bank", "balance"), {"account": "reserve"})
            assert said.structured["balance"] == "250000.00"

    asyncio.run(work())
    calls = at("calls", "--agent", "clerk", "--json").json["calls"]
    assert isinstance(calls, list)
    call = calls[0]
    assert (call["name"], call["state"]) == ("balance", "done")
    shown = at("call", call["id"]).out
    assert "look@1, given by ada" in shown
    assert '"account": "reserve"' in shown
    assert "call.outcome" in shown
    assert at("runs", "--json").json["runs"]

    agents = at("agents", "--json").json["agents"]
    assert isinstance(agents, list)
    (agent,) = agents
    assert (agent["name"], agent["owner"]) == ("clerk", "ada")
    assert [(one["name"], one["state"]) for one in agent["mandates"]] == [("look", "active")]
    heard = agent["last_call"]
    assert (heard["id"], heard["at_ms"], heard["run"]) == (call["id"], call["at_ms"], call["run"])
    leaves = at("call", call["id"], "--json").json["leaves"]
    assert isinstance(leaves, list)
    assert heard["token"] == leaves[0]["leaf"]["token"]
    assert at("agents", "--as", "ben").out.splitlines()[1].endswith("look@1")

    copy = tmp_path / "copy"
    key = str(at("ledger", "export", str(copy), "--json").json["key"])
    assert at("ledger", "proof", call["id"], "--out", str(tmp_path / "proofs")).code == Exit.OK
    checked = [copy, *(tmp_path / "proofs").iterdir()]
    assert len(checked) >= 3
    for place in checked:
        words = ("ledger", "verify", str(place), "--key", key)
        done = subprocess.run(
            [sys.executable, "-m", "bailiwick.cli", *words], capture_output=True, check=False
        )
        assert done.returncode == Exit.OK, done.stderr


def test_doctor_finds_nothing_wrong(at: Command) -> None:
    ended = at("doctor", "--json")
    findings = ended.json["findings"]
    assert isinstance(findings, list)
    wrong = [row for row in findings if row["level"] == "fail"]
    assert wrong == []
    assert {"keys", "ledger", "server bank", "gateway clock"} <= {row["check"] for row in findings}


def test_pins_hold_what_was_seen_first(at: Command) -> None:
    answer = at("pins", "--json").json["pins"]
    assert isinstance(answer, list)
    assert {pin["state"] for pin in answer} <= {"accepted"}
    ended = at("pins", "accept", "bank/tool/transfer", "0" * 64)
    assert ended.code == Exit.USAGE


def test_no_token_is_made_for_a_person_nobody_declared(at: Command) -> None:
    ended = at("people", "token", "zoe")
    assert (ended.code, ended.out) == (Exit.USAGE, "")
    assert ended.err == "bailiwick: there is no person `zoe`; `bailiwick people` lists them\n"
    assert [line.split()[0] for line in at("people").out.splitlines()] == ["PERSON", "ada", "ben"]


def test_a_person_nobody_declared_is_told_so(at: Command) -> None:
    ended = at("calls", "--as", "zoe")
    assert ended.code == Exit.NOT_ALLOWED
    assert "say who you are with --as" in ended.err


def test_a_persons_token_and_link_work_from_elsewhere(
    at: Command, command: Command, up: Up
) -> None:
    token = at("people", "token", "ben").out.strip()
    url = json.loads((up.data / "gateway.json").read_text())["url"]
    assert command("holds", "--url", url, "--token", token).code == Exit.OK
    link = command("login", "--url", url, "--token", token).out
    assert link.startswith(f"{url}/login/")


def test_a_second_gateway_on_the_folder_is_refused_in_one_line(up: Up) -> None:
    words = ("up", "--data", str(up.data), "--listen", "127.0.0.1:0")
    done = subprocess.run(
        [sys.executable, "-m", "bailiwick.cli", *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == Exit.USAGE
    assert done.stderr.count("\n") == 1
    assert "another gateway runs" in done.stderr


def test_a_client_that_only_speaks_stdio_works_through_the_bridge(at: Command, up: Up) -> None:
    token = at("agents", "token", "clerk", "--ttl", "5m").out.strip()
    server = StdioServerParameters(
        command=sys.executable,
        args=["-m", "bailiwick.cli", "stdio", "--data", str(up.data), "--server", "bank"],
        env={"BAILIWICK_AGENT_TOKEN": token},
    )

    async def work() -> None:
        async with Client(stdio_client(server)) as client:
            names = [tool.name for tool in (await client.list_tools()).tools]
            assert "list_accounts" in names
            assert "transfer" not in names
            result = await client.call_tool("list_accounts", {})
            assert result.structured_content is not None

    asyncio.run(work())


def test_revoke_stops_the_agent(at: Command, up: Up) -> None:
    """The last one: nothing works for the clerk after it."""
    token = at("agents", "token", "clerk", "--ttl", "5m").out.strip()
    url = json.loads((up.data / "gateway.json").read_text())["url"]
    assert at("revoke", "look", "--as", "ben").code == Exit.NOT_ALLOWED
    assert at("revoke", "look", "--reason", "done").code == Exit.OK

    async def work() -> str:
        try:
            async with at_work(url + "/mcp", token) as clerk:
                return (await clerk.call("bank__balance", {"account": "reserve"})).text
        except BaseExceptionGroup as group:
            return str(group.exceptions)

    assert "250000.00" not in asyncio.run(work())


def test_up_says_where_it_is_and_that_nothing_is_declared(tmp_path: Path) -> None:
    words = ("up", "--data", str(tmp_path / "new"), "--listen", "127.0.0.1:0", "--json")
    process = subprocess.Popen(
        [sys.executable, "-m", "bailiwick.cli", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    said = ""
    while not said.rstrip().endswith("}") and (line := process.stdout.readline()):
        said += line
    process.terminate()
    _, err = process.communicate(timeout=30)
    assert json.loads(said)["url"].startswith("http://127.0.0.1:")
    assert "nothing is declared yet" in err
    assert process.returncode == 0
    assert not (tmp_path / "new" / "gateway.json").exists()


def test_every_problem_of_a_declaration_has_a_line_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "wrong.yaml").write_text("servres: {}\nagentz: {}\n")
    wrong, data = str(tmp_path / "wrong.yaml"), str(tmp_path / "data")
    ended = command("up", "-f", wrong, "--data", data, "--listen", "127.0.0.1:0")
    assert ended.returncode == Exit.USAGE
    assert ended.stderr.splitlines() == [
        f"bailiwick: {wrong}:1:1: unknown key `servres`, did you mean `servers`?",
        f"{wrong}:2:1: unknown key `agentz`, did you mean `agents`?",
    ]
