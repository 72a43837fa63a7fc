"""A console over a sample day, and people signed in to it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from starlette.types import ASGIApp

from bailiwick.console import Parts, console_app
from bailiwick.core.errors import TheirError
from bailiwick.identity.sessions import Sessions
from bailiwick.ports import Caller, Person
from bailiwick.testing.sample_day import SampleDay, sample_day
from tests.console.client import Client

VKEY = "bailiwick.example/ledger+6f0f9a11+AWUqmcKsQq4lYHhBvpZOQNlJvYx4RkbEfhVYHyBM3dPG"


class People:
    """Person tokens `person:NAME`, good until revoked."""

    def __init__(self, roles: dict[str, frozenset[str]]) -> None:
        self.roles = roles
        self.revoked: set[str] = set()

    def authenticate(self, authorization: str | None) -> Caller:
        raise AssertionError("the console authenticates people only")

    def renew(self, caller: Caller) -> Caller:
        raise AssertionError("the console authenticates people only")

    def person(self, authorization: str | None) -> Person:
        if authorization is None:
            raise TheirError("token_missing", "send a person's token")
        name = authorization.removeprefix("Bearer person:")
        if name in self.revoked or name not in self.roles or name == authorization:
            raise TheirError("token_invalid", "that is no token")
        return Person(name, self.roles[name], "token")


@dataclass
class House:
    """The console with everything around it that a test may reach for."""

    day: SampleDay
    people: People
    sessions: Sessions
    app: ASGIApp
    parts: Parts
    ledger_dir: Path

    def api(self, person: str) -> Client:
        client = Client(self.app)
        client.headers["authorization"] = f"Bearer person:{person}"
        return client

    async def sign_in(self, person: str) -> Client:
        client = Client(self.app)
        token = self.sessions.offer(person).token
        assert (await client.post(f"/login/{token}", {})).status == 303
        return client


@pytest.fixture
def house(tmp_path: Path) -> House:
    return build(sample_day(), tmp_path)


def build(day: SampleDay, ledger_dir: Path, base_url: str = "http://127.0.0.1:8750") -> House:
    people = People(
        {
            "ada": frozenset({"operator"}),
            "ben": frozenset({"approver"}),
            "cyd": frozenset({"approver"}),
        }
    )
    sessions = Sessions(day.clock, people.roles.get)
    parts = Parts(
        records=day.records,
        control=day.control,
        people=people,
        sign_in=sessions,
        clock=day.clock,
        ledger_dir=ledger_dir,
        ledger_key=VKEY,
        base_url=base_url,
        allowed_hosts=frozenset({"127.0.0.1", "localhost", "[::1]", "Console.Example"}),
        version="0.1.0",
    )
    return House(day, people, sessions, console_app(parts), parts, ledger_dir)
