"""An agent at its desk: wired by `bailiwick connect`, started as that says, ended in any case."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.agents.agents import AGENTS, Agent
from tests.agents.model.endpoint import Model
from tests.agents.office import Office, model_id
from tests.agents.outside import Outside, no_outside
from tests.agents.wire import Tap, tapped
from tests.app.running import BIN

CONNECT_SECONDS = 120.0
END_SECONDS = 60.0
TASK = "Pay the invoice."


class NotSeated(Exception):
    """`bailiwick connect` refused; says what it said."""


@dataclass(frozen=True)
class Desk:
    """One agent with a home of its own.

    Attributes:
        folder: what the agent printed lies here.
        connected: what `bailiwick connect` printed.
    """

    agent: Agent
    folder: Path
    model: Model
    tap: Tap
    outside: Outside
    environ: dict[str, str]
    connected: dict[str, Any]

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def output(self) -> str:
        """What it printed so far."""
        return (self.folder / "output.txt").read_text(errors="replace")

    @property
    def settings(self) -> list[Path]:
        """The files that `connect` wrote to."""
        files = [self.connected, *self.connected["also"]]
        return [Path(file["settings"]) for file in files]

    @contextlib.contextmanager
    def started(self, *, tokenless: bool = False) -> Iterator[subprocess.Popen[bytes]]:
        """The agent at work, as `connect` says; it and what it started end with the block.

        Args:
            tokenless: somebody forgot what `connect` said, and typed the bare command.
        """
        command = self.connected["next"][0].split(": ", 1)[1]
        command = self.agent.command if tokenless else command
        with (self.folder / "output.txt").open("wb") as output:
            process = subprocess.Popen(
                ["bash", "-c", f"{command} {' '.join(self.agent.words)} '{TASK}'"],
                cwd=self.folder / "desk",
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=self.environ,
                start_new_session=True,
            )
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(END_SECONDS)


@contextlib.contextmanager
def seated(agent: Agent, office: Office, folder: Path, mandate: str, model: str) -> Iterator[Desk]:
    """The agent with this mandate and model, for as long as the block lasts.

    Args:
        model: "" for the alias.

    Raises:
        NotSeated: `connect` refused.
    """
    home, desk = folder / "home", folder / "desk"
    home.mkdir(parents=True)
    desk.mkdir()
    with tapped(office.gateway.url) as tap, no_outside() as outside:
        agent.settle(home, desk)
        environ = _environ(agent, home, outside)
        words = ["--agent", agent.name, "--mandate", mandate, "--url", tap.url]
        words += [
            "--model",
            model_id(agent.name, model) if model else f"{agent.name}-mind",
            "--yes",
            "--json",
        ]
        done = subprocess.run(
            [BIN / "bailiwick", "connect", agent.connects, *words],
            cwd=desk,
            capture_output=True,
            text=True,
            timeout=CONNECT_SECONDS,
            # A person's token: the agent itself is started without it.
            env={**environ, "BAILIWICK_TOKEN": office.token("ada")},
            check=False,
        )
        if done.returncode:
            raise NotSeated(f"connect {agent.name}: {done.returncode}: {done.stderr}")
        connected = json.loads(done.stdout)
        yield Desk(agent, folder, office.models[agent.name], tap, outside, environ, connected)


def _environ(agent: Agent, home: Path, outside: Outside) -> dict[str, str]:
    bin_folder = home / "bin"
    bin_folder.mkdir()
    for known in AGENTS.values():
        (bin_folder / known.command).symlink_to(known.path)
    temporary = home / "tmp"
    temporary.mkdir()
    return {
        "PATH": f"{bin_folder}:{BIN}:{os.environ['PATH']}",
        "HOME": str(home),
        "TMPDIR": str(temporary),
        **agent.environ,
        **outside.environ,
    }
