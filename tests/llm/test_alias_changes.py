"""Changing an alias is an act that people may have to accept: each way around it, by name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.app.running import Running, command, running
from tests.llm.model_server import ModelServer, serving
from tests.llm.test_attacks import ask

GUARD = "{stamp: {role: reviewer, people: 2, not: requester}}"
REST = """
people:
  ada: {{name: Ada, roles: [operator]}}
  ben: {{name: Ben, roles: [reviewer]}}
  eve: {{name: Eve, roles: [reviewer, operator]}}
  dan: {{name: Dan, roles: [reviewer]}}
agents: {{clerk: {{owner: ada}}}}
models:
  one: {{url: {url}, dialects: [chat], models: [m, n]}}
mandates:
  think: {{from: ada, to: clerk, allow: [{{model: one/*, other_arguments: allow}}]}}
"""


def aliases(model: str, guard: str = GUARD) -> str:
    changes = f", changes: {guard}" if guard else ""
    return f"aliases: {{assistant: {{models: [{model}]{changes}}}}}\n"


@pytest.fixture
def upstream() -> Iterator[ModelServer]:
    with serving() as server:
        yield server


@pytest.fixture
def gateway(tmp_path: Path, upstream: ModelServer) -> Iterator[Running]:
    declared = REST.format(url=upstream.url) + aliases("one/m")
    with running(tmp_path, declared) as gateway:
        gateway.agent_token()
        yield gateway


def apply(gateway: Running, text: str, person: str = "ada") -> dict[str, Any]:
    file = gateway.folder / "change.yaml"
    file.write_text(text)
    report: dict[str, Any] = gateway.cli("apply", "-f", str(file), person=person)
    return report


def served_by(gateway: Running) -> str:
    body = {"model": "assistant", "messages": [{"role": "user", "content": "hello"}]}
    status, headers, _ = ask(gateway, body)
    assert status == 200
    return headers["bailiwick-served-by"]


def waiting(gateway: Running) -> list[str]:
    pins = gateway.cli("pins")["pins"]
    return [pin["digest"] for pin in pins if pin["state"] == "held"]


def accept(gateway: Running, person: str, digest: str) -> tuple[int, str]:
    done = command(
        *("pins", "accept", "@declared/alias/assistant", digest),
        *("--data", str(gateway.data), "--as", person),
    )
    return done.returncode, done.stdout + done.stderr


def test_a_change_waits_for_as_many_people_as_the_alias_in_force_asks_for(
    gateway: Running,
) -> None:
    report = apply(gateway, aliases("one/n"))
    assert report["changes"][0]["action"] == "hold"
    assert "2 different people with the role `reviewer`" in report["problems"][0]["message"]
    assert served_by(gateway) == "one/m"
    (digest,) = waiting(gateway)
    code, said = accept(gateway, "ben", digest)
    assert code == 0
    assert "waits for others" in said
    assert served_by(gateway) == "one/m"
    assert accept(gateway, "dan", digest) == (0, "accepted @declared/alias/assistant\n")
    assert served_by(gateway) == "one/n"
    assert waiting(gateway) == []


def test_one_person_does_not_count_twice(gateway: Running) -> None:
    apply(gateway, aliases("one/n"))
    (digest,) = waiting(gateway)
    for _ in range(3):
        assert "waits for others" in accept(gateway, "ben", digest)[1]
    assert served_by(gateway) == "one/m"


def test_neither_whoever_declared_it_nor_anybody_without_the_role_accepts_it(
    gateway: Running,
) -> None:
    apply(gateway, aliases("one/n"), person="eve")
    (digest,) = waiting(gateway)
    code, said = accept(gateway, "eve", digest)
    assert (code, "whoever declared a change may not accept it" in said) == (4, True)
    code, said = accept(gateway, "ada", digest)
    assert (code, "it takes the role `reviewer`" in said) == (4, True)
    assert served_by(gateway) == "one/m"


@pytest.mark.parametrize("guard", ["", "{stamp: {people: 1}}"])
def test_taking_the_guard_away_or_weakening_it_is_a_change_like_any_other(
    gateway: Running, guard: str
) -> None:
    assert apply(gateway, aliases("one/m", guard))["changes"][0]["action"] == "hold"
    assert apply(gateway, aliases("one/n", guard))["changes"][0]["action"] == "hold"
    assert served_by(gateway) == "one/m"
    (digest,) = waiting(gateway)
    assert "waits for others" in accept(gateway, "ben", digest)[1]


def test_what_was_accepted_is_that_change_and_no_other(gateway: Running) -> None:
    apply(gateway, aliases("one/n"))
    (first,) = waiting(gateway)
    accept(gateway, "ben", first)
    apply(gateway, aliases("[one/m, one/n]").replace("[[", "[").replace("]]", "]"))
    (second,) = waiting(gateway)
    assert accept(gateway, "dan", first)[0] != 0
    assert "waits for others" in accept(gateway, "dan", second)[1]
    assert served_by(gateway) == "one/m"


def test_acceptances_of_a_change_that_was_taken_back_do_not_count_later(
    gateway: Running,
) -> None:
    apply(gateway, aliases("one/n"))
    (digest,) = waiting(gateway)
    accept(gateway, "ben", digest)
    apply(gateway, aliases("one/m"))  # as it is in force: taken back
    assert waiting(gateway) == []
    assert accept(gateway, "dan", digest)[0] != 0
    apply(gateway, aliases("one/n"))
    assert "waits for others" in accept(gateway, "dan", digest)[1]
    assert served_by(gateway) == "one/m"


def test_a_change_that_does_not_fit_any_more_does_not_come_into_force(
    gateway: Running, upstream: ModelServer
) -> None:
    apply(gateway, aliases("one/n"))
    (digest,) = waiting(gateway)
    accept(gateway, "ben", digest)
    apply(gateway, f"models: {{one: {{url: '{upstream.url}', dialects: [chat], models: [m]}}}}\n")
    code, said = accept(gateway, "dan", digest)
    assert (code != 0, "does not fit any more" in said) == (True, True)
    assert served_by(gateway) == "one/m"


def test_a_change_that_waits_outlives_the_gateway(
    gateway: Running, upstream: ModelServer, tmp_path: Path
) -> None:
    apply(gateway, aliases("one/n"))
    (digest,) = waiting(gateway)
    accept(gateway, "ben", digest)
    gateway.stop()
    declared = REST.format(url=upstream.url) + aliases("one/m")  # as it is in force
    with running(tmp_path, declared) as again:
        again.agent_token()
        assert served_by(again) == "one/m"
        assert accept(again, "dan", digest)[0] == 0
        assert served_by(again) == "one/n"
