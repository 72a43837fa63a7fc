"""Spans of agents: sent by the official SDK to a real `bailiwick up`, and by hostile ones."""

from __future__ import annotations

import contextlib
import gzip
import http.client
import json
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from opentelemetry import context as otel_context
from opentelemetry.exporter.otlp.json.http.trace_exporter import (
    OTLPSpanExporter as JsonExporter,
)
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.propagate import inject
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult

from bailiwick.gateway.telemetry.keeping import MAX_MINUTE_REQUESTS
from bailiwick.ledger.leaf import parse_leaf
from bailiwick.stores.entry_rows import read_leaves
from tests.app.running import Running, command, running

TOY = Path(__file__).parents[1] / "app" / "toy_server.py"
MARKED = "MARKED-thought"
PROTOBUF, JSON = "application/x-protobuf", "application/json"

DECLARED = """
servers:
  toy: {{command: [{python}, {toy}, {log}]}}
people:
  ada: {{name: Ada, roles: [operator]}}
agents: {{clerk: {{owner: ada}}, robot: {{owner: ada}}}}
mandates:
  work: {{from: ada, to: clerk, allow: [{{tool: toy/note, when: {{text: {{matches: '*'}}}}}}]}}
  other: {{from: ada, to: robot, allow: [{{tool: toy/note, when: {{text: {{matches: '*'}}}}}}]}}
"""


def declared(folder: Path) -> str:
    return DECLARED.format(python=sys.executable, toy=TOY, log=folder / "did.txt")


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("gateway")
    with running(folder, declared(folder)) as gateway:
        yield gateway


@pytest.fixture(autouse=True)
def nothing_left_running() -> Iterator[None]:
    """The gateway here lives as long as the module."""
    return iter((None,))


@pytest.fixture(autouse=True)
def fresh_token(gateway: Running) -> None:
    gateway.agent_token()


def note(gateway: Running, **headers: str) -> str:
    """One tool call; the id of its run."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    status, answer = gateway.post(
        "tools/call", {"name": "toy/note", "arguments": {"text": "x"}}, headers=sent
    )
    assert status == 200, answer
    calls = gateway.cli("calls")["calls"]
    return str(calls[0]["run"])


class Emitter:
    """An agent with the official SDK."""

    def __init__(self, gateway: Running, *, as_json: bool = False, **headers: str) -> None:
        sent = {"Authorization": f"Bearer {gateway.token}"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        url = f"{gateway.url}/v1/traces"
        exporter: SpanExporter = (
            JsonExporter(url, headers=sent)
            if as_json
            else OTLPSpanExporter(url, headers=sent, compression=Compression.Gzip)
        )
        self.results: list[SpanExportResult] = []
        self._provider = TracerProvider(resource=Resource({"service.name": "my-agent"}))
        self._provider.add_span_processor(SimpleSpanProcessor(Watched(exporter, self.results)))
        self.tracer = self._provider.get_tracer("my-library")

    def close(self) -> None:
        self._provider.shutdown()


class Watched(SpanExporter):
    """Passes on, and keeps what came of it."""

    def __init__(self, inner: SpanExporter, results: list[SpanExportResult]) -> None:
        self._inner = inner
        self._results = results

    def export(self, spans: Any) -> SpanExportResult:
        self._results.append(self._inner.export(spans))
        return self._results[-1]

    def shutdown(self) -> None:
        self._inner.shutdown()


def spans_of(gateway: Running, run: str) -> list[dict[str, Any]]:
    """The agent's spans as the API tells them."""
    told = api(gateway, f"/api/v1/runs/{run}/spans")
    assert told["claimed_by"] == "agent"
    return [span for batch in told["batches"] for span in batch["spans"]]


def api(gateway: Running, path: str) -> Any:
    status, body = http_get(gateway, path)
    assert status == 200, body
    return body


def http_get(gateway: Running, path: str) -> tuple[int, Any]:
    token = str(gateway.cli("people", "token", "ada")["token"])
    connection = connect(gateway)
    connection.request("GET", path, headers={"Authorization": f"Bearer {token}"})
    answer = connection.getresponse()
    body = json.loads(answer.read())
    connection.close()
    return answer.status, body


