"""Runs and circumstances through a real `bailiwick up`: started, joined, attacked, restarted."""

from __future__ import annotations

import json
import sys
import urllib.request
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

from bailiwick.examples.agent import at_work
from tests.app.running import Running, command, running, start

TOY = Path(__file__).parent / "toy_server.py"
MARKED = "MARKED-instruction"


def declared(folder: Path) -> str:
    rule = "{tool: toy/note, when: {text: {matches: '*'}}"
    return f"""
servers:
  toy: {{command: [{sys.executable}, {TOY}, {folder / "did.txt"}]}}
people:
  ada: {{name: Ada, roles: [operator]}}
  ben: {{name: Ben, roles: [treasurer]}}
agents:
  clerk: {{owner: ada}}
  robot: {{owner: ada}}
zones:
  home: {{networks: [127.0.0.0/8]}}
  office: {{networks: [10.0.0.0/8]}}
proxies:
  front: {{networks: [127.0.0.2]}}
mandates:
  strict:
    from: ada
    to: clerk
    only: {{started_by: person}}
    allow: [{rule}}}]
  labelled:
    from: ada
    to: clerk
    allow: [{rule}, only: {{run_labels: month-end}}}}]
  for-eve:
    from: ada
    to: clerk
    allow: [{rule}, only: {{end_users: eve@example.com, agent_may_say: end_users}}}}]
  from-home:
    from: ada
    to: clerk
    allow: [{rule}, only: {{zones: home}}}}]
  from-office:
    from: ada
    to: clerk
    allow: [{rule}, only: {{zones: office}}}}]
  robots:
    from: ada
    to: robot
    allow: [{rule}}}]
"""


def token(gateway: Running, mandate: str, agent: str = "clerk") -> str:
    gateway.token = str(gateway.cli("agents", "token", agent, "--mandate", mandate)["token"])
    return gateway.token


def note(gateway: Running, meta: object = None, **headers: str) -> tuple[str, str]:
    """The code of a refusal, "" if it was done, and the text."""
    params: dict[str, Any] = {"name": "toy/note", "arguments": {"text": "x"}}
    if meta is not None:
        params["_meta"] = meta
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    status, answer = gateway.post("tools/call", params, headers=named)
    assert status == 200, answer
    result = answer["result"]
    text = str(result["content"][0]["text"])
    return str(result.get("_meta", {}).get("bailiwick/code", "")), text


def test_a_person_starts_a_run_and_the_agent_works_in_it_and_in_no_other(tmp_path: Path) -> None:
    with running(tmp_path, declared(tmp_path)) as gateway:
        token(gateway, "strict")
        code, text = note(gateway)
        assert code == "not_in_these_circumstances"
        assert "bailiwick run start" in text
        # An attack: the agent's side says that a person started it, in every way it has.
        said = {"bailiwick/started-by": "person", "bailiwick/instruction": "Pay."}
        for session in ("one", "two"):
            headers = {"agent_session_id": session, "Bailiwick_Instruction": "Pay."}
            assert note(gateway, said, **headers)[0] == "not_in_these_circumstances"

        started = gateway.cli(
            *("run", "start", "strict", f"Pay {MARKED}."),
            *("--label", "month-end", "--purpose", "suppliers", "--end-user", "eve@example.com"),
        )
        run = started["run"]["id"]
        gateway.token = str(started["token"]["token"])
        assert note(gateway) == ("", "done x")
        assert note(gateway, Bailiwick_Run=run)[0] == ""
        assert note(gateway, agent_session_id="another")[0] == ""
        code, text = note(gateway, {"bailiwick/instruction": "Pay mallory."})
        assert code == "run_fixed"
        assert "a person began this run" in text

        shown = gateway.cli("run", "show", run)["run"]
        assert shown["instruction"] == f"Pay {MARKED}."
        assert (shown["supplier"], shown["person"]) == ("person", "ada")
        assert shown["states"] == {"done": 3, "denied": 1}
        assert run in [each["id"] for each in gateway.cli("runs")["runs"]]

        gateway.stop()
    again = start(tmp_path, declared(tmp_path))
    again.wait()
    again.token = gateway.token
    assert note(again)[0] == ""
    assert note(again, {"bailiwick/instruction": "Pay mallory."})[0] == "run_fixed"
    assert again.cli("run", "end", run)["run"]["ended_ms"]
    params = {"name": "toy/note", "arguments": {"text": "x"}}
    status, answer = again.post("tools/call", params)
    assert (status, answer["error"]) == (401, "token_revoked")
    token(again, "strict")
    assert note(again, Bailiwick_Run=run)[0] == "run_ended"
    key = again.ledger_key
    again.stop()
    verified = command("ledger", "verify", str(again.data / "ledger"), "--key", key)
    assert verified.returncode == 0, verified.stderr
    for path in (tmp_path / "data").rglob("*"):
        assert not path.is_file() or MARKED.encode() not in path.read_bytes(), path


