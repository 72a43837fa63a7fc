"""The scripted model behind HTTP, on a loopback port of its own."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import ModuleType
from typing import Any

from tests.agents.model import chat, responses
from tests.agents.model.script import Step, Turn, answer

DIALECTS: dict[str, ModuleType] = {chat.PATH: chat, responses.PATH: responses}


@dataclass
class Model:
    """One agent's model, and everything that agent told it.

    Attributes:
        url: what an agent takes as its base URL, ending in `/v1`.
        bodies: the requests, in the order in which they came.
    """

    url: str
    bodies: list[dict[str, Any]] = field(default_factory=list)
    turns: list[Turn] = field(default_factory=list)

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


@contextlib.contextmanager
def scripted_model(script: Sequence[Step]) -> Iterator[Model]:
    """A model that follows `script`, for as long as the block lasts."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            dialect = DIALECTS.get(self.path)
            if dialect is None:
                self.send_error(404)
                return
            turn = dialect.read(body)
            with noting:
                model.bodies.append(body)
                model.turns.append(turn)
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.end_headers()  # HTTP/1.0: the stream ends with the connection
            for event in dialect.events(answer(script, turn)):
                self.wfile.write(event.encode())
                self.wfile.flush()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # its name there
            """Say nothing: what came is in `bodies`."""

    noting = threading.Lock()
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        model = Model(f"http://127.0.0.1:{server.server_address[1]}/v1")
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        try:
            yield model
        finally:
            server.shutdown()
            serving.join()
