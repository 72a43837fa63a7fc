"""A gateway that answers what a test says, over real HTTP, and remembers what it was asked."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from bailiwick.cli.main import run
from tests.cli.fakes import Asked, Command, Ended, FakeGateway


@pytest.fixture
def gateway() -> Iterator[FakeGateway]:
    fake = FakeGateway()

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            headers = {name.lower(): value for name, value in self.headers.items()}
            fake.asked.append(Asked(self.command, self.path, headers, body))
            status, text = fake.answers.get(
                f"{self.command} {self.path}",
                (404, b'{"error": {"code": "not_found", "message": "nothing here"}}'),
            )
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = answer  # noqa: N815

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    fake.url = f"http://127.0.0.1:{server.server_address[1]}"
    yield fake
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def command(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Command:
    """Run the command line in this process, at home in an empty folder."""
    for name in [name for name in os.environ if name.startswith(("BAILIWICK_", "XDG_", "CODEX_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()

    def called(*args: str) -> Ended:
        capsys.readouterr()
        code = run(list(args))
        captured = capsys.readouterr()
        return Ended(code, captured.out, captured.err)

    return called


@pytest.fixture
def asking(command: Command, gateway: FakeGateway) -> Command:
    """The same, talking to the fake gateway with a token."""

    def called(*args: str) -> Ended:
        return command(*args, "--url", gateway.url, "--token", "t-1")

    return called
