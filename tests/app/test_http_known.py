"""A head that was read before: found again by its bytes, and never taken for another."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Iterator
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailiwick.app import http_protocol as limits
from bailiwick.app.http_exchange import HIGH_WATER_BYTES, Scope
from bailiwick.app.http_known import (
    MAX_KNOWN,
    MAX_KNOWN_BYTES,
    MAX_KNOWN_FIELDS,
    MAX_STRANGERS,
    KnownHeads,
)
from bailiwick.app.http_places import Places
from bailiwick.app.http_protocol import HttpProtocol
from bailiwick.app.http_request import MAX_HEAD_BYTES
from bailiwick.app.http_round import Round
from bailiwick.protocols.http_head import HEAD
from tests.app.raw_http import HOST, WAIT_SECONDS, Client, House, State, body_of, get, post

LINE = b"POST /echo HTTP/1.1\r\nHost: x\r\n"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"


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


def _found(house: House) -> list[bool]:
    """Of each request, whether its head was found."""
    return [HEAD in scope for scope in house.app.scopes]


# --- what is found -------------------------------------------------------------------------------


def test_the_same_head_is_read_once_and_its_length_each_time(house: House, client: Client) -> None:
    for body in (b"one", b"", b"three and more"):
        client.send(post(b"/echo?q=1", body, b"X-Thing: a"))
        assert body_of(client.response()) == body.decode()
    assert _found(house) == [False, True, True]
    first, second, third = house.app.scopes
    assert second[HEAD] is third[HEAD]
    assert (b"content-length", b"14") in third["headers"]
    assert (b"content-length", b"0") in second["headers"]
    for scope in (second, third):
        assert _without_length(scope) == _without_length(first)
    assert second["headers"] is not third["headers"]
    assert second["state"] is not third["state"]


def _without_length(scope: Scope) -> Scope:
    fields = [field for field in scope["headers"] if field[0] != b"content-length"]
    return {**{k: v for k, v in scope.items() if k != HEAD}, "headers": fields}


def test_what_is_kept_of_a_head_stays_with_its_connection(house: House) -> None:
    for _ in range(2):
        client = house.connect()
        for _ in range(2):
            client.send(post(b"/echo", b"a"))
            client.response()
        client.socket.close()
    assert _found(house) == [False, True, False, True]
    assert house.app.scopes[1][HEAD] is not house.app.scopes[3][HEAD]


@pytest.mark.parametrize(
    "other",
    [
        post(b"/echo", b"a", b"Authorization: Bearer b"),
        post(b"/echo", b"a", b"Authorization: Bearer aa"),
        post(b"/echo", b"a", b"Authorization: Bearer a", b"X: y"),
        post(b"/echo", b"a", b"authorization: Bearer a"),
        post(b"/echo?", b"a", b"Authorization: Bearer a"),
        post(b"/echo", b"a"),
    ],
)
def test_a_head_with_any_other_byte_is_another_head(
    house: House, client: Client, other: bytes
) -> None:
    for request in (post(b"/echo", b"a", b"Authorization: Bearer a"), other, other):
        client.send(request)
        client.response()
    assert _found(house) == [False, False, True]
    assert house.app.scopes[1]["headers"] == house.app.scopes[2]["headers"]


def test_heads_and_what_is_kept_of_them_are_bounded(house: House, client: Client) -> None:
    def send(name: int) -> None:
        client.send(post(b"/echo", b"a", b"Mcp-Name: %d" % name))
        client.response()

    for name in range(MAX_KNOWN + 1):
        send(name)
    send(MAX_KNOWN)
    send(1)
    send(0)
    assert _found(house)[-3:] == [True, True, False]
    long = post(b"/echo", b"a", b"X: " + b"y" * MAX_KNOWN_BYTES)
    many = post(b"/echo", b"a", *(b"X-%d: y" % number for number in range(MAX_KNOWN_FIELDS - 1)))
    for request in (long, many):
        for _ in range(2):
            client.send(request)
            client.response()
        assert not _found(house)[-1]
    enough = post(b"/echo", b"a", *(b"X-%d: y" % number for number in range(MAX_KNOWN_FIELDS - 2)))
    for _ in range(2):
        client.send(enough)
        client.response()
    assert _found(house)[-1]


def test_a_client_that_never_says_the_same_is_listened_to_no_longer() -> None:
    heads = KnownHeads()
    scope = {"headers": [(b"host", b"x"), (b"content-length", b"0")]}
    for trace in range(MAX_STRANGERS):
        heads.learn(post(b"/", b"", b"T: %d" % trace), scope)
    assert heads.find(post(b"/", b"", b"T: %d" % (MAX_STRANGERS - 1))) is not None
    for trace in range(MAX_STRANGERS + 1):
        heads.learn(post(b"/", b"", b"T: %d" % trace), scope)
    assert heads.find(post(b"/", b"", b"T: %d" % MAX_STRANGERS)) is None


# --- what is not ---------------------------------------------------------------------------------

ODD = {
    "no length": LINE + b"\r\n",
    "chunks": LINE + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a length in capitals after a space": LINE + b"Content-Length:  1\r\n\r\na",
    "a length before a space": LINE + b"Content-Length: 1 \r\n\r\na",
    "an expectation": LINE + b"Expect: 100-continue\r\nContent-Length: 1\r\n\r\na",
    "after empty lines": b"\r\n\r\n" + LINE + b"Content-Length: 1\r\n\r\na",
    "the last request": LINE + b"Connection: close\r\nContent-Length: 1\r\n\r\na",
    "a HEAD": b"HEAD /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\na",
    "of 1.0": b"POST /echo HTTP/1.0\r\nHost: x\r\nContent-Length: 1\r\n\r\na",
}


@pytest.mark.parametrize("what", ODD)
def test_a_request_out_of_the_usual_is_always_the_parsers(house: House, what: str) -> None:
    client = house.connect()
    client.send(ODD[what])
    client.response() if what not in ("an expectation", "a HEAD") else client.exactly(1)
    assert not any(connection._heads._heads for connection in tuple(house.state.connections))
    client.socket.close()


USUAL = LINE + b"Content-Length: 5\r\n\r\nhello"
ATTACKS = {
    "two lengths": LINE + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n",
    "length and chunks": LINE + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks after a newline": LINE
    + b"Content-Length: 5\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a signed length": LINE + b"Content-Length: +5\r\n\r\nhello",
    "a negative length": LINE + b"Content-Length: -5\r\n\r\nhello",
    "a length in hex": LINE + b"Content-Length: 0x5\r\n\r\nhello",
    "a list": LINE + b"Content-Length: 5,5\r\n\r\nhello",
    "digits of another script": LINE + "Content-Length: ٥\r\n\r\nhello".encode(),
    "superscript": LINE + b"Content-Length: \xb2\r\n\r\nhello",
    "an underscore": LINE + b"Content-Length: 1_0\r\n\r\nhello",
    "no digits": LINE + b"Content-Length: \r\n\r\nhello",
    "a length beyond all": LINE + b"Content-Length: 99999999999999999999\r\n\r\nhello",
    "a lone return": LINE + b"Content-Length: 5\rX: y\r\n\r\nhello",
    "a bare newline": LINE + b"Content-Length: 5\n\r\nhello",
    "a folded line": LINE + b"Content-Length: 5\r\n 0\r\n\r\nhello",
    "a space before the colon": LINE + b"Content-Length : 5\r\n\r\nhello",
    "a null": LINE + b"Content-Length: 5\x00\r\n\r\nhello",
}


@pytest.mark.parametrize("what", ATTACKS)
def test_a_known_head_smuggles_nothing(house: House, client: Client, what: str) -> None:
    for _ in range(2):
        client.send(USUAL)
        assert body_of(client.response()) == "hello"
    client.send(ATTACKS[what] + SMUGGLED)
    said = client.rest()
    assert said.startswith(b"HTTP/1.1 400 "), said
    assert said.count(b"HTTP/1.1") == 1
    assert [scope["path"] for scope in house.app.scopes] == ["/echo", "/echo"]


def test_a_request_in_a_body_stays_a_body_and_one_behind_it_is_read(
    house: House, client: Client
) -> None:
    client.send(USUAL)
    client.response()
    inner = SMUGGLED + USUAL
    client.send(post(b"/echo", inner))
    assert body_of(client.response()) == inner.decode()
    assert HEAD in house.app.scopes[-1]
    client.send(USUAL + get(b"/early") + USUAL)
    assert body_of(client.response()) == "hello"
    assert client.response()[2] == b"no need"
    assert body_of(client.response()) == "hello"
    assert HEAD not in house.app.scopes[-1]


def test_what_stands_behind_a_body_that_came_in_pieces_is_the_parsers(
    house: House, client: Client
) -> None:
    client.send(USUAL)
    client.response()
    client.send(USUAL[:-5])
    house.until(lambda: len(house.app.scopes) == 2)
    assert HEAD in house.app.scopes[1]
    client.send(b"he")
    client.send(b"llo" + get(b"/early") + ATTACKS["length and chunks"] + SMUGGLED)
    assert body_of(client.response()) == "hello"
    assert client.response()[2] == b"no need"
    assert client.rest().startswith(b"HTTP/1.1 400 ")
    assert [scope["path"] for scope in house.app.scopes] == ["/echo", "/echo", "/early"]


def test_an_early_answer_to_a_known_head_leaves_the_connection_in_step(
    house: House, client: Client
) -> None:
    request = post(b"/early", b"hello")
    client.send(request)
    client.response()
    client.send(request[:-3])
    assert client.response()[2] == b"no need"
    client.send(b"llo" + request)
    assert client.response()[2] == b"no need"
    client.send(request)
    assert client.response()[2] == b"no need"
    assert _found(house) == [False, True, False, True]


def test_a_head_request_has_no_body_in_its_answer_however_often_it_is_sent(client: Client) -> None:
    """What came of one would be read as the next answer, which may be another caller's."""
    request = post(b"/early", b"hello").replace(b"POST", b"HEAD", 1)
    for _ in range(3):
        client.send(request)
        status, fields = client.head()
        assert (status, fields[b"content-length"]) == (200, b"7")
    client.send(get(b"/nothing"))
    assert client.head()[0] == 204


