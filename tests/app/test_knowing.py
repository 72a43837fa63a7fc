"""Reading, checking and explaining on a real gateway, and through a kill -9."""

from __future__ import annotations

import sys
from pathlib import Path
from threading import Thread
from typing import Any

from tests.app.running import Running, command, running, start
from tests.app.test_flow import hold_of, text_of

TOY = Path(__file__).parent / "toy_server.py"
EVE = "DE89370400440532013000"


def declared(folder: Path, most: int = 2, more: str = "") -> str:
    def toy(name: str) -> str:
        return f"[{sys.executable}, {TOY}, {folder / name}]"

    return f"""
servers:
  bank: {{command: {toy("bank")}}}
  mail: {{command: {toy("mail")}, results: [{{tools: "*", confidential: [mail]}}]}}
  web: {{command: {toy("web")}}}
people:
  ada: {{name: Ada, roles: [operator]}}
  ben: {{name: Ben, roles: [treasurer]}}
agents:
  clerk: {{owner: ada}}
mandates:
  work:
    from: ada
    to: clerk
    purpose: Pay what `mail` says
    allow:
      - {{tool: bank/note, id: pay, when: {{text: {{vouched: true}}}}}}
      - {{tools: [mail/note, web/note], id: look, other_arguments: allow}}
    limits: [{{id: few, tool: web/note, calls: {most}, each: lifetime}}]
    flow:
      accepts: [{{tool: web/note, id: out, confidential: []}}]
      vouch: {{role: treasurer}}
{more}"""


def explained(gateway: Running, call: str) -> dict[str, Any]:
    found = gateway.cli("explain", call)
    assert isinstance(found, dict)
    return found


def rules(found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        rule["rule"]: rule
        for mandate in found["explanation"]["mandates"]
        for rule in mandate["rules"]
    }


def newest(gateway: Running) -> str:
    call: str = gateway.cli("calls", "--limit", "1")["calls"][0]["id"]
    return call


def told(gateway: Running, *words: str) -> str:
    done = command(*words, "--data", str(gateway.data), "--as", "ada")
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_calls_are_explained_by_what_was_so_when_they_were_made(tmp_path: Path) -> None:
    with running(tmp_path, declared(tmp_path)) as gateway:
        gateway.agent_token("clerk")
        gateway.call("web/note", {"text": "one"})
        first = newest(gateway)
        gateway.call("web/note", {"text": "two"})
        gateway.call("web/note", {"text": "three"})
        third = newest(gateway)
        gateway.call("mail/note", {"text": f"pay {EVE}"})
        gateway.call("web/note", {"text": "four"})
        leaking = newest(gateway)

        allowed = explained(gateway, first)
        assert (allowed["recorded"], allowed["doubts"]) == ("allow", [])
        (room,) = rules(allowed)["work@1/limit/few"]["compared"]
        assert (room["counted"], room["found"]) == (True, "0 of 2 calls used in all")

        denied = explained(gateway, third)
        assert (denied["recorded"], denied["code"]) == ("deny", "limit_exceeded")
        assert denied["doubts"] == []
        limit = rules(denied)["work@1/limit/few"]
        assert (limit["decided"], limit["does"]) == (True, "refuses it")
        assert limit["compared"][0]["found"] == "2 of 2 calls used in all"

        refused = explained(gateway, leaking)
        flow = rules(refused)["work@1/accepts/out"]
        assert (refused["code"], flow["decided"]) == ("flow_refused", True)
        assert flow["compared"][0]["found"].startswith("`mail`: first seen in the result of `mail/")

        answers: list[dict[str, Any]] = []
        paying = Thread(
            target=lambda: answers.append(gateway.call("bank/note", {"text": EVE}, seconds=60))
        )
        paying.start()
        hold = hold_of(gateway)
        held = explained(gateway, hold["call"])
        assert (held["recorded"], held["doubts"]) == ("hold", [])
        pay = rules(held)["work@1/allow/pay"]
        assert pay["does"].startswith("lets it through once a person")
        assert "first written by the agent itself" in pay["compared"][0]["found"]
        gateway.cli("stamp", hold["id"], "--approve", person="ben")
        paying.join(20)
        assert text_of(answers[0]) == f"done {EVE}"

        gateway.cli("suspend", "work", "--reason", "a look")
        gateway.call("web/note", {"text": "five"})
        stopped = explained(gateway, newest(gateway))
        gateway.cli("resume", "work")
        assert explained(gateway, stopped["call"]) == stopped
        assert (stopped["code"], stopped["doubts"]) == ("mandate_not_active", [])
        (state, _) = stopped["explanation"]["mandates"][0]["stands"]
        assert (state["counted"], state["found"]) == (False, "it is suspended")

        # A new version changes nothing of what was so then.
        (tmp_path / "new.yaml").write_text(declared(tmp_path, most=99))
        gateway.cli("apply", "-f", str(tmp_path / "new.yaml"))
        before = [explained(gateway, call) for call in (first, third, leaking)]
        assert before == [allowed, denied, refused]
        assert "work@1" in told(gateway, "explain", third)

        gateway.kill()
        again = start(tmp_path, declared(tmp_path, most=99))
        again.wait()
        assert [explained(again, call) for call in (first, third, leaking)] == before
        assert again.stop() == 0


