"""A real `bailiwick up` in a folder of its own, and what one needs to talk to it."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

START_SECONDS = 30.0
BIN = Path(sys.executable).parent

META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
    "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
}


_started: list[subprocess.Popen[bytes]] = []


def end_all() -> None:
    """Kill and reap whatever of `start` still runs: a failed test leaves nothing to the others."""
    while _started:
        process = _started.pop()
        process.kill()
        process.wait()


@dataclass
class Running:
    """One gateway process.

    Attributes:
        process: the child; its stderr goes to `log`.
        url: where it answers; "" until `wait` returned.
    """

    folder: Path
    process: subprocess.Popen[bytes]
    log: Path
    url: str = ""
    token: str = field(default="", repr=False)

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def ledger_key(self) -> str:
        return str(json.loads((self.data / "gateway.json").read_text())["ledger_key"])

    def wait(self) -> None:
        """Wait until it answers; fails with its own words when it does not."""
        deadline = time.monotonic() + START_SECONDS
        file = self.data / "gateway.json"
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise AssertionError(f"it ended: {self.process.returncode}: {self.said()}")
            with contextlib.suppress(OSError, ValueError):
                found = json.loads(file.read_text())
                if found["pid"] == self.process.pid:
                    self.url = found["url"]
                    return
            time.sleep(0.02)
        self.kill()
        raise AssertionError(f"it did not answer in time: {self.said()}")

    def said(self) -> str:
        """Everything it wrote so far."""
        return self.log.read_text()

    def kill(self) -> None:
        """kill -9, as a power cut would."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)

    def stop(self) -> int:
        """Ask it to end, and wait."""
        self.process.send_signal(signal.SIGTERM)
        return self.ended(20)

    def ended(self, seconds: float) -> int:
        """Its exit status, once it ended by itself. One that does not is killed, and fails."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"it did not end within {seconds} s: {self.said()}") from None

    def cli(self, *words: str, check: bool = True, person: str = "ada") -> Any:
        """Run a command with `--json` on this gateway; returns what it printed, parsed."""
        done = command(*words, "--json", "--data", str(self.data), "--as", person)
        if check and done.returncode != 0:
            raise AssertionError(f"{words}: {done.returncode}: {done.stderr}")
        return json.loads(done.stdout) if done.stdout.strip() else done

    def agent_token(self, agent: str = "clerk") -> str:
        self.token = self.cli("agents", "token", agent)["token"]
        return self.token

    def post(
        self,
        method: str,
        params: Mapping[str, Any],
        path: str = "/mcp",
        seconds: float = 30.0,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, dict[str, Any]]:
        """One stateless request; the last JSON-RPC message of the answer, streamed or not."""
        address = urlsplit(self.url)
        assert address.hostname is not None
        connection = http.client.HTTPConnection(address.hostname, address.port, timeout=seconds)
        body = {
            "jsonrpc": "2.0",
            "id": 1,
            "method": method,
            "params": {**params, "_meta": {**META, **params.get("_meta", {})}},
        }
        sent = {
            "Authorization": f"Bearer {self.token}",
            "Content-Type": "application/json",
            "Accept": "application/json, text/event-stream",
            "MCP-Protocol-Version": "2026-07-28",
            "Mcp-Method": method,
            **({"Mcp-Name": params["name"]} if "name" in params else {}),
            **(headers or {}),
        }
        with contextlib.closing(connection):
            connection.request("POST", path, json.dumps(body).encode(), sent)
            answer = connection.getresponse()
            return answer.status, _last_message(answer.read())

    def call(
        self, tool: str, arguments: Mapping[str, Any], seconds: float = 30.0
    ) -> dict[str, Any]:
        """One tool call; its result."""
        status, answer = self.post("tools/call", {"name": tool, "arguments": arguments}, "/mcp",
                                   seconds)  # fmt: skip
        assert status == 200, answer
        result: dict[str, Any] = answer["result"]
        return result


def command(*words: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run `bailiwick` with these words to its end."""
    return subprocess.run(
        [BIN / "bailiwick", *words],
        capture_output=True,
        text=True,
        timeout=60,
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", **(env or {})},
        check=False,
    )


def start(
    folder: Path,
    declared: str,
    *more: str,
    listen: str = "127.0.0.1:0",
    env: Mapping[str, str] | None = None,
    data: Path | None = None,
) -> Running:
    """Start a gateway on `folder`; does not wait for it. `end_all` ends it, if nobody else does."""
    gateway = _start(folder, declared, *more, listen=listen, env=env, data=data)
    _started.append(gateway.process)
    return gateway


def _start(
    folder: Path,
    declared: str,
    *more: str,
    listen: str = "127.0.0.1:0",
    env: Mapping[str, str] | None = None,
    data: Path | None = None,
) -> Running:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "declared.yaml").write_text(declared)
    log = folder / "log.txt"
    with log.open("ab") as stderr:
        up = [BIN / "bailiwick", "up", "-f", folder / "declared.yaml"]
        process = subprocess.Popen(
            [*map(str, up), "--data", str(data or folder / "data"), "--listen", listen, *more],
            stdin=subprocess.DEVNULL,
            stdout=stderr,
            stderr=stderr,
            env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", **(env or {})},
        )
    return Running(folder, process, log)


def refused(gateway: Running) -> str:
    """What a gateway said that would not start."""
    assert gateway.ended(START_SECONDS) != 0
    said = gateway.said()
    assert "Traceback" not in said
    return said


@contextlib.contextmanager
def running(
    folder: Path, declared: str, *more: str, env: Mapping[str, str] | None = None
) -> Iterator[Running]:
    """A gateway that answers, for as long as the block lasts: longer than a test, where a
    fixture of a whole session opens it."""
    gateway = _start(folder, declared, *more, env=env)
    try:
        gateway.wait()
        yield gateway
    finally:
        if gateway.process.poll() is None:
            gateway.kill()


def _last_message(body: bytes) -> dict[str, Any]:
    text = body.decode()
    if text.startswith("{"):
        whole: dict[str, Any] = json.loads(text)
        return whole
    lines = [line[6:] for line in text.splitlines() if line.startswith("data: ")]
    last: dict[str, Any] = json.loads(lines[-1]) if lines else {}
    return last
