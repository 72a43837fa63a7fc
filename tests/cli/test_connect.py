"""Wiring real agents: other people's settings keep everything, tokens lie in files of their own."""

from __future__ import annotations

import json
import stat
import tomllib
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from bailiwick.cli.connect.agents import AGENTS, Wiring
from bailiwick.cli.exits import CliError, Exit
from tests.cli.fakes import Command, FakeGateway

SETTINGS = {
    "goose": (
        ".config/goose/config.yaml",
        "# mine\nGOOSE_MODE: auto   # careful\nextensions:\n  developer:\n    enabled: true\n",
    ),
    "codex": (
        ".codex/config.toml",
        '# mine\nmodel = "x"\n\n[mcp_servers.other]\nurl = "http://127.0.0.1:9/mcp"\n',
    ),
    "opencode": (
        ".config/opencode/opencode.json",
        '{\n  // mine\n  "model": "x",\n  "mcp": {\n    "other": {"enabled": false}\n  }\n}\n',
    ),
    "claude-code": (".mcp.json", '{\n  "mcpServers": {\n    "other": {"type": "http"}\n  }\n}\n'),
}


@pytest.fixture
def home(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """At home, in the project folder, too; it depends on `command`, which makes it."""
    monkeypatch.chdir(tmp_path / "home")
    return tmp_path / "home"


@pytest.fixture
def clerk(gateway: FakeGateway) -> FakeGateway:
    gateway.says("GET /api/v1/objects?kind=agent", {"objects": [{"name": "clerk"}]})
    made = {"token": "secret-1", "id": "1", "agent": "clerk", "mandate": "m", "expires_ms": 1}
    gateway.says("POST /api/v1/agents/clerk/tokens", made, 201)
    return gateway


def wired(agent: str, text: str, gateway: FakeGateway, token_file: str) -> None:
    """The settings say what this agent needs, in its own words."""
    url = gateway.url + "/mcp"
    if agent == "goose":
        entry = YAML(typ="safe").load(text)["extensions"]["bailiwick"]
        assert (entry["type"], entry["uri"], entry["enabled"]) == ("streamable_http", url, True)
        assert entry["headers"] == {"Authorization": "Bearer ${BAILIWICK_AGENT_TOKEN}"}
        assert entry["env_keys"] == ["BAILIWICK_AGENT_TOKEN"]
    elif agent == "codex":
        entry = tomllib.loads(text)["mcp_servers"]["bailiwick"]
        assert entry["url"] == url
        assert entry["bearer_token_env_var"] == "BAILIWICK_AGENT_TOKEN"
        assert entry["default_tools_approval_mode"] == "approve"
        assert entry["required"] is True
        assert entry["tool_timeout_sec"] == 300
    elif agent == "opencode":
        entry = json.loads("".join(line for line in text.splitlines() if "//" not in line[:6]))
        entry = entry["mcp"]["bailiwick"]
        assert (entry["type"], entry["url"], entry["oauth"]) == ("remote", url, False)
        assert entry["headers"] == {"Authorization": f"Bearer {{file:{token_file}}}"}
        assert entry["timeout"] == 300_000
    else:
        entry = json.loads(text)["mcpServers"]["bailiwick"]
        assert (entry["type"], entry["url"], entry["alwaysLoad"]) == ("http", url, True)
        assert entry["headers"] == {"Authorization": "Bearer ${BAILIWICK_AGENT_TOKEN}"}


@pytest.mark.parametrize("agent", sorted(AGENTS))
def test_connect_and_remove_leave_the_file_as_it_was(
    asking: Command, clerk: FakeGateway, home: Path, agent: str
) -> None:
    name, before = SETTINGS[agent]
    path = home / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(before)
    path.chmod(0o640)

    ended = asking("connect", agent, "--yes", "--json")
    assert ended.code == Exit.OK
    answer = ended.json
    token_file = Path(str(answer["token_file"]))
    wired(agent, path.read_text(), clerk, str(token_file))
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert token_file.read_text() == "secret-1"
    assert stat.S_IMODE(token_file.stat().st_mode) == 0o600
    assert "secret-1" not in path.read_text()
    assert "secret-1" not in ended.out + ended.err
    assert Path(str(answer["backup"])).read_text() == before
    for line in before.splitlines():
        assert line.rstrip(",") in path.read_text()

    again = asking("connect", agent, "--yes", "--json").json
    assert (again["changed"], again["backup"]) == (False, None)

    assert asking("connect", agent, "--remove", "--yes").code == Exit.OK
    assert path.read_text() == before
    assert not token_file.exists()


@pytest.mark.parametrize("agent", sorted(AGENTS))
def test_connect_makes_settings_that_were_not_there_for_the_owner_only(
    asking: Command, clerk: FakeGateway, home: Path, agent: str
) -> None:
    answer = asking("connect", agent, "--yes", "--json").json
    path = home / SETTINGS[agent][0]
    wired(agent, path.read_text(), clerk, str(answer["token_file"]))
    assert answer["backup"] is None
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("agent", sorted(AGENTS))
def test_print_changes_nothing_and_makes_no_token(
    asking: Command, clerk: FakeGateway, home: Path, agent: str
) -> None:
    ended = asking("connect", agent, "--print")
    assert ended.code == Exit.OK
    assert clerk.url + "/mcp" in ended.out
    assert [path for path in home.rglob("*") if path.is_file()] == []
    assert clerk.asked == []
    assert "bailiwick agents token AGENT --ttl 8h > " in ended.err
    ended = asking(
        "connect", agent, "--print", "--agent", "clerk", "--mandate", "pay", "--ttl", "1h"
    )
    assert "bailiwick agents token clerk --ttl 1h --mandate pay > " in ended.err


def test_a_life_that_is_no_time_is_refused_before_anything_is_shown(
    asking: Command, clerk: FakeGateway
) -> None:
    ended = asking("connect", "goose", "--print", "--ttl", "8")
    assert (ended.code, ended.out) == (Exit.USAGE, "")
    assert "`8` is not a time; write 90s, 30m, 8h or 7d" in ended.err


def test_without_a_terminal_and_yes_nothing_is_written(
    asking: Command, clerk: FakeGateway, home: Path
) -> None:
    ended = asking("connect", "codex")
    assert ended.code == Exit.USAGE
    assert "give --yes" in ended.err
    assert "+[mcp_servers.bailiwick]" in ended.out
    assert [path for path in home.rglob("*") if path.is_file()] == []
    assert clerk.asked == []


@pytest.mark.parametrize(("said", "code"), [("y", Exit.OK), ("", Exit.NO), ("n", Exit.NO)])
def test_at_a_terminal_it_asks_and_only_a_yes_writes(
    asking: Command,
    clerk: FakeGateway,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    said: str,
    code: Exit,
) -> None:
    monkeypatch.setattr("bailiwick.cli.connect.command.at_terminal", lambda: True)
    monkeypatch.setattr("builtins.input", lambda _question: said)
    assert asking("connect", "codex").code == code
    assert (home / ".codex" / "config.toml").exists() is (code == Exit.OK)
    assert bool(clerk.asked) is (code == Exit.OK)


def test_a_link_to_settings_elsewhere_stays_a_link(
    asking: Command, clerk: FakeGateway, home: Path, tmp_path: Path
) -> None:
    real = tmp_path / "dotfiles.json"
    real.write_text("{}\n")
    (home / ".mcp.json").symlink_to(real)
    assert asking("connect", "claude-code", "--yes").code == Exit.OK
    assert (home / ".mcp.json").is_symlink()
    assert "mcpServers" in real.read_text()


def test_a_link_in_place_of_the_token_file_is_replaced_not_followed(
    asking: Command, clerk: FakeGateway, home: Path, tmp_path: Path
) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    token_file = home / ".config/bailiwick/tokens/codex-bailiwick"
    token_file.parent.mkdir(parents=True)
    token_file.symlink_to(victim)
    assert asking("connect", "codex", "--yes").code == Exit.OK
    assert victim.read_text() == "mine"
    assert token_file.read_text() == "secret-1"
    assert not token_file.is_symlink()


def test_a_table_somebody_else_wrote_is_not_touched(
    asking: Command, clerk: FakeGateway, home: Path
) -> None:
    path = home / ".codex" / "config.toml"
    path.parent.mkdir()
    path.write_text('[mcp_servers.bailiwick]\nurl = "http://127.0.0.1:9/mcp"\n')
    ended = asking("connect", "codex", "--yes")
    assert ended.code == Exit.NO
    assert "--entry" in ended.err
    assert asking("connect", "codex", "--yes", "--entry", "gate").code == Exit.OK
    assert set(tomllib.loads(path.read_text())["mcp_servers"]) == {"bailiwick", "gate"}


@pytest.mark.parametrize("agent", sorted(AGENTS))
def test_settings_we_cannot_read_are_refused_and_stay(
    asking: Command, clerk: FakeGateway, home: Path, agent: str
) -> None:
    path = home / SETTINGS[agent][0]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("][ : not anything\n")
    ended = asking("connect", agent, "--yes")
    assert ended.code == Exit.USAGE
    assert "the settings are not" in ended.err
    assert path.read_text() == "][ : not anything\n"
    assert clerk.asked == []


def test_which_agent_it_is_must_be_clear(asking: Command, gateway: FakeGateway, home: Path) -> None:
    gateway.says("GET /api/v1/objects?kind=agent", {"objects": [{"name": "a"}, {"name": "b"}]})
    ended = asking("connect", "goose", "--yes")
    assert ended.code == Exit.USAGE
    assert "`a`, `b`; say which with --agent" in ended.err
    assert not (home / ".config" / "goose").exists()


def test_a_name_that_would_break_out_of_its_place_is_refused(asking: Command) -> None:
    for entry in ("../x", "a b", 'x"]', "", "A"):
        assert asking("connect", "codex", "--yes", "--entry", entry).code == Exit.USAGE


def test_another_entry_of_ours_is_left_alone_by_remove() -> None:
    first = Wiring("one", "http://127.0.0.1:1/mcp", Path("/t"))
    second = Wiring("two", "http://127.0.0.1:2/mcp", Path("/t"))
    for agent in AGENTS.values():
        both = agent.add(agent.add("", first), second)
        assert first.url not in agent.remove(both, "one")
        assert second.url in agent.remove(both, "one")


def test_settings_that_are_not_a_mapping_are_refused() -> None:
    wiring = Wiring("one", "http://127.0.0.1:1/mcp", Path("/t"))
    for agent, text in (("goose", "- a\n"), ("opencode", "[]"), ("claude-code", '"x"')):
        with pytest.raises(CliError):
            AGENTS[agent].add(text, wiring)
