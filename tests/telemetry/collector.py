"""A collector: takes OTLP over HTTP as the real ones do, decodes it with the format's own messages,
and keeps what it was told. `answers` are the statuses it gives first, instead of 200."""

from __future__ import annotations

import contextlib
import gzip
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

SECONDS = 20.0


def told(value: Any) -> Any:
    """An `AnyValue` as Python has it."""
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [told(each) for each in value.array_value.values]
    return None if kind is None else getattr(value, kind)


@dataclass
class Got:
    """One span as it arrived."""

    name: str
    trace: str
    span: str
    parent: str
    begin_ns: int
    end_ns: int
    attributes: dict[str, Any]
    events: list[tuple[str, dict[str, Any]]]
    error: str
    resource: dict[str, Any]

    @property
    def seconds(self) -> float:
        return (self.end_ns - self.begin_ns) / 1e9


@dataclass
class Collector:
    """What it was told so far."""

    url: str = ""
    spans: list[Got] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    rejects: int = 0
    changed: threading.Condition = field(default_factory=threading.Condition)

    def wait(self, count: int) -> list[Got]:
        """The spans, once there are so many."""
        with self.changed:
            found = self.changed.wait_for(lambda: len(self.spans) >= count, SECONDS)
            assert found, f"only {[span.name for span in self.spans]}"
            return list(self.spans)

    def named(self, name: str) -> Got:
        (found,) = [span for span in self.spans if span.name == name]
        return found

    def take(self, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        with self.changed:
            self.headers.append(headers)
            status = self.answers.pop(0) if self.answers else 200
            if status == 200:
                self.spans += decoded(headers, body)
            self.changed.notify_all()
        answer = ExportTraceServiceResponse()
        answer.partial_success.rejected_spans = self.rejects
        return status, answer.SerializeToString()


def decoded(headers: dict[str, str], body: bytes) -> list[Got]:
    assert headers["content-type"] == "application/x-protobuf"
    raw = gzip.decompress(body) if headers.get("content-encoding") == "gzip" else body
    found: list[Got] = []
    for of_resource in ExportTraceServiceRequest.FromString(raw).resource_spans:
        resource = {each.key: told(each.value) for each in of_resource.resource.attributes}
        found += [
            Got(
                name=span.name,
                trace=span.trace_id.hex(),
                span=span.span_id.hex(),
                parent=span.parent_span_id.hex(),
                begin_ns=span.start_time_unix_nano,
                end_ns=span.end_time_unix_nano,
                attributes={each.key: told(each.value) for each in span.attributes},
                events=[
                    (event.name, {each.key: told(each.value) for each in event.attributes})
                    for event in span.events
                ],
                error=span.status.message,
                resource=resource,
            )
            for of_scope in of_resource.scope_spans
            for span in of_scope.spans
        ]
    return found


@contextlib.contextmanager
def collecting() -> Iterator[Collector]:
    """A collector on loopback, for as long as the block lasts."""
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            assert self.path == "/v1/traces"
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, answer = collector.take(headers, body)
            self.send_response(status)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    collector.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield collector
    finally:
        server.shutdown()
        thread.join(SECONDS)
        server.server_close()
