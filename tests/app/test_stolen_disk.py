"""Whoever steals the disk without `keys/` finds no payload, and with other keys nothing starts."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from bailiwick.core.canonical import digest_of
from tests.app.running import Running, refused, running, start

TOY = Path(__file__).parent / "toy_server.py"
ALLOWED, DENIED, HELD = "fine MARKED-allowed", "bad MARKED-denied", "pay MARKED-held"
URI = "file:///MARKED-patient.txt"
REASONS = ("MARKED-approval", "MARKED-refusal")


def declared(folder: Path) -> str:
    return f"""
servers:
  toy: {{command: [{sys.executable}, {TOY}, {folder / "did.txt"}]}}
people:
  ada: {{name: Ada, roles: [operator]}}
  ben: {{name: Ben, roles: [treasurer]}}
agents:
  clerk: {{owner: ada}}
mandates:
  work:
    from: ada
    to: clerk
    allow: [{{tool: toy/note, when: {{text: {{matches: ["fine *", "pay *"]}}}}}}]
    stamp: [{{tool: toy/note, when: {{text: {{matches: "pay *"}}}}, role: treasurer, not: [ada]}}]
"""


def test_a_stolen_disk_without_its_keys_shows_no_payload(tmp_path: Path) -> None:
    with running(tmp_path, declared(tmp_path)) as gateway:
        gateway.agent_token()
        assert told(gateway, ALLOWED) == f"done {ALLOWED}"
        assert DENIED in told(gateway, DENIED)
        read = {"uri": URI}
        _, answer = gateway.post("resources/read", read, "/mcp/toy", headers={"Mcp-Name": URI})
        assert answer["error"]["data"]["bailiwick/code"] == "not_in_mandate"
        assert stamped(gateway, HELD, "--approve", REASONS[0]) == f"done {HELD}"
        assert REASONS[1] in stamped(gateway, f"{HELD} 2", "--refuse", REASONS[1])
        calls = {call["id"]: call for call in gateway.cli("calls")["calls"]}
        assert sorted(call["state"] for call in calls.values()) == [
            *("denied", "denied", "done", "done", "refused"),
        ]
        assert any(call["name"] == URI for call in calls.values())
        paths = [gateway.cli("call", call) for call in calls]
        while_running = files(gateway.data)
        gateway.stop()
    texts = (ALLOWED, DENIED, HELD, f"{HELD} 2")
    digests = {digest("tool", "note", {"text": text}) for text in texts}
    digests.add(digest("resource", URI, {}))
    # With the keys it all is there: nothing was left out to pass this test.
    assert {path["call"]["digest"] for path in paths} == digests
    assert all(mark in str(paths) for mark in (*texts, URI, *REASONS))
    for found in (while_running, files(gateway.data)):
        assert {"bailiwick.db", "ledger"} <= {path.split("/")[0] for path in found}
        for path, content in found.items():
            assert b"MARKED" not in content, path
            for each in digests:
                assert each.encode() not in content.lower(), path
                assert bytes.fromhex(each) not in content, path
    assert "bailiwick.db-wal" in while_running


def test_another_vault_key_does_not_start(tmp_path: Path) -> None:
    with running(tmp_path, declared(tmp_path)) as gateway:
        gateway.stop()
    (gateway.data / "keys" / "vault.key").write_text("5a" * 32 + "\n")
    assert "restore `keys/vault.key`" in refused(start(tmp_path, declared(tmp_path)))


def told(gateway: Running, text: str) -> str:
    return str(gateway.call("toy/note", {"text": text})["content"][0]["text"])


def stamped(gateway: Running, text: str, decision: str, reason: str) -> str:
    answers: list[str] = []
    asked = threading.Thread(target=lambda: answers.append(told(gateway, text)))
    asked.start()
    holds: list[str] = []

    def waits() -> bool:
        listed = gateway.cli("holds")["holds"]
        holds[:] = [hold["id"] for hold in listed if hold["state"] == "waiting"]
        return bool(holds)

    until(waits)
    gateway.cli("stamp", holds[0], decision, "--reason", reason, person="ben")
    asked.join(20)
    return answers[0]


def digest(kind: str, name: str, arguments: dict[str, str]) -> str:
    return digest_of({"kind": kind, "upstream": "toy", "name": name, "arguments": arguments})


def files(folder: Path) -> dict[str, bytes]:
    """Everything in the data folder but the keys."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.parent.name != "keys"
    }


def until(done: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, "it did not come to be in time"
        time.sleep(0.02)
