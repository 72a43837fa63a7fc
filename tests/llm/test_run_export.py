"""A run with thoughts in it, exported from a real gateway, checked and replayed."""

from __future__ import annotations

import json
import re
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bailiwick.protocols.llm.dialect import Dialect
from tests.app.running import Running, command
from tests.llm.model_server import Answer, ModelServer, chat_chunk
from tests.llm.test_attacks import ask
from tests.llm.test_reasoning import DONE, PATHS, TOOL_CALLS, body

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/reference/run-record.md"
SESSION = {"agent-session-id": "exported"}


@pytest.fixture(scope="module")
def run_id(gateway: Running, upstream: ModelServer) -> str:
    """One run: a streamed thought with a tool call, a whole answer, an odd stream, a denial."""
    upstream.answers.append(Answer(events=TOOL_CALLS[Dialect.CHAT][0]))
    ask(gateway, body(Dialect.CHAT, stream=True), PATHS[Dialect.CHAT], SESSION)
    answer = {"z": 1, "choices": [{"message": {"content": "é", "reasoning": "<b>"}}], "a": 1.50}
    upstream.answers.append(Answer(body=json.dumps(answer, indent=2).encode()))
    tools = [{"type": "function", "function": {"name": "pay", "description": "Pays."}}]
    ask(gateway, body(Dialect.CHAT, temperature=0.5, tools=tools), PATHS[Dialect.CHAT], SESSION)
    odd = b'data: {"choices":[{"delta":{"reasoning":"caf\xe9"}}]}\n\n'
    upstream.answers.append(Answer(events=[odd, chat_chunk({}, "stop"), DONE]))
    ask(gateway, body(Dialect.CHAT, stream=True), PATHS[Dialect.CHAT], SESSION)
    sealed = {
        "id": "m",
        "model": "tiny",
        "stop_reason": "end_turn",
        "content": [{"type": "redacted_thinking", "data": "EmwK"}, {"type": "text", "text": "x"}],
        "usage": {"input_tokens": 3, "output_tokens": 2},
    }
    upstream.answers.append(Answer(body=json.dumps(sealed).encode()))
    ask(gateway, body(Dialect.MESSAGES), PATHS[Dialect.MESSAGES], SESSION)
    ask(gateway, {"model": "local/other", "messages": []}, PATHS[Dialect.CHAT], SESSION)
    calls = gateway.cli("calls", "--limit", "1")["calls"]
    return str(calls[0]["run"])


def export(gateway: Running, run: str, *words: str) -> str:
    done = command("run", "export", run, *words, "--data", str(gateway.data), "--as", "ada")
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def lines(gateway: Running, run_id: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in export(gateway, run_id).splitlines()]


def test_each_call_is_a_line_in_order(
    gateway: Running, run_id: str, lines: list[dict[str, Any]]
) -> None:
    assert [line["record"] for line in lines] == ["run", *["call"] * 5]
    rows = gateway.cli("calls", "--run", run_id)["calls"]
    assert [line["id"] for line in lines[1:]] == [row["id"] for row in reversed(rows)]


def test_what_is_exported_can_be_checked_with_python_alone(
    gateway: Running, run_id: str, lines: list[dict[str, Any]], tmp_path: Path
) -> None:
    found = re.search(r"```python\n(.*?)```", PAGE.read_text(), re.S)
    assert found is not None
    record, script = tmp_path / "run.jsonl", tmp_path / "check.py"
    script.write_text(found[1])
    record.write_text(export(gateway, run_id))
    done = subprocess.run(
        [sys.executable, "-I", script, record], capture_output=True, text=True, check=True
    )
    printed = dict(line.split() for line in done.stdout.splitlines())
    assert set(printed) == {str(e["index"]) for line in lines for e in line["entries"]}
    copy = tmp_path / "ledger"
    gateway.cli("ledger", "export", str(copy))
    hashes = b"".join(
        part.read_bytes() for part in sorted((copy / "tile/0").rglob("*")) if part.is_file()
    )
    for index, digest in printed.items():
        assert hashes[int(index) * 32 :][:32].hex() == digest
    # One letter changed is found.
    record.write_text(record.read_text().replace("Rent is due.", "Rent is paid"))
    again = subprocess.run([sys.executable, "-I", script, record], capture_output=True, check=False)
    assert again.returncode != 0


def shown(line: dict[str, Any], name: str) -> str:
    (text,) = (e["shown"][name]["text"] for e in line["entries"] if name in e["shown"])
    return str(text)


def test_requests_and_answers_can_be_replayed_exactly(lines: list[dict[str, Any]]) -> None:
    streamed, whole, odd = lines[1:4]
    events = b"".join(TOOL_CALLS[Dialect.CHAT][0]).decode()
    assert json.loads(shown(streamed, "result")) == {"status": 200, "events": events}
    answer = {"z": 1, "choices": [{"message": {"content": "é", "reasoning": "<b>"}}], "a": 1.50}
    exact = json.dumps(answer, indent=2)
    assert shown(whole, "result") == '{"status":200,"body":' + exact + "}"
    asked = whole["entries"][0]["more"]["call"]["arguments"]
    assert list(asked) == ["model", "messages", "temperature", "tools"]
    assert "events_base64" in json.loads(shown(odd, "result"))
    assert json.loads(shown(streamed, "reasoning")) == [
        {"text": "Rent is due.", "visibility": "full"}
    ]


