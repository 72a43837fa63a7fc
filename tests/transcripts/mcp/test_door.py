"""What happens at the door, in its order: path, host, headers, token, body, meaning."""

from __future__ import annotations

import json

import pytest

from bailiwick.core.errors import TheirError
from bailiwick.gateway.mcp.core import Limits
from bailiwick.ports import Caller
from bailiwick.testing.mcp.fakes import HOST, FakeUpstream
from bailiwick.testing.mcp.house import House, make_house
from bailiwick.testing.mcp.wire import Client, legacy, modern, routing_headers, tool

CALL = modern("tools/call", name="bank/pay", arguments={})


def bank() -> FakeUpstream:
    return FakeUpstream("bank", tools=[tool("pay")])


def refused_everything(house: House, server: FakeUpstream) -> bool:
    return house.gate.seen == [] and server.requests == []


@pytest.mark.parametrize("path", ["/", "/mcpx", "/mcp/nobody", "/mcp/bank/x", "/mcp?names=x"])
async def test_unknown_paths_are_not_found(path: str) -> None:
    assert (await make_house(bank()).wire().post(CALL, path=path)).status == 404


@pytest.mark.requirement("both/origin-host")
@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example"},
        {"host": "evil.example:80"},
        {"host": ""},
        {"host": f"{HOST}.evil.example"},
        {"host": f"evil.example@{HOST}"},
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": f"https://{HOST}.evil.example"},
        {"origin": f"https://{HOST}@evil.example"},
        {"origin": f"file://{HOST}"},
        {"origin": f"https://{HOST}/path"},
        {"origin": "http://[broken"},
    ],
)
async def test_a_foreign_host_or_origin_is_forbidden_before_the_token_is_looked_at(
    headers: dict[str, str],
) -> None:
    server = bank()
    house = make_house(server)

    reply = await house.wire("Bearer !").post(CALL, headers=headers)

    assert reply.status == 403
    assert reply.messages[0]["id"] is None
    assert refused_everything(house, server)


@pytest.mark.requirement("both/origin-host")
@pytest.mark.parametrize(
    "headers",
    [{}, {"host": f"{HOST}:8765"}, {"origin": f"https://{HOST}"}, {"origin": f"http://{HOST}:1"}],
)
async def test_the_gateways_own_names_are_let_in(headers: dict[str, str]) -> None:
    assert (await make_house(bank()).wire().post(CALL, headers=headers)).status == 200


@pytest.mark.requirement("both/www-authenticate")
@pytest.mark.parametrize("path", ["/mcp", "/mcp/bank"])
async def test_without_a_token_the_answer_says_where_to_learn_how_to_get_one(path: str) -> None:
    house = make_house(bank())

    reply = await house.wire(None).post(CALL, path=path)
    challenge = reply.headers["www-authenticate"]
    address = f"https://{HOST}/.well-known/oauth-protected-resource{path}"
    document = await house.wire(None).post(None, method="GET", path=address.partition(HOST)[2])

    assert reply.status == 401
    assert challenge == f'Bearer resource_metadata="{address}"'
    assert json.loads(document.body)["resource"] == f"https://{HOST}{path}"


@pytest.mark.requirement("both/www-authenticate")
async def test_a_bad_token_is_named_as_such_and_never_repeated() -> None:
    house = make_house(bank())
    house.authenticator.revoked.add("clerk")

    reply = await house.wire("Bearer clerk").post(CALL)

    assert reply.status == 401
    assert 'error="invalid_token"' in reply.headers["www-authenticate"]
    assert "clerk" not in reply.body.decode() + str(reply.headers)


@pytest.mark.requirement("both/audience-never-relayed")
async def test_a_token_for_another_audience_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    server = bank()
    house = make_house(server)

    def wrong(authorization: str | None) -> Caller:
        raise TheirError("wrong_audience", "the token is for another service")

    monkeypatch.setattr(house.authenticator, "authenticate", wrong)

    reply = await house.wire().post(CALL)

    assert reply.status == 401
    assert refused_everything(house, server)


@pytest.mark.requirement("both/audience-never-relayed")
async def test_the_agents_own_token_is_in_nothing_that_goes_to_a_server() -> None:
    server = bank()
    house = make_house(server)
    secret = "Bearer verysecrettoken"
    client = await Client.connect(house.wire(secret), path="/mcp")

    await house.wire(secret).post(CALL)
    await client.post(legacy("tools/call", name="bank/pay"))

    assert len(server.of("tools/call")) == 2
    assert "verysecrettoken" not in str([(r.params, r.param_headers) for r, _ in server.requests])


async def test_a_header_that_decides_may_not_stand_twice() -> None:
    house = make_house(bank())
    sent = {**routing_headers(CALL), "host": HOST, "content-type": "application/json"}
    headers = [(k.encode(), v.encode()) for k, v in sent.items()]
    headers += [(b"authorization", b"Bearer ada"), (b"authorization", b"Bearer clerk")]
    out = []

    async def send(message: dict[str, object]) -> None:
        out.append(message)

    scope = {"type": "http", "method": "POST", "path": "/mcp", "headers": headers}
    await house.edge(scope, None, send)  # type: ignore[arg-type]

    assert out[0]["status"] == 400


