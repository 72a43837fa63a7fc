"""A demo as somebody watches it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bailiwick.app.tokens import mint_person_token
from bailiwick.cli.api import Api
from bailiwick.cli.reach import running

DEADLINE_SECONDS = 90.0
"""For a machine that does other things as well; the demo itself promises 20 s."""


def start(*words: str) -> subprocess.Popen[str]:
    # A pipe is where it would hold its words back, unless Python was told not to.
    environ = {
        name: value
        for name, value in os.environ.items()
        if "BAILIWICK" not in name and name != "PYTHONUNBUFFERED"
    }
    return subprocess.Popen(
        [sys.executable, "-m", "bailiwick.cli", "demo", *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environ,
    )


class Watched:
    """A demo with a person before it: what it prints, line by line."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.text = ""
        self._more = threading.Condition()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._more:
                self.text += line
                self._more.notify_all()
        with self._more:
            self._more.notify_all()

    def wait_for(self, pattern: str) -> str:
        deadline = time.monotonic() + DEADLINE_SECONDS
        with self._more:
            while (match := re.search(pattern, self.text)) is None:
                left = deadline - time.monotonic()
                assert left > 0, self.text
                assert self._more.wait(left) or left > 0, self.text
                assert self._reader.is_alive() or re.search(pattern, self.text), self.text
            return match[0]

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        code = self.process.wait(DEADLINE_SECONDS)
        self._reader.join()
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code


@contextmanager
def watched(data: Path) -> Iterator[Watched]:
    demo = Watched(start("--data", str(data)))
    try:
        yield demo
    finally:
        demo.stop()


def api(data: Path, person: str) -> Api:
    return Api(running(data).url, mint_person_token(data, person, 300))