def test_nothing_said_makes_a_line_or_moves_a_terminal(
    gateway: Running, upstream: ModelServer
) -> None:
    odd = "\u2028{}\u2029\x85\x9b2J\x7f\u202eé\U0001f600\ufeff"
    answer = {"choices": [{"message": {"content": odd, "reasoning": odd}}]}
    upstream.answers.append(Answer(body=json.dumps(answer, ensure_ascii=False).encode()))
    session = {"agent-session-id": "odd"}
    asked = {**body(Dialect.CHAT), "messages": [{"role": "user", "content": odd}]}
    ask(gateway, asked, PATHS[Dialect.CHAT], session)
    run = gateway.cli("calls", "--limit", "1")["calls"][0]["run"]
    written = export(gateway, run)
    assert written.replace("\n", "").isprintable()
    assert written.isascii()
    found = [json.loads(line) for line in written.splitlines()]
    assert [line["record"] for line in found] == ["run", "call"]
    assert json.dumps(found).count(json.dumps(odd)[1:-1]) >= 2


def test_a_file_is_its_owners_alone(gateway: Running, run_id: str, tmp_path: Path) -> None:
    target = tmp_path / "run.jsonl"
    target.write_text("older")
    export(gateway, run_id, "-o", str(target), "--force")
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert len(target.read_text().splitlines()) == 6
    assert list(tmp_path.iterdir()) == [target]


def test_what_cannot_be_written_or_is_not_there_is_said(
    gateway: Running, run_id: str, tmp_path: Path
) -> None:
    reach = ("--data", str(gateway.data), "--as", "ada")
    missing = str(tmp_path / "no" / "run.jsonl")
    done = command("run", "export", run_id, "-o", missing, *reach)
    assert done.returncode == 2
    assert "cannot write" in done.stderr
    done = command("run", "export", "01JNOTHING", *reach)
    assert "no run" in done.stderr


def test_otlp_has_a_span_for_each_call_with_what_was_said(gateway: Running, run_id: str) -> None:
    (resource,) = json.loads(export(gateway, run_id, "--format", "otlp"))["resourceSpans"]
    spans = resource["scopeSpans"][0]["spans"]
    names = [span["name"] for span in spans]
    assert names == ["invoke_agent clerk", *["chat tiny"] * 4, "chat"]
    told = {
        each["key"]: next(iter(each["value"].values()))
        for span in spans
        for each in span["attributes"]
        if each["key"] == "gen_ai.output.messages" and "Rent" in str(each["value"])
    }
    (message,) = json.loads(told["gen_ai.output.messages"])
    assert message["parts"][0]["content"] == "Rent is due."
    assert {span["traceId"] for span in spans} == {spans[0]["traceId"]}


PROGRAM = """
import json, sys
from inspect_ai.log import read_eval_log
log = read_eval_log(sys.argv[1])
(sample,) = log.samples
def told(event):
    found = {"event": event.event}
    if event.event == "model":
        message = event.output.choices[0].message if event.output.choices else None
        found["reasoning"] = [
            [part.reasoning, part.redacted]
            for part in (message.content if message else [])
            if part.type == "reasoning"
        ]
        found["calls"] = [call.function for call in (message.tool_calls or []) if message]
        found["temperature"] = event.config.temperature
        found["tools"] = [tool.name for tool in event.tools]
        found["indexes"] = [entry["index"] for entry in event.metadata["entries"]]
        found["error"] = event.error
    if event.event == "approval":
        found["approver"], found["decision"] = event.approver, event.decision
    return found
print(json.dumps({"status": log.status, "model": log.eval.model,
                  "messages": len(sample.messages), "events": [told(e) for e in sample.events]}))
"""


@pytest.mark.slow
def test_inspect_ai_reads_the_run(
    gateway: Running, run_id: str, lines: list[dict[str, Any]], tmp_path: Path
) -> None:
    python = ROOT / "evals/inspect/.venv/bin/python"
    assert python.exists(), "scripts/setup-evals installs Inspect AI"
    log = tmp_path / "run.json"
    export(gateway, run_id, "--format", "inspect", "-o", str(log))
    done = subprocess.run(
        [python, "-c", PROGRAM, log], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["status"], told["model"]) == ("success", "local/tiny")
    models = [event for event in told["events"] if event["event"] == "model"]
    assert [event["reasoning"] for event in models] == [
        [["Rent is due.", False]],
        [["<b>", False]],
        [["caf\ufffd", False]],
        [["EmwK", True]],
        [],
    ]
    assert models[0]["calls"] == ["pay"]
    assert (models[1]["temperature"], models[1]["tools"]) == (0.5, ["pay"])
    assert [event["indexes"] for event in models] == [
        [entry["index"] for entry in line["entries"]] for line in lines[1:]
    ]
    (denied,) = [event for event in told["events"] if event["event"] == "approval"]
    assert (denied["approver"], denied["decision"]) == ("mandate think@1", "reject")
    assert models[4]["error"] == "not_in_mandate"
    assert told["messages"] == 2
