"""The scripted models behind HTTP, on a loopback port of their own."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import ModuleType
from typing import Any

from tests.agents.model import chat, messages, responses
from tests.agents.model.script import SCRIPTED, SLOW, SLOW_WORD, Step, Turn, answer

DIALECTS: dict[str, ModuleType] = {each.PATH: each for each in (chat, responses, messages)}
SLOW_SECONDS = 0.1


@dataclass
class Said:
    """What a model was told under one name."""

    bodies: list[dict[str, Any]] = field(default_factory=list)
    turns: list[Turn] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    @property
    def results(self) -> Sequence[str]:
        """The text of the tool results it was sent, oldest first."""
        return max((turn.results for turn in self.turns), key=len, default=())

    @property
    def offered(self) -> Sequence[str]:
        """The tools it was offered at first, `NAMESPACE.NAME` in dialects that have namespaces."""
        for turn in self.turns:
            if turn.offered:
                return [f"{one.namespace}.{one.name}".lstrip(".") for one in turn.offered]
        return ()


@dataclass
class Model:
    """One agent's model server, and everything that it was told, in the order in which it came.

    Attributes:
        url: its address, ending in `/v1`.
        begun: a slow answer has begun.
        given_up: whoever asked for a slow answer has closed the connection.
    """

    url: str
    as_model: dict[str, Said] = field(default_factory=dict)
    begun: threading.Event = field(default_factory=threading.Event)
    given_up: threading.Event = field(default_factory=threading.Event)

    def said(self, model: str = SCRIPTED) -> Said:
        """What it was told under this name."""
        return self.as_model.setdefault(model, Said())


@contextlib.contextmanager
def scripted_model(script: Sequence[Step]) -> Iterator[Model]:
    """Models that follow `script`, for as long as the block lasts."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            dialect = DIALECTS.get(self.path.partition("?")[0])
            if dialect is None:
                self.send_error(404)
                return
            turn = dialect.read(body)
            name = body["model"]
            with noting:
                said = model.said(name)
                said.bodies.append(body)
                said.turns.append(turn)
                said.headers.append({key.lower(): text for key, text in self.headers.items()})
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.end_headers()  # HTTP/1.0: the stream ends with the connection
            for event in dialect.events(answer(script, turn, name)):
                self._write(event)
                if name == SLOW and SLOW_WORD in event and '"delta"' in event:
                    self._say_for_ever(event)
                    return

        def _write(self, event: str) -> None:
            self.wfile.write(event.encode())
            self.wfile.flush()

        def _say_for_ever(self, event: str) -> None:
            model.begun.set()
            try:
                while not ending.wait(SLOW_SECONDS):
                    self._write(event)
            except OSError:
                model.given_up.set()
            self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # its name there
            """Say nothing: what came is kept."""

    noting, ending = threading.Lock(), threading.Event()
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        model = Model(f"http://127.0.0.1:{server.server_address[1]}/v1")
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        try:
            yield model
        finally:
            ending.set()
            server.shutdown()
            serving.join()
