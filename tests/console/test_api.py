"""The people's API: docs/reference/api.md, held."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from bailiwick.console import streams
from bailiwick.console.answers import status_of
from bailiwick.console.api import house as house_module
from bailiwick.console.api.routes import api_routes
from bailiwick.console.streams import frame
from bailiwick.core.errors import (
    BailiwickError,
    ConfigError,
    Conflict,
    OurError,
    StoreError,
    TheirError,
)
from bailiwick.ports import CallState
from bailiwick.testing.sample_day import ulid
from tests.console.client import Answer, Client
from tests.console.conftest import VKEY, House

HOLD = ulid(1020)
DOCS = Path(__file__).parents[2] / "docs/reference/api.md"


def code(answer: Answer) -> str:
    return str(answer.json["error"]["code"])


def documented(heading: str) -> dict[str, set[str]]:
    """The keys of the JSON shown under each bold name of the page."""
    text = DOCS.read_text()
    block = re.search(rf"\*\*{heading}\*\*\n\n```json\n(.*?)```", text, re.S)
    assert block is not None
    value = json.loads(block[1])
    return {"": set(value), **{k: set(v) for k, v in value.items() if isinstance(v, dict)}}


@pytest.mark.parametrize("before", ["nope", ulid(110).lower(), ulid(110) + "0", "%25"])
async def test_calls_are_not_paged_from_what_is_no_call(house: House, before: str) -> None:
    answer = await house.api("ben").get(f"/api/v1/calls?before={before}")
    assert (answer.status, code(answer)) == (400, "bad_request")


async def test_me(house: House) -> None:
    answer = await house.api("ben").get("/api/v1/me")
    assert answer.json == {"person": {"name": "ben", "roles": ["approver"], "method": "token"}}


@pytest.mark.parametrize("authorization", ["", "Bearer", "Basic YTpi", "Bearer person:mallory"])
async def test_a_bad_token_is_refused(house: House, authorization: str) -> None:
    client = Client(house.app)
    client.headers["authorization"] = authorization
    answer = await client.get("/api/v1/me")
    assert (answer.status, code(answer)) == (401, "token_invalid")


async def test_calls_are_paged_by_next(house: House) -> None:
    api = house.api("ben")
    seen: list[str] = []
    path = "/api/v1/calls?limit=4"
    while True:
        body = (await api.get(path)).json
        seen += [call["id"] for call in body["calls"]]
        if body["next"] is None:
            break
        path = f"/api/v1/calls?limit=4&before={body['next']}"
    assert seen == sorted(house.day.records.call_rows, reverse=True)


async def test_calls_are_filtered(house: House) -> None:
    body = (await house.api("ben").get("/api/v1/calls?state=denied&agent=clerk")).json
    assert [call["name"] for call in body["calls"]] == ["write_file"]


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=501", "limit=x", "limit=-1", "limit=٣", "state=odd"]
)
async def test_a_bad_question_is_refused(house: House, query: str) -> None:
    answer = await house.api("ben").get(f"/api/v1/calls?{query}")
    assert (answer.status, code(answer)) == (400, "bad_request")


async def test_shapes_are_those_of_the_documentation(house: House) -> None:
    api = house.api("ben")
    call = (await api.get("/api/v1/calls?limit=1")).json["calls"][0]
    assert set(call) == documented("Call")[""]
    run = (await api.get("/api/v1/runs?limit=1")).json["runs"][0]
    assert set(run) == documented("Run")[""]
    used = (await api.get(f"/api/v1/holds/{ulid(1012)}")).json["hold"]
    shape = documented("Hold")
    assert set(used) == shape[""]
    assert set(used["you"]) == shape["you"]
    text = DOCS.read_text()
    for path, name in (
        ("objects", "Object"),
        ("servers", "Server"),
        ("pins", "Pin"),
    ):
        row = (await api.get(f"/api/v1/{path}")).json[path][0]
        line = text[text.index(f"**{name}**:") :].split("\n\n")[0]
        for key in row:
            assert f'"{key}"' in line, (name, key)


async def test_every_path_of_the_api_is_documented(house: House) -> None:
    text = DOCS.read_text()
    routes = api_routes(house.parts)
    for route in routes:
        methods = (route.methods or set()) - {"HEAD"}
        assert any(f"`{method} {route.path}" in text for method in methods), route.path


async def test_one_call_whole(house: House) -> None:
    body = (await house.api("ben").get(f"/api/v1/calls/{ulid(12)}")).json
    assert body["call"]["state"] == "done"
    assert body["hold"]["stamps"][0]["person"] == "ben"
    assert body["intent"]["call"]["arguments"]["amount"] == "640.00"
    assert body["outcome"]["result"]["structuredContent"]["status"] == "booked"
    assert [leaf["index"] for leaf in body["leaves"]] == [
        body["call"]["intent_index"],
        body["call"]["outcome_index"],
    ]


async def test_the_proofs_of_a_call(house: House) -> None:
    body = (await house.api("ben").get(f"/api/v1/calls/{ulid(12)}/proof")).json
    assert [proof["text"].encode() for proof in body["proofs"]] == (
        house.day.control.proofs[ulid(12)]
    )


async def test_holds_by_state(house: House) -> None:
    api = house.api("ben")
    waiting = (await api.get("/api/v1/holds")).json["holds"]
    assert {hold["id"] for hold in waiting} == {HOLD, ulid(1022)}
    assert len((await api.get("/api/v1/holds?state=all")).json["holds"]) == 3
    assert [hold["id"] for hold in (await api.get("/api/v1/holds?state=used")).json["holds"]] == [
        ulid(1012)
    ]


async def test_a_hold_says_whether_you_may_stamp_it(house: House) -> None:
    path = f"/api/v1/holds/{HOLD}"
    assert (await house.api("ben").get(path)).json["hold"]["you"] == {
        "may_stamp": True,
        "because": "",
    }
    ada = (await house.api("ada").get(path)).json["hold"]["you"]
    assert not ada["may_stamp"]
    assert "excludes" in ada["because"]


async def test_stamping(house: House) -> None:
    api = house.api("ben")
    seen = (await api.get(f"/api/v1/holds/{HOLD}")).json["hold"]["rendering_sha256"]
    answer = await api.send(
        f"/api/v1/holds/{HOLD}/stamp",
        {"decision": "approve", "reason": "ok", "rendering_sha256": seen},
    )
    assert answer.json["hold"]["state"] == "approved"
    again = await api.send(f"/api/v1/holds/{HOLD}/stamp", {"decision": "approve"})
    assert (again.status, code(again)) == (409, "hold_not_waiting")
    assert house.day.control.acts == [("stamp", "ben", HOLD, "True", "ok")]


async def test_stamping_another_text_than_the_one_that_waits(house: House) -> None:
    answer = await house.api("ben").send(
        f"/api/v1/holds/{HOLD}/stamp", {"decision": "approve", "rendering_sha256": "0" * 64}
    )
    assert (answer.status, code(answer)) == (409, "rendering_changed")
    assert house.day.control.acts == []


async def test_stamping_late(house: House) -> None:
    house.day.clock.advance(1000)
    answer = await house.api("ben").send(f"/api/v1/holds/{HOLD}/stamp", {"decision": "approve"})
    assert (answer.status, code(answer)) == (409, "hold_expired")


@pytest.mark.parametrize(
    ("body", "status", "wrong"),
    [
        ({}, 400, "bad_json"),
        ([], 400, "bad_json"),
        ({"decision": True}, 400, "bad_json"),
        ({"decision": "yes"}, 400, "bad_request"),
        ({"decision": "approve", "reason": "x" * 1001}, 400, "bad_request"),
    ],
)
async def test_a_malformed_stamp(house: House, body: object, status: int, wrong: str) -> None:
    answer = await house.api("ben").send(f"/api/v1/holds/{HOLD}/stamp", body)
    assert (answer.status, code(answer)) == (status, wrong)
    assert house.day.control.acts == []


async def test_a_body_that_is_no_json(house: House) -> None:
    api = house.api("ben")
    kind = {"content-type": "application/json"}
    path = f"/api/v1/holds/{HOLD}/stamp"
    for raw in (b"", b"{", b"\xff", b'{"decision": "\\ud800"}'):
        answer = await api.ask("POST", path, raw, kind)
        assert (answer.status, code(answer)) == (400, "bad_json")
    plain = await api.ask("POST", path, b"{}", {"content-type": "text/plain"})
    assert (plain.status, code(plain)) == (415, "not_json")


async def test_revoking_lists_what_is_in_flight(house: House) -> None:
    answer = await house.api("ada").send("/api/v1/mandates/payables/revoke", {"reason": "over"})
    assert [call["name"] for call in answer.json["in_flight"]] == ["git_commit"]
    unknown = await house.api("ada").send("/api/v1/mandates/none/revoke", {})
    assert (unknown.status, code(unknown)) == (404, "mandate_unknown")


async def test_applying(house: House) -> None:
    api = house.api("ada")
    dry = await api.send("/api/v1/apply", {"files": {"a.yaml": "x: 1"}, "dry_run": True})
    assert dry.json["applied"] is False
    assert dry.json["changes"][0]["action"] == "create"
    assert house.day.control.acts == []
    wet = await api.send("/api/v1/apply", {"files": {"a.yaml": "x: 1"}, "dry_run": False})
    assert wet.json["applied"] is True
    unsaid = await api.send("/api/v1/apply", {"files": {"a.yaml": "x: 1"}})
    assert code(unsaid) == "bad_json", "whether it is a dry run is always said"


async def test_accepting_a_pin(house: House) -> None:
    api = house.api("ada")
    pins = (await api.get("/api/v1/pins")).json["pins"]
    held = next(pin for pin in pins if pin["state"] == "held")
    assert held["definition"]["name"] == "transfer"
    named = {key: held[key] for key in ("upstream", "kind", "name", "digest")}
    assert (await api.send("/api/v1/pins/accept", named)).json["pin"]["by"] == "ada"
    again = await api.send("/api/v1/pins/accept", named)
    assert (again.status, code(again)) == (404, "pin_unknown")


async def test_tokens_and_links_are_made_once_and_shown_once(house: House) -> None:
    api = house.api("ada")
    made = await api.send("/api/v1/agents/clerk/tokens", {"mandate": "payables"})
    assert made.status == 201
    assert set(made.json) == {"token", "id", "agent", "mandate", "expires_ms"}
    gone = await api.send(f"/api/v1/tokens/{made.json['id']}/revoke", {})
    assert gone.json == {"revoked": made.json["id"]}
    link = await api.send("/api/v1/login-links", {})
    assert link.status == 201
    assert link.json["url"].startswith("http://127.0.0.1:8750/login/")
    token = link.json["url"].rpartition("/")[2]
    assert (await Client(house.app).post(f"/login/{token}", {})).status == 303


async def test_what_a_verifier_needs(house: House) -> None:
    body = (await house.api("ben").get("/api/v1/ledger")).json
    size = len(house.day.records.entry_rows)
    assert body == {"key": VKEY, "url": "http://127.0.0.1:8750/ledger", "size": size}


@pytest.mark.parametrize(
    ("path", "wrong"),
    [
        ("calls/none", "call_unknown"),
        ("calls/none/proof", "call_unknown"),
        ("holds/none", "hold_unknown"),
        ("nothing", "not_found"),
    ],
)
async def test_what_is_not_there(house: House, path: str, wrong: str) -> None:
    answer = await house.api("ben").get(f"/api/v1/{path}")
    assert (answer.status, code(answer)) == (404, wrong)


async def test_a_wrong_method_is_told_as_one(house: House) -> None:
    answer = await house.api("ben").send("/api/v1/calls", {})
    assert (answer.status, code(answer)) == (405, "method_not_allowed")


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Conflict("conflict", ""), 409),
        (StoreError("store_unavailable", ""), 503),
        (ConfigError("bad_object", ""), 422),
        (OurError("internal", ""), 500),
        (TheirError("stamp_not_allowed", ""), 403),
        (TheirError("hold_unknown", ""), 404),
        (TheirError("lifetime_refused", ""), 400),
        (TheirError("method_not_allowed", ""), 405),
    ],
)
def test_errors_have_the_documented_status(error: BailiwickError, status: int) -> None:
    assert status_of(error) == status


# --- the ledger, in public ---


async def test_ledger_files_are_served_as_they_lie(house: House) -> None:
    files = {
        "checkpoint": b"origin\n1\n",
        "tile/0/000": b"\x00" * 8192,
        "tile/0/000.p/7": b"\x01" * 224,
        "tile/1/x001/234": b"\x02",
        "tile/entries/x001/x234/067": b"\x03",
    }
    for name, body in files.items():
        path = house.ledger_dir / name
        if name == "tile/0/000.p/7":
            path = house.ledger_dir / "tile/0/000.p" / "7"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
    stranger = Client(house.app)
    for name, body in files.items():
        answer = await stranger.get(f"/ledger/{name}")
        assert (answer.status, answer.body) == (200, body)
        forever = name != "checkpoint"
        assert ("immutable" in answer.header("cache-control")) == forever
    head = await stranger.ask("HEAD", "/ledger/checkpoint", b"", {})
    assert head.status == 200
    assert (await stranger.post("/ledger/checkpoint", {})).status == 405


# --- live ---


async def test_changes_are_told_as_they_happen(house: House) -> None:
    ben = await house.sign_in("ben")
    for stream, name in (
        (ben.open("GET", "/live"), "call"),
        (house.api("ben").open("GET", "/api/v1/events"), "call"),
    ):
        await stream.until(b"retry:")
        house.day.control.move(ulid(21), CallState.DONE)
        text = await stream.until(b"\n\nevent: ")
        assert f"event: {name}\n".encode() in text
        assert b'"state": "done"' in text
        assert b"git_commit" not in text, "events carry no more than where to look"
        await stream.hang_up()
    assert house.day.control.readers == [], "readers that went are forgotten"


async def test_a_stream_ends_when_the_person_is_signed_out(house: House) -> None:
    ben = await house.sign_in("ben")
    stream = ben.open("GET", "/live")
    await stream.until(b"retry:")
    await ben.post("/logout", (await ben.get("/servers")).form)
    house.day.control.move(ulid(21), CallState.DONE)
    await stream.task
    assert b"event: " not in b"".join(stream.chunks)
    assert house.day.control.readers == []


async def test_a_stream_ends_when_the_token_is_revoked(house: House) -> None:
    stream = house.api("ben").open("GET", "/api/v1/events")
    await stream.until(b"retry:")
    house.people.revoked.add("ben")
    house.day.control.move(ulid(21), CallState.DONE)
    await stream.task
    assert b"event: " not in b"".join(stream.chunks)


async def test_a_stream_ends_with_its_source(house: House) -> None:
    stream = house.api("ben").open("GET", "/api/v1/events")
    await stream.until(b"retry:")
    for reader in house.day.control.readers:
        reader.put_nowait(None)
    await stream.task
    assert stream.status == 200


async def test_a_quiet_stream_still_beats(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def quick(events: object, welcome: object) -> object:
        return streams.event_stream(events, welcome, 0.01)  # type: ignore[arg-type]

    monkeypatch.setattr(house_module, "event_stream", quick)
    stream = house.api("ben").open("GET", "/api/v1/events")
    await stream.until(b": still here\n\n: still here\n\n")
    house.day.control.move(ulid(21), CallState.DONE)
    await stream.until(b"event: call")
    await stream.hang_up()


def test_an_event_cannot_break_out_of_its_line() -> None:
    evil = "x\nevent: hold\ndata: {}\n\n\r\u2028"
    text = frame({"event": evil, "id": evil})
    assert text.count(b"\n") == 3
    assert b"\r" not in text
    assert text.startswith(b"event: call\n")