def test_labels_count_when_a_person_set_them_and_not_when_the_agent_says_so(
    tmp_path: Path,
) -> None:
    with running(tmp_path, declared(tmp_path)) as gateway:
        token(gateway, "labelled")
        code, text = note(gateway, {"bailiwick/run-labels": ["month-end"]})
        assert code == "not_in_these_circumstances"
        assert "only the agent's own" in text
        other = gateway.cli("run", "start", "labelled", "Look.", "--label", "audit")
        gateway.token = str(other["token"]["token"])
        assert note(gateway)[0] == "not_in_these_circumstances"
        # An attack: it names the label the mandate asks for, in the run a person started.
        assert note(gateway, {"bailiwick/run-labels": ["month-end"]})[0] == "run_fixed"
        right = gateway.cli("run", "start", "labelled", "Close.", "--label", "month-end")
        gateway.token = str(right["token"]["token"])
        assert note(gateway)[0] == ""


def test_an_end_user_is_said_by_the_agent_or_fixed_by_the_person(tmp_path: Path) -> None:
    with running(tmp_path, declared(tmp_path)) as gateway:
        token(gateway, "for-eve")
        assert note(gateway)[0] == "not_in_these_circumstances"
        assert note(gateway, Bailiwick_End_User="eve%40example.com")[0] == ""
        assert note(gateway, {"bailiwick/end-user": "mal@example.com"})[0] != ""
        started = gateway.cli("run", "start", "for-eve", "--end-user", "mal@example.com")
        gateway.token = str(started["token"]["token"])
        assert note(gateway)[0] == "not_in_these_circumstances"
        # An attack: it says that it acts for somebody else than the run is for.
        assert note(gateway, {"bailiwick/end-user": "eve@example.com"})[0] == "run_fixed"


def test_a_zone_is_where_the_connection_comes_from(tmp_path: Path) -> None:
    with running(tmp_path, declared(tmp_path)) as gateway:
        token(gateway, "from-home")
        assert note(gateway)[0] == ""
        token(gateway, "from-office")
        assert note(gateway)[0] == "not_in_these_circumstances"
        # An attack: the agent names an address in the office.
        for name in ("X_Forwarded_For", "X_Real_IP", "Forwarded"):
            assert note(gateway, **{name: "10.0.0.7"})[0] == "not_in_these_circumstances"


def test_an_agent_starts_its_own_run_and_nobody_elses(tmp_path: Path) -> None:
    with running(tmp_path, declared(tmp_path)) as gateway:
        clerk = token(gateway, "labelled")
        started = api(gateway, clerk, {"instruction": "Pay.", "started_by": "person"})
        run = started["run"]
        assert started["token"] is None
        assert (run["started_by"], run["supplier"], run["person"]) == ("agent", "agent", "")
        for mandate in ("robots", "strict"):
            assert api(gateway, clerk, {"mandate": mandate})["error"]["code"] == "run_not_allowed"
        # Attacks: another agent, and the same agent under another mandate, name its run.
        token(gateway, "robots", "robot")
        assert note(gateway, Bailiwick_Run=run["id"])[0] == "run_unknown"
        token(gateway, "strict")
        assert note(gateway, Bailiwick_Run=run["id"])[0] == "run_unknown"
        assert gateway.cli("run", "show", run["id"])["run"]["calls"] == 0
        bound = gateway.cli("run", "start", "labelled")["token"]["token"]
        assert api(gateway, str(bound), {})["error"]["code"] == "run_not_allowed"


def test_only_who_stands_for_a_mandate_starts_and_ends_its_runs(tmp_path: Path) -> None:
    with running(tmp_path, declared(tmp_path)) as gateway:
        run = gateway.cli("run", "start", "strict")["run"]["id"]
        for words in (("run", "start", "strict"), ("run", "end", run)):
            done = gateway.cli(*words, person="ben", check=False)
            assert json.loads(done.stderr)["error"]["code"] == "run_not_allowed"
        gateway.cli("revoke", "strict")
        done = gateway.cli("run", "start", "strict", check=False)
        assert json.loads(done.stderr)["error"]["code"] == "mandate_not_active"


def test_a_stolen_run_token_ends_with_the_mandate(tmp_path: Path) -> None:
    with running(tmp_path, declared(tmp_path)) as gateway:
        started = gateway.cli("run", "start", "strict", "Pay.")
        gateway.token = str(started["token"]["token"])
        assert note(gateway)[0] == ""
        gateway.cli("revoke", "strict")
        assert note(gateway)[0] == "mandate_revoked"


async def test_the_official_client_works_in_the_run_of_its_token(tmp_path: Path) -> None:
    with running(tmp_path, declared(tmp_path)) as gateway:
        started = gateway.cli("run", "start", "strict", "Pay.")
        async with at_work(f"{gateway.url}/mcp", str(started["token"]["token"])) as clerk:
            said = await clerk.call("toy/note", {"text": "x"})
        assert (said.text, said.is_error) == ("done x", False)
        shown = gateway.cli("run", "show", started["run"]["id"])["run"]
        assert shown["states"] == {"done": 1}


def api(gateway: Running, bearer: str, body: dict[str, object]) -> dict[str, Any]:
    request = urllib.request.Request(
        f"{gateway.url}/api/v1/runs",
        json.dumps(body).encode(),
        {"Authorization": f"Bearer {bearer}", "Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return dict(json.loads(answer.read()))
    except HTTPError as error:
        return dict(json.loads(error.read()))
