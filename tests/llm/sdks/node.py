"""The SDKs for Node.js: one process, called by lines of JSON."""

from __future__ import annotations

import contextlib
import itertools
import json
import subprocess
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.llm.sdks.calls import SECONDS
from tests.llm.sdks.queued import Queued

HOME = Path(__file__).parents[1]
EXECUTABLE = HOME.parents[1] / ".venv" / "bin" / "node"


class Node:
    """The SDKs of a process."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._going: dict[int, Queued] = {}
        self._numbers = itertools.count(1)
        self._clients: dict[str, dict[str, Any]] = {}

    def point(self, url: str, token: str) -> None:
        self._clients = {
            "openai": {"baseURL": f"{url}/v1", "apiKey": token},
            "anthropic": {"baseURL": url, "apiKey": token},
        }

    def openai(self, name: str, body: Mapping[str, Any] | str | None = None, /, *,
               retries: int = 2, token: str | None = None) -> Queued:  # fmt: skip
        return self._call("openai", name, body, retries, token)

    def anthropic(self, name: str, body: Mapping[str, Any] | str | None = None, /, *,
                  retries: int = 2, token: str | None = None) -> Queued:  # fmt: skip
        return self._call("anthropic", name, body, retries, token)

    def read(self) -> None:
        """Hand what the process says to the calls it is about, until it ends."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            news = json.loads(line)
            self._going[news["id"]].put(news)

    def _call(self, sdk: str, name: str, body: Any, retries: int, token: str | None) -> Queued:
        number = next(self._numbers)
        going = self._going[number] = Queued(lambda: self._tell({"abort": number}))
        client = {**self._clients[sdk], "maxRetries": retries, "timeout": SECONDS * 1000}
        if token is not None:
            client["apiKey"] = token
        first, *more = name.split("_")
        camel = first + "".join(word.capitalize() for word in more)
        self._tell({"id": number, "sdk": sdk, "client": client, "call": camel, "body": body})
        return going

    def _tell(self, order: Mapping[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()


@contextlib.contextmanager
def node() -> Iterator[Node]:
    """The SDKs, for as long as the block lasts."""
    assert (HOME / "node_modules").is_dir(), "scripts/setup-sdks has not been run"
    with subprocess.Popen(
        [EXECUTABLE, HOME / "sdks.mjs"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=HOME,
        env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent"},
    ) as process:
        found = Node(process)
        reader = threading.Thread(target=found.read)
        reader.start()
        try:
            yield found
        finally:
            process.kill()
            reader.join()
