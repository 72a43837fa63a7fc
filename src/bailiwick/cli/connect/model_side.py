"""Putting an agent's model behind the gateway: what each agent wants in which of its settings.

Some of it is ours alone (a provider, a table, a file). The rest stood there before in most settings
(`model = …`): it is kept in a file of ours, 0600, and `--remove` puts it back.

Sources: the agents' own documentation, and runs of goose 1.52, Codex 0.169, opencode 1.18 and
Claude Code 2.1 against a gateway (docs/agents.md).
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bailiwick.cli.connect import jsonc, toml_block, yaml_text
from bailiwick.cli.connect.agents import CLAUDE_START, TOKEN_VARIABLE, Place
from bailiwick.cli.exits import CliError, Exit
from bailiwick.core.canonical import Json

At = tuple[str, ...]
"""Where a value stands in a settings file."""

CONTEXT_TOKENS = 128_000
"""What goose is told of a model it does not know; it shortens a conversation before that."""


@dataclass(frozen=True, slots=True)
class ModelWiring:
    """What is to be written. `url` is the gateway's root; `entry` names it in the settings."""

    entry: str
    url: str
    model: str
    token_file: Path


@dataclass(frozen=True, slots=True)
class Form:
    """One format of settings files. `set` and `remove` change nothing but the value at a place."""

    get: Callable[[str, At], object | None]
    set: Callable[[str, At, object], str]
    remove: Callable[[str, At], str]


@dataclass(frozen=True, slots=True)
class Part:
    """What one settings file gets.

    Attributes:
        taken: values where others may have stood; those are kept and put back.
        owned: values in places of ours.
        whole: the text of the file where all of it is ours.
    """

    path: Path
    form: Form
    taken: Mapping[At, Json] = field(default_factory=dict)
    owned: Mapping[At, Json] = field(default_factory=dict)
    whole: str = ""


@dataclass(frozen=True, slots=True)
class Kept:
    """A value that was taken: what stood there (None: nothing) and what stands there now."""

    path: str
    at: At
    was: Json
    now: Json


@dataclass(frozen=True, slots=True)
class ModelSide:
    """How one agent gets its model.

    Attributes:
        parts: from where settings are, the agent's main settings file, and the wiring.
        start: how to start it; `{token}` is a shell word that gives the token.
    """

    parts: Callable[[Place, Path, ModelWiring], Sequence[Part]]
    start: str


def apply_part(text: str, part: Part, kept: Sequence[Kept]) -> tuple[str, list[Kept]]:
    """The text of a settings file with our part in it, and what it took the place of.

    Args:
        text: "" when there is no such file yet.
        kept: what earlier runs took; a value of ours is not taken for one of theirs.

    Raises:
        CliError: the file cannot be changed safely.
    """
    if part.whole:
        return part.whole, []
    known = {(each.path, each.at): each for each in kept}
    took = []
    try:
        for at, value in part.owned.items():
            text = part.form.set(text, at, value)
        for at, value in part.taken.items():
            there = part.form.get(text, at)
            before = known.get((str(part.path), at))
            was = before.was if before is not None and before.now == there else there
            took.append(Kept(str(part.path), at, was, value))  # type: ignore[arg-type]  # as read
            text = text if there == value else part.form.set(text, at, value)
    except (jsonc.NotJson, toml_block.NotOurs, tomllib.TOMLDecodeError) as error:
        raise _unusable(part.path, error) from error
    return text, took


def undo_part(text: str, part: Part, kept: Sequence[Kept]) -> str:
    """The text without our part; what was taken is back, unless somebody changed it since.

    Raises:
        CliError: the file cannot be changed safely.
    """
    form = part.form
    try:
        for at in part.owned:
            text = form.remove(text, at)
            text = _without_empty(text, form, at[:-1])
        for each in kept:
            if each.path != str(part.path) or form.get(text, each.at) != each.now:
                continue
            if each.was is not None:
                text = form.set(text, each.at, each.was)
                continue
            text = form.remove(text, each.at)
            text = _without_empty(text, form, each.at[:-1])
    except (jsonc.NotJson, toml_block.NotOurs, tomllib.TOMLDecodeError) as error:
        raise _unusable(part.path, error) from error
    return text


def _without_empty(text: str, form: Form, at: At) -> str:
    return form.remove(text, at) if at and form.get(text, at) == {} else text


def _unusable(path: Path, error: ValueError) -> CliError:
    return CliError(
        Exit.NO, "settings_taken", f"`{path}`: {error}", "change it by hand, or see --print"
    )


# --- the forms -------------------------------------------------------------------------------


def _json_set(text: str, at: At, value: object) -> str:
    start = text if text.strip() else "{}\n"
    return start if jsonc.get_member(start, at) == value else jsonc.set_member(start, at, value)