async def test_too_many_headers_are_refused() -> None:
    house = make_house(bank())
    reply = await house.wire().post(CALL, headers={f"x-{n}": "y" for n in range(120)})
    assert reply.status == 431


@pytest.mark.requirement("both/body-limits")
@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", -32700),
        (b"\xff\xfe", -32700),
        (b'{"jsonrpc":"2.0","id":1,"id":2,"method":"tools/call"}', -32700),
        (
            b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"arguments":{"a":NaN}}}',
            -32700,
        ),
        (b'{"jsonrpc":"2.0","id":1,"method":"x","params":{"n":12345678901234567890}}', -32700),
        (b"[" * 100 + b"]" * 100, -32700),
        (b"[]", -32600),
        (b'[{"jsonrpc":"2.0","id":1,"method":"ping"}]', -32600),
        (b'{"jsonrpc":"2.0","id":1,"Method":"tools/call","method":"tools/list"}', -32700),
        (b'{"jsonrpc":"2.0","id":1,"Method":"tools/call"}', -32600),
    ],
)
async def test_a_body_that_does_not_mean_one_thing_is_refused(body: bytes, code: int) -> None:
    server = bank()
    house = make_house(server)

    reply = await house.wire().post(None, body=body, headers=routing_headers(CALL))

    assert reply.status == 400
    assert reply.error["code"] == code
    assert refused_everything(house, server)


@pytest.mark.requirement("both/body-limits")
async def test_a_body_over_the_limit_is_refused_whether_announced_or_not() -> None:
    house = make_house(bank(), limits=Limits(body_bytes=1000))
    chunks = [b" " * 400] * 3

    announced = await house.wire().post(CALL, headers={"content-length": "1001"})
    streamed = await house.wire().post(None, body=chunks)
    whole = await house.wire().post(None, body=b" " * 1001)
    fitting = await house.wire().post(None, body=chunks[:2])

    assert [announced.status, streamed.status, whole.status] == [413, 413, 413]
    assert fitting.status == 400


@pytest.mark.parametrize("length", ["-1", "x", "1" * 30])
async def test_a_malformed_length_is_refused(length: str) -> None:
    house = make_house(bank())
    assert (await house.wire().post(CALL, headers={"content-length": length})).status == 400


@pytest.mark.requirement("both/body-limits")
async def test_a_body_that_trickles_in_is_given_up() -> None:
    house = make_house(bank(), limits=Limits(body_seconds=0.01))
    opened = house.wire().stream(None, body=b"x")
    opened._chunks[:] = []  # nothing ever arrives

    assert (await opened.reply()).status == 408


async def test_a_client_that_leaves_before_its_body_is_there_is_not_answered() -> None:
    house = make_house(bank())
    opened = house.wire().stream(None, body=b"x")
    opened._chunks[:] = []
    await opened.leave()

    assert (await opened.reply()).status == 0


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"content-type": "text/plain"}, 415),
        ({"content-type": ""}, 415),
        ({"content-type": "application/json; charset=utf-8"}, 200),
        ({"accept": "text/html"}, 406),
        ({"accept": ""}, 200),
        ({"accept": "*/*"}, 200),
        ({"accept": "application/json"}, 200),
    ],
)
async def test_media_types(headers: dict[str, str], status: int) -> None:
    assert (await make_house(bank()).wire().post(CALL, headers=headers)).status == status


async def test_a_client_that_takes_only_events_gets_its_answer_as_one() -> None:
    house = make_house(bank())
    reply = await house.wire().post(CALL, headers={"accept": "text/event-stream"})
    assert reply.headers["content-type"] == "text/event-stream"
    assert reply.result["content"]


@pytest.mark.requirement("2026-07-28/stateless")
@pytest.mark.parametrize("method", ["GET", "DELETE", "PUT"])
async def test_other_methods_are_not_allowed_in_the_stateless_era(method: str) -> None:
    house = make_house(bank())
    headers = {"mcp-protocol-version": "2026-07-28", "mcp-session-id": "stale"}
    reply = await house.wire().post(None, method=method, headers=headers)
    assert reply.status == 405
    assert "POST" in reply.headers["allow"]


@pytest.mark.requirement("2026-07-28/stateless")
async def test_a_stale_session_id_is_ignored_and_none_is_given() -> None:
    house = make_house(bank())
    reply = await house.wire().post(CALL, headers={"mcp-session-id": "stale"})
    assert reply.status == 200
    assert "mcp-session-id" not in reply.headers


async def test_the_metadata_document_is_kept_behind_the_host_check() -> None:
    house = make_house(bank())
    path = "/.well-known/oauth-protected-resource/mcp"
    foreign = await house.wire(None).post(None, method="GET", path=path, headers={"host": "evil"})
    elsewhere = await house.wire(None).post(None, method="GET", path=path + "x")
    assert foreign.status == 403
    assert elsewhere.status == 404


async def test_a_defect_of_ours_tells_the_client_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    house = make_house(bank())

    async def broken(*_: object) -> None:
        raise RuntimeError("the secret of the house")

    house.gate.on["bank/pay"] = broken  # type: ignore[assignment]
    message = modern("tools/call", name="bank/pay", arguments={"password": "hunter2"})

    reply = await house.wire().post(message)

    assert reply.error == {"code": -32603, "message": "internal error"}
    assert "hunter2" not in caplog.text
