"""Delegation over HTTP, with real tokens: whose token opens what."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from bailiwick.app.gateway import Doors
from tests.app.delegating import ADA, LESS, House, house
from tests.console.client import Answer, Client

PATH = "/api/v1/mandates/pay/children"


@pytest.fixture
async def there(tmp_path: Path) -> AsyncIterator[House]:
    async with house(tmp_path) as found:
        yield found


class Asking:
    """A client with one token."""

    def __init__(self, there: House, token: str) -> None:
        doors = Doors("http://127.0.0.1:8750", frozenset({"127.0.0.1"}), frozenset())
        self.client = Client(there.gateway.asgi(doors))
        self.client.headers["authorization"] = f"Bearer {token}"

    async def post(self, path: str, body: object) -> Answer:
        return await self.client.send(path, body)


async def agent_token(there: House) -> str:
    return (await there.control.make_token(ADA, "clerk", "pay", 600)).token


def person_token(there: House, name: str) -> str:
    rooms = there.gateway.rooms
    return rooms.tokens.issue_person(name, 600, rooms.clock.wall_ms()).token


async def test_an_agent_passes_on_with_its_own_token_and_the_child_can_act(there: House) -> None:
    asking = Asking(there, await agent_token(there))
    answer = await asking.post(PATH, {"child": dedent(LESS)})
    assert answer.status == 201
    made = answer.json
    assert made["parent"] == "pay@1"
    caller = there.gateway.authenticator.authenticate(f"Bearer {made['token']['token']}")
    assert (caller.agent, caller.mandate) == ("helper-a", made["name"])


async def test_a_child_may_be_sent_as_json_and_only_checked(there: House) -> None:
    asking = Asking(there, person_token(there, "ada"))
    rule = {"tool": "bank/pay", "when": {"amount": {"at_most": 1}, "payee": {"equals": "acme"}}}
    child = {"to": "helper-a", "allow": [rule]}
    answer = await asking.post(PATH, {"child": child, "dry_run": True})
    assert answer.status == 200
    assert answer.json["token"] is None


async def test_a_wider_child_answers_422_with_the_call(there: House) -> None:
    asking = Asking(there, await agent_token(there))
    answer = await asking.post(PATH, {"child": dedent(LESS).replace("100", "7000")})
    assert answer.status == 422
    assert answer.json["error"]["code"] == "child_wider"
    assert "5001" in answer.json["error"]["message"]


async def test_a_childs_token_is_refused_for_the_parent(there: House) -> None:
    first = await Asking(there, await agent_token(there)).post(PATH, {"child": dedent(LESS)})
    asking = Asking(there, first.json["token"]["token"])
    answer = await asking.post(PATH, {"child": dedent(LESS)})
    assert answer.status == 403
    assert answer.json["error"]["code"] == "delegate_not_allowed"


async def test_an_agents_token_opens_nothing_else_here(there: House) -> None:
    asking = Asking(there, await agent_token(there))
    for path in ("revoke", "suspend", "resume"):
        answer = await asking.post(f"/api/v1/mandates/pay/{path}", {"reason": ""})
        assert answer.status == 401
        assert answer.json["error"]["code"] == "wrong_audience"
    made = await asking.post("/api/v1/agents/clerk/tokens", {"mandate": "pay"})
    assert made.status == 401


@pytest.mark.parametrize("token", ["", "x.y.z", "garbage"])
async def test_no_token_makes_no_child(there: House, token: str) -> None:
    answer = await Asking(there, token).post(PATH, {"child": dedent(LESS)})
    assert answer.status == 401


async def test_a_body_beyond_its_bound_is_refused_before_it_is_read(there: House) -> None:
    asking = Asking(there, await agent_token(there))
    assert (await asking.post(PATH, {"child": "#" * 300_000})).status == 413
    assert (await asking.post(PATH, {"child": "#" * 70_000})).status == 413


async def test_a_person_suspends_and_resumes(there: House) -> None:
    asking = Asking(there, person_token(there, "ada"))
    answer = await asking.post("/api/v1/mandates/pay/suspend", {"reason": "odd"})
    assert answer.json == {"mandate": "pay", "in_flight": []}
    assert (await asking.post(PATH, {"child": dedent(LESS)})).status == 409
    assert (await asking.post("/api/v1/mandates/pay/resume", {"reason": ""})).status == 200
    again = await asking.post("/api/v1/mandates/pay/resume", {"reason": ""})
    assert again.status == 409


async def test_anybody_signed_in_sees_agents_and_what_stops_their_mandates(there: House) -> None:
    asking = Asking(there, person_token(there, "eve"))
    made = await Asking(there, await agent_token(there)).post(PATH, {"child": dedent(LESS)})
    child = made.json["name"]

    async def agents() -> dict[str, Any]:
        answer = await asking.client.get("/api/v1/agents")
        return {row["name"]: row for row in answer.json["agents"]}

    before = await agents()
    assert sorted(before) == ["clerk", "helper-a", "helper-b", "stranger"]
    assert before["clerk"]["owner"] == "ada"
    assert before["stranger"]["mandates"] == []
    assert before["clerk"]["last_call"] is None
    (given,) = before["helper-a"]["mandates"]
    assert given == {"name": child, "version": 1, "state": "active", "stopped_by": ""}

    await there.control.suspend(ADA, "pay", "")
    after = await agents()
    assert after["clerk"]["mandates"][0]["state"] == "suspended"
    assert after["helper-a"]["mandates"] == [{**given, "stopped_by": "pay@1"}]


async def test_an_agents_token_does_not_list_agents(there: House) -> None:
    answer = await Asking(there, await agent_token(there)).client.get("/api/v1/agents")
    assert (answer.status, answer.json["error"]["code"]) == (401, "wrong_audience")


async def test_a_token_is_made_for_a_standing_line_only(there: House) -> None:
    asking = Asking(there, person_token(there, "ola"))
    await there.control.suspend(ADA, "pay", "")
    answer = await asking.post("/api/v1/agents/clerk/tokens", {"mandate": "pay"})
    assert answer.json["error"]["code"] == "mandate_not_active"
