"""Flow on a real gateway, over real sockets, and through a kill -9."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from threading import Thread
from typing import Any

from tests.app.running import Running, running, start

TOY = Path(__file__).parent / "toy_server.py"
EVE = "DE89370400440532013000"


def declared(folder: Path) -> str:
    def toy(name: str) -> str:
        return f"[{sys.executable}, {TOY}, {folder / name}]"

    return f"""
servers:
  bank: {{command: {toy("bank")}, results: [{{tools: "*", trusted: true}}]}}
  mail: {{command: {toy("mail")}, results: [{{tools: "*", confidential: [mail]}}]}}
  web: {{command: {toy("web")}}}
people:
  ada: {{name: Ada, roles: [operator, treasurer]}}
  ben: {{name: Ben, roles: [treasurer]}}
agents:
  clerk: {{owner: ada}}
mandates:
  work:
    from: ada
    to: clerk
    allow:
      - {{tool: bank/note, when: {{text: {{vouched: true}}}}}}
      - {{tools: [mail/note, web/note], other_arguments: allow}}
    flow:
      accepts: [{{tool: web/note, confidential: []}}]
      vouch: {{role: treasurer}}
"""


def hold_of(gateway: Running) -> dict[str, Any]:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        (*holds,) = gateway.cli("holds")["holds"]
        if holds:
            hold: dict[str, Any] = holds[0]
            return hold
    raise AssertionError("nothing was held")


def text_of(answer: dict[str, Any]) -> str:
    text: str = answer["content"][0]["text"]
    return text


def test_a_value_waits_once_for_a_person_and_a_run_is_remembered_through_a_kill(
    tmp_path: Path,
) -> None:
    with running(tmp_path, declared(tmp_path)) as gateway:
        gateway.agent_token("clerk")
        assert "done hello" in text_of(gateway.call("web/note", {"text": "hello"}))
        assert "done" in text_of(gateway.call("mail/note", {"text": f"pay {EVE}"}))
        refused = text_of(gateway.call("web/note", {"text": "hello"}))
        assert "something confidential (`mail`), first from `mail/note`" in refused

        answers: list[dict[str, Any]] = []
        paying = Thread(
            target=lambda: answers.append(gateway.call("bank/note", {"text": EVE}, seconds=60))
        )
        paying.start()
        hold = hold_of(gateway)
        assert f"`text`: `{EVE}`, first written by the agent itself, to `mail/note`" in str(hold)
        gateway.cli("stamp", hold["id"], "--approve", person="ben")
        paying.join(20)
        assert text_of(answers[0]) == f"done {EVE}"

        gateway.kill()
        again = start(tmp_path, declared(tmp_path))
        again.wait()
        again.token = gateway.token
        assert text_of(again.call("bank/note", {"text": EVE})) == f"done {EVE}"
        assert "something confidential" in text_of(again.call("web/note", {"text": "hello"}))
        assert again.stop() == 0
    assert (tmp_path / "bank").read_text().splitlines() == [f"note {EVE}"] * 2
