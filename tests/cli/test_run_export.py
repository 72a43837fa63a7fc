"""`run export`: whatever stands in a record, the forms for other tools can be read by them."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from bailiwick.cli.exits import Exit
from bailiwick.cli.export.inspect_log import inspect_log
from bailiwick.cli.export.inspect_messages import chat_messages, tool_call
from bailiwick.cli.export.spans import otlp_json
from bailiwick.cli.export.view import Exported, read_lines
from bailiwick.core.canonical import JsonObject
from bailiwick.protocols.llm.dialect import AskedTool, Said
from bailiwick.protocols.llm.kept import keep
from tests.cli.fakes import Command, FakeGateway
from tests.unit.protocols.llm.transcripts import STREAMS

INSPECT = Path(__file__).parents[2] / "evals/inspect/.venv/bin/python"

RUN: JsonObject = {
    "record": "run",
    "v": 1,
    "id": "01R",
    "at_ms": 1_000,
    "agent": "clerk",
    "mandate": "work",
    "started_by": "agent",
    "entries": [{"index": 0, "leaf": {}, "shown": {"instruction": {"salt": "", "text": "Pay."}}}],
}
ODD_REQUESTS: list[Any] = [
    {},
    {"messages": "not a list"},
    {"messages": [None, 7, "x", [], {"role": 3}, {"role": "user", "content": {"a": 1}}]},
    {"messages": [{"role": "owner", "content": "x"}, {"role": "developer", "content": "y"}]},
    {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}, {}]}]},
    {"messages": [{"role": "assistant", "tool_calls": [{"id": 5, "function": "x"}, {}]}]},
    {
        "messages": [
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": "[1"}}],
            },
            {"role": "tool", "tool_call_id": "c", "content": [{"type": "text", "text": "r"}]},
        ]
    },
    {
        "system": [{"type": "text", "text": "be brief"}],
        "messages": [
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "hm", "signature": "s"},
                    {"type": "redacted_thinking", "data": "d"},
                    {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "t", "content": "done"},
                    {"type": "text", "text": "go on"},
                ],
            },
        ],
    },
    {
        "instructions": "x",
        "input": [
            {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c", "output": {"a": 1}},
            {"type": "reasoning", "summary": []},
            {"type": "item_reference", "id": "x"},
        ],
    },
    {"temperature": "hot", "seed": True, "max_tokens": None, "top_p": 1, "tools": [{}, 3, "x"]},
    {"tools": [{"type": "web_search"}, {"type": "function", "name": "f", "description": 5}]},
]


def model_line(number: int, request: Any, said: Said | None, **more: Any) -> dict[str, Any]:
    shown: dict[str, Any] = {"result": {"salt": "", "text": '{"status":200,"events":"x"}'}}
    if said is not None:
        shown["said"] = {"salt": "", "text": keep(said).said.decode()}
    return {
        "record": "call",
        "id": f"01A{number:04}",
        "run": "01R",
        "kind": "model",
        "upstream": "local",
        "name": "tiny",
        "mandate": "work@1",
        "agent": "clerk",
        "state": "done",
        "code": "",
        "at_ms": 1_000 + number,
        "ended_ms": 1_001 + number,
        "outcome_index": number,
        "hold": None,
        "entries": [
            {
                "index": number,
                "leaf": {"type": "call.intent", "decision": "allow", "edge": "llm/chat"},
                "shown": {},
                "more": {"call": {"arguments": request}, "because": "fine"},
            },
            {"index": number + 1, "leaf": {"type": "call.outcome"}, "shown": shown, "more": {}},
        ],
        **more,
    }


def everything() -> Exported:
    """A run of every shape of answer, every odd request, and calls that ended badly."""
    said = [each[3] for each in STREAMS]
    calls = [model_line(n, {"messages": []}, each) for n, each in enumerate(said)]
    calls += [model_line(500 + n, odd, said[0]) for n, odd in enumerate(ODD_REQUESTS)]
    calls.append(model_line(600, {}, None, entries=[]))
    calls.append(model_line(601, None, None, state="running", ended_ms=None))
    stamp = {"person": "ben", "decision": "refuse", "reason": "no", "at_ms": 3, "method": "token"}
    hold = {"id": "01H", "state": "refused", "count": 1, "at_ms": 2, "stamps": [stamp]}
    for n, kind in enumerate(("tool", "resource", "prompt", "client", "command", "odd")):
        calls.append(model_line(700 + n, {"a": 1}, None, kind=kind, hold=hold, state="refused"))
    answers = [
        '{"content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}',
        '{"isError":true,"content":[]}',
        '{"content":[{"type":"image","data":"x"}]}',
        "[1]",
        "null",
        '"text"',
    ]
    for n, text in enumerate(answers):
        line = model_line(800 + n, {"a": 1}, None, kind="tool")
        line["entries"][1]["shown"]["result"]["text"] = text
        calls.append(line)
    return Exported(RUN, calls)


def test_every_line_becomes_an_event_and_a_span() -> None:
    exported = everything()
    log = json.loads(json.dumps(inspect_log(exported, "0")))
    (sample,) = log["samples"]
    kinds = [event["event"] for event in sample["events"]]
    assert kinds.count("model") == len(STREAMS) + len(ODD_REQUESTS) + 2
    assert kinds.count("tool") == 12
    assert kinds.count("approval") == 6
    assert sample["input"] == "Pay."
    assert log["status"] == "started"
    whole = json.loads(json.dumps(otlp_json(exported, "0")))
    spans = whole["resourceSpans"][0]["scopeSpans"][0]["spans"]
    # The run, each call that ended, and each wait for a person.
    assert len(spans) == 1 + (len(exported.calls) - 1) + 6


def test_an_error_in_a_tool_s_own_answer_is_not_called_by_the_verdict_s_code() -> None:
    line = model_line(1, {"a": 1}, None, kind="tool", state="failed", code="allowed")
    whole = json.loads(json.dumps(otlp_json(Exported(RUN, [line]), "0")))
    (_, span) = whole["resourceSpans"][0]["scopeSpans"][0]["spans"]
    kinds = {each["key"]: each["value"] for each in span["attributes"]}
    assert kinds["error.type"] == {"stringValue": "tool_error"}


@pytest.mark.slow
def test_inspect_ai_reads_whatever_is_in_a_record(tmp_path: Path) -> None:
    assert INSPECT.exists(), "scripts/setup-evals installs Inspect AI"
    log = tmp_path / "run.json"
    log.write_text(json.dumps(inspect_log(everything(), "0")))
    program = (
        "import sys; from inspect_ai.log import read_eval_log\n"
        "events = read_eval_log(sys.argv[1]).samples[0].events\n"
        "print(sum(p.redacted for e in events if e.event == 'model' for c in e.output.choices"
        " for p in c.message.content if p.type == 'reasoning'), len(events))"
    )
    read = subprocess.run(
        [INSPECT, "-c", program, log], capture_output=True, text=True, timeout=120, check=False
    )
    assert read.returncode == 0, read.stderr[-2000:]
    encrypted = sum(
        piece.visibility == "encrypted" for each in STREAMS for piece in each[3].reasoning
    )
    events = json.loads(log.read_text())["samples"][0]["events"]
    assert read.stdout.split() == [str(encrypted), str(len(events))]


def test_in_a_folder_a_file_gets_a_name_of_its_own(
    asking: Command, gateway: FakeGateway, tmp_path: Path
) -> None:
    lines = b'{"record":"run","id":"01R/../x","at_ms":1795341600000}\n'
    page = lines + b'{"record":"page","next":null}\n'
    gateway.answers["GET /api/v1/runs/01R/record?limit=100"] = (200, page)
    target = tmp_path / "logs"
    target.mkdir()
    for form in ("jsonl", "otlp", "inspect"):
        ended = asking("run", "export", "01R", "--format", form, "-o", str(target))
        assert ended.code == Exit.OK, ended.err
    assert {path.name for path in target.iterdir()} == {
        "run-01Rx.jsonl",
        "run-01Rx.otlp.json",
        "2026-11-22T10-00-00+00-00_bailiwick_01Rx.json",
    }
    assert (target / "run-01Rx.jsonl").read_bytes() == lines


@pytest.mark.parametrize("into_a_folder", [True, False])
def test_a_file_that_is_there_is_replaced_only_when_asked_to_be(
    asking: Command, gateway: FakeGateway, tmp_path: Path, into_a_folder: bool
) -> None:
    page = b'{"record":"run","id":"01R","at_ms":1}\n{"record":"page","next":null}\n'
    gateway.answers["GET /api/v1/runs/01R/record?limit=100"] = (200, page)
    target = tmp_path / "run-01R.jsonl"
    target.write_text("mine")
    where = str(tmp_path if into_a_folder else target)
    ended = asking("run", "export", "01R", "-o", where)
    assert ended.code == Exit.USAGE
    assert f"`{target}` is already there; name another, or replace it with --force" in ended.err
    assert target.read_text() == "mine"
    assert asking("run", "export", "01R", "-o", where, "--force").code == Exit.OK
    assert target.read_bytes() == page.splitlines(keepends=True)[0]
    assert list(tmp_path.glob("*.jsonl")) == [target]
    assert list(tmp_path.glob(".part*")) == []


def test_what_is_no_plain_file_is_not_replaced_by_one(asking: Command, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    ended = asking("run", "export", "01R", "-o", str(pipe), "--force")
    assert (ended.code, "is not a plain file" in ended.err) == (Exit.USAGE, True)
    assert pipe.is_fifo()


@pytest.mark.slow
def test_inspect_ai_lists_the_log_and_does_not_trust_what_is_in_it(tmp_path: Path) -> None:
    name = "2026-11-22T10-00-00+00-00_bailiwick_01R.json"
    (tmp_path / name).write_text(json.dumps(inspect_log(everything(), "0")))
    program = (
        "import sys; from inspect_ai.log import list_eval_logs, read_eval_log\n"
        "(found,) = list_eval_logs(sys.argv[1])\n"
        "log = read_eval_log(found, header_only=True)\n"
        "print(found.name, log.eval.viewer.trust_content)"
    )
    read = subprocess.run(
        [INSPECT, "-c", program, tmp_path], capture_output=True, text=True, timeout=120, check=False
    )
    assert read.returncode == 0, read.stderr[-2000:]
    assert read.stdout.split() == [f"file://{tmp_path}/{name}", "False"]


def test_arguments_that_are_no_object_are_told_as_they_were() -> None:
    assert tool_call(AskedTool("", "f", ""), "call_0") == {
        "id": "call_0",
        "function": "f",
        "arguments": {},
    }
    odd = tool_call(AskedTool("c", "f", "[1"))
    assert (odd["arguments"], "parse_error" in odd) == ({"text": "[1"}, True)


def test_results_of_tools_become_messages_of_their_own() -> None:
    told = chat_messages(ODD_REQUESTS[7])
    assert [each["role"] for each in told] == ["system", "assistant", "tool", "user"]
    assert told[2]["tool_call_id"] == "t"


def test_a_record_is_fetched_page_by_page(asking: Command, gateway: FakeGateway) -> None:
    first = b'{"record":"run","id":"01R"}\n{"record":"call","id":"01A"}\n'
    path = "GET /api/v1/runs/01R/record?limit=100"
    gateway.answers[path] = (200, first + b'{"record":"page","next":"01A"}\n')
    rest = b'{"record":"call","id":"01B"}\n{"record":"page","next":null}\n'
    gateway.answers[f"{path}&after=01A"] = (200, rest)
    ended = asking("run", "export", "01R")
    assert ended.code == Exit.OK
    found = read_lines(line.encode() for line in ended.out.splitlines())
    assert [call["id"] for call in found.calls] == ["01A", "01B"]
    assert "page" not in ended.out


@pytest.mark.parametrize(
    "cut", [b"", b'{"record":"run"}', b'{"record":"run"}\n', b'{"record":"page","next":null}']
)
def test_a_record_that_was_cut_is_not_taken_for_all_of_it(
    asking: Command, gateway: FakeGateway, tmp_path: Path, cut: bytes
) -> None:
    gateway.answers["GET /api/v1/runs/01R/record?limit=100"] = (200, cut)
    target = tmp_path / "run.jsonl"
    ended = asking("run", "export", "01R", "-o", str(target))
    assert ended.code == Exit.OURS
    assert "not whole" in ended.err
    assert list(tmp_path.glob("*run*")) == []
    assert list(tmp_path.glob(".part*")) == []


def test_a_server_that_goes_round_in_circles_is_left(asking: Command, gateway: FakeGateway) -> None:
    page = b'{"record":"call","id":"01A"}\n{"record":"page","next":"01A"}\n'
    path = "GET /api/v1/runs/01R/record?limit=100"
    gateway.answers[path] = gateway.answers[f"{path}&after=01A"] = (200, page)
    ended = asking("run", "export", "01R")
    assert ended.out.count("01A") == 2
