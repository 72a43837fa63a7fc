"""One agent's day: it works through the script, waits for a stamp, and ends."""

from __future__ import annotations

import contextlib
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bailiwick.cli.api import Api
from tests.agents.agents import Agent
from tests.agents.desk import END_SECONDS, Desk, NotSeated, seated
from tests.agents.model.script import SCRIPTED
from tests.agents.office import Office

HELD_SECONDS = 75.0
START_SECONDS = 120.0
LOOK_SECONDS = 0.2


@dataclass(frozen=True)
class Day:
    """What was seen of one agent's day.

    Attributes:
        returncode: the agent's exit status.
        output: what the agent printed.
        hold: the hold as the API showed it before the stamp.
        waited_seconds: from the hold to the stamp.
    """

    desk: Desk
    returncode: int
    output: str
    hold: dict[str, Any]
    waited_seconds: float

    @property
    def agent(self) -> Agent:
        return self.desk.agent


class DayFailed(Exception):
    """The agent did not come as far as it should; says how far, and what it printed."""


def spend_day(agent: Agent, office: Office, folder: Path) -> Day:
    """Drive the agent through the script, and stamp what is held after 75 s.

    Raises:
        DayFailed: it ended early, held nothing, or did not end in time.
    """
    try:
        with seated(agent, office, folder, f"{agent.name}-office", SCRIPTED) as desk:
            return _spend(desk, office)
    except NotSeated as error:
        raise DayFailed(str(error)) from error


def _spend(desk: Desk, office: Office) -> Day:
    with desk.started() as process:
        try:
            hold = await_hold(process, office.as_person("ada"), f"{desk.agent.name}-office")
            waited = _hold_and_stamp(process, office, hold)
            returncode = process.wait(END_SECONDS)
        except (DayFailed, subprocess.TimeoutExpired) as error:
            raise DayFailed(f"{error}\n{desk.output}\n{desk.tap.summary()}") from error
    return Day(desk, returncode, desk.output, hold, waited)


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


def await_hold(process: subprocess.Popen[bytes], person: Api, mandate: str) -> dict[str, Any]:
    """The call that waits under this mandate, once there is one.

    Raises:
        DayFailed: the agent ended, or it took too long.
    """
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        for hold in person.get("holds")["holds"]:  # type: ignore[union-attr]
            if hold["mandate"] == f"{mandate}@1":  # type: ignore[index, call-overload]
                return hold  # type: ignore[return-value]
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(LOOK_SECONDS)
            break
    raise DayFailed(f"nothing was held under {mandate}")
