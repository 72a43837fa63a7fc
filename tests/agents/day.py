"""One agent's day: wired by `bailiwick connect`, started as that says, stamped, ended."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.agents.agents import AGENTS, Agent
from tests.agents.model.endpoint import Model, scripted_model
from tests.agents.office import Office
from tests.agents.outside import Outside, no_outside
from tests.agents.wire import Tap, tapped
from tests.app.running import BIN

HELD_SECONDS = 75.0
START_SECONDS = 120.0
END_SECONDS = 60.0
LOOK_SECONDS = 0.2


@dataclass(frozen=True)
class Day:
    """What was seen of one agent's day.

    Attributes:
        connected: what `bailiwick connect` printed.
        returncode: the agent's exit status.
        output: what the agent printed.
        waited_seconds: from the hold to the stamp.
        hold: the hold as the API showed it before the stamp.
    """

    agent: Agent
    home: Path
    model: Model
    tap: Tap
    outside: Outside
    connected: dict[str, Any]
    returncode: int
    output: str
    hold: dict[str, Any]
    waited_seconds: float
    took_seconds: float


class DayFailed(Exception):
    """The agent did not come as far as it should; says how far, and what it printed."""


def spend_day(agent: Agent, office: Office, folder: Path) -> Day:
    """Drive the agent through the script, and stamp what is held after 75 s.

    Raises:
        DayFailed: it ended early, held nothing, or did not end in time.
    """
    home = folder / "home"
    home.mkdir(parents=True)
    began = time.monotonic()
    with (
        scripted_model(office.script()) as model,
        tapped(office.gateway.url) as tap,
        no_outside() as outside,
    ):
        agent.provider(home, model.url)
        environ = _environ(agent, home, outside)
        connected = _connect(agent, office, tap, environ)
        command = connected["next"][0].split(": ", 1)[1]
        with _started(command, agent, environ, folder) as process:
            try:
                hold = _await_hold(process, agent, office)
                waited = _hold_and_stamp(process, office, hold)
                returncode = process.wait(END_SECONDS)
            except (DayFailed, subprocess.TimeoutExpired) as error:
                raise DayFailed(f"{error}\n{_said(folder)}\n{tap.summary()}") from error
        took = time.monotonic() - began
        output = _said(folder)
        return Day(agent, home, model, tap, outside, connected, returncode, output, hold,
                   waited, took)  # fmt: skip


def _hold_and_stamp(
    process: subprocess.Popen[bytes], office: Office, hold: dict[str, Any]
) -> float:
    """Let the agent wait for `HELD_SECONDS`, then approve; returns how long it waited."""
    held = time.monotonic()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(HELD_SECONDS)
        raise DayFailed("the agent did not wait for the stamp")
    waited = time.monotonic() - held
    stamp = {"decision": "approve", "rendering_sha256": hold["rendering_sha256"]}
    office.as_person("ben").post(f"holds/{hold['id']}/stamp", stamp)
    return waited


def _environ(agent: Agent, home: Path, outside: Outside) -> dict[str, str]:
    bin_folder = home / "bin"
    bin_folder.mkdir()
    for known in AGENTS.values():
        (bin_folder / known.name).symlink_to(known.path)
    temporary = home / "tmp"
    temporary.mkdir()
    return {
        "PATH": f"{bin_folder}:{BIN}:{os.environ['PATH']}",
        "HOME": str(home),
        "TMPDIR": str(temporary),
        "SCRIPTED_KEY": "none",
        **agent.environ,
        **outside.environ,
    }


def _connect(agent: Agent, office: Office, tap: Tap, environ: dict[str, str]) -> dict[str, Any]:
    words = ("--agent", agent.name, "--yes", "--url", tap.url, "--json")
    done = subprocess.run(
        [BIN / "bailiwick", "connect", agent.name, *words],
        capture_output=True,
        text=True,
        timeout=START_SECONDS,
        # A person's token: the agent itself is started without it.
        env={**environ, "BAILIWICK_TOKEN": office.token("ada")},
        check=False,
    )
    if done.returncode:
        raise DayFailed(f"connect {agent.name}: {done.returncode}: {done.stderr}")
    said: dict[str, Any] = json.loads(done.stdout)
    return said


@contextlib.contextmanager
def _started(
    command: str, agent: Agent, environ: dict[str, str], folder: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """The agent, started as `connect` says; it and whatever it started end with the block."""
    desk = folder / "desk"
    desk.mkdir()
    task = "'Pay the invoice.'"
    with (folder / "output.txt").open("wb") as output:
        process = subprocess.Popen(
            ["bash", "-c", f"{command} {' '.join(agent.words)} {task}"],
            cwd=desk,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environ,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(END_SECONDS)


def _await_hold(process: subprocess.Popen[bytes], agent: Agent, office: Office) -> dict[str, Any]:
    ada = office.as_person("ada")
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        for hold in ada.get("holds")["holds"]:  # type: ignore[union-attr]
            if hold["agent"] == agent.name:  # type: ignore[index, call-overload]
                return hold  # type: ignore[return-value]
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(LOOK_SECONDS)
            break
    raise DayFailed(f"{agent.name} held nothing")


def _said(folder: Path) -> str:
    return (folder / "output.txt").read_text(errors="replace")
