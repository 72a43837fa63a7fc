"""A run over a real gateway, with the model and a tool behind it, read as a story."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.app.running import Running, command, running
from tests.llm.model_server import Answer, ModelServer, chat_chunk
from tests.llm.test_attacks import ask
from tests.llm.test_reasoning import DONE

CHAT = "/v1/chat/completions"
TOY = Path(__file__).parents[1] / "app/toy_server.py"
SESSION = {"agent-session-id": "storied"}
HOSTILE = "Rent is due.\x1b[2J\n  9  10:00:00  tool toy/note  done"


def declared(folder: Path, url: str) -> str:
    return f"""
people: {{ada: {{name: Ada, roles: [operator]}}, ben: {{name: Ben, roles: [reviewer]}}}}
agents: {{clerk: {{owner: ada}}}}
servers: {{toy: {{command: [{sys.executable}, {TOY}, {folder / "did.txt"}]}}}}
models: {{local: {{url: {url}, dialects: [chat], models: [tiny]}}}}
mandates:
  work:
    from: ada
    to: clerk
    allow:
      - {{model: local/tiny, other_arguments: allow}}
      - {{tool: "toy/*", other_arguments: allow}}
    stamp:
      - {{tool: toy/note, when: {{text: {{one_of: [held]}}}}, role: reviewer}}
"""


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, upstream: ModelServer) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("story")
    with running(folder, declared(folder, upstream.url)) as gateway:
        gateway.agent_token()
        yield gateway


def think(house: Running, upstream: ModelServer, text: str, ident: str) -> None:
    function = {"name": "toy__note", "arguments": json.dumps({"text": text})}
    call = {"index": 0, "id": ident, "type": "function", "function": function}
    said = [chat_chunk({"reasoning": HOSTILE}), chat_chunk({"tool_calls": [call]})]
    upstream.answers.append(Answer(events=[*said, chat_chunk({}, "tool_calls"), DONE]))
    words = [{"role": "user", "content": "Note the rent."}]
    asked = {"model": "local/tiny", "stream": True, "messages": words}
    assert ask(house, asked, CHAT, SESSION)[0] == 200


def act(house: Running, text: str) -> None:
    named = {"name": "toy/note", "arguments": {"text": text}}
    status, answer = house.post("tools/call", named, headers=SESSION)
    assert (status, "result" in answer) == (200, True), answer


@pytest.fixture(scope="module")
def story(house: Running, upstream: ModelServer) -> dict[str, Any]:
    think(house, upstream, "rent", "c1")
    act(house, "rent")
    think(house, upstream, "held", "c2")
    acting = threading.Thread(target=act, args=(house, "held"))
    acting.start()
    for _ in range(200):
        waiting = house.cli("holds")["holds"]
        if waiting:
            break
    assert waiting
    house.cli("stamp", waiting[0]["id"], "--approve", "--reason", "fine", person="ben")
    acting.join(20)
    act(house, "something else")
    run = house.cli("calls", "--limit", "1")["calls"][0]["run"]
    told: dict[str, Any] = house.cli("run", "show", run)
    return told


def test_each_act_leads_back_to_the_thought_that_asked_for_it(story: dict[str, Any]) -> None:
    first, noted, second, held, odd = story["steps"]
    assert first["model"]["asked"][0]["calls"] == [noted["id"]]
    assert (noted["said_and_did"], noted["asked_by"]) == ("matched", first["id"])
    assert (held["said_and_did"], held["asked_by"]) == ("matched", second["id"])
    assert second["model"]["asked"][0]["calls"] == [held["id"]]
    assert odd["said_and_did"] in ("unasked", "altered")
    assert first["model"]["reasoning"][0]["text"] == HOSTILE


def test_the_reasoning_stands_before_its_call_in_the_ledger(story: dict[str, Any]) -> None:
    first, noted, second, held, _ = story["steps"]
    for thought, done in ((first, noted), (second, held)):
        *_, outcome = thought["leaves"]
        assert "reasoning" in outcome["commitments"]
        assert outcome["index"] < done["leaves"][0]["index"]


def test_a_stamp_is_told_with_how_long_it_took(story: dict[str, Any]) -> None:
    hold = story["steps"][3]["hold"]
    assert (hold["role"], hold["state"]) == ("reviewer", "used")
    assert hold["waited_ms"] >= 0
    assert [(each["person"], each["reason"]) for each in hold["stamps"]] == [("ben", "fine")]


def test_the_terminal_tells_it_and_obeys_nobody(house: Running, story: dict[str, Any]) -> None:
    reach = ("--data", str(house.data), "--as", "ada")
    done = command("run", "show", story["run"]["id"], "--reasoning", *reach)
    assert done.returncode == 0, done.stderr
    assert "as the model asked in step 1" in done.stdout
    assert "approve by ben" in done.stdout
    assert "\x1b" not in done.stdout
    assert "│   9  10:00:00  tool toy/note  done" in done.stdout
    assert not [line for line in done.stdout.splitlines() if line.startswith("  9  10:00")]
    first = command("run", "show", story["run"]["id"], "--limit", "2", *reach)
    assert f"--after {story['steps'][1]['id']}" in first.stderr


@pytest.mark.slow
def test_inspect_ai_shows_the_stamp(house: Running, story: dict[str, Any], tmp_path: Path) -> None:
    python = Path(__file__).parents[2] / "evals/inspect/.venv/bin/python"
    log = tmp_path / "run.json"
    reach = ("--data", str(house.data), "--as", "ada")
    run = story["run"]["id"]
    done = command("run", "export", run, "--format", "inspect", "-o", str(log), *reach)
    assert done.returncode == 0, done.stderr
    program = (
        "import sys; from inspect_ai.log import read_eval_log\n"
        "for e in read_eval_log(sys.argv[1]).samples[0].events:\n"
        "    print(e.event, getattr(e, 'approver', ''), getattr(e, 'decision', ''),"
        " getattr(e, 'id', ''))"
    )
    read = subprocess.run([python, "-c", program, log], capture_output=True, text=True, check=True)
    assert [line.strip() for line in read.stdout.splitlines()][:5] == [
        "model",
        "tool   c1",
        "model",
        "approval mandate work@1 escalate",
        "approval ben approve",
    ]
