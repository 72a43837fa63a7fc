"""The agents: where npm put them, what people have in their settings, how they are started.

What wires an agent and its model to the gateway is written by `bailiwick connect`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent
MODULES = HERE / "node_modules"


@dataclass(frozen=True, slots=True)
class Agent:
    """One agent.

    Attributes:
        name: as it is declared.
        connects: as `bailiwick connect` knows it.
        command: what people type.
        executable: below `node_modules`.
        package: its npm package, whose version is reported.
        dialect: how it talks to its model.
        settle: writes what a person had in its settings before: (home, desk).
        words: what follows the command for one task without a person before it.
        environ: what keeps it from asking the outside for anything.
    """

    name: str
    connects: str
    command: str
    executable: str
    package: str
    dialect: str
    settle: Callable[[Path, Path], None]
    words: Sequence[str]
    environ: Mapping[str, str] = field(default_factory=dict)

    @property
    def path(self) -> Path:
        return MODULES / self.executable

    @property
    def version(self) -> str:
        package = json.loads((MODULES / self.package / "package.json").read_text())
        return str(package["version"])


def _goose_settings(home: Path, _desk: Path) -> None:
    _write(
        home / ".config/goose/config.yaml",
        "# mine\nGOOSE_PROVIDER: another\nGOOSE_MODEL: another\nGOOSE_MODE: auto\n",
    )


def _codex_settings(home: Path, _desk: Path) -> None:
    _write(
        home / ".codex/config.toml",
        "# mine\n"
        'model = "another"\n'
        "check_for_update_on_startup = false\n"
        "[analytics]\n"
        "enabled = false\n"
        "[features]\n"
        "apps = false\n"
        "plugins = false\n"
        "remote_plugin = false\n",
    )


def _opencode_settings(home: Path, _desk: Path) -> None:
    settings = {
        "$schema": "https://opencode.ai/config.json",
        "model": "another/another",
        "username": "mine",
        "autoupdate": False,
        "share": "disabled",
    }
    _write(home / ".config/opencode/opencode.json", json.dumps(settings, indent=2))


def _claude_settings(_home: Path, desk: Path) -> None:
    mine = {"model": "another", "permissions": {"deny": ["WebFetch(domain:mine)"]}}
    _write(desk / ".claude/settings.local.json", json.dumps(mine, indent=2))


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


AGENTS: Mapping[str, Agent] = {
    agent.name: agent
    for agent in (
        Agent(
            "goose",
            "goose",
            "goose",
            "@aaif/goose-binary-linux-x64/bin/goose",
            "@aaif/goose-binary-linux-x64",
            "chat",
            _goose_settings,
            ("run", "--no-session", "-q", "-t"),
            {"GOOSE_DISABLE_KEYRING": "1", "GOOSE_TELEMETRY_ENABLED": "false"},
        ),
        Agent(
            "codex",
            "codex",
            "codex",
            "@openai/codex/bin/codex.js",
            "@openai/codex",
            "responses",
            _codex_settings,
            ("exec", "--skip-git-repo-check"),
        ),
        Agent(
            "opencode",
            "opencode",
            "opencode",
            # The package's own `bin` is put there by an install script, and none is run. This
            # build needs no AVX2.
            "opencode-linux-x64-baseline/bin/opencode",
            "opencode-ai",
            "chat",
            _opencode_settings,
            ("run",),
            {
                "OPENCODE_DISABLE_AUTOUPDATE": "1",
                "OPENCODE_DISABLE_MODELS_FETCH": "1",
                "OPENCODE_DISABLE_LSP_DOWNLOAD": "1",
                "OPENCODE_DISABLE_DEFAULT_PLUGINS": "1",
            },
        ),
        Agent(
            "claude",
            "claude-code",
            "claude",
            "@anthropic-ai/claude-code-linux-x64/claude",
            "@anthropic-ai/claude-code",
            "messages",
            _claude_settings,
            # The gateway judges each call; without the second, `claude -p` makes none.
            ("-p", "--allowedTools", "mcp__bailiwick", "--"),
            {"CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1"},
        ),
    )
}


def missing() -> str:
    """Why the agents cannot be driven here; "" when they can."""
    absent = [agent.name for agent in AGENTS.values() if not agent.path.exists()]
    return f"not installed: {', '.join(absent)} (run scripts/setup-agents)" if absent else ""
