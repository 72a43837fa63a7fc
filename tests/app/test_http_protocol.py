"""Our HTTP/1.1 on real sockets, met by clients that mean well and by those that do not."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailiwick.app import http_protocol as limits
from bailiwick.app.http_exchange import HIGH_WATER_BYTES
from bailiwick.app.http_request import MAX_FIELDS, MAX_HEAD_BYTES, MAX_TARGET_BYTES
from tests.app.raw_http import HOST, WAIT_SECONDS, Client, House, body_of, get, post


@pytest.fixture
def house() -> Iterator[House]:
    house = House()
    yield house
    house.close()


@pytest.fixture
def client(house: House) -> Iterator[Client]:
    client = house.connect()
    yield client
    client.socket.close()


# --- what clients may do -------------------------------------------------------------------------


def test_a_request_becomes_the_scope_that_asgi_describes(house: House, client: Client) -> None:
    client.send(post(b"/echo/a%20b%C3%A4?q=%31", b"{}", b"X-Thing:  Value "))
    assert client.response()[0] == 200
    scope = house.app.scopes[0]
    assert scope["type"] == "http"
    assert scope["asgi"]["version"] == "3.0"
    assert scope["http_version"] == "1.1"
    assert scope["method"] == "POST"
    assert scope["scheme"] == "http"
    assert scope["path"] == "/echo/a bä"
    assert scope["raw_path"] == b"/echo/a%20b%C3%A4"
    assert scope["query_string"] == b"q=%31"
    assert scope["root_path"] == ""
    assert scope["server"] == ("127.0.0.1", house.port)
    assert scope["client"] == client.socket.getsockname()
    assert (b"x-thing", b"Value") in [(name, value.strip()) for name, value in scope["headers"]]
    assert (b"content-length", b"2") in scope["headers"]


def test_one_connection_serves_one_request_after_another(house: House, client: Client) -> None:
    for number in range(3):
        client.send(post(b"/echo", b"%d" % number))
        response = client.response()
        assert body_of(response) == str(number)
        assert b"connection" not in response[1]
        assert response[1][b"date"].endswith(b"GMT")
    assert house.state.total_requests == 3
    house.until(lambda: not house.state.tasks)


def test_pipelined_requests_are_answered_one_by_one_in_order(house: House, client: Client) -> None:
    client.send(get(b"/held") + post(b"/echo", b"second") + get(b"/early") + post(b"/echo", b"4"))
    assert house.app.begun.wait(WAIT_SECONDS)
    assert [scope["path"] for scope in house.app.scopes] == ["/held"]
    house.app.released.set()
    assert client.response()[2] == b"released"
    assert body_of(client.response()) == "second"
    assert client.response()[2] == b"no need"
    assert body_of(client.response()) == "4"
    client.send(post(b"/echo", b"and on"))
    assert body_of(client.response()) == "and on"


def test_more_requests_than_may_wait_are_refused_after_those_that_wait(client: Client) -> None:
    client.send(get(b"/early") * (limits.MAX_PIPELINED + 10))
    said = client.rest()
    assert said.count(b"HTTP/1.1 200 OK") == limits.MAX_PIPELINED + 1
    assert said.count(b"HTTP/1.1 503 ") == 1
    assert said.endswith(b"Service Unavailable")


def test_a_chunked_body_arrives_whole_and_its_trailers_do_not(house: House, client: Client) -> None:
    head = POST + b"Transfer-Encoding: chunked\r\n\r\n"
    client.send(head + b"3;x=1\r\nabc\r\n2\r\nde\r\n0\r\nX-Role: admin\r\nHost: y\r\n\r\n")
    assert body_of(client.response()) == "abcde"
    assert not any(name == b"x-role" for name, _ in house.app.scopes[0]["headers"])
    client.send(get(b"/early"))
    assert client.response()[2] == b"no need"
    assert not any(name == b"x-role" for name, _ in house.app.scopes[1]["headers"])


def test_a_client_is_told_to_continue_once_the_body_is_wanted(client: Client) -> None:
    whole = post(b"/echo", b"wanted", b"Expect: 100-continue")
    client.send(whole[:-6])
    assert client.head()[0] == 100
    client.send(b"wanted")
    assert body_of(client.response()) == "wanted"


def test_nobody_is_told_to_continue_with_a_body_that_is_not_wanted(client: Client) -> None:
    client.send(post(b"/early", b"unsent", b"Expect: 100-continue")[:-6])
    assert client.response()[:1] == (200,)


def test_whether_an_unwanted_body_comes_after_all_is_nobodys_guess(
    house: House, client: Client
) -> None:
    client.send(post(b"/early", SMUGGLED, b"Expect: 100-continue")[: -len(SMUGGLED)])
    assert client.response()[1][b"connection"] == b"close"
    client.send(SMUGGLED + get(b"/early"))
    assert client.rest() == b""
    assert len(house.app.scopes) == 1


def test_an_expectation_without_a_body_ends_nothing(client: Client) -> None:
    for _ in range(2):
        client.send(get(b"/early", b"Expect: 100-continue"))
        assert b"connection" not in client.response()[1]


def test_a_body_without_a_length_is_sent_in_chunks(client: Client) -> None:
    client.send(get(b"/stream") + get(b"/last"))
    said = client.rest()
    assert b"transfer-encoding: chunked\r\n" in said
    assert b"\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\nHTTP/1.1 200 OK" in said


def test_http_1_0_gets_no_chunks_and_the_end_of_the_connection(client: Client) -> None:
    client.send(b"GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    head, _, body = client.rest().partition(b"\r\n\r\n")
    assert b"connection: close" in head
    assert b"chunked" not in head
    assert body == b"onetwo"


def test_head_and_204_have_no_body(client: Client) -> None:
    client.send(b"HEAD /early HTTP/1.1\r\n" + HOST + b"\r\n")
    status, fields = client.head()
    assert (status, fields[b"content-length"]) == (200, b"7")
    client.send(get(b"/nothing"))
    status, fields = client.head()
    assert status == 204
    assert not {b"content-length", b"transfer-encoding"} & set(fields)
    client.send(b"HEAD /stream HTTP/1.1\r\n" + HOST + b"\r\n" + get(b"/early"))
    assert client.head()[0] == 200
    assert client.response()[2] == b"no need"


@pytest.mark.parametrize("said", [b"client", b"server"])
def test_either_side_may_end_the_connection(client: Client, said: bytes) -> None:
    request = get(b"/early", b"Connection: close") if said == b"client" else get(b"/last")
    client.send(request + get(b"/early"))
    rest = client.rest()
    assert rest.count(b"HTTP/1.1") == 1
    assert b"connection: close" in rest


def test_an_upgrade_is_ignored_and_what_follows_it_is_not_read(
    house: House, client: Client
) -> None:
    client.send(get(b"/early", b"Connection: Upgrade", b"Upgrade: websocket") + get(b"/early"))
    said = client.rest()
    assert said.startswith(b"HTTP/1.1 200 OK")
    assert said.count(b"HTTP/1.1") == 1
    assert len(house.app.scopes) == 1


def test_an_early_answer_leaves_the_connection_in_step(client: Client) -> None:
    body = b"GET /raise HTTP/1.1\r\nHost: x\r\n\r\n"
    client.send(post(b"/early", body)[: -len(body)])
    assert client.response()[2] == b"no need"
    client.send(body + post(b"/echo", b"next"))
    assert body_of(client.response()) == "next"


def test_a_client_that_leaves_is_noticed(house: House, client: Client) -> None:
    client.send(post(b"/gone", b"{}"))
    assert house.app.begun.wait(WAIT_SECONDS)
    client.socket.close()
    assert house.app.disconnected.wait(WAIT_SECONDS)
    house.until(lambda: not house.state.connections and not house.state.tasks)


@given(cuts=st.lists(st.integers(1, 400), max_size=12))
def test_how_the_bytes_are_cut_changes_nothing(shared: House, cuts: list[int]) -> None:
    chunked = POST + b"Transfer-Encoding: chunked\r\n\r\n"
    stream = (
        post(b"/echo", b"first")
        + chunked
        + b"6\r\nsecond\r\n0\r\nA: b\r\n\r\n"
        + get(b"/early")
        + post(b"/echo", b"GET / HTTP/1.1\r\n\r\n", b"Connection: close")
    )
    client = shared.connect()
    client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    at = 0
    for cut in sorted(set(cuts)):
        client.send(stream[at:cut])
        at = max(at, cut)
    client.send(stream[at:])
    assert body_of(client.response()) == "first"
    assert body_of(client.response()) == "second"
    assert client.response()[2] == b"no need"
    assert body_of(client.response()) == "GET / HTTP/1.1\r\n\r\n"
    assert client.rest() == b""
    client.socket.close()


@pytest.fixture(scope="module")
def shared() -> Iterator[House]:
    house = House()
    yield house
    house.close()


# --- what clients may not do ---------------------------------------------------------------------

POST = b"POST /echo HTTP/1.1\r\n" + HOST
GET = b"GET /early HTTP/1.1\r\n" + HOST
CHUNKED = b"Transfer-Encoding: chunked\r\n"
SMUGGLED = b"GET /early?smuggled HTTP/1.1\r\n" + HOST + b"\r\n"
BAD = {
    "length and chunks": (POST + b"Content-Length: 5\r\n" + CHUNKED, 400),
    "chunks and length": (POST + CHUNKED + b"Content-Length: 5\r\n", 400),
    "two lengths": (POST + b"Content-Length: 5\r\nContent-Length: 6\r\n", 400),
    "one length twice": (POST + b"Content-Length: 5\r\nContent-Length: 5\r\n", 400),
    "a list of lengths": (POST + b"Content-Length: 5, 5\r\n", 400),
    "a signed length": (POST + b"Content-Length: +5\r\n", 400),
    "a length beyond all": (POST + b"Content-Length: 99999999999999999999\r\n", 400),
    "space before the colon": (POST + b"Content-Length : 5\r\n", 400),
    "another coding": (POST + b"Transfer-Encoding: gzip, chunked\r\n", 400),
    "no such coding": (POST + b"Transfer-Encoding: xchunked\r\n", 400),
    "chunks twice": (POST + CHUNKED + CHUNKED, 400),
    "chunks in 1.0": (b"POST /echo HTTP/1.0\r\n" + HOST + CHUNKED, 400),
    "upgrade with a body": (
        POST + b"Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 5\r\n", 400,
    ),
    "no host": (b"GET /early HTTP/1.1\r\n", 400),
    "two hosts": (GET + HOST, 400),
    "a target of another host": (b"GET http://evil/early HTTP/1.1\r\n" + HOST, 400),
    "a target with a user": (b"GET http://a@x/early HTTP/1.1\r\n" + HOST, 400),
    "a fragment": (b"GET /early#x HTTP/1.1\r\n" + HOST, 400),
    "a folded line": (GET + b"A: b\r\n c\r\n", 400),
    "a null": (GET + b"A: b\x00c\r\n", 400),
    "a lone return": (GET + b"A: b\rC: d\r\n", 400),
    "bare newlines": (b"GET /early HTTP/1.1\nHost: x\n", 400),
    "HTTP/2 without asking": (b"PRI * HTTP/2.0\r\n", 400),
    "0.9": (b"GET /early\r\n", 505),
    "2.0": (b"GET /early HTTP/2.0\r\n" + HOST, 505),
    "a tunnel": (b"CONNECT evil:443 HTTP/1.1\r\n" + HOST, 501),
    "another method": (b"PROPFIND /early HTTP/1.1\r\n" + HOST, 501),
    "no method at all": (b"\x16\x03\x01\x02\x00\x01\r\n", 400),
    "another expectation": (GET + b"Expect: miracles\r\n", 417),
    "a long target": (b"GET /" + b"a" * MAX_TARGET_BYTES + b" HTTP/1.1\r\n" + HOST, 414),
    "many fields": (GET + b"A: b\r\n" * MAX_FIELDS, 431),
    "a large head": (GET + b"A: " + b"b" * MAX_HEAD_BYTES + b"\r\n", 431),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD)
def test_a_request_with_two_meanings_or_none_is_refused_and_nothing_after_it_is_served(
    house: House, client: Client, what: str
) -> None:
    head, status = BAD[what]
    client.send(head + b"\r\n0\r\n\r\n" + SMUGGLED)
    said = client.rest()
    assert said.startswith(b"HTTP/1.1 %d " % status), said
    assert b"connection: close" in said
    assert said.count(b"HTTP/1.1") == 1
    assert not any(scope["query_string"] == b"smuggled" for scope in house.app.scopes)
    client.socket.close()
    house.until(lambda: not house.state.connections and not house.state.tasks)


def test_a_target_may_name_the_host_that_host_names(client: Client) -> None:
    client.send(b"GET http://x/early HTTP/1.1\r\n" + HOST + b"\r\n")
    assert client.response()[2] == b"no need"


def test_a_target_that_was_right_once_is_held_against_each_host_anew(
    house: House, client: Client
) -> None:
    line = b"GET http://x/early HTTP/1.1\r\n"
    client.send(line + HOST + b"\r\n")
    assert client.response()[2] == b"no need"
    client.send(line + b"Host: evil\r\n\r\n")
    assert client.rest().startswith(b"HTTP/1.1 400 ")
    assert len(house.app.scopes) == 1


@pytest.mark.parametrize(
    "chunk",
    [b"zz\r\nabc\r\n", b"-3\r\nabc\r\n", b"3 \r\nabc\r\n", b"3\nabc\n", b"f" * 20 + b"\r\n"],
)
def test_a_broken_chunk_ends_the_request_for_the_application_too(
    house: House, client: Client, chunk: bytes
) -> None:
    client.send(POST + CHUNKED + b"\r\n" + chunk + SMUGGLED)
    assert client.rest().startswith(b"HTTP/1.1 400 ")
    assert house.app.disconnected.wait(WAIT_SECONDS)
    assert len(house.app.scopes) == 1


def test_what_is_broken_is_answered_after_what_came_before_it(house: House, client: Client) -> None:
    client.send(get(b"/held") + get(b"/early") + b"nonsense\r\n\r\n")
    house.until(lambda: house.app.begun.is_set())
    house.app.released.set()
    assert client.response()[2] == b"released"
    assert client.response()[2] == b"no need"
    assert client.rest().startswith(b"HTTP/1.1 400 ")


@given(noise=st.binary(min_size=1, max_size=300))
def test_noise_is_never_served_and_harms_nobody(shared: House, noise: bytes) -> None:
    client = shared.connect()
    client.send(b"\x00" + noise)
    assert client.rest().startswith(b"HTTP/1.1 400 ")
    client.socket.close()
    other = shared.connect()
    other.send(get(b"/early"))
    assert other.response()[2] == b"no need"
    other.socket.close()


@pytest.mark.parametrize(
    "begun",
    [
        GET + b"A: ",
        b"GET /",
        POST + CHUNKED + b"\r\n1\r\na\r\n0\r\nA: ",
        POST + CHUNKED + b"\r\n1;",
    ],
    ids=["head", "target", "trailer", "chunk extension"],
)
def test_what_the_parser_gathers_is_bounded_however_it_comes(client: Client, begun: bytes) -> None:
    client.send(begun)
    for _ in range(MAX_HEAD_BYTES // 4096 * 8):
        client.send(b"a" * 4096)
    assert client.rest().startswith((b"HTTP/1.1 431 ", b"HTTP/1.1 414 "))


# --- time ----------------------------------------------------------------------------------------


def test_a_head_that_trickles_is_cut_off(house: House, client: Client) -> None:
    client.send(b"GET /early HTTP/1.1\r\n")
    house.until(lambda: any(line._reader.gathered_bytes for line in house.state.connections))
    house.later(limits.HEAD_SECONDS - 2)
    client.send(b"Host: x\r\n")
    house.later(limits.HEAD_SECONDS + 1)
    assert client.rest().startswith(b"HTTP/1.1 408 ")


def test_a_body_that_trickles_is_cut_off_and_the_application_told(
    house: House, client: Client
) -> None:
    client.send(post(b"/echo", b"whole")[:-1])
    house.until(lambda: bool(house.app.scopes))
    house.later(limits.BODY_SECONDS - 2)
    assert not house.app.disconnected.is_set()
    house.later(limits.BODY_SECONDS + 1)
    assert client.rest().startswith(b"HTTP/1.1 408 ")
    assert house.app.disconnected.wait(WAIT_SECONDS)


def test_an_idle_connection_is_closed_without_a_word(house: House, client: Client) -> None:
    client.send(get(b"/early"))
    assert client.response()[2] == b"no need"
    house.later(limits.IDLE_SECONDS - 2)
    client.send(get(b"/early"))
    assert client.response()[2] == b"no need"
    house.later(limits.IDLE_SECONDS + 1)
    assert client.rest() == b""


def test_a_call_that_waits_long_is_not_idle(house: House, client: Client) -> None:
    client.send(get(b"/held"))
    assert house.app.begun.wait(WAIT_SECONDS)
    house.later(24 * 3600)
    house.app.released.set()
    assert client.response()[2] == b"released"


def test_a_connection_that_says_nothing_is_closed(house: House, client: Client) -> None:
    house.until(lambda: bool(house.state.connections))
    house.later(limits.HEAD_SECONDS + 1)
    assert client.rest() == b""


def test_after_a_refusal_nobody_is_waited_for_long(house: House, client: Client) -> None:
    client.send(b"nonsense\r\n\r\n")
    assert client.rest().startswith(b"HTTP/1.1 400 ")
    house.later(limits.LINGER_SECONDS + 1)
    house.until(lambda: not house.state.connections)


# --- backpressure --------------------------------------------------------------------------------


def test_a_body_that_is_not_read_stops_the_reading(house: House, client: Client) -> None:
    size = 32 * 1024 * 1024
    client.send(b"POST /unread HTTP/1.1\r\n%bContent-Length: %d\r\n\r\n" % (HOST, size))
    client.socket.settimeout(0.2)
    sent = _send_until_stopped(client, size)
    assert sent < size
    assert house.app.begun.is_set()
    (connection,) = house.state.connections
    held = house.within(lambda: connection._active._size)
    assert HIGH_WATER_BYTES < held < 1024 * 1024
    house.later(limits.BODY_SECONDS + 1)
    client.socket.settimeout(WAIT_SECONDS)
    house.app.released.set()
    while sent < size:
        sent += client.socket.send(b"b" * min(65536, size - sent))
    assert len(body_of(client.response())) == size


def test_a_client_that_does_not_read_stops_the_writing(house: House, client: Client) -> None:
    client.send(get(b"/flood"))
    house.until(lambda: any(connection.write_paused for connection in house.state.connections))
    sent = house.app.sent_bytes
    house.within(lambda: None)
    assert house.app.sent_bytes == sent
    house.later(limits.STALL_SECONDS - 2)
    assert house.state.connections
    house.app.disconnected.set()
    house.later(limits.STALL_SECONDS + 1)
    house.until(lambda: not house.state.connections and not house.state.tasks)


def test_a_body_beyond_all_patience_is_not_read_to_its_end(client: Client) -> None:
    client.send(b"POST /early HTTP/1.1\r\n" + HOST + b"Content-Length: 99999999999\r\n\r\n")
    assert client.response()[2] == b"no need"
    assert _send_until_stopped(client, 64 * limits.MAX_IGNORED_BYTES) < 64 * 1024 * 1024


# --- what the application does wrong -------------------------------------------------------------


@pytest.mark.parametrize("path", [b"/raise", b"/silent"])
def test_an_application_that_fails_is_a_500_that_tells_nothing(
    house: House, client: Client, path: bytes
) -> None:
    client.send(get(path) + get(b"/early"))
    said = client.rest()
    assert said.startswith(b"HTTP/1.1 500 Internal Server Error\r\n")
    assert b"secret" not in said
    assert said.count(b"HTTP/1.1") == 1
    house.until(lambda: not house.state.tasks)


def test_a_response_that_breaks_off_is_seen_to_break_off(client: Client) -> None:
    client.send(get(b"/raiselate"))
    said = client.rest()
    assert said.endswith(b"4\r\nhalf\r\n"), "the last chunk would make it look whole"
    assert b"secret" not in said


def test_a_body_of_another_length_than_declared_is_not_sent(client: Client) -> None:
    client.send(get(b"/shorter"))
    assert b"short" not in client.rest()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x", "a\r\nSet-Cookie: b=c"),
        ("x", "a\nb"),
        ("x", "a\rb"),
        ("x", "a\x00b"),
        ("x\r\ny", "a"),
        ("x: y", "a"),
        ("", "a"),
        ("x y", "a"),
        ("content-length", "2"),
        ("content-length", "-1"),
        ("transfer-encoding", "chunked"),
    ],
)
def test_nothing_an_application_says_makes_another_header(
    client: Client, name: str, value: str
) -> None:
    query = json.dumps([name, value]).encode().hex().encode()
    client.send(get(b"/inject?" + query))
    said = client.rest()
    assert said.startswith(b"HTTP/1.1 500 ")
    assert b"Set-Cookie" not in said


def test_fields_of_the_connection_are_the_servers_own(client: Client) -> None:
    for name in ("Date", "Connection"):
        query = json.dumps([name, "keep-alive"]).encode().hex().encode()
        client.send(get(b"/inject?" + query))
        status, fields, _ = client.response()
        assert status == 200
        assert b"keep-alive" not in fields.values()


# --- ends ----------------------------------------------------------------------------------------


def test_a_shutdown_lets_the_request_under_way_be_answered(house: House, client: Client) -> None:
    idle = house.connect()
    client.send(get(b"/held") + get(b"/early"))
    house.until(lambda: house.app.begun.is_set() and len(house.state.connections) == 2)
    house.within(lambda: [connection.shutdown() for connection in tuple(house.state.connections)])
    assert idle.rest() == b""
    idle.socket.close()
    house.app.released.set()
    said = client.rest()
    assert b"connection: close" in said
    assert said.endswith(b"released")
    house.until(lambda: not house.state.connections and not house.state.tasks)


def _send_until_stopped(client: Client, size: int) -> int:
    """Send up to `size` bytes; how many went before the server stopped reading or hung up."""
    sent = 0
    try:
        while sent < size:
            sent += client.socket.send(b"b" * min(65536, size - sent))
    except (TimeoutError, ConnectionResetError, BrokenPipeError):
        pass
    return sent
