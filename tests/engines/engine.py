"""A real engine in a process of its own, with the tiny model of `engines/tiny`."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.app.running import Running

ROOT = Path(__file__).parents[2]
ENGINES = ROOT / "engines"
KEY = "sk-engine-secret-key"
ASKED_FOR = "REAL_ENGINES"
"""Names the engines whose tests are to run; what is missing for one of them is then a failure."""


@dataclass(frozen=True)
class Engine:
    """One engine that answers.

    Attributes:
        log: what it has written so far is in there.
    """

    url: str
    log: Path

    def get(self, path: str) -> str:
        """What it says to its operator."""
        return ask(self.url, "GET", path)[1].decode()

    def said(self) -> str:
        """Everything it wrote so far."""
        return self.log.read_text()


def asked_for(name: str) -> pytest.MarkDecorator:
    """Skips the tests of an engine that nobody asked for."""
    named = name in os.environ.get(ASKED_FOR, "").split(",")
    return pytest.mark.skipif(not named, reason=f"{ASKED_FOR} does not name {name}")


def environment_of(name: str) -> Path:
    """The programs of an engine's environment."""
    environment = ENGINES / name / ".venv" / "bin"
    assert environment.is_dir(), f"scripts/setup-engine {name} has not been run"
    return environment


def write_model(environment: Path, form: str, path: Path, *, thinks: bool) -> None:
    """Write the tiny model, in the form that the engine of this environment loads."""
    words: list[str | Path] = [environment / "python", "-m", "engines.tiny", form, path]
    subprocess.run([*words, *(["--thinks"] if thinks else [])], cwd=ROOT, check=True, timeout=60)


@contextlib.contextmanager
def serving(
    folder: Path, words: Sequence[str | Path], *, seconds: float, env: Mapping[str, str]
) -> Iterator[Engine]:
    """An engine that answers, started by `words` and the words for its address."""
    port = _free_port()
    log = folder / f"{port}.log"
    address = ["--host", "127.0.0.1", "--port", str(port)]
    engine = Engine(f"http://127.0.0.1:{port}", log)
    own = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "PYTHONUNBUFFERED": "1", **env}
    with (
        log.open("wb") as output,
        subprocess.Popen(
            [*words, *address], stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            env=own, cwd=folder, start_new_session=True,
        ) as process,
    ):  # fmt: skip
        try:
            _wait(engine, process, seconds)
            yield engine
        finally:
            # Its workers are in its own session: none outlives it.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, 9)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def _wait(engine: Engine, process: subprocess.Popen[bytes], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise AssertionError(f"it ended: {process.returncode}: {engine.said()[-4000:]}")
        with contextlib.suppress(OSError, http.client.HTTPException):
            if ask(engine.url, "GET", "/v1/models", token=KEY)[0] == 200:
                return
        time.sleep(0.05)
    raise AssertionError(f"it did not answer in {seconds} s: {engine.said()[-4000:]}")


def ask(
    url: str, method: str, path: str, body: Any = None, *, token: str = ""
) -> tuple[int, bytes]:
    """One request, without an SDK; the status, and the body as it came."""
    address = urlsplit(url)
    assert address.hostname is not None
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=60)
    with contextlib.closing(connection):
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
        payload = None if body is None else json.dumps(body).encode()
        connection.request(method, path, payload, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()


# Ids, and the second of the answer.
_NAMES = re.compile(r'"(?:id|item_id|response_id|signature)": ?"[^"]*"|"created(?:_at)?": ?[0-9.]+')


def events(raw: bytes) -> list[str]:
    """The data of a stream of events, with the names that engines draw by lot taken out."""
    found = [line[6:] for line in raw.decode().splitlines() if line.startswith("data: ")]
    return [_NAMES.sub('"…": 0', each) for each in found]


def recorded(gateway: Running) -> dict[str, Any]:
    """What the newest call's record says that the model said."""
    newest = gateway.cli("calls", "--limit", "1")["calls"][0]
    assert newest["state"] == "done"
    said: dict[str, Any] = gateway.cli("call", newest["id"])["outcome"]["said"]
    return said


def until(holds: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait until something holds; fails when it does not in time."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.02)
