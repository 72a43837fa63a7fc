"""The agents: where npm put them, how their model is named to them, how they are started.

Only the model is set up here. What wires an agent to the gateway is written by `bailiwick connect`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.agents.model import chat, responses

HERE = Path(__file__).parent
MODULES = HERE / "node_modules"


@dataclass(frozen=True, slots=True)
class Agent:
    """One agent.

    Attributes:
        name: as `bailiwick connect` knows it, as it is declared, and the command people type.
        executable: below `node_modules`.
        package: its npm package, whose version is reported.
        provider: writes the part of its settings that names the model: (home, base URL).
        words: what follows the command for one task without a person before it.
        environ: what keeps it from asking the outside for anything.
    """

    name: str
    executable: str
    package: str
    dialect: str
    provider: Callable[[Path, str], None]
    words: Sequence[str]
    environ: Mapping[str, str] = field(default_factory=dict)

    @property
    def path(self) -> Path:
        return MODULES / self.executable

    @property
    def version(self) -> str:
        package = json.loads((MODULES / self.package / "package.json").read_text())
        return str(package["version"])


def _goose_provider(home: Path, url: str) -> None:
    provider = {
        "name": "scripted",
        "engine": "openai",
        "display_name": "Scripted",
        "api_key_env": "SCRIPTED_KEY",
        "base_url": f"{url}/chat/completions",
        "models": [{"name": "scripted", "context_limit": 32000}],
        "supports_streaming": True,
        "requires_auth": True,
    }
    _write(home / ".config/goose/custom_providers/scripted.json", json.dumps(provider))
    _write(
        home / ".config/goose/config.yaml",
        "# mine\nGOOSE_PROVIDER: scripted\nGOOSE_MODEL: scripted\nGOOSE_MODE: auto\n",
    )


def _codex_provider(home: Path, url: str) -> None:
    _write(
        home / ".codex/config.toml",
        "# mine\n"
        'model = "scripted"\n'
        'model_provider = "scripted"\n'
        "check_for_update_on_startup = false\n"
        "[analytics]\n"
        "enabled = false\n"
        "[features]\n"
        "apps = false\n"
        "plugins = false\n"
        "remote_plugin = false\n"
        "[model_providers.scripted]\n"
        'name = "Scripted"\n'
        f'base_url = "{url}"\n'
        'wire_api = "responses"\n'
        'env_key = "SCRIPTED_KEY"\n',
    )


def _opencode_provider(home: Path, url: str) -> None:
    settings = {
        "$schema": "https://opencode.ai/config.json",
        "model": "scripted/scripted",
        "small_model": "scripted/scripted",
        "autoupdate": False,
        "share": "disabled",
        "provider": {
            "scripted": {
                "npm": "@ai-sdk/openai-compatible",
                "name": "Scripted",
                "options": {"baseURL": url, "apiKey": "{env:SCRIPTED_KEY}"},
                "models": {"scripted": {"name": "Scripted", "tool_call": True}},
            }
        },
    }
    _write(home / ".config/opencode/opencode.json", json.dumps(settings, indent=2))


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


AGENTS: Mapping[str, Agent] = {
    agent.name: agent
    for agent in (
        Agent(
            "goose",
            "@aaif/goose-binary-linux-x64/bin/goose",
            "@aaif/goose-binary-linux-x64",
            chat.PATH,
            _goose_provider,
            ("run", "--no-session", "-q", "-t"),
            {"GOOSE_DISABLE_KEYRING": "1", "GOOSE_TELEMETRY_ENABLED": "false"},
        ),
        Agent(
            "codex",
            "@openai/codex/bin/codex.js",
            "@openai/codex",
            responses.PATH,
            _codex_provider,
            ("exec", "--skip-git-repo-check"),
        ),
        Agent(
            "opencode",
            # The package's own `bin` is put there by an install script, and none is run. This
            # build needs no AVX2.
            "opencode-linux-x64-baseline/bin/opencode",
            "opencode-ai",
            chat.PATH,
            _opencode_provider,
            ("run",),
            {
                "OPENCODE_DISABLE_AUTOUPDATE": "1",
                "OPENCODE_DISABLE_MODELS_FETCH": "1",
                "OPENCODE_DISABLE_LSP_DOWNLOAD": "1",
                "OPENCODE_DISABLE_DEFAULT_PLUGINS": "1",
            },
        ),
    )
}


def missing() -> str:
    """Why the agents cannot be driven here; "" when they can."""
    absent = [agent.name for agent in AGENTS.values() if not agent.path.exists()]
    return f"not installed: {', '.join(absent)} (run scripts/setup-agents)" if absent else ""
