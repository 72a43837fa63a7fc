"""docs/agents.md says what is installed and what is tested."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.agents.agents import AGENTS, HERE
from tests.agents.known import KNOWN
from tests.agents.model.endpoint import DIALECTS

PATHS = {module.__name__.rpartition(".")[2]: path for path, module in DIALECTS.items()}
PAGE = Path(__file__).parents[2] / "docs/agents.md"


def column(agent: str) -> dict[str, str]:
    """The agent's column of the tables that have one for each, by the first cell of each row."""
    heads = [known.connects.replace("-", " ") for known in AGENTS.values()]
    at = list(AGENTS).index(agent) + 1
    found: dict[str, str] = {}
    ours = False
    for line in PAGE.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if [cell.lower() for cell in cells[1:]] == heads:
            ours = True
        elif not line.startswith("|"):
            ours = False
        elif ours and cells[0].strip("-"):
            assert cells[0] not in found
            found[cells[0]] = cells[at]
    return found


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
    assert f"`{known.session_header}`" in said["its session, to the model"]
    named = said["the same, in `_meta` of a tool call"]
    assert named == "not named" if not known.session_meta else f"`{known.session_meta}`" in named
    wanted = f"`{known.call_meta}`" if known.call_meta else "not named"
    assert said["the model's id of the call, in `_meta`"] == wanted
    assert said["path"].startswith(f"`{PATHS[AGENTS[agent].dialect]}")
    again = said["asks once more after 403"]
    assert (again == "no") is (known.tries <= 2), "one for the task, perhaps one for a title"


def test_the_lock_names_no_registry() -> None:
    lock = json.loads((HERE / "package-lock.json").read_text())
    installed = {name: entry for name, entry in lock["packages"].items() if name}
    assert all("resolved" not in entry and entry["integrity"] for entry in installed.values())
