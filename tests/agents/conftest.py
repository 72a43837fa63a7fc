"""One day of every agent and its errands, all at once and once per session."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from tests.agents.agents import AGENTS, missing
from tests.agents.day import Day, spend_day
from tests.agents.errands import RUNNERS, Errand
from tests.agents.office import Office, open_office

AT_ONCE = 3
"""Errands at a time, beside the days: those spend most of theirs waiting."""


@dataclass(frozen=True)
class Days:
    """The office, still open, each agent's day in it, and its errands by kind."""

    office: Office
    futures: Mapping[str, Future[Day]]
    errands: Mapping[tuple[str, str], Future[Errand]]

    def of(self, agent: str) -> Day:
        """The agent's day. Raises DayFailed."""
        return self.futures[agent].result()

    def errand(self, agent: str, kind: str) -> Errand:
        """One errand of the agent's. Raises ErrandFailed."""
        return self.errands[agent, kind].result()


@pytest.fixture(scope="session")
def days(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Days]:
    """All agents at work through one gateway at the same time."""
    if reason := missing():
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("agents")
    with (
        open_office(folder / "office") as office,
        ThreadPoolExecutor(len(AGENTS)) as pool,
        ThreadPoolExecutor(AT_ONCE) as beside,
    ):
        futures = {
            name: pool.submit(spend_day, agent, office, folder / name)
            for name, agent in AGENTS.items()
        }
        errands = {
            (name, kind): beside.submit(errand, agent, office, folder / f"{name}-{kind}")
            for name, agent in AGENTS.items()
            for kind, errand in RUNNERS.items()
        }
        yield Days(office, futures, errands)


@pytest.fixture(params=list(AGENTS))
def day(days: Days, request: pytest.FixtureRequest) -> Day:
    """One agent's day; the test of an agent that failed says what that agent printed."""
    return days.of(request.param)


@pytest.fixture
def office(days: Days) -> Office:
    """Where the days were spent."""
    return days.office
