"""Spans of governed calls, from a real `bailiwick up` to a collector."""

from __future__ import annotations

import http.client
import json
import re
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from tests.app.running import Running, refused, running, start
from tests.llm.model_server import CHAT, Answer, ModelServer, serving
from tests.telemetry.collector import Collector, collecting

TOY = Path(__file__).parents[1] / "app" / "toy_server.py"
TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACEPARENT = f"00-{TRACE}-{PARENT}-01"
MARKED = "MARKED-content"

DECLARED = """
servers:
  toy: {{command: [{python}, {toy}, {log}]}}
people:
  ada: {{name: Ada, roles: [operator]}}
  ben: {{name: Ben, roles: [treasurer]}}
agents: {{clerk: {{owner: ada}}}}
models:
  local: {{url: "{models}/v1", dialects: [chat, messages], models: [tiny]}}
mandates:
  work:
    from: ada
    to: clerk
    allow:
      - {{model: local/tiny, other_arguments: allow}}
      - {{tools: [toy/note, toy/slow, toy/more-0], when: {{text: {{matches: '*'}}}}}}
    stamp:
      - {{tool: toy/slow, role: treasurer}}
      - {{tool: toy/more-0, role: treasurer}}
"""


@pytest.fixture(scope="module")
def upstream() -> Iterator[ModelServer]:
    with serving() as server:
        yield server


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as found:
        yield found


def declared(folder: Path, upstream: ModelServer) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "go").touch()  # `slow` is not
    return DECLARED.format(
        python=sys.executable, toy=f"{TOY}", log=f'"{folder / "did.txt"}", "1"', models=upstream.url
    )


def complete(gateway: Running, tools: list[dict[str, Any]] | None = None, **headers: str) -> int:
    """One chat completion; its status."""
    address = urlsplit(gateway.url)
    assert address.hostname is not None
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=30)
    asked = {
        "model": "local/tiny",
        "temperature": 0.25,
        "max_tokens": 50,
        "messages": [{"role": "user", "content": MARKED}],
        **({"tools": tools} if tools else {}),
    }
    sent = {
        "Authorization": f"Bearer {gateway.token}",
        "Content-Type": "application/json",
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    connection.request("POST", "/v1/chat/completions", json.dumps(asked).encode(), sent)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status


class Approver(threading.Thread):
    """Ben, who decides the next call that is held."""

    def __init__(self, gateway: Running, approve: bool) -> None:
        super().__init__(daemon=True)
        self._gateway = gateway
        self._word = "--approve" if approve else "--refuse"
        self.failed = ""

    def run(self) -> None:
        holds: list[dict[str, str]] = []
        try:
            while not holds:
                holds = self._gateway.cli("holds", person="ben")["holds"]
            self._gateway.cli("stamp", holds[0]["id"], self._word, person="ben")
        except (AssertionError, OSError) as error:
            self.failed = str(error)
            self._gateway.kill()  # or the agent would wait on


def test_a_model_call_and_a_tool_call_arrive_below_the_agents_span(
    tmp_path: Path, upstream: ModelServer, collector: Collector
) -> None:
    env = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_EXPORTER_OTLP_HEADERS": "x-key=k%201",
    }
    with running(tmp_path, declared(tmp_path, upstream), env=env) as gateway:
        gateway.agent_token()
        assert complete(gateway, traceparent=TRACEPARENT, agent_session_id="s-1") == 200
        status, _ = gateway.post(
            "tools/call",
            {"name": "toy/note", "arguments": {"text": MARKED}},
            headers={"traceparent": TRACEPARENT, "agent-session-id": "s-1"},
        )
        assert status == 200
        collector.wait(2)
        said = gateway.said()
    chat, tool = collector.named("chat tiny"), collector.named("execute_tool note")
    assert {(span.trace, span.parent) for span in (chat, tool)} == {(TRACE, PARENT)}
    assert chat.attributes["gen_ai.operation.name"] == "chat"
    assert chat.attributes["gen_ai.provider.name"] == "openai"
    assert chat.attributes["gen_ai.request.model"] == "tiny"
    assert chat.attributes["gen_ai.response.model"] == "tiny-0001"
    assert chat.attributes["server.address"] == "127.0.0.1"
    assert chat.attributes["server.port"] == urlsplit(upstream.url).port
    assert chat.attributes["gen_ai.request.temperature"] == 0.25
    assert chat.attributes["gen_ai.request.max_tokens"] == 50
    assert chat.attributes["gen_ai.usage.input_tokens"] == 7
    assert chat.attributes["gen_ai.usage.output_tokens"] == 2
    assert chat.attributes["gen_ai.conversation.id"] == "s-1"
    assert tool.attributes["gen_ai.tool.name"] == "note"
    assert tool.attributes["bailiwick.verdict"] == "allow"
    assert tool.attributes["bailiwick.rules"] == ["work@1/allow/2"]
    assert re.fullmatch(r"p_[0-9a-f]{24}", tool.attributes["bailiwick.principal"])
    assert chat.resource["service.name"] == "bailiwick"
    assert collector.headers[0]["x-key"] == "k 1"
    assert MARKED not in repr(collector.spans)
    assert "telemetry of every call goes to" in said
    assert "k 1" not in said


