"""Attacks over real sockets on one real gateway: who holds what, and what that is worth."""

from __future__ import annotations

import http.client
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.app.running import Running, running

TOY = Path(__file__).parent.parent / "app" / "toy_server.py"


@dataclass
class Place:
    """A gateway with two agents and four people, and what its server did."""

    gateway: Running
    did: Path
    other: Running
    tokens: dict[str, str]

    def api(
        self, method: str, path: str, token: str, body: Any = None
    ) -> tuple[int, dict[str, Any]]:
        address = urlsplit(self.gateway.url)
        assert address.hostname is not None
        connection = http.client.HTTPConnection(address.hostname, address.port, timeout=20)
        headers = {"Authorization": f"Bearer {token}"}
        sent = None
        if body is not None:
            sent, headers["Content-Type"] = json.dumps(body), "application/json"
        try:
            connection.request(method, f"/api/v1{path}", sent, headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def done(self) -> list[str]:
        return self.did.read_text().splitlines() if self.did.exists() else []


def declared(did: Path) -> str:
    return f"""
servers: {{toy: {{command: [{sys.executable}, {TOY}, {did}]}}}}
people:
  ada: {{name: Ada, roles: [operator, treasurer]}}
  ben: {{name: Ben, roles: [treasurer]}}
  cat: {{name: Cat, roles: [treasurer]}}
  dan: {{name: Dan, roles: []}}
agents:
  clerk: {{owner: ada}}
  other: {{owner: ben}}
mandates:
  work:
    from: ada
    to: clerk
    allow: [{{tool: toy/note, other_arguments: allow}}]
    stamp: [{{tool: toy/note, when: {{text: {{matches: "pay*"}}}}, role: treasurer, not: [owner]}}]
  others: {{from: ben, to: other, allow: [{{tool: toy/note, other_arguments: allow}}]}}
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("attacked")
    did = folder / "did.txt"
    with running(folder, declared(did)) as gateway:
        gateway.agent_token("clerk")
        clerk = gateway.token
        other = replace(gateway, token=gateway.agent_token("other"))
        gateway.token = clerk
        tokens = {name: gateway.cli("people", "token", name)["token"] for name in
                  ("ada", "ben", "cat", "dan")}  # fmt: skip
        yield Place(gateway, did, other, tokens)


def held(place: Place, text: str) -> tuple[Thread, list[dict[str, Any]], dict[str, Any]]:
    """A held call under way, where its result will be, and its hold."""
    answers: list[dict[str, Any]] = []

    def ask() -> None:
        answers.append(place.gateway.call("toy/note", {"text": text}, seconds=60))

    before = {hold["id"] for hold in waiting(place)}
    thread = Thread(target=ask)
    thread.start()
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        fresh = [hold for hold in waiting(place) if hold["id"] not in before]
        if fresh:
            return thread, answers, fresh[0]
    raise AssertionError(f"`{text}` was not held: {answers}")


def waiting(place: Place) -> list[dict[str, Any]]:
    status, answer = place.api("GET", "/holds", place.tokens["dan"])
    assert status == 200
    holds: list[dict[str, Any]] = answer["holds"]
    return holds


def stamp(place: Place, hold: str, person: str, decision: str = "approve") -> int:
    body = {"decision": decision}
    return place.api("POST", f"/holds/{hold}/stamp", place.tokens[person], body)[0]


# --- tokens -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/me", None),
        ("GET", "/holds", None),
        ("POST", "/apply", {"files": {}, "dry_run": False}),
        ("POST", "/mandates/work/revoke", {}),
        ("POST", "/agents/clerk/tokens", {}),
        ("POST", "/login-links", {}),
    ],
)
def test_an_agents_token_is_nothing_to_the_peoples_api(
    place: Place, method: str, path: str, body: Any
) -> None:
    status, answer = place.api(method, path, place.gateway.token, body)
    assert status == 401
    assert answer["error"]["code"] == "wrong_audience"


def test_a_persons_token_is_nothing_to_the_agents_door(place: Place) -> None:
    person = replace(place.gateway, token=place.tokens["ada"])
    status, _ = person.post("tools/list", {})
    assert status == 401


@pytest.mark.parametrize(
    "forged",
    [
        "",
        ".",
        "..",
        "eyJhbGciOiJub25lIn0.e30.",
        "a" * 5000,
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhZGEifQ.AAAA",
        "W10.W10.W10",
    ],
)
def test_a_forged_token_opens_neither_door_and_breaks_nothing(place: Place, forged: str) -> None:
    assert replace(place.gateway, token=forged).post("tools/list", {})[0] == 401
    assert place.api("GET", "/me", forged)[0] == 401


# --- rights -------------------------------------------------------------------------------------


@pytest.mark.parametrize("person", ["ben", "dan"])
def test_nobody_gives_themselves_a_role(place: Place, person: str) -> None:
    mine = f"people: {{{person}: {{name: X, roles: [operator, treasurer]}}}}"
    body = {"files": {"x.yaml": mine}, "dry_run": False}
    assert place.api("POST", "/apply", place.tokens[person], body)[0] == 403
    assert place.api("GET", "/me", place.tokens[person])[1]["person"]["roles"] != [
        "operator",
        "treasurer",
    ]


@pytest.mark.parametrize("person", ["ben", "cat", "dan"])
def test_nobody_revokes_or_makes_tokens_for_what_is_not_theirs(place: Place, person: str) -> None:
    token = place.tokens[person]
    assert place.api("POST", "/mandates/work/revoke", token, {})[0] == 403
    assert place.api("POST", "/agents/clerk/tokens", token, {})[0] == 403


def test_a_stamp_is_taken_of_those_who_may_and_once(place: Place) -> None:
    thread, answers, hold = held(place, "pay 1")
    assert stamp(place, hold["id"], "ada") == 403  # answers for the agent: excluded
    assert stamp(place, hold["id"], "dan") == 403  # has no such role
    assert stamp(place, "0" * 26, "ben") == 404
    assert "note pay 1" not in place.done()
    assert stamp(place, hold["id"], "ben") == 200
    assert stamp(place, hold["id"], "cat", "refuse") == 409
    thread.join(20)
    assert answers[0]["content"][0]["text"] == "done pay 1"
    assert place.done().count("note pay 1") == 1


def test_an_agent_does_not_pick_up_what_was_approved_for_another(place: Place) -> None:
    thread, answers, hold = held(place, "pay 2")
    assert place.other.call("toy/note", {"text": "pay 2"})["content"][0]["text"] == "done pay 2"
    assert stamp(place, hold["id"], "cat", "refuse") == 200
    thread.join(20)
    assert answers[0]["isError"] is True
    assert place.done().count("note pay 2") == 1


def test_text_that_looks_like_what_a_stamp_rule_means_does_not_slip_past_it(place: Place) -> None:
    for number, text in enumerate(("PAY 3", " pay 3", "p\u200bay 3", "\uff50ay 3")):
        thread, answers, hold = held(place, text)
        assert stamp(place, hold["id"], "cat", "refuse") == 200, number
        thread.join(20)
        assert answers[0]["isError"] is True
    assert not any("3" in line for line in place.done())
