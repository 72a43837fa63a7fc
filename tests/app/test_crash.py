"""kill -9 and afterwards: nothing acknowledged is lost, nothing ran unrecorded."""

from __future__ import annotations

import random
import sys
import threading
import time
from http.client import HTTPException
from pathlib import Path

import pytest

from tests.app.running import Running, command, running, start

CUT_OFF = (OSError, HTTPException, ValueError, AssertionError, KeyError)
"""What a client may see when its gateway is killed."""

TOY = Path(__file__).parent / "toy_server.py"


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
    allow: [{{tool: "toy/*", other_arguments: allow}}]
    stamp: [{{tool: toy/note, when: {{text: {{matches: "pay *"}}}}, role: treasurer, not: [ada]}}]
"""


def did(folder: Path) -> list[str]:
    path = folder / "did.txt"
    return path.read_text().splitlines() if path.exists() else []


@pytest.mark.slow
def test_kill_9_under_load_loses_nothing_acknowledged_and_hides_nothing_done(
    tmp_path: Path,
) -> None:
    rng = random.Random(7)
    answered: set[str] = set()
    checkpoint = b""
    for round_number in range(4):
        gateway = start(tmp_path, declared(tmp_path))
        gateway.wait()
        gateway.agent_token()
        stop = threading.Event()

        def load(worker: int, gateway: Running = gateway, stop: threading.Event = stop,
                 round_number: int = round_number) -> None:  # fmt: skip
            number = 0
            while not stop.is_set():
                number += 1
                text = f"{round_number}-{worker}-{number}"
                try:
                    result = gateway.call("toy/note", {"text": text}, 10)
                except CUT_OFF:
                    return
                if result["content"][0]["text"] == f"done {text}":
                    answered.add(text)

        workers = [threading.Thread(target=load, args=(n,)) for n in range(8)]
        for worker in workers:
            worker.start()
        time.sleep(0.4 + rng.random() * 0.6)  # a moment nobody chose
        gateway.kill()
        stop.set()
        for worker in workers:
            worker.join()
        if (gateway.data / "ledger" / "checkpoint").exists():
            checkpoint = (gateway.data / "ledger" / "checkpoint").read_bytes()
    assert len(answered) > 50, "the load did not run"
    done = [line.partition(" ")[2] for line in did(tmp_path)]
    assert len(done) == len(set(done)), "something ran twice"
    assert answered <= set(done)
    with running(tmp_path, declared(tmp_path)) as gateway:
        calls = []
        page = gateway.cli("calls", "--limit", "500")
        calls += page["calls"]
        while page.get("next"):
            page = gateway.cli("calls", "--limit", "500", "--before", page["next"])
            calls += page["calls"]
        states = [call["state"] for call in calls if call["name"] == "note"]
        assert set(states) <= {"done", "unknown"}, set(states)
        # Promise 1: whatever the server did is on record, as done or as unknown.
        assert states.count("done") >= len(answered)
        assert len(states) >= len(done)
        key = gateway.ledger_key
        old = checkpoint.split(b"\n")
        verified = command("ledger", "verify", str(gateway.data / "ledger"), "--key", key)
        assert verified.returncode == 0, verified.stderr
        now = (gateway.data / "ledger" / "checkpoint").read_bytes().split(b"\n")
        assert int(now[1]) >= int(old[1])


def test_a_hold_survives_kill_9_and_its_payment_runs_exactly_once(tmp_path: Path) -> None:
    gateway = start(tmp_path, declared(tmp_path))
    gateway.wait()
    gateway.agent_token()
    asked = threading.Thread(target=_ask_and_be_cut_off, args=(gateway,))
    asked.start()
    hold = _held(gateway)
    gateway.kill()
    asked.join()
    with running(tmp_path, declared(tmp_path)) as again:
        again.agent_token()
        (waiting,) = again.cli("holds")["holds"]
        assert waiting["id"] == hold
        again.cli("stamp", hold, "--approve", person="ben")
        again.kill()
    assert did(tmp_path) == []
    with running(tmp_path, declared(tmp_path)) as third:
        third.agent_token()
        result = third.call("toy/note", {"text": "pay 5"})
        assert result["content"][0]["text"] == "done pay 5"
        assert did(tmp_path) == ["note pay 5"]
        (call,) = third.cli("calls")["calls"]
        assert (call["state"], call["hold"]) == ("done", hold)


def test_what_was_under_way_is_unknown_after_kill_9(tmp_path: Path) -> None:
    gateway = start(tmp_path, declared(tmp_path))
    gateway.wait()
    gateway.agent_token()
    asked = threading.Thread(target=_ask_and_be_cut_off, args=(gateway, "toy/slow", "x"))
    asked.start()
    _until(lambda: did(tmp_path) == ["slow x"])
    gateway.kill()
    asked.join()
    with running(tmp_path, declared(tmp_path)) as again:
        (call,) = again.cli("calls")["calls"]
        assert (call["state"], call["code"]) == ("unknown", "gateway_stopped")


def _ask_and_be_cut_off(gateway: Running, tool: str = "toy/note", text: str = "pay 5") -> None:
    try:
        gateway.call(tool, {"text": text}, 60)
    except CUT_OFF:
        return


def _held(gateway: Running) -> str:
    found: list[str] = []

    def look() -> bool:
        found[:] = [hold["id"] for hold in gateway.cli("holds")["holds"]]
        return bool(found)

    _until(look)
    return found[0]


def _until(done: object, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if done():  # type: ignore[operator]
            return
        time.sleep(0.02)
    raise AssertionError("it did not come to be in time")