def test_waiting_for_a_stamp_is_a_span_and_so_is_being_refused(
    tmp_path: Path, upstream: ModelServer, collector: Collector
) -> None:
    env = {"BAILIWICK_OTLP_ENDPOINT": collector.url, "BAILIWICK_OTLP_PEOPLE": "names"}
    with running(tmp_path, declared(tmp_path, upstream), env=env) as gateway:
        gateway.agent_token()
        for tool, approve in (("toy/slow", True), ("toy/more-0", False)):
            person = Approver(gateway, approve)
            person.start()
            gateway.post("tools/call", {"name": tool, "arguments": {"text": "x"}})
            person.join()
            assert not person.failed
        gateway.post("tools/call", {"name": "toy/crash", "arguments": {}})
        collector.wait(5)
        assert gateway.stop() == 0
    waits = [span for span in collector.spans if span.name == "wait_for_stamp"]
    approved, refusal = waits
    ran, not_run = collector.named("execute_tool slow"), collector.named("execute_tool more-0")
    assert (approved.trace, approved.parent) == (ran.trace, ran.span)
    assert approved.attributes["bailiwick.hold.role"] == "treasurer"
    assert approved.attributes["bailiwick.hold.wait_ms"] > 0
    assert 0 < approved.seconds <= ran.seconds
    (event,) = approved.events
    assert event[0] == "bailiwick.stamp"
    assert event[1]["bailiwick.stamp.person"] == "ben"
    assert event[1]["bailiwick.stamp.decision"] == "approve"
    assert refusal.parent == not_run.span
    assert refusal.attributes["bailiwick.hold.state"] == "refused"
    assert not_run.error == "stamp_refused"
    assert not_run.attributes["error.type"] == "stamp_refused"
    denied = collector.named("execute_tool")
    assert denied.attributes["bailiwick.verdict"] == "deny"
    assert denied.error == denied.attributes["bailiwick.verdict.code"]
    # Nobody's trace: the run's own span is above them, told when the gateway ends.
    run = collector.named("invoke_agent clerk")
    assert {span.parent for span in (ran, not_run, denied)} == {run.span}
    assert ran.attributes["bailiwick.principal"] == "ada"


def test_content_goes_out_only_if_it_is_asked_for(
    tmp_path: Path, upstream: ModelServer, collector: Collector
) -> None:
    env = {"BAILIWICK_OTLP_ENDPOINT": collector.url, "BAILIWICK_OTLP_CONTENT": "all"}
    with running(tmp_path, declared(tmp_path, upstream), env=env) as gateway:
        gateway.agent_token()
        assert complete(gateway, traceparent=TRACEPARENT) == 200
        gateway.call("toy/note", {"text": MARKED})
        collector.wait(2)
    chat, tool = collector.named("chat tiny"), collector.named("execute_tool note")
    assert json.loads(tool.attributes["gen_ai.tool.call.arguments"]) == {"text": MARKED}
    result = json.loads(tool.attributes["gen_ai.tool.call.result"])
    assert result["content"][0]["text"] == f"done {MARKED}"
    asked = json.loads(chat.attributes["gen_ai.input.messages"])
    assert asked == [{"role": "user", "parts": [{"type": "text", "content": MARKED}]}]
    (answer,) = json.loads(chat.attributes["gen_ai.output.messages"])
    assert {"type": "text", "content": "hello"} in answer["parts"]
    assert [part["type"] for part in answer["parts"]] == ["reasoning", "text"]


