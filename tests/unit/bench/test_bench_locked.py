"""Environments that a lock file pins: made as it says, and told by its versions."""

from pathlib import Path

import pytest

from bench import locked
from bench.locked import installed, version_of
from bench.targets import Unavailable


@pytest.fixture
def pinned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "environments"
    (folder / "snake").mkdir(parents=True)
    (folder / "snake/uv.lock").write_text('[[package]]\nname = "snake"\nversion = "1.2"\n')
    (folder / "coffee").mkdir()
    (folder / "coffee/package.json").write_text("{}")
    lock = '{"packages": {"node_modules/@who/coffee": {"version": "3.4"}}}'
    (folder / "coffee/package-lock.json").write_text(lock)
    monkeypatch.setattr(locked, "_PINNED", folder)
    return folder


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    ran: list[list[str]] = []

    def run(command: list[str], folder: Path, env: dict[str, str] | None = None) -> None:
        ran.append(command)
        Path((env or {}).get("UV_PROJECT_ENVIRONMENT", folder)).mkdir(parents=True, exist_ok=True)

    monkeypatch.setattr(locked, "run", run)
    return ran


@pytest.mark.parametrize("name", ["snake", "coffee"])
def test_an_environment_is_made_once_and_again_when_its_lock_changes(
    name: str, pinned: Path, commands: list[list[str]], tmp_path: Path
) -> None:
    said: list[str] = []
    into = tmp_path / "made"
    assert installed(name, said.append, into) == into / name
    installed(name, said.append, into)
    assert (len(commands), len(said)) == (1, 1)
    lock = next(path for path in (pinned / name).iterdir() if "lock" in path.name)
    lock.write_text(lock.read_text() + "\n")
    installed(name, said.append, into)
    assert len(commands) == 2


@pytest.mark.usefixtures("commands")
def test_the_lock_is_held_to(pinned: Path, commands: list[list[str]], tmp_path: Path) -> None:
    installed("snake", print, tmp_path)
    installed("coffee", print, tmp_path)
    assert "--locked" in commands[0]
    assert "ci" in commands[1]
    assert "--ignore-scripts" in commands[1]


def test_what_cannot_be_installed_says_why_and_counts_as_absent(
    pinned: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locked, "_uv", lambda: "/nonexistent/uv")
    with pytest.raises(Unavailable, match="cannot be installed"):
        installed("snake", print, tmp_path)
    assert not (tmp_path / "snake/uv.lock").exists()
    with pytest.raises(Unavailable, match="there is no lock for `gone`"):
        installed("gone", print, tmp_path)


def test_a_failed_installer_gives_its_last_words(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="no room"):
        locked.run(["sh", "-c", "echo no room >&2; exit 1"], tmp_path)


def test_versions_are_those_of_the_lock(pinned: Path) -> None:
    assert version_of("snake", "snake") == "1.2"
    assert version_of("snake", "other") == "?"
    assert version_of("coffee", "@who/coffee") == "3.4"
    assert version_of("coffee", "other") == "?"
