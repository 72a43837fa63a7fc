"""Peers of the benchmark: an absence always has a reason."""

import json
from pathlib import Path

import pytest

from bench import peers
from bench.peers import PEERS, Peer, install
from bench.targets import Site, Started, Target, Unavailable


def _never(_: Site) -> Started:
    raise AssertionError("not to be started")


@pytest.fixture
def peer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Peer:
    monkeypatch.setattr(peers, "_ENVIRONMENTS", tmp_path)
    return Peer(Target("gone", "", _never), "gone", "some-thing", (("some-thing",),))


def test_a_peer_that_cannot_be_installed_says_why(
    peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(command: list[str]) -> None:
        raise Unavailable(f"cannot be installed: {command[-1]}")

    monkeypatch.setattr(peers, "_command", refuse)
    with pytest.raises(Unavailable, match="cannot be installed"):
        install(peer, lambda _: None)


def test_a_failed_command_gives_its_last_words_as_the_reason() -> None:
    with pytest.raises(Unavailable, match="no room"):
        peers._command(["sh", "-c", "echo no room >&2; exit 1"])
    with pytest.raises(Unavailable, match="cannot be installed"):
        peers._command(["/nonexistent/installer"])


def test_an_environment_is_made_once_and_again_when_its_packages_change(
    peer: Peer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: list[list[str]] = []

    def make(command: list[str]) -> None:
        commands.append(command)
        (tmp_path / "gone/lib/python3.11/site-packages/some_thing-1.2.dist-info").mkdir(
            parents=True, exist_ok=True
        )

    monkeypatch.setattr(peers, "_command", make)
    assert install(peer, lambda _: None) == "1.2"
    made = len(commands)
    assert install(peer, lambda _: None) == "1.2"
    assert len(commands) == made
    (tmp_path / "gone" / "installed.json").write_text(json.dumps([["other"]]))
    install(peer, lambda _: None)
    assert len(commands) == 2 * made


def test_a_peer_whose_program_is_missing_is_unavailable(peer: Peer) -> None:
    with pytest.raises(Unavailable, match="`thing` is not in its environment"):
        peers._program(peer.environment, "thing")


def test_no_setting_of_the_shell_reaches_a_peer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    assert "OPENAI_API_KEY" not in peers.clean_environment()


def test_every_peer_has_a_name_of_its_own() -> None:
    names = [peer.target.name for peer in PEERS]
    assert len(set(names)) == len(names) == 4
