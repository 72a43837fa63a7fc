"""One day of every agent, all at once and once per session."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from tests.agents.agents import AGENTS, missing
from tests.agents.day import Day, spend_day
from tests.agents.office import Office, open_office


@dataclass(frozen=True)
class Days:
    """The office, still open, and each agent's day in it."""

    office: Office
    futures: Mapping[str, Future[Day]]

    def of(self, agent: str) -> Day:
        """The agent's day. Raises DayFailed."""
        return self.futures[agent].result()


@pytest.fixture(scope="session")
def days(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Days]:
    """All agents at work through one gateway at the same time."""
    if reason := missing():
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("agents")
    with open_office(folder / "office") as office, ThreadPoolExecutor(len(AGENTS)) as pool:
        futures = {
            name: pool.submit(spend_day, agent, office, folder / name)
            for name, agent in AGENTS.items()
        }
        yield Days(office, futures)


@pytest.fixture(params=list(AGENTS))
def day(days: Days, request: pytest.FixtureRequest) -> Day:
    """One agent's day; the test of an agent that failed says what that agent printed."""
    return days.of(request.param)


@pytest.fixture
def office(days: Days) -> Office:
    """Where the days were spent."""
    return days.office