def _toml_get(text: str, at: At) -> object | None:
    node: object = tomllib.loads(text)
    for name in at:
        node = node.get(name) if isinstance(node, dict) else None
    return node


def _toml_set(text: str, at: At, value: object) -> str:
    if len(at) == 1:
        return toml_block.set_value(text, at[0], value)
    assert isinstance(value, dict), "below the top there are only tables of ours"
    return toml_block.add_block(text, (at[0], at[1]), value, _mark(at))


def _toml_remove(text: str, at: At) -> str:
    if len(at) == 1:
        return toml_block.remove_value(text, at[0])
    return toml_block.remove_block(text, _mark(at))


def _mark(at: At) -> str:
    return f"model of {at[1]}"


JSON = Form(
    lambda text, at: jsonc.get_member(text, at) if text.strip() else None,
    _json_set,
    lambda text, at: jsonc.remove_member(text, at) if text.strip() else text,
)
TOML = Form(_toml_get, _toml_set, _toml_remove)
YAML = Form(yaml_text.get_member, yaml_text.set_member, yaml_text.remove_member)


# --- the agents ------------------------------------------------------------------------------


def _goose(place: Place, settings: Path, wiring: ModelWiring) -> Sequence[Part]:
    provider = {
        "name": wiring.entry,
        "engine": "openai",
        "display_name": "Bailiwick",
        "description": "A model under a Bailiwick mandate",
        "api_key_env": TOKEN_VARIABLE,
        "base_url": f"{wiring.url}/v1/chat/completions",
        "models": [{"name": wiring.model, "context_limit": CONTEXT_TOKENS}],
        "supports_streaming": True,
        "requires_auth": True,
    }
    file = place.config / "goose" / "custom_providers" / f"{wiring.entry}.json"
    return (
        Part(file, JSON, whole=json.dumps(provider, indent=2) + "\n"),
        Part(
            settings,
            YAML,
            taken={("GOOSE_PROVIDER",): wiring.entry, ("GOOSE_MODEL",): wiring.model},
        ),
    )


def _codex(_place: Place, settings: Path, wiring: ModelWiring) -> Sequence[Part]:
    provider: Json = {
        "name": "Bailiwick",
        "base_url": f"{wiring.url}/v1",
        "wire_api": "responses",
        "env_key": TOKEN_VARIABLE,
    }
    taken: Mapping[At, Json] = {
        ("model",): wiring.model,
        ("model_provider",): wiring.entry,
        # The provider runs it itself: no gateway sees what it asks for, and nothing bounds it.
        ("web_search",): "disabled",
    }
    return (Part(settings, TOML, taken, {("model_providers", wiring.entry): provider}),)


def _opencode(_place: Place, settings: Path, wiring: ModelWiring) -> Sequence[Part]:
    provider: Json = {
        "npm": "@ai-sdk/openai-compatible",
        "name": "Bailiwick",
        "options": {"baseURL": f"{wiring.url}/v1", "apiKey": f"{{file:{wiring.token_file}}}"},
        "models": {wiring.model: {"name": wiring.model, "tool_call": True}},
    }
    model = f"{wiring.entry}/{wiring.model}"
    taken: Mapping[At, Json] = {("model",): model, ("small_model",): model}
    return (Part(settings, JSON, taken, {("provider", wiring.entry): provider}),)


def _claude(_place: Place, settings: Path, wiring: ModelWiring) -> Sequence[Part]:
    names = (
        "ANTHROPIC_MODEL",
        "ANTHROPIC_DEFAULT_HAIKU_MODEL",
        "ANTHROPIC_DEFAULT_SONNET_MODEL",
        "ANTHROPIC_DEFAULT_OPUS_MODEL",
    )
    variables = {
        "ANTHROPIC_BASE_URL": wiring.url,
        **dict.fromkeys(names, wiring.model),
        # It would be sent in the token's place.
        "ANTHROPIC_API_KEY": "",
        # Or it asks for what a person refused once more, in one piece, and they are asked again.
        "CLAUDE_CODE_DISABLE_NONSTREAMING_FALLBACK": "1",
    }
    taken: dict[At, Json] = {("env", name): value for name, value in variables.items()}
    return (Part(settings.parent / ".claude" / "settings.local.json", JSON, taken),)


MODEL_SIDES: Mapping[str, ModelSide] = {
    "goose": ModelSide(_goose, f"{TOKEN_VARIABLE}={{token}} goose"),
    "codex": ModelSide(_codex, f"{TOKEN_VARIABLE}={{token}} codex"),
    "opencode": ModelSide(_opencode, "opencode"),
    "claude-code": ModelSide(
        _claude,
        # With a key in its environment it asks its maker for things, with that key. A token that
        # an `apiKeyHelper` tells is tried again for minutes when a call is refused.
        f"env -u ANTHROPIC_API_KEY ANTHROPIC_AUTH_TOKEN={{token}} {CLAUDE_START}",
    ),
}
