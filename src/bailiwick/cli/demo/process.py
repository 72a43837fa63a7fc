"""The demo's other processes: the gateway, and the command line as a second person uses it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bailiwick.cli.demo.stage import Stage, free_address
from bailiwick.cli.exits import CliError, Exit
from bailiwick.cli.reach import gateway_file, running

START_SECONDS = 20.0
STOP_SECONDS = 10.0
COMMAND_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Ran:
    """How a command ended."""

    code: int
    out: str
    err: str


@dataclass(frozen=True, slots=True)
class Up:
    """A gateway that answers."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path


@contextmanager
def gateway(stage: Stage) -> Iterator[Up]:
    """Run `bailiwick up` on the stage, and stop it at the end.

    Raises:
        CliError: it does not come up.
    """
    with contextlib.suppress(FileNotFoundError):
        gateway_file(stage.data).unlink()
    words = ["up", "-f", str(stage.declared), "--data", str(stage.data), "--listen", free_address()]
    with stage.log.open("wb") as log:
        process = subprocess.Popen(  # noqa: S603 - our own command
            [sys.executable, "-m", "bailiwick.cli", *words],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=_environ({}),
            start_new_session=True,  # Ctrl-C is for the demo, which then stops the gateway
        )
    try:
        yield Up(_up(stage, process), process, stage.log)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def bailiwick(*words: str, token: str = "") -> Ran:
    """Run one `bailiwick` command as its own process, with nothing but this token."""
    done = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-m", "bailiwick.cli", *words],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS,
        env=_environ({"BAILIWICK_TOKEN": token} if token else {}),
        check=False,
    )
    return Ran(done.returncode, done.stdout, done.stderr)


def _up(stage: Stage, process: subprocess.Popen[bytes]) -> str:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if gateway_file(stage.data).exists():
            return running(stage.data).url
        time.sleep(0.02)
    tail = stage.log.read_text(errors="replace").strip().splitlines()[-3:]
    raise CliError(
        Exit.OURS,
        "gateway_not_up",
        "the gateway did not start: " + " / ".join(tail),
        str(stage.log),
    )


def _environ(more: Mapping[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("BAILIWICK_")}
    return {**kept, **more}
