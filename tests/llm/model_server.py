"""A model server that answers as told, and keeps what it was sent."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SECONDS = 20.0

CHAT = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "tiny-0001",
    "vendor_field": {"kept": True},
    "choices": [
        {
            "index": 0,
            "finish_reason": "stop",
            "message": {"role": "assistant", "content": "hello", "reasoning": "they greeted"},
        }
    ],
    "usage": {
        "prompt_tokens": 7,
        "completion_tokens": 2,
        "total_tokens": 9,
        "completion_tokens_details": {"reasoning_tokens": 1},
    },
}
TOOL_CALL = {
    "id": "call_1",
    "type": "function",
    "function": {"name": "add", "arguments": '{"a": 2, "b": 40}'},
}
RESPONSE: dict[str, Any] = {
    "id": "resp_1",
    "object": "response",
    "created_at": 1,
    "status": "completed",
    "model": "tiny-0001",
    "output": [
        {
            "type": "message",
            "id": "msg_1",
            "status": "completed",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "hello", "annotations": []}],
        }
    ],
    "parallel_tool_calls": True,
    "tool_choice": "auto",
    "tools": [],
    "usage": {
        "input_tokens": 7,
        "output_tokens": 2,
        "total_tokens": 9,
        "input_tokens_details": {"cached_tokens": 3},
        "output_tokens_details": {"reasoning_tokens": 1},
    },
}
MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "tiny-0001",
    "content": [{"type": "text", "text": "hello"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 7, "output_tokens": 2},
}


def chat_chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
    """One piece of a streamed chat answer."""
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    whole = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "tiny-0001",
        "choices": [choice],
    }
    return b"data: " + json.dumps(whole).encode() + b"\n\n"


CHAT_EVENTS = [
    chat_chunk({"role": "assistant", "content": ""}),
    chat_chunk({"content": "hel"}),
    chat_chunk({"content": "lo"}),
    chat_chunk({}, "stop"),
    b"data: "
    + json.dumps(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion.chunk",
            "created": 1,
            "model": "tiny-0001",
            "choices": [],
            "usage": {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9},
        }
    ).encode()
    + b"\n\n",
    b"data: [DONE]\n\n",
]


def named_event(value: dict[str, Any]) -> bytes:
    """An event that carries its type as its name too."""
    kind: str = value["type"]
    return b"event: " + kind.encode() + b"\ndata: " + json.dumps(value).encode() + b"\n\n"


MESSAGE_EVENTS = [
    named_event(each)
    for each in (
        {
            "type": "message_start",
            "message": {
                **MESSAGE,
                "content": [],
                "stop_reason": None,
                "usage": {"input_tokens": 7, "output_tokens": 1},
            },
        },
        {
            "type": "content_block_start",
            "index": 0,
            "content_block": {"type": "text", "text": ""},
        },
        {
            "type": "content_block_delta",
            "index": 0,
            "delta": {"type": "text_delta", "text": "hello"},
        },
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": {"output_tokens": 2},
        },
        {"type": "message_stop"},
    )
]
RESPONSE_EVENTS = [
    named_event(each)
    for each in (
        {
            "type": "response.created",
            "sequence_number": 0,
            "response": {**RESPONSE, "status": "in_progress", "output": [], "usage": None},
        },
        {
            "type": "response.output_item.added",
            "sequence_number": 1,
            "output_index": 0,
            "item": {**RESPONSE["output"][0], "status": "in_progress", "content": []},
        },
        {
            "type": "response.content_part.added",
            "sequence_number": 1,
            "item_id": "msg_1",
            "output_index": 0,
            "content_index": 0,
            "part": {"type": "output_text", "text": "", "annotations": []},
        },
        {
            "type": "response.output_text.delta",
            "sequence_number": 1,
            "item_id": "msg_1",
            "output_index": 0,
            "content_index": 0,
            "delta": "hello",
            "logprobs": [],
        },
        {"type": "response.completed", "sequence_number": 2, "response": RESPONSE},
    )
]
EVENTS = {
    "/v1/chat/completions": CHAT_EVENTS,
    "/v1/responses": RESPONSE_EVENTS,
    "/v1/messages": MESSAGE_EVENTS,
}
WHOLE: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": CHAT,
    "/v1/responses": RESPONSE,
    "/v1/messages": MESSAGE,
    "/v1/messages/count_tokens": {"input_tokens": 7},
    "/v1/embeddings": {
        "object": "list",
        "model": "tiny-0001",
        "data": [{"object": "embedding", "index": 0, "embedding": [0.5, 0.25]}],
        "usage": {"prompt_tokens": 7, "total_tokens": 7},
    },
    "/v1/models": {"object": "list", "data": [{"id": "tiny"}, {"id": "big/one"}, {"id": "other"}]},
}


@dataclass
class Sent:
    """One request as the server got it."""

    path: str
    headers: dict[str, str]
    raw: bytes

    @property
    def body(self) -> Any:
        return json.loads(self.raw)


@dataclass
class Answer:
    """What to answer instead of the usual.

    Attributes:
        events: streamed one by one; before the one of number `wait_before`, `go` is waited for.
    """

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    events: Sequence[bytes] | None = None
    wait_before: int = -1
    cut: bool = False


@dataclass
class ModelServer:
    """The server, for as long as a test talks to it."""

    url: str = ""
    sent: list[Sent] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    go: threading.Event = field(default_factory=threading.Event)
    gone: threading.Event = field(default_factory=threading.Event)
    started: threading.Event = field(default_factory=threading.Event)

    def reset(self) -> None:
        self.sent.clear()
        self.answers.clear()
        for event in (self.go, self.gone, self.started):
            event.clear()

    @property
    def last(self) -> Sent:
        return self.sent[-1]


@contextlib.contextmanager
def serving() -> Iterator[ModelServer]:
    """A server on a loopback port."""
    house = ModelServer()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # it waits for our delayed acknowledgement, 40 ms

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
            return

        def do_GET(self) -> None:
            self._whole(Answer(body=json.dumps(WHOLE[self.path]).encode()))

        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers["content-length"]))
            house.sent.append(Sent(self.path, {k.lower(): v for k, v in self.headers.items()}, raw))
            path = self.path.partition("?")[0]
            if house.answers:
                answer = house.answers.pop(0)
            elif json.loads(raw).get("stream"):
                answer = Answer(events=EVENTS[path])
            else:
                answer = Answer(body=json.dumps(WHOLE[path]).encode())
            with contextlib.suppress(OSError):
                self._whole(answer) if answer.events is None else self._stream(answer)

        def _whole(self, answer: Answer) -> None:
            self.send_response(answer.status)
            headers = {"Content-Type": "application/json", **answer.headers}
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

        def _stream(self, answer: Answer) -> None:
            assert answer.events is not None
            self.send_response(answer.status)
            headers = {"Content-Type": "text/event-stream; charset=utf-8", **answer.headers}
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            house.started.set()
            for number, event in enumerate(answer.events):
                if number == answer.wait_before:
                    self._wait()
                self.wfile.write(b"%x\r\n%b\r\n" % (len(event), event))
            if answer.cut:
                self.close_connection = True
                return
            self.wfile.write(b"0\r\n\r\n")

        def _wait(self) -> None:
            """Until told to go on, or the other side closes."""
            self.connection.settimeout(0.02)
            for _ in range(int(SECONDS / 0.02)):
                if house.go.is_set():
                    break
                try:
                    if not self.connection.recv(1):
                        raise ConnectionResetError
                except TimeoutError:
                    continue
                except OSError:
                    house.gone.set()
                    raise
            self.connection.settimeout(None)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    house.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield house
    finally:
        house.go.set()
        server.shutdown()
        server.server_close()
        thread.join(SECONDS)