def test_a_mandate_reads_back_and_applying_shows_what_it_will_say(tmp_path: Path) -> None:
    with running(tmp_path, declared(tmp_path)) as gateway:
        read = gateway.cli("mandate", "read", "work")
        assert (read["name"], read["version"], read["state"]) == ("work", 1, "active")
        said = told(gateway, "mandate", "read", "work").splitlines()
        assert said == read["sentences"]
        assert "May use the tool `bank/note` with `text` vouched for, and no other arguments" in (
            "".join(said)
        )
        assert any("Pay what \\u{60}mail\\u{60} says" in each for each in said)

        (tmp_path / "new.yaml").write_text(declared(tmp_path, most=9))
        tried = told(gateway, "apply", "--dry-run", "-f", str(tmp_path / "new.yaml"))
        assert "- Up to 2 calls in all, by every use of the tool `web/note` (limit `few`)." in tried
        assert "+ Up to 9 calls in all, by every use of the tool `web/note` (limit `few`)." in tried
        assert "  May use the tool `bank/note`" in tried
        assert gateway.cli("mandate", "read", "work")["version"] == 1
        offline = command(
            "mandate", "read", "work", "-f", str(tmp_path / "new.yaml"), "--data", "/nonexistent"
        )
        assert "Up to 9 calls" in offline.stdout
        unknown = command("mandate", "read", "wrok", "--data", str(gateway.data), "--as", "ada")
        assert unknown.returncode == 2
        assert "wrok" in unknown.stderr


def test_mandates_are_checked_against_the_tools_that_servers_show(tmp_path: Path) -> None:
    with running(tmp_path, declared(tmp_path)) as gateway:
        gateway.agent_token("clerk")
        gateway.post("tools/list", {})
        wrong = declared(tmp_path, more="    deny: [{tool: mail/gone}, {tool: mail/note}]\n")
        wrong = wrong.replace("when: {text: ", "when: {txet: ")
        (tmp_path / "new.yaml").write_text(wrong)
        words = ["mandate", "check", "--data", str(gateway.data), "--as", "ada"]
        done = command(*words, str(tmp_path / "new.yaml"))
        assert (
            "new.yaml:17:43: error: `bank/note` has no argument `txet`, did you mean" in done.stderr
        )
        assert done.returncode == 2
        (tmp_path / "new.yaml").write_text(wrong.replace("txet", "text"))
        done = command(*words, str(tmp_path / "new.yaml"))
        doubtful = "new.yaml:23:12: warning: is about nothing that any rule allows"
        assert (done.returncode, doubtful in done.stderr) == (0, True)
        assert command(*words, str(tmp_path / "new.yaml"), "--strict").returncode == 1
        assert command(*words, "work", "--strict").returncode == 0
        gateway.cli("apply", "-f", str(tmp_path / "new.yaml"))
        in_force = command(*words, "work", "--strict")
        assert in_force.returncode == 1
        assert "mandate work@2:" in in_force.stderr
        assert "warning: is about nothing that any rule allows" in in_force.stderr


def test_a_call_nobody_has_made_is_explained_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "house.yaml"
    file.write_text(declared(tmp_path))
    asked = ["explain", "-f", str(file), "--mandate", "work", "--tool"]
    held = command(*asked, "bank/note", "--arguments", f'{{"text": "{EVE}"}}')
    assert held.stdout.startswith("held\n  because")
    assert "seen nowhere in what this run has read" in held.stdout
    denied = command(*asked, "bank/note", "--arguments", '{"text": "x", "text": "y"}')
    assert denied.returncode == 2
    assert "Traceback" not in denied.stderr
    assert command(*asked, "bank").returncode == 2
    assert command("explain").returncode == 2
