"""Short work under the other mandate: a model that is not allowed, one without end, one left."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.agents.agents import Agent
from tests.agents.day import await_hold
from tests.agents.desk import Desk, seated
from tests.agents.model.script import BRIEF, ENDLESS, SCRIPTED, SLOW
from tests.agents.office import ERRANDS, Office, model_id

MOST_SECONDS = 60.0
REASON = "not today"


@dataclass(frozen=True)
class Errand:
    """What was seen of one errand.

    Attributes:
        desk: as it was.
        returncode: the agent's exit status.
        output: what the agent printed.
        took_seconds: from its start to its end.
        calls: what the gateway recorded, oldest first.
    """

    desk: Desk
    returncode: int
    output: str
    took_seconds: float
    calls: list[dict[str, Any]]


class ErrandFailed(Exception):
    """The agent did not come to an end; says what it printed."""


def denied(agent: Agent, office: Office, folder: Path) -> Errand:
    """The agent is pointed at a model that its mandate does not allow."""
    with seated(agent, office, folder, f"{agent.name}-denied", SLOW) as desk:
        for path in desk.settings:
            text = path.read_text()
            ours, other = (model_id(agent.name, model) for model in (SLOW, SCRIPTED))
            path.write_text(text.replace(ours, other))
        return _run(desk, office, "denied")


def endless(agent: Agent, office: Office, folder: Path) -> Errand:
    """The model asks for one tool call after another, without end."""
    with seated(agent, office, folder, f"{agent.name}-endless", ENDLESS) as desk:
        return _run(desk, office, "endless")


def spent(agent: Agent, office: Office, folder: Path) -> Errand:
    """The same with a budget in tokens, and by an alias whose first model is down."""
    with seated(agent, office, folder, f"{agent.name}-spent", "") as desk:
        return _run(desk, office, "spent")


def held(agent: Agent, office: Office, folder: Path) -> Errand:
    """Its thought waits for the treasurer, who approves."""
    with seated(agent, office, folder, f"{agent.name}-held", BRIEF) as desk:
        return _run(desk, office, "held", decide="approve")


def refused(agent: Agent, office: Office, folder: Path) -> Errand:
    """Its thought waits for the treasurer, who refuses."""
    with seated(agent, office, folder, f"{agent.name}-refused", BRIEF) as desk:
        return _run(desk, office, "refused", decide="refuse")


def forgotten(agent: Agent, office: Office, folder: Path) -> Errand:
    """The agent is started without the token in its environment."""
    with seated(agent, office, folder, f"{agent.name}-forgotten", BRIEF) as desk:
        return _run(desk, office, "forgotten", tokenless=True)


def left(agent: Agent, office: Office, folder: Path) -> Errand:
    """The person presses Ctrl-C while the model speaks."""
    with seated(agent, office, folder, f"{agent.name}-left", SLOW) as desk:
        return _run(desk, office, "left", interrupt=True)


RUNNERS = dict(zip(ERRANDS, (denied, endless, spent, held, refused, forgotten, left), strict=True))


def _run(
    desk: Desk,
    office: Office,
    kind: str,
    *,
    interrupt: bool = False,
    decide: str = "",
    tokenless: bool = False,
) -> Errand:
    began = time.monotonic()
    with desk.started(tokenless=tokenless) as process:
        try:
            if interrupt:
                _interrupt(desk, process)
            if decide:
                _decide(process, desk, office, kind, decide)
            returncode = process.wait(MOST_SECONDS)
        except subprocess.TimeoutExpired as error:
            raise ErrandFailed(f"{error}\n{desk.output}\n{desk.tap.summary()}") from error
    took = time.monotonic() - began
    calls = office.calls(f"{desk.agent.name}-{kind}")
    return Errand(desk, returncode, desk.output, took, calls)


def _decide(
    process: subprocess.Popen[bytes], desk: Desk, office: Office, kind: str, decision: str
) -> None:
    """What the treasurer says to the one call that waits under this mandate."""
    ben = office.as_person("ben")
    hold = await_hold(process, ben, f"{desk.agent.name}-{kind}")
    words = {"decision": decision, "rendering_sha256": hold["rendering_sha256"]}
    more = {"reason": REASON} if decision == "refuse" else {}
    ben.post(f"holds/{hold['id']}/stamp", {**words, **more})


def _interrupt(desk: Desk, process: subprocess.Popen[bytes]) -> None:
    """What a terminal sends on Ctrl-C, once the model has begun to speak."""
    if not desk.model.begun.wait(MOST_SECONDS):
        raise ErrandFailed(f"the model was not asked\n{desk.output}\n{desk.tap.summary()}")
    os.killpg(process.pid, signal.SIGINT)
    if not desk.model.given_up.wait(MOST_SECONDS):
        raise ErrandFailed(f"the model still speaks\n{desk.output}")
