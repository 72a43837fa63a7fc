"""Limits on a real gateway: through kill -9, on a full limit, settled by a person, audited."""

from __future__ import annotations

import random
import sqlite3
import sys
import threading
import time
from http.client import HTTPException
from pathlib import Path
from typing import Any

import pytest

from tests.app.running import Running, command, running, start

CUT_OFF = (OSError, HTTPException, ValueError, AssertionError, KeyError)
TOY = Path(__file__).parent / "toy_server.py"


def declared(folder: Path, limits: str) -> str:
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
    limits:
{limits}
"""


MANY = """
      - {id: in-all, tool: "toy/*", calls: 100000, each: lifetime}
      - {id: texts, tool: toy/note, distinct: text, at_most: 100000, each: lifetime}
      - {id: pace, tool: "toy/*", calls: 100000, within: 1h}
      - {id: at-once, tool: "toy/*", at_once: 100}
"""
FEW = """
      - {id: in-all, tool: "toy/*", calls: 2, each: lifetime}
"""


def limits(gateway: Running) -> dict[str, dict[str, Any]]:
    return {row["limit"]: row for row in gateway.cli("limits")["limits"]}


def audit(gateway: Running) -> dict[str, Any]:
    done = gateway.cli("limits", "audit")
    assert isinstance(done, dict)
    assert (done["agree"], done["differences"]) == (True, [])
    return done


def ask(gateway: Running, tool: str, text: str) -> None:
    try:
        gateway.call(tool, {"text": text}, 60)
    except CUT_OFF:
        return


def until(done: Any, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if done():
            return
        time.sleep(0.02)
    raise AssertionError("it did not come to be in time")


@pytest.mark.slow
def test_kill_9_under_load_loses_no_reservation_and_the_audit_agrees(tmp_path: Path) -> None:
    rng = random.Random(5)
    done: set[str] = set()
    for number in range(3):
        gateway = start(tmp_path, declared(tmp_path, MANY))
        gateway.wait()
        gateway.agent_token()
        stop = threading.Event()

        def load(worker: int, gateway: Running = gateway, stop: threading.Event = stop,
                 number: int = number) -> None:  # fmt: skip
            count = 0
            while not stop.is_set():
                count += 1
                text = f"{number}-{worker}-{count}"
                try:
                    result = gateway.call("toy/note", {"text": text}, 10)
                except CUT_OFF:
                    return
                if result["content"][0]["text"] == f"done {text}":
                    done.add(text)

        workers = [threading.Thread(target=load, args=(n,)) for n in range(8)]
        for worker in workers:
            worker.start()
        time.sleep(0.4 + rng.random() * 0.6)  # a moment nobody chose
        gateway.kill()
        stop.set()
        for worker in workers:
            worker.join()
    assert len(done) > 50, "the load did not run"
    with running(tmp_path, declared(tmp_path, MANY)) as gateway:
        found = audit(gateway)
        used = limits(gateway)
        # What the server did is counted, as spent or as unknown; nothing is pending any more.
        did = (tmp_path / "did.txt").read_text().splitlines()
        for each in ("in-all", "texts", "pace"):
            row = used[each]
            assert row["pending"] == 0
            assert row["used"] == row["posted"] + row["unknown"] >= len(did) >= len(done)
        assert used["at-once"]["used"] == used["in-all"]["unknown"] == found["unsettled"]


def test_what_a_crash_left_counts_until_a_person_settles_it(tmp_path: Path) -> None:
    gateway = start(tmp_path, declared(tmp_path, FEW))
    gateway.wait()
    gateway.agent_token()
    asked = threading.Thread(target=ask, args=(gateway, "toy/slow", "x"))
    asked.start()
    until(lambda: (tmp_path / "did.txt").exists())
    gateway.kill()
    asked.join()
    with running(tmp_path, declared(tmp_path, FEW)) as again:
        again.agent_token()
        found = again.cli("limits")
        (row,) = found["limits"]
        assert (row["pending"], row["posted"], row["unknown"], row["left"]) == (0, 0, 1, 1)
        (unsettled,) = found["unsettled"]
        assert audit(again)["unsettled"] == 1
        assert again.call("toy/note", {"text": "1"})["content"][0]["text"] == "done 1"
        assert again.call("toy/note", {"text": "2"})["isError"] is True
        call = unsettled["call"]
        refused = again.cli("limits", "settle", call, "--did-not-happen", "--reason", "x",
                            person="ben", check=False)  # fmt: skip
        assert refused.returncode == 4  # ben is no operator
        again.cli(
            "limits", "settle", call, "--did-not-happen", "--reason", "its log has no such call"
        )
        assert again.call("toy/note", {"text": "2"})["content"][0]["text"] == "done 2"
        twice = again.cli("limits", "settle", call, "--happened", "--reason", "no", check=False)
        assert (twice.returncode, "nothing_to_settle" in twice.stderr) == (1, True)
        path = again.cli("call", call)
        assert (path["call"]["state"], path["call"]["code"]) == (
            "unknown",
            "settled_did_not_happen",
        )
        assert audit(again)["unsettled"] == 0
        key = again.ledger_key
        verified = command("ledger", "verify", str(again.data / "ledger"), "--key", key)
        assert verified.returncode == 0, verified.stderr


def test_the_audit_fails_when_a_balance_was_altered(tmp_path: Path) -> None:
    with running(tmp_path, declared(tmp_path, FEW)) as gateway:
        gateway.agent_token()
        gateway.call("toy/note", {"text": "1"})
        audit(gateway)
        gateway.stop()
    db = sqlite3.connect(tmp_path / "data" / "bailiwick.db")
    db.execute("UPDATE balances SET posted = 0")
    db.commit()
    db.close()
    with running(tmp_path, declared(tmp_path, FEW)) as gateway:
        done = command("limits", "audit", "--data", str(gateway.data), "--as", "ada")
        assert done.returncode == 1
        assert "balance_differs" in done.stdout
        assert "work:in-all:" in done.stdout


def test_a_rule_settles_what_stayed_unknown_for_long_enough(tmp_path: Path) -> None:
    at_once = """
      - {id: in-all, tool: "toy/*", calls: 2, each: lifetime,
         unknown: {after: 1s, counts_as: released}}
"""
    gateway = start(tmp_path, declared(tmp_path, at_once))
    gateway.wait()
    gateway.agent_token()
    asked = threading.Thread(target=ask, args=(gateway, "toy/slow", "x"))
    asked.start()
    until(lambda: (tmp_path / "did.txt").exists())
    gateway.kill()
    asked.join()
    with running(tmp_path, declared(tmp_path, at_once)) as found:
        assert limits(found)["in-all"]["unknown"] == 1
        time.sleep(1.1)  # as long as the rule says, by the gateway's own clock
        found.stop()
    with running(tmp_path, declared(tmp_path, at_once)) as again:  # looked at when it starts
        until(lambda: limits(again)["in-all"]["used"] == 0)
        assert audit(again)["unsettled"] == 0