def connect(gateway: Running) -> http.client.HTTPConnection:
    address = urlsplit(gateway.url)
    assert address.hostname is not None
    return http.client.HTTPConnection(address.hostname, address.port, timeout=30)


def post(
    gateway: Running, body: bytes, kind: str = JSON, method: str = "POST", **headers: str
) -> tuple[int, bytes, dict[str, str]]:
    sent = {"Authorization": f"Bearer {gateway.token}", "Content-Type": kind}
    sent |= {name.replace("_", "-"): value for name, value in headers.items()}
    connection = connect(gateway)
    connection.request(method, "/v1/traces", body, {k: v for k, v in sent.items() if v})
    answer = connection.getresponse()
    found = answer.read()
    connection.close()
    return answer.status, found, {name.lower(): value for name, value in answer.getheaders()}


def one(trace: str = "a" * 32, span: str = "b" * 16, **attributes: str) -> bytes:
    """A request with one span, as JSON."""
    told = [{"key": key, "value": {"stringValue": value}} for key, value in attributes.items()]
    spans = [{"traceId": trace, "spanId": span, "name": "x", "attributes": told}]
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}).encode()


def rejected(body: bytes) -> tuple[int, str]:
    """What an answer in JSON says was not taken."""
    told = json.loads(body).get("partialSuccess", {})
    return int(told.get("rejectedSpans", 0)), told.get("errorMessage", "")


# --- real emitters -------------------------------------------------------------------------------


@pytest.mark.parametrize("as_json", [False, True])
def test_an_agents_spans_are_attached_to_the_run_of_its_trace(
    gateway: Running, as_json: bool
) -> None:
    emitter = Emitter(gateway, as_json=as_json)
    with emitter.tracer.start_as_current_span("invoke_agent clerk") as above:
        above.set_attribute("gen_ai.operation.name", "invoke_agent")
        with emitter.tracer.start_as_current_span("plan") as span:
            span.set_attribute("gen_ai.reasoning", MARKED)
            span.set_attribute("tries", 3)
            span.add_event("thought", {"at": "once"})
            headers: dict[str, str] = {}
            inject(headers, otel_context.get_current())
            run = note(gateway, traceparent=headers["traceparent"])
    emitter.close()
    assert set(emitter.results) == {SpanExportResult.SUCCESS}
    plan, top = spans_of(gateway, run)
    assert (plan["name"], top["name"]) == ("plan", "invoke_agent clerk")
    assert plan["trace_id"] == headers["traceparent"].split("-")[1]
    assert plan["parent_id"] == top["span_id"]
    assert plan["attributes"] == {"gen_ai.reasoning": MARKED, "tries": 3}
    assert plan["events"][0]["name"] == "thought"
    assert plan["resource"]["service.name"] == "my-agent"
    assert plan["scope"] == "my-library"
    assert int(plan["begin_ns"]) <= int(plan["end_ns"])


def test_what_was_sent_is_sealed_and_committed_to(gateway: Running) -> None:
    run = note(gateway)
    status, body, _ = post(gateway, one(thought=MARKED))
    assert (status, body) == (200, b"{}")
    (batch,) = api(gateway, f"/api/v1/runs/{run}/spans")["batches"]
    assert batch["spans"][0]["attributes"]["thought"] == MARKED
    store = sqlite3.connect(f"file:{gateway.data / 'bailiwick.db'}?mode=ro", uri=True)
    with contextlib.closing(store):
        (leaf,) = read_leaves(store, batch["entry"], batch["entry"] + 1)
    fields = parse_leaf(leaf)
    assert (fields.type, fields.id) == ("agent.spans", batch["id"])
    assert (fields.fields["run"], fields.fields["count"]) == (run, 1)
    assert fields.fields["agent"] == "clerk"
    exported = command("run", "export", run, "--data", str(gateway.data), "--as", "ada").stdout
    assert [json.loads(line)["record"] for line in exported.splitlines()] == [
        "run",
        "call",
        "spans",
    ]
    for file in gateway.data.rglob("*"):
        if file.is_file():
            assert MARKED.encode() not in file.read_bytes(), file


