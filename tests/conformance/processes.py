"""Child processes of a conformance run: the fixture, the suites' installer, free ports."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_STOP_SECONDS = 10.0


class ConformanceError(Exception):
    """The run cannot go on; says what to do."""


def install_suites() -> None:
    """Install both suites from their lock file, once.

    Raises:
        ConformanceError: npm failed.
    """
    done = subprocess.run(  # our own script
        [ROOT / "scripts/setup-conformance"], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise ConformanceError(f"scripts/setup-conformance failed:\n{done.stderr}")


def free_port() -> int:
    """A loopback port that nothing listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def wait_for_port(port: int, process: subprocess.Popen[str], seconds: float) -> None:
    """Return when something accepts connections on the loopback `port`.

    Raises:
        ConformanceError: the process ended, or the time is up.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise ConformanceError(f"the process ended with status {process.returncode}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.02)
    raise ConformanceError(f"nothing listens on port {port} after {seconds:g} s")


def stop(process: subprocess.Popen[str]) -> None:
    """End a child that we started, gently first."""
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextlib.contextmanager
def running_fixture() -> Iterator[str]:
    """The fixture server in a process of its own; its URL."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.conformance.fixture"],
        cwd=ROOT,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    try:
        url = process.stdout.readline().strip()
        if not url:
            raise ConformanceError("the fixture did not start")
        yield url
    finally:
        stop(process)
        process.stdout.close()
