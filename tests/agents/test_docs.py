"""docs/agents.md says what is installed and what is tested."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.agents.agents import AGENTS, HERE
from tests.agents.known import KNOWN

PAGE = Path(__file__).parents[2] / "docs/agents.md"


def column(agent: str) -> dict[str, str]:
    """The agent's column of the table, by the first cell of each row."""
    rows = [line.strip("|").split("|") for line in PAGE.read_text().splitlines() if "|" in line]
    at = list(AGENTS).index(agent) + 1
    assert [cell.strip().lower() for cell in rows[0][1:]] == list(AGENTS)
    return {row[0].strip(): row[at].strip() for row in rows[2:]}


@pytest.mark.parametrize("agent", AGENTS)
def test_the_page_names_the_versions_that_are_locked(agent: str) -> None:
    package = AGENTS[agent].package
    lock = json.loads((HERE / "package-lock.json").read_text())
    wanted = json.loads((HERE / "package.json").read_text())["dependencies"]
    version = lock["packages"][f"node_modules/{package}"]["version"]
    assert wanted[package] == version  # exact, no range
    assert column(agent)["version"] == version
    assert column(agent)["npm package"] == f"`{package}`"


@pytest.mark.parametrize("agent", AGENTS)
def test_the_page_says_what_the_tests_hold_of_each_agent(agent: str) -> None:
    known, said = KNOWN[agent], column(agent)
    assert said["MCP revision"] == known.revision
    assert (said["own stream (`GET`)"] == "yes") is ("GET" in known.sometimes)
    for part in known.spelled.split("."):
        assert f"`{part}`" in said["its model sees `bank/transfer` as"]
    for label in known.outside:
        assert label in said["asks the outside"]


def test_the_lock_names_no_registry() -> None:
    lock = json.loads((HERE / "package-lock.json").read_text())
    installed = {name: entry for name, entry in lock["packages"].items() if name}
    assert all("resolved" not in entry and entry["integrity"] for entry in installed.values())