def test_an_agent_that_names_its_session_needs_no_trace(gateway: Running) -> None:
    named = note(gateway, agent_session_id="s-7")
    other = note(gateway)
    assert named != other
    body = one("c" * 32, **{"gen_ai.conversation.id": "s-7"})
    assert rejected(post(gateway, body)[1]) == (0, "")
    assert [span["trace_id"] for span in spans_of(gateway, named)] == ["c" * 32]
    # From now on the trace alone is known, and the header names a session as well.
    post(gateway, one("c" * 32, "d" * 16))
    post(gateway, one("e" * 32), agent_session_id="s-7")
    assert len(spans_of(gateway, named)) == 3
    assert spans_of(gateway, other) == []


def test_a_run_is_named_by_its_id(gateway: Running) -> None:
    run = note(gateway, agent_session_id="s-8")
    assert rejected(post(gateway, one(**{"bailiwick.run.id": run}))[1]) == (0, "")
    assert rejected(post(gateway, one("f" * 32), Bailiwick_Run=run)[1]) == (0, "")
    assert len(spans_of(gateway, run)) == 2


def test_after_a_restart_traces_are_found_in_the_record(tmp_path: Path) -> None:
    trace = "1" * 32
    with running(tmp_path, declared(tmp_path)) as gateway:
        gateway.agent_token()
        run = note(gateway, traceparent=f"00-{trace}-{'2' * 16}-01", agent_session_id="s-1")
        assert gateway.stop() == 0
        token = gateway.token
    with running(tmp_path, declared(tmp_path)) as gateway:
        gateway.token = token
        assert rejected(post(gateway, one(trace))[1]) == (0, "")
        assert len(spans_of(gateway, run)) == 1


# --- what is rejected ----------------------------------------------------------------------------


def test_spans_of_no_run_are_rejected_with_the_reason(gateway: Running) -> None:
    gateway.token = str(gateway.cli("agents", "token", "clerk")["token"])  # with no call yet
    count, why = rejected(post(gateway, one("3" * 32))[1])
    assert count == 1
    assert "no call of this agent came with this trace" in why


def test_no_agent_writes_into_the_run_of_another(gateway: Running) -> None:
    trace = "4" * 32
    run = note(gateway, traceparent=f"00-{trace}-{'2' * 16}-01")
    gateway.agent_token("robot")
    for body, headers in (
        (one(trace), {}),
        (one(**{"bailiwick.run.id": run}), {}),
        (one("5" * 32), {"Bailiwick_Run": run}),
    ):
        status, answer, _ = post(gateway, body, **headers)
        assert status == 200
        assert rejected(answer)[0] == 1
    assert spans_of(gateway, run) == []


def test_a_token_bound_to_a_run_writes_into_no_other(gateway: Running) -> None:
    trace = "6" * 32
    other = note(gateway, traceparent=f"00-{trace}-{'2' * 16}-01")
    started = gateway.cli("run", "start", "work", "do it")
    gateway.token = started["token"]["token"]
    bound = started["run"]["id"]
    assert rejected(post(gateway, one(trace))[1]) == (0, "")
    count, why = rejected(post(gateway, one(), Bailiwick_Run=other)[1])
    assert (count, f"belongs to the run `{bound}`" in why) == (1, True)
    assert spans_of(gateway, other) == []
    assert len(spans_of(gateway, bound)) == 1


def test_bad_ids_are_rejected_and_good_ones_kept_in_both_encodings(gateway: Running) -> None:
    run = note(gateway)
    request = ExportTraceServiceRequest()
    spans = request.resource_spans.add().scope_spans.add().spans
    spans.add(trace_id=b"t" * 16, span_id=b"s" * 8, name="good")
    spans.add(trace_id=bytes(16), span_id=b"s" * 8, name="bad")
    status, body, headers = post(gateway, request.SerializeToString(), PROTOBUF)
    answer = ExportTraceServiceResponse.FromString(body)
    assert (status, headers["content-type"]) == (200, PROTOBUF)
    assert answer.partial_success.rejected_spans == 1
    assert "`trace_id` is not 16 bytes" in answer.partial_success.error_message
    assert [span["name"] for span in spans_of(gateway, run)] == ["good"]
    assert rejected(post(gateway, one("0" * 32))[1])[0] == 1


# --- what is refused -----------------------------------------------------------------------------

