"""Putting an agent's model behind the gateway, and giving it back."""

from __future__ import annotations

import json
import stat
import tomllib
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from bailiwick.cli.connect import toml_block
from bailiwick.cli.connect.agents import AGENTS
from bailiwick.cli.connect.model_side import MODEL_SIDES
from bailiwick.cli.exits import Exit
from tests.cli.fakes import Command, FakeGateway

MODEL = "local/qwen3-8b"
SETTINGS = {
    "goose": (
        ".config/goose/config.yaml",
        "# mine\n# paid by work\nGOOSE_PROVIDER: openai\nGOOSE_MODEL: gpt\nextensions:\n"
        "  developer:\n    enabled: true\n",
    ),
    "codex": (
        ".codex/config.toml",
        '# mine\nmodel = "gpt"   # paid by work\n\n[model_providers.other]\n'
        'name = "Other"\nbase_url = "http://127.0.0.1:9/v1"\n',
    ),
    "opencode": (
        ".config/opencode/opencode.json",
        '{\n  // mine\n  "model": "openai/gpt",\n'
        '  "mcp": {\n    "other": {"enabled": false}\n  }\n}\n',
    ),
    "claude-code": (
        ".claude/settings.local.json",
        '{\n  "env": {\n    "ANTHROPIC_MODEL": "opus",\n    "MINE": "1"\n  }\n}\n',
    ),
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
    gateway.says("GET /v1/models", {"data": [{"id": MODEL}, {"id": "local/small"}]})
    return gateway


def settings(home: Path, agent: str) -> tuple[Path, str]:
    """A person's settings, written."""
    name, before = SETTINGS[agent]
    path = home / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(before)
    return path, before


def wired(agent: str, home: Path, url: str, model: str) -> None:
    """The settings say where the model is, in the agent's own words."""
    text = (home / SETTINGS[agent][0]).read_text()
    key = "BAILIWICK_AGENT_TOKEN"
    if agent == "goose":
        entry = YAML(typ="safe").load(text)
        assert (entry["GOOSE_PROVIDER"], entry["GOOSE_MODEL"]) == ("bailiwick", model)
        file = home / ".config/goose/custom_providers/bailiwick.json"
        provider = json.loads(file.read_text())
        assert (provider["name"], provider["api_key_env"]) == ("bailiwick", key)
        assert provider["base_url"] == url + "/v1/chat/completions"
        assert [each["name"] for each in provider["models"]] == [model]
    elif agent == "codex":
        found = tomllib.loads(text)
        assert (found["model"], found["model_provider"]) == (model, "bailiwick")
        assert found["web_search"] == "disabled"
        provider = found["model_providers"]["bailiwick"]
        assert (provider["base_url"], provider["env_key"]) == (url + "/v1", key)
        assert provider["wire_api"] == "responses"
    elif agent == "opencode":
        lines = (line for line in text.splitlines() if "//" not in line[:6])
        whole = json.loads("".join(lines))
        assert whole["model"] == whole["small_model"] == f"bailiwick/{model}"
        provider = whole["provider"]["bailiwick"]
        token = home / ".config/bailiwick/tokens/opencode-bailiwick"
        assert provider["options"] == {"baseURL": url + "/v1", "apiKey": f"{{file:{token}}}"}
        assert list(provider["models"]) == [model]
    else:
        whole = json.loads(text)
        env: dict[str, Any] = whole["env"]
        assert (env["ANTHROPIC_BASE_URL"], env["ANTHROPIC_MODEL"]) == (url, model)
        assert env["ANTHROPIC_DEFAULT_HAIKU_MODEL"] == model
        assert env["ANTHROPIC_API_KEY"] == ""


@pytest.mark.parametrize("agent", sorted(AGENTS))
def test_the_model_comes_behind_the_gateway_and_goes_back_to_what_it_was(
    asking: Command, clerk: FakeGateway, home: Path, agent: str
) -> None:
    path, before = settings(home, agent)
    answer = asking("connect", agent, "--model", MODEL, "--yes", "--json").json
    wired(agent, home, clerk.url, MODEL)
    assert (answer["model"], answer["models"]) == (MODEL, [MODEL, "local/small"])
    listed = next(each for each in clerk.asked if each.path == "/v1/models")
    assert listed.headers["authorization"] == "Bearer secret-1"
    kept = home / f".config/bailiwick/connected/{agent}-bailiwick.json"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    token = home / f".config/bailiwick/tokens/{agent}-bailiwick"
    for file in home.rglob("*"):
        assert file == token or not file.is_file() or "secret-1" not in file.read_text()

    assert asking("connect", agent, "--remove", "--yes").code == Exit.OK
    assert path.read_text() == before
    left = {file.name for file in home.rglob("*") if file.is_file()}
    assert not left & {"bailiwick.json", token.name, kept.name}


@pytest.mark.parametrize("agent", sorted(AGENTS))
def test_once_more_keeps_the_model_and_another_one_what_stood_there_first(
    asking: Command, clerk: FakeGateway, home: Path, agent: str
) -> None:
    path, before = settings(home, agent)
    assert asking("connect", agent, "--model", MODEL, "--yes").code == Exit.OK
    again = asking("connect", agent, "--yes", "--json").json
    assert again["model"] == MODEL
    also: Any = again["also"]
    assert not any(each["changed"] for each in [again, *also])
    assert asking("connect", agent, "--model", "small", "--yes").code == Exit.OK
    wired(agent, home, clerk.url, "small")
    assert asking("connect", agent, "--remove", "--yes").code == Exit.OK
    assert path.read_text() == before


@pytest.mark.parametrize("agent", sorted(AGENTS))
def test_what_a_person_changed_since_is_theirs(
    asking: Command, clerk: FakeGateway, home: Path, agent: str
) -> None:
    path, _ = settings(home, agent)
    assert asking("connect", agent, "--model", MODEL, "--yes").code == Exit.OK
    changed = path.read_text().replace(f"{MODEL}", "mine/now")
    path.write_text(changed)
    assert asking("connect", agent, "--remove", "--yes").code == Exit.OK
    assert "mine/now" in path.read_text()


@pytest.mark.parametrize("agent", sorted(AGENTS))
def test_a_model_the_mandate_does_not_allow_is_refused_before_anything_is_written(
    asking: Command, clerk: FakeGateway, home: Path, agent: str
) -> None:
    path, before = settings(home, agent)
    ended = asking("connect", agent, "--model", "hosted/gpt", "--yes")
    assert ended.code == Exit.NO
    assert "does not let this agent use the model `hosted/gpt`" in ended.err
    assert f"it may use `{MODEL}`, `local/small`" in ended.err
    assert [file for file in home.rglob("*") if file.is_file()] == [path]
    assert path.read_text() == before


def test_without_a_model_it_says_which_there_are(
    asking: Command, clerk: FakeGateway, home: Path
) -> None:
    ended = asking("connect", "goose", "--yes")
    assert f"--model puts it here too: `{MODEL}`, `local/small`" in ended.out
    assert "GOOSE_PROVIDER" not in (home / SETTINGS["goose"][0]).read_text()


def test_print_shows_all_files_and_writes_none(
    asking: Command, clerk: FakeGateway, home: Path
) -> None:
    ended = asking("connect", "claude-code", "--model", MODEL, "--print")
    assert ended.code == Exit.OK
    assert clerk.url + "/mcp" in ended.out
    assert f'"ANTHROPIC_BASE_URL": "{clerk.url}"' in ended.out
    assert "env -u ANTHROPIC_API_KEY" in ended.err
    assert [file for file in home.rglob("*") if file.is_file()] == []


def test_a_value_written_in_an_odd_way_is_left_to_the_person(
    asking: Command, clerk: FakeGateway, home: Path
) -> None:
    path, _ = settings(home, "codex")
    before = 'model = """\ngpt"""\n'
    path.write_text(before)
    ended = asking("connect", "codex", "--model", MODEL, "--yes")
    assert ended.code == Exit.NO
    assert "`model` is written in a way that only you can change" in ended.err
    assert path.read_text() == before


def test_a_file_of_ours_that_was_damaged_is_named(
    asking: Command, clerk: FakeGateway, home: Path
) -> None:
    kept = home / ".config/bailiwick/connected/codex-bailiwick.json"
    kept.parent.mkdir(parents=True)
    kept.write_text("[]")
    ended = asking("connect", "codex", "--yes")
    assert ended.code == Exit.USAGE
    assert "codex-bailiwick.json" in ended.err


def test_top_level_values_are_found_only_at_the_top() -> None:
    text = '[profiles.x]\nmodel = "inner"\n'
    assert toml_block.set_value(text, "model", "outer") == f'model = "outer"\n{text}'
    both = "model = 'a'  # why\n\n[profiles.x]\nmodel = \"inner\"\n"
    assert toml_block.set_value(both, "model", "b") == both.replace("'a'", '"b"')
    assert toml_block.remove_value(both, "model") == '\n[profiles.x]\nmodel = "inner"\n'
    hidden = 'about = """\nmodel = "x"\n"""\nmodel = "y"\n'
    with pytest.raises(toml_block.NotOurs):
        toml_block.set_value(hidden, "model", "z")


def test_a_block_is_found_by_its_whole_name() -> None:
    text = toml_block.add_block("", ("mcp_servers", "one-two"), {"url": "a"})
    both = toml_block.add_block(text, ("mcp_servers", "one"), {"url": "b"})
    assert toml_block.remove_block(both, "one") == text
    assert set(tomllib.loads(both)["mcp_servers"]) == {"one", "one-two"}


def test_every_agent_has_a_model_side() -> None:
    assert set(MODEL_SIDES) == set(AGENTS)
