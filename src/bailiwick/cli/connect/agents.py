"""What each agent wants in its settings, and where they are.

The token never goes into a settings file: those are shared, synced and committed. It lies in a
file of its own (0600); the settings name that file, or an environment variable.

Sources: the agents' own documentation, and runs of goose 1.52, Codex 0.169, opencode 1.18 and
Claude Code 2.1 against a gateway.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bailiwick.cli.connect import yaml_text
from bailiwick.cli.connect.jsonc import NotJson, get_member, remove_member, set_member
from bailiwick.cli.connect.toml_block import NotOurs, add_block, remove_block
from bailiwick.cli.exits import CliError, Exit

TOKEN_VARIABLE = "BAILIWICK_AGENT_TOKEN"  # noqa: S105 - the name of a variable, not a secret
CLAUDE_START = f"MCP_CONNECT_TIMEOUT_MS=60000 {TOKEN_VARIABLE}={{token}} claude"
"""By default Claude Code gives up on a gateway whose servers take 5 s to start."""

HOLD_SECONDS = 300
"""How long an agent should wait for one call: longer than the gateway holds one (240 s)."""


@dataclass(frozen=True, slots=True)
class Wiring:
    """What is to be written. `entry` names it in the agent's settings."""

    entry: str
    url: str
    token_file: Path


@dataclass(frozen=True, slots=True)
class Place:
    """Where a person's settings are looked for."""

    home: Path
    here: Path
    environ: Mapping[str, str]

    @property
    def config(self) -> Path:
        """`$XDG_CONFIG_HOME`, or `~/.config`."""
        given = self.environ.get("XDG_CONFIG_HOME")
        return Path(given) if given else self.home / ".config"


@dataclass(frozen=True, slots=True)
class Agent:
    """One agent we know.

    Attributes:
        settings: where its settings are.
        add: the text with our entry; the same text again when it is there already.
        remove: the text without our entry.
        start: how to start it; `{token}` is a shell word that gives the token.
    """

    title: str
    settings: Callable[[Place], Path]
    add: Callable[[str, Wiring], str]
    remove: Callable[[str, str], str]
    start: str
    remarks: Sequence[str] = ()


def _goose_add(text: str, wiring: Wiring) -> str:
    wanted = {
        "enabled": True,
        "type": "streamable_http",
        "name": wiring.entry,
        "description": "Tools under a Bailiwick mandate",
        "uri": wiring.url,
        "headers": {"Authorization": f"Bearer ${{{TOKEN_VARIABLE}}}"},
        "env_keys": [TOKEN_VARIABLE],
        "timeout": HOLD_SECONDS,
    }
    return yaml_text.set_member(text, ("extensions", wiring.entry), wanted)


def _goose_remove(text: str, entry: str) -> str:
    return yaml_text.remove_member(text, ("extensions", entry))


def _codex_add(text: str, wiring: Wiring) -> str:
    values = {
        "url": wiring.url,
        "bearer_token_env_var": TOKEN_VARIABLE,
        # Without it `codex exec` takes its first turn before the tools are there.
        "required": True,
        "tool_timeout_sec": HOLD_SECONDS,
        # The gateway judges each call; without this `codex exec` refuses all of them.
        "default_tools_approval_mode": "approve",
    }
    try:
        return add_block(text, ("mcp_servers", wiring.entry), values)
    except NotOurs as error:
        raise CliError(
            Exit.NO,
            "settings_taken",
            f"{error}",
            "remove it, or give another name with --entry",
        ) from error
    except tomllib.TOMLDecodeError as error:
        raise CliError(Exit.USAGE, "settings_unusable", "the settings are not TOML") from error


def _codex_remove(text: str, entry: str) -> str:
    try:
        return remove_block(text, entry)
    except NotOurs as error:
        raise CliError(Exit.NO, "settings_taken", f"{error}", "remove it by hand") from error


def _opencode_add(text: str, wiring: Wiring) -> str:
    value = {
        "type": "remote",
        "url": wiring.url,
        "headers": {"Authorization": f"Bearer {{file:{wiring.token_file}}}"},
        "oauth": False,
        # Or opencode gives up on a gateway whose servers take 5 s to start.
        "timeout": HOLD_SECONDS * 1000,
        "enabled": True,
    }
    start = text if text.strip() else '{\n  "$schema": "https://opencode.ai/config.json"\n}\n'
    return _json_add(start, ("mcp", wiring.entry), value)


def _opencode_remove(text: str, entry: str) -> str:
    return _json_remove(text, ("mcp", entry))


def _claude_add(text: str, wiring: Wiring) -> str:
    value = {
        "type": "http",
        "url": wiring.url,
        "headers": {"Authorization": f"Bearer ${{{TOKEN_VARIABLE}}}"},
        # Or it takes its first turn before the tools are there, and hides them behind a search.
        "alwaysLoad": True,
    }
    return _json_add(text if text.strip() else "{}\n", ("mcpServers", wiring.entry), value)


def _claude_remove(text: str, entry: str) -> str:
    return _json_remove(text, ("mcpServers", entry))


def _json_add(text: str, path: Sequence[str], value: Mapping[str, object]) -> str:
    try:
        return text if get_member(text, path) == value else set_member(text, path, value)
    except NotJson as error:
        raise CliError(
            Exit.USAGE, "settings_unusable", f"the settings are not JSON ({error})"
        ) from error


def _json_remove(text: str, path: Sequence[str]) -> str:
    try:
        return remove_member(text, path) if text.strip() else text
    except NotJson as error:
        raise CliError(
            Exit.USAGE, "settings_unusable", f"the settings are not JSON ({error})"
        ) from error


def _opencode_settings(place: Place) -> Path:
    folder = place.config / "opencode"
    with_comments = folder / "opencode.jsonc"
    return with_comments if with_comments.exists() else folder / "opencode.json"


AGENTS: Mapping[str, Agent] = {
    "goose": Agent(
        "goose",
        lambda place: place.config / "goose" / "config.yaml",
        _goose_add,
        _goose_remove,
        f"{TOKEN_VARIABLE}={{token}} goose",
    ),
    "codex": Agent(
        "Codex",
        lambda place: (
            Path(place.environ.get("CODEX_HOME") or place.home / ".codex") / "config.toml"
        ),
        _codex_add,
        _codex_remove,
        f"{TOKEN_VARIABLE}={{token}} codex",
    ),
    "opencode": Agent(
        "opencode",
        _opencode_settings,
        _opencode_add,
        _opencode_remove,
        "opencode",
    ),
    "claude-code": Agent(
        "Claude Code",
        lambda place: place.here / ".mcp.json",
        _claude_add,
        _claude_remove,
        CLAUDE_START,
        ("The settings are those of this folder; start it here.",),
    ),
}