BOMB = gzip.compress(b"{" + b" " * (64 * 1024 * 1024), mtime=0)


@pytest.mark.parametrize(
    ("body", "headers", "status", "code", "grpc"),
    [
        (b"{", {}, 400, "otlp_malformed", 3),
        (b"[" * 100_000, {}, 400, "otlp_malformed", 3),
        (b"{}", {"Authorization": ""}, 401, "token_missing", 16),
        (b"{}", {"Authorization": "Bearer x"}, 401, "token_invalid", 16),
        (b"{}", {"Host": "evil.example"}, 403, "host_not_served", 7),
        (b"{}", {"Origin": "https://evil.example"}, 403, "host_not_served", 7),
        (b"{}", {"kind": "text/xml"}, 415, "content_type_not_otlp", 3),
        (b"{}", {"Content_Encoding": "br"}, 415, "encoding_not_served", 3),
        (b"{}", {"Content_Encoding": "gzip, gzip"}, 415, "encoding_not_served", 3),
        (b"{}", {"Content_Encoding": "gzip"}, 400, "gzip_malformed", 3),
        (
            gzip.compress(b"{}", mtime=0)[:-4],
            {"Content_Encoding": "gzip"},
            400,
            "gzip_malformed",
            3,
        ),
        (gzip.compress(b"{}", mtime=0) * 2, {"Content_Encoding": "gzip"}, 400, "gzip_malformed", 3),
        (BOMB, {"Content_Encoding": "gzip"}, 413, "body_too_large", 8),
        (b"{}", {"Content_Length": str(4 * 2**20 + 1)}, 413, "body_too_large", 8),
        (b"{" + b"," * 400_001, {}, 413, "otlp_too_much", 8),
        (b"{}", {"Bailiwick_Run": "x" * 65}, 400, "bad_run_words", 3),
        (b"", {"method": "GET"}, 405, "method_not_allowed", 12),
    ],
)
def test_each_refusal_is_a_status_of_the_format(
    gateway: Running, body: bytes, headers: dict[str, str], status: int, code: str, grpc: int
) -> None:
    found, answer, told = post(gateway, body, **headers)
    assert found == status, answer
    assert told["content-type"] == JSON
    whole = json.loads(answer)
    assert whole["code"] == grpc
    assert f"({code})" in whole["message"]


def test_a_refusal_in_protobuf_is_a_status_too(gateway: Running) -> None:
    status, answer, headers = post(gateway, b"\x0a", PROTOBUF)
    assert (status, headers["content-type"]) == (400, PROTOBUF)
    assert answer[:2] == b"\x08\x03"  # code 3, INVALID_ARGUMENT
    assert answer[2] == 0x12  # the message
    assert b"(otlp_malformed)" in answer


def test_a_bomb_is_noticed_before_it_is_unpacked(gateway: Running) -> None:
    assert len(BOMB) < 128 * 1024
    before = peak_bytes(gateway)
    status, _, _ = post(gateway, BOMB, Content_Encoding="gzip")
    assert status == 413
    assert peak_bytes(gateway) - before < 32 * 1024 * 1024


def peak_bytes(gateway: Running) -> int:
    for line in Path(f"/proc/{gateway.process.pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024
    raise AssertionError


def test_a_flood_is_stopped_for_the_minute_and_harms_no_other_agent(tmp_path: Path) -> None:
    with running(tmp_path, declared(tmp_path), "--no-fsync") as gateway:
        gateway.agent_token()
        note(gateway)
        statuses = []
        for number in range(2 * MAX_MINUTE_REQUESTS + 2):  # a minute may begin meanwhile
            status, _, headers = post(gateway, one(f"{number + 1:032x}"))
            statuses.append(status)
            if status == 429:
                break
        assert statuses[-1] == 429
        assert 1 <= int(headers["retry-after"]) <= 30
        assert len(statuses) > MAX_MINUTE_REQUESTS
        gateway.agent_token("robot")
        note(gateway)
        assert post(gateway, one("7" * 32))[0] == 200


def test_the_spans_of_no_run_are_unknown(gateway: Running) -> None:
    status, body = http_get(gateway, "/api/v1/runs/none/spans")
    assert (status, body["error"]["code"]) == (404, "run_unknown")
    assert command("version").returncode == 0