def test_a_known_head_in_the_middle_of_a_request_line_is_no_head(
    house: House, client: Client
) -> None:
    client.send(USUAL)
    client.response()
    client.send(get(b"/early") + b"GET /early?")
    assert client.response()[2] == b"no need"
    house.until(lambda: not house.state.tasks)
    client.send(USUAL)
    assert client.rest().startswith(b"HTTP/1.1 400 ")
    assert len(house.app.scopes) == 2


def test_a_body_that_looks_like_a_head_does_not_lend_it_to_the_request_behind(
    house: House, client: Client
) -> None:
    outer = post(b"/echo", USUAL, b"X: y")
    client.send(outer[: -len(USUAL)])
    house.until(lambda: len(house.app.scopes) == 1)
    client.send(USUAL + post(b"/early", b"hello"))
    assert body_of(client.response()) == USUAL.decode()
    assert client.response()[2] == b"no need"
    client.send(USUAL)
    assert body_of(client.response()) == "hello"


@pytest.mark.parametrize("before", [b"", USUAL, USUAL * 2])
async def test_a_large_head_is_refused_also_behind_other_requests_in_one_piece(
    before: bytes,
) -> None:
    large = get(b"/early", *[b"X: " + b"y" * (MAX_HEAD_BYTES // 2)] * 3)
    seen, said = await _told(before + large, [], [6], knows=True)
    assert len(seen) == said.count(b"HTTP/1.1 200 ") == len(before) // len(USUAL)
    assert said.count(b"HTTP/1.1 431 ") == 1


# --- time and memory behind a known head ---------------------------------------------------------


def test_a_body_behind_a_known_head_that_trickles_is_cut_off(house: House, client: Client) -> None:
    client.send(USUAL)
    client.response()
    client.send(USUAL[:-3])
    house.until(lambda: len(house.app.scopes) == 2)
    house.later(limits.BODY_SECONDS - 2)
    client.send(b"l")
    house.until(lambda: any(each._body_left == 2 for each in house.state.connections))
    house.later(limits.BODY_SECONDS + 1)
    assert client.rest().startswith(b"HTTP/1.1 408 ")
    assert house.app.disconnected.wait(WAIT_SECONDS)


def test_a_connection_of_known_heads_is_idle_only_between_them(
    house: House, client: Client
) -> None:
    request = post(b"/held", b"a")
    house.app.released.set()
    client.send(request)
    client.response()
    house.app.released.clear()
    client.send(request)
    house.until(lambda: len(house.app.scopes) == 2)
    house.later(24 * 3600)
    house.app.released.set()
    assert client.response()[2] == b"released"
    assert _found(house) == [False, True]
    house.until(lambda: not house.state.tasks)
    house.later(limits.IDLE_SECONDS + 1)
    assert client.rest() == b""


def test_a_known_head_with_a_length_beyond_all_takes_no_memory(
    house: House, client: Client
) -> None:
    begun = b"POST /unread HTTP/1.1\r\n" + HOST + b"Content-Length: %d\r\n\r\n"
    house.app.released.set()
    client.send(begun % 1 + b"a")
    client.response()
    house.app.released.clear()
    client.send(begun % (10**15 - 1))
    client.socket.settimeout(0.2)
    with contextlib.suppress(TimeoutError):
        for _ in range(512):
            client.socket.sendall(b"a" * 65536)
    assert _found(house) == [False, True]
    (connection,) = house.state.connections
    held = house.within(lambda: connection._active._size)
    assert HIGH_WATER_BYTES < held < 1024 * 1024


def test_a_body_behind_a_known_head_that_nobody_wants_is_not_read_to_its_end(
    house: House, client: Client
) -> None:
    begun = b"POST /early HTTP/1.1\r\n" + HOST + b"Content-Length: %d\r\n\r\n"
    client.send(begun % 1 + b"a")
    client.response()
    client.send(begun % (10**15 - 1))
    assert client.response()[2] == b"no need"
    with contextlib.suppress(ConnectionError):
        for _ in range(1024):
            client.socket.sendall(b"a" * 65536)
    house.until(lambda: not house.state.connections)
    assert _found(house) == [False, True]


# --- both ways the same --------------------------------------------------------------------------

_LONG = b"x" * 70_000
REQUESTS = st.one_of(
    st.just(USUAL),
    st.builds(
        post,
        st.sampled_from([b"/echo", b"/early"]),
        st.sampled_from([b"", b"hello", SMUGGLED, USUAL, _LONG]),
    ),
    st.sampled_from(
        [
            *[request for name, request in ODD.items() if name != "the last request"] * 2,
            *ATTACKS.values(),
            get(b"/early"),
            LINE + b"content-length: 005\r\n\r\nhello",
            LINE + b"Content-Length: 5\r\nX-Late: y\r\n\r\nhello",
            ODD["the last request"],
            b"\r\n",
            USUAL[:-1],
            b"GET /",
        ]
    ),
)


class _Wire:
    """A transport that keeps what is written, and an application that answers with what it got."""

    def __init__(self, round_: Round, *, knows: bool) -> None:
        self.written = b""
        self.seen: list[tuple[Any, ...]] = []
        self.closing = False
        self.protocol = HttpProtocol(self._app, State(), round_, Places())
        if not knows:
            self.protocol._heads._strangers = MAX_STRANGERS  # it has given up learning
        self.protocol.connection_made(cast(asyncio.Transport, self))

    async def _app(self, scope: Scope, receive: Any, send: Any) -> None:
        kept = (scope["method"], scope["path"], tuple(scope["headers"]))
        body, more = b"", scope["path"] != "/early"
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.seen.append((*kept, body, "cut off"))
                return
            body += message["body"]
            more = message["more_body"]
        for _ in range(len(body) % 4):  # so that one behind it would be served before it
            await asyncio.sleep(0)
        self.seen.append((*kept, body))
        headers = [(b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def write(self, data: bytes) -> None:
        self.written += data

    def get_extra_info(self, name: str) -> tuple[str, int]:
        return (name, 1)

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.closing = True

    def write_eof(self) -> None: ...
    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...


async def _told(
    stream: bytes, cuts: list[int], turns: list[int], *, knows: bool
) -> tuple[list[tuple[Any, ...]], bytes]:
    round_ = Round()
    wire = _Wire(round_, knows=knows)
    at = 0
    for number, cut in enumerate([*cuts, len(stream)]):
        if not wire.closing and stream[at:cut]:
            wire.protocol.data_received(stream[at:cut])
        at = max(at, cut)
        for _ in range(turns[number % len(turns)]):
            await asyncio.sleep(0)
    for _ in range(40):
        await asyncio.sleep(0)
    wire.protocol.connection_lost(None)
    for _ in range(5):
        await asyncio.sleep(0)
    assert not wire.protocol._state.tasks
    return wire.seen, re.sub(rb"date: [^\r]+", b"date", wire.written)


@given(
    requests=st.lists(REQUESTS, min_size=1, max_size=8),
    whole=st.booleans(),
    cuts=st.lists(st.integers(1, 600), max_size=12),
    turns=st.lists(st.integers(0, 6), min_size=1, max_size=5),
)
async def test_a_connection_that_knows_heads_reads_what_one_that_knows_none_reads(
    requests: list[bytes], whole: bool, cuts: list[int], turns: list[int]
) -> None:
    ends = [sum(map(len, requests[:count])) for count in range(1, len(requests))]
    places = sorted({*cuts, *(ends if whole else [])})
    stream = b"".join(requests)
    knowing = await _told(stream, places, turns, knows=True)
    assert knowing == await _told(stream, places, turns, knows=False)


# --- what ends quietly while more is under way ---------------------------------------------------

EARLY = post(b"/early", b"hello")
"""Answered before its body is there."""


@pytest.mark.parametrize(
    ("behind", "turns"),
    [
        (b"POST /echo HTTP/1.1\r\nX-Smuggled: ", 6),
        (b"PO", 6),
        (post(b"/echo", b"abc"), 0),
        (post(b"/echo", b"abc") * 2, 1),
        (EARLY[:-5], 0),
    ],
    ids=["half a head", "half a method", "a request", "requests", "a head"],
)
async def test_a_body_that_ends_behind_its_answer_hides_nothing_of_what_follows(
    behind: bytes, turns: int
) -> None:
    pieces = [USUAL, EARLY[:-5], b"hello" + behind, USUAL]
    ends = [sum(map(len, pieces[:count])) for count in range(1, len(pieces))]
    knowing, plain = [
        await _told(b"".join(pieces), ends, [6, 6, turns, 6], knows=knows)
        for knows in (True, False)
    ]
    assert knowing == plain


async def test_a_connection_that_falls_silent_after_an_empty_line_ends_without_a_word() -> None:
    """What it said then could be taken for the answer to a request that is on its way."""
    round_ = Round()
    wire = _Wire(round_, knows=True)
    for piece, turns in ((USUAL, 6), (USUAL, 0), (b"\r\n", 6), (USUAL, 6)):
        wire.protocol.data_received(piece)
        for _ in range(turns):
            await asyncio.sleep(0)
    said = wire.written
    assert said.count(b"HTTP/1.1 200 ") == 3
    wire.protocol.look(round_.now + limits.IDLE_SECONDS)
    assert wire.closing
    assert wire.written == said
    wire.protocol.connection_lost(None)