def test_a_collector_that_is_away_delays_and_fails_nothing(
    tmp_path: Path, upstream: ModelServer
) -> None:
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
    with running(tmp_path, declared(tmp_path, upstream), env=env) as gateway:
        gateway.agent_token()
        gateway.call("toy/note", {"text": "x"})
        assert gateway.stop() == 0
        said = gateway.said()
    assert "spans were not delivered" in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("env", "words"),
    [
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "`grpc`, and spans are sent as `http/protobuf`"),
        ({"OTEL_EXPORTER_OTLP_COMPRESSION": "zstd"}, "`none` or `gzip`"),
        ({"OTEL_EXPORTER_OTLP_TIMEOUT": "soon"}, "milliseconds"),
        ({"OTEL_EXPORTER_OTLP_HEADERS": "secret-key"}, "`name=value`"),
        ({"OTEL_EXPORTER_OTLP_HEADERS": "host=elsewhere"}, "'host'"),
        ({"BAILIWICK_OTLP_PEOPLE": "all"}, "`pseudonyms` or `names`"),
        ({"BAILIWICK_OTLP_CONTENT": "yes"}, "`none` or `all`"),
        ({"BAILIWICK_OTLP_ENDPOINT": "collector:4318"}, "by BAILIWICK_OTLP_"),
    ],
)
def test_a_setting_that_cannot_be_meant_is_refused_at_the_start(
    tmp_path: Path, env: dict[str, str], words: str
) -> None:
    whole = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", **env}
    said = refused(start(tmp_path, "people: {ada: {name: Ada}}", env=whole))
    assert words in said
    assert "secret-key" not in said


def test_nothing_goes_out_where_it_is_switched_off(
    tmp_path: Path, upstream: ModelServer, collector: Collector
) -> None:
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_TRACES_EXPORTER": "none"}
    with running(tmp_path, declared(tmp_path, upstream), env=env) as gateway:
        gateway.agent_token()
        gateway.call("toy/note", {"text": "x"})
        assert gateway.stop() == 0
    assert collector.spans == []


def test_the_official_exporter_finds_in_this_collector_what_it_expects(
    collector: Collector,
) -> None:
    """The contract of the fixture: what the SDK sends it decodes, and its answer is understood."""
    provider = TracerProvider(resource=Resource({"service.name": "agent"}))
    exporter = OTLPSpanExporter(f"{collector.url}/v1/traces")
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with provider.get_tracer("test").start_as_current_span("chat tiny") as span:
        span.set_attribute("gen_ai.request.stop_sequences", ["a", "b"])
        span.add_event("seen", {"at": 1})
    provider.shutdown()
    got = collector.named("chat tiny")
    assert got.attributes == {"gen_ai.request.stop_sequences": ["a", "b"]}
    assert got.events == [("seen", {"at": 1})]
    assert got.resource["service.name"] == "agent"


def test_a_tool_call_is_told_with_the_models_own_id_of_it(
    tmp_path: Path, upstream: ModelServer, collector: Collector
) -> None:
    function = {"name": "toy__note", "arguments": json.dumps({"text": "x"})}
    asked = {"id": "call_9", "type": "function", "function": function}
    message = {"role": "assistant", "content": None, "tool_calls": [asked]}
    choice = {"index": 0, "finish_reason": "tool_calls", "message": message}
    upstream.answers.append(Answer(body=json.dumps({**CHAT, "choices": [choice]}).encode()))
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}
    with running(tmp_path, declared(tmp_path, upstream), env=env) as gateway:
        gateway.agent_token()
        tools = [{"type": "function", "function": {"name": "toy__note", "parameters": {}}}]
        assert complete(gateway, tools, traceparent=TRACEPARENT) == 200
        gateway.post(
            "tools/call",
            {"name": "toy/note", "arguments": {"text": "x"}},
            headers={"traceparent": TRACEPARENT},
        )
        collector.wait(2)
    chat, tool = collector.named("chat tiny"), collector.named("execute_tool note")
    assert chat.attributes["gen_ai.response.finish_reasons"] == ["tool_calls"]
    assert tool.attributes["gen_ai.tool.call.id"] == "call_9"
    assert tool.attributes["bailiwick.said_and_did"] == "matched"
    assert tool.attributes["bailiwick.asked_by"] == chat.attributes["bailiwick.call.id"]


def test_the_trace_that_a_request_of_mcp_names_itself_wins(
    tmp_path: Path, upstream: ModelServer, collector: Collector
) -> None:
    inner = f"00-{TRACE}-{'a' * 16}-01"
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}
    with running(tmp_path, declared(tmp_path, upstream), env=env) as gateway:
        gateway.agent_token()
        for meta in ({"traceparent": inner}, {"traceparent": "nonsense"}, {"traceparent": 5}):
            gateway.post(
                "tools/call",
                {"name": "toy/note", "arguments": {"text": "x"}, "_meta": meta},
                headers={"traceparent": TRACEPARENT},
            )
        spans = collector.wait(3)
    assert [span.parent for span in spans] == ["a" * 16, PARENT, PARENT]
