"""The HTTP/1.1 client against servers that behave, misbehave, and attack."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from bailiwick.core.errors import (
    BailiwickError,
    ConfigError,
    OurError,
    UpstreamBroken,
    UpstreamDown,
)
from bailiwick.gateway.http.client import HttpClient
from bailiwick.gateway.http.limits import HttpLimits
from bailiwick.gateway.http.wire import Template, parse_url
from tests.gateway.upstreams.site import Answer, Got, Site, Wire, site, soon

QUICK = HttpLimits(answer_seconds=0.2, idle_seconds=0.2, connect_seconds=1.0, sweep_seconds=0.02)
PATIENT = HttpLimits(sweep_seconds=0.05)


def client_of(url: str, limits: HttpLimits = PATIENT) -> tuple[HttpClient, Template]:
    origin, target = parse_url(url)
    return HttpClient("bank", origin, limits), Template("POST", origin, target, ())


async def lost_all(client: HttpClient) -> None:
    while client._all:  # noqa: ASYNC110 - the loop has to turn, and nothing else tells of it
        await asyncio.sleep(0)


async def failure(here: Site, limits: HttpLimits = PATIENT, **more: Any) -> BailiwickError:
    client, post = client_of(here.url, limits)
    with pytest.raises(OurError) as caught:
        await soon(client.send(post, body=b"{}", **more))
    client.close()
    return caught.value


def always(data: bytes, *, then_close: bool = False) -> Answer:
    async def answer(got: Got, wire: Wire) -> None:
        await wire.raw(data)
        if then_close:
            wire.close()

    return answer


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


# --- what works -----------------------------------------------------------------------------------


async def test_requests_in_a_row_use_one_connection() -> None:
    async with site(always(OK)) as here:
        client, post = client_of(here.url)
        for _ in range(3):
            response = await soon(client.send(post, [("X-A", "b")], b"{}"))
            assert (response.status, response.body) == (200, b"ok")
        client.close()
    assert here.connections == 1
    assert here.got[0].headers["x-a"] == "b"
    assert here.got[0].headers["host"] == f"127.0.0.1:{here.port}"


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n\r\n",
        b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: identity\r\nContent-Length: 2\r\n\r\nok",
    ],
)
async def test_a_body_is_read_however_it_is_framed(data: bytes) -> None:
    async with site(always(data)) as here:
        client, post = client_of(here.url)
        for _ in range(2):
            assert (await soon(client.send(post, body=b"{}"))).body == b"ok"
        client.close()
    assert here.connections == 1


async def test_a_body_without_a_length_ends_with_its_connection() -> None:
    async with site(always(b"HTTP/1.1 200 OK\r\n\r\nok", then_close=True)) as here:
        client, post = client_of(here.url)
        assert (await soon(client.send(post, body=b"{}"))).body == b"ok"
        assert (await soon(client.send(post, body=b"{}"))).body == b"ok"
        client.close()
    assert here.connections == 2


async def test_an_answer_that_comes_byte_by_byte_is_put_together() -> None:
    async def answer(got: Got, wire: Wire) -> None:
        for byte in OK:
            await wire.raw(bytes([byte]))

    async with site(answer) as here:
        client, post = client_of(here.url)
        assert (await soon(client.send(post, body=b"{}"))).body == b"ok"
        client.close()


async def test_repeated_headers_are_joined_and_names_have_no_case() -> None:
    data = b"HTTP/1.1 200 OK\r\nX-A: 1\r\nx-a: 2\r\nContent-Length: 0\r\n\r\n"
    async with site(always(data)) as here:
        client, post = client_of(here.url)
        response = await soon(client.send(post, body=b"{}"))
        client.close()
    assert response.header("X-a") == "1, 2"
    assert response.header("x-b") == ""


async def test_what_stands_behind_a_body_is_no_header() -> None:
    """RFC 9110 section 6.5.1: trailers are not merged into the headers."""
    data = (
        b"HTTP/1.1 200 OK\r\nX-A: 1\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"2\r\nok\r\n0\r\nX-A: 2\r\nMcp-Session-Id: other\r\n\r\n"
    )
    async with site(always(data)) as here:
        client, post = client_of(here.url)
        for _ in range(2):
            response = await soon(client.send(post, body=b"{}"))
            assert (response.body, response.header("x-a")) == (b"ok", "1")
            assert response.header("mcp-session-id") == ""
        client.close()
    assert here.connections == 1


async def test_a_redirect_is_an_answer_and_is_not_followed() -> None:
    data = b"HTTP/1.1 307 X\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"
    async with site(always(data)) as here:
        client, post = client_of(here.url)
        assert (await soon(client.send(post, body=b"{}"))).status == 307
        client.close()
    assert len(here.got) == 1


async def test_proxies_of_the_environment_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with site(always(OK)) as here:
        client, post = client_of(here.url)
        assert (await soon(client.send(post, body=b"{}"))).body == b"ok"
        client.close()


async def test_cookies_are_not_kept() -> None:
    data = b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nContent-Length: 0\r\n\r\n"
    async with site(always(data)) as here:
        client, post = client_of(here.url)
        for _ in range(2):
            await soon(client.send(post, body=b"{}"))
        client.close()
    assert "cookie" not in here.got[1].headers


# --- nothing can be injected ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "field",
    [
        ("X-A", "b\r\nX-Evil: 1"),
        ("X-A", "b\nX-Evil: 1"),
        ("X-A", "b\0"),
        ("X-A", " b"),
        ("X-A", "b\t"),
        ("X-A", "ü"),
        ("X-A\r\nX-Evil", "1"),
        ("X A", "1"),
        ("", "1"),
        ("Content-Length", "0"),
        ("transfer-encoding", "chunked"),
        ("Host", "elsewhere"),
        ("Connection", "upgrade"),
    ],
)
async def test_a_header_that_could_change_the_message_is_refused(field: tuple[str, str]) -> None:
    async with site(always(OK)) as here:
        client, post = client_of(here.url)
        with pytest.raises(OurError) as caught:
            await client.send(post, [field], b"{}")
        client.close()
    assert caught.value.code == "header_unsafe"
    assert "X-Evil: 1" not in caught.value.message
    assert here.got == []


@pytest.mark.parametrize("target", ["/a b", "/a\r\nX: 1", "a", "/ü"])
def test_a_target_that_could_change_the_message_is_refused(target: str) -> None:
    origin, _ = parse_url("http://127.0.0.1/")
    with pytest.raises(OurError):
        Template("POST", origin, target, ())


@pytest.mark.parametrize(
    "url",
    [
        "ftp://a/",
        "a/b",
        "http:///x",
        "http://u:p@a/",
        "http://a/#f",
        "http://a/b c",
        "http://a/\r\nX: 1",
        "http://a:99999/",
        "http://[::1/",
        " http://a/",
        "file:///etc/passwd",
    ],
)
def test_a_url_that_is_no_plain_http_place_is_refused(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_url(url)
    assert caught.value.code == "server_url"


@pytest.mark.parametrize(
    ("url", "authority", "target"),
    [
        ("http://a", "a", "/"),
        ("http://a:80/x", "a", "/x"),
        ("https://a:443/x?y=1", "a", "/x?y=1"),
        ("https://a:8443/", "a:8443", "/"),
        ("http://[::1]:9/", "[::1]:9", "/"),
    ],
)
def test_a_url_is_split_into_authority_and_target(url: str, authority: str, target: str) -> None:
    origin, found = parse_url(url)
    assert (origin.authority, found) == (authority, target)


# --- what goes wrong ------------------------------------------------------------------------------


async def test_a_server_that_is_not_there_is_down() -> None:
    async with site(always(OK)) as here:
        pass
    error = await failure(here)
    assert isinstance(error, UpstreamDown)
    assert error.code == "upstream_unreachable"
    assert "`bank`" in error.message


GARBAGE = {
    "not HTTP": b"hello\r\n\r\n",
    "HTTP/2": b"HTTP/2.0 200 OK\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok!",
    "length and chunks": b"HTTP/1.1 200 X\r\nContent-Length: 2\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n",
    "bad chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "compressed": b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\nok",
    "odd coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "upgrade": b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
    "header with NUL": b"HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 2\r\n\r\nok",
}


@pytest.mark.parametrize("data", GARBAGE.values(), ids=GARBAGE.keys())
async def test_garbage_is_a_broken_upstream_and_its_connection_is_not_used_again(
    data: bytes,
) -> None:
    async with site(always(data)) as here:
        client, post = client_of(here.url)
        for _ in range(2):
            with pytest.raises(UpstreamBroken) as caught:
                await soon(client.send(post, body=b"{}"))
            assert caught.value.code == "upstream_garbage"
        client.close()
    assert here.connections == 2


async def test_half_an_answer_is_a_broken_upstream() -> None:
    data = b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nhalf"
    async with site(always(data, then_close=True)) as here:
        error = await failure(here)
    assert isinstance(error, UpstreamBroken)
    assert error.code == "upstream_closed"


async def test_silence_ends_with_the_time_allowed() -> None:
    async def answer(got: Got, wire: Wire) -> None:
        await wire.closed()

    async with site(answer) as here:
        error = await failure(here, QUICK)
    assert isinstance(error, UpstreamBroken)
    assert error.code == "upstream_timeout"


async def test_an_answer_that_drips_ends_with_the_time_allowed() -> None:
    async def answer(got: Got, wire: Wire) -> None:
        await wire.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        dripping = asyncio.get_running_loop().create_task(drip(wire))
        await wire.closed()
        dripping.cancel()

    async def drip(wire: Wire) -> None:
        while True:
            await wire.raw(b"x")
            await asyncio.sleep(0.01)  # the server is slow: that is the attack

    async with site(answer) as here:
        error = await failure(here, QUICK)
    assert error.code == "upstream_timeout"


FIFTY_MIB = 50 * 1024 * 1024


@pytest.mark.parametrize("framing", ["length", "chunks", "close"])
async def test_an_answer_of_50_mib_is_refused_without_being_read(framing: str) -> None:
    sent = 0

    async def answer(got: Got, wire: Wire) -> None:
        nonlocal sent
        head = {
            "length": f"Content-Length: {FIFTY_MIB}\r\n",
            "chunks": "Transfer-Encoding: chunked\r\n",
            "close": "",
        }[framing]
        await wire.raw(f"HTTP/1.1 200 OK\r\n{head}\r\n".encode())
        piece = b"x" * 65536
        while sent < FIFTY_MIB:
            await (wire.chunk(piece) if framing == "chunks" else wire.raw(piece))
            sent += len(piece)

    limits = HttpLimits(max_body_bytes=1024 * 1024)
    async with site(answer) as here:
        error = await failure(here, limits)
    assert isinstance(error, UpstreamBroken)
    assert error.code == "upstream_too_large"
    assert "1048576 bytes" in error.message
    assert sent < FIFTY_MIB // 2


@pytest.mark.parametrize("shape", ["many", "one long", "unfinished"])
async def test_headers_that_are_too_large_are_refused(shape: str) -> None:
    data = {
        "many": b"".join(b"X-%d: %b\r\n" % (i, b"y" * 100) for i in range(1_000)),
        "one long": b"X: " + b"y" * 100_000 + b"\r\n",
        "unfinished": b"X: " + b"y" * 100_000,
    }[shape]
    end = b"" if shape == "unfinished" else b"Content-Length: 0\r\n\r\n"
    async with site(always(b"HTTP/1.1 200 OK\r\n" + data + end)) as here:
        error = await failure(here)
    assert error.code == "upstream_too_large"


# --- one answer for one request -------------------------------------------------------------------


@pytest.mark.parametrize("second", [OK, b"not HTTP at all", b"HTTP/1.1 200 OK\r\nX"])
async def test_a_second_answer_is_never_taken_for_the_next_requests(second: bytes) -> None:
    async def answer(got: Got, wire: Wire) -> None:
        number = b"%d" % len(here.got)
        await wire.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n" + number + second)

    async with site(answer) as here:
        client, post = client_of(here.url)
        bodies = [(await soon(client.send(post, body=b"{}"))).body for _ in range(3)]
        client.close()
    assert bodies == [b"1", b"2", b"3"]
    assert here.connections == 3


async def test_bytes_that_come_after_the_answer_end_the_connection() -> None:
    async def answer(got: Got, wire: Wire) -> None:
        await wire.raw(OK)
        if len(here.got) == 1:
            answered.set()
            await late.wait()
            await wire.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nevil!")
            await wire.closed()
            closed.set()

    answered, late, closed = asyncio.Event(), asyncio.Event(), asyncio.Event()
    async with site(answer) as here:
        client, post = client_of(here.url)
        assert (await soon(client.send(post, body=b"{}"))).body == b"ok"
        late.set()
        await soon(closed.wait())
        assert (await soon(client.send(post, body=b"{}"))).body == b"ok"
        client.close()
    assert here.connections == 2


async def test_a_request_that_may_have_been_carried_out_is_not_sent_again() -> None:
    async def answer(got: Got, wire: Wire) -> None:
        if got.body == b"first":
            await wire.raw(OK)
        else:
            wire.close()

    async with site(answer) as here:
        client, post = client_of(here.url)
        await soon(client.send(post, body=b"first"))
        with pytest.raises(UpstreamBroken) as caught:
            await soon(client.send(post, body=b"second"))
        client.close()
    assert caught.value.code == "upstream_closed"
    assert [got.body for got in here.got] == [b"first", b"second"]


async def test_a_request_without_effects_is_sent_once_more_on_a_fresh_connection() -> None:
    async def answer(got: Got, wire: Wire) -> None:
        if len(here.got) == 2:
            wire.close()
        else:
            await wire.raw(OK)

    async with site(answer) as here:
        client, post = client_of(here.url)
        for _ in range(2):
            response = await soon(client.send(post, body=b"list", replayable=True))
            assert response.body == b"ok"
        client.close()
    assert len(here.got) == 3


async def test_even_a_request_without_effects_is_not_repeated_for_ever() -> None:
    async def answer(got: Got, wire: Wire) -> None:
        wire.close()

    async with site(answer) as here:
        error = await failure(here, replayable=True)
    assert error.code == "upstream_closed"
    assert len(here.got) == 1


async def test_a_connection_the_server_has_closed_is_not_used() -> None:
    async def answer(got: Got, wire: Wire) -> None:
        await wire.raw(OK)
        wire.close()

    async with site(answer) as here:
        client, post = client_of(here.url)
        await soon(client.send(post, body=b"{}"))
        await soon(lost_all(client))
        assert (await soon(client.send(post, body=b"{}"))).body == b"ok"
        client.close()
    assert len(here.got) == 2


async def test_an_unused_connection_is_closed_before_the_server_does_it() -> None:
    async def answer(got: Got, wire: Wire) -> None:
        await wire.raw(OK)
        await wire.closed()
        closed.set()

    closed = asyncio.Event()
    limits = HttpLimits(keep_idle_seconds=0.05, sweep_seconds=0.02)
    async with site(answer) as here:
        client, post = client_of(here.url, limits)
        await soon(client.send(post, body=b"{}"))
        await soon(closed.wait())
        client.close()


async def test_a_server_that_says_how_long_it_keeps_a_connection_is_believed() -> None:
    async def answer(got: Got, wire: Wire) -> None:
        await wire.reply(200, b"{}", more="Keep-Alive: timeout=1\r\n")
        await wire.closed()
        closed.set()

    closed = asyncio.Event()
    async with site(answer) as here:
        client, post = client_of(here.url)
        await soon(client.send(post, body=b"{}"))
        await soon(closed.wait())
        client.close()


async def test_cancelling_a_request_closes_its_connection() -> None:
    async def answer(got: Got, wire: Wire) -> None:
        asked.set()
        await wire.closed()
        closed.set()

    asked, closed = asyncio.Event(), asyncio.Event()
    async with site(answer) as here:
        client, post = client_of(here.url)
        task = asyncio.ensure_future(client.send(post, body=b"{}"))
        await soon(asked.wait())
        task.cancel()
        await soon(closed.wait())
        with pytest.raises(asyncio.CancelledError):
            await task
        client.close()


async def test_closing_the_client_ends_what_is_in_flight() -> None:
    async def answer(got: Got, wire: Wire) -> None:
        asked.set()
        await wire.closed()

    asked = asyncio.Event()
    async with site(answer) as here:
        client, post = client_of(here.url)
        task = asyncio.ensure_future(client.send(post, body=b"{}"))
        await soon(asked.wait())
        client.close()
        with pytest.raises(UpstreamBroken):
            await soon(task)
        with pytest.raises(UpstreamDown):
            await soon(client.send(post, body=b"{}"))


# --- the pool -------------------------------------------------------------------------------------


async def test_connections_are_bounded_and_requests_take_turns() -> None:
    async def answer(got: Got, wire: Wire) -> None:
        await gate.wait()
        await wire.raw(OK)

    gate = asyncio.Event()
    async with site(answer) as here:
        client, post = client_of(here.url, HttpLimits(max_connections=3))
        tasks = [asyncio.ensure_future(client.send(post, body=b"{}")) for _ in range(20)]
        await here.wait_for(lambda s: len(s.got) == 3)
        gate.set()
        responses = await soon(asyncio.gather(*tasks))
        client.close()
    assert {response.body for response in responses} == {b"ok"}
    assert here.connections == 3


async def test_too_many_waiting_requests_are_refused_unsent() -> None:
    async def answer(got: Got, wire: Wire) -> None:
        await wire.closed()

    limits = HttpLimits(max_connections=1, max_waiting=2)
    async with site(answer) as here:
        client, post = client_of(here.url, limits)
        tasks = [asyncio.ensure_future(client.send(post, body=b"{}")) for _ in range(3)]
        await here.wait_for(lambda s: len(s.got) == 1)
        with pytest.raises(UpstreamDown) as caught:
            await soon(client.send(post, body=b"{}"))
        client.close()
        await asyncio.gather(*tasks, return_exceptions=True)
    assert caught.value.code == "upstream_busy"


async def test_a_waiter_that_gives_up_does_not_keep_the_connection_it_was_given() -> None:
    async def answer(got: Got, wire: Wire) -> None:
        await gate.wait()
        await wire.raw(OK)

    gate = asyncio.Event()
    async with site(answer) as here:
        client, post = client_of(here.url, HttpLimits(max_connections=1))
        tasks = [asyncio.ensure_future(client.send(post, body=b"{}")) for _ in range(4)]
        await here.wait_for(lambda s: len(s.got) == 1)
        tasks[1].cancel()
        tasks[2].cancel()
        gate.set()
        first, *given_up, last = await soon(asyncio.gather(*tasks, return_exceptions=True))
        client.close()
    assert not isinstance(first, BaseException)
    assert not isinstance(last, BaseException)
    assert [type(each) for each in given_up] == [asyncio.CancelledError] * 2


async def test_when_a_connection_breaks_the_next_in_line_gets_a_new_one() -> None:
    async def answer(got: Got, wire: Wire) -> None:
        if len(here.got) == 1:
            await gate.wait()
            wire.close()
        else:
            await wire.raw(OK)

    gate = asyncio.Event()
    async with site(answer) as here:
        client, post = client_of(here.url, HttpLimits(max_connections=1))
        tasks = [asyncio.ensure_future(client.send(post, body=b"{}")) for _ in range(2)]
        await here.wait_for(lambda s: len(s.got) == 1)
        gate.set()
        first, second = await soon(asyncio.gather(*tasks, return_exceptions=True))
        client.close()
    assert isinstance(first, UpstreamBroken)
    assert not isinstance(second, BaseException)


# --- streams --------------------------------------------------------------------------------------


async def collect(chunks: AsyncIterator[bytes]) -> bytes:
    return b"".join([chunk async for chunk in chunks])


async def test_an_event_stream_is_handed_over_open_and_its_connection_used_again() -> None:
    async def answer(got: Got, wire: Wire) -> None:
        await wire.stream()
        await wire.chunk(b"data: 1\n\n")
        await gate.wait()
        await wire.chunk(b"data: 2\n\n")
        await wire.end()

    gate = asyncio.Event()
    async with site(answer) as here:
        client, post = client_of(here.url)
        for _ in range(2):
            response = await soon(client.send(post, body=b"{}"))
            assert response.stream is not None
            first = await soon(anext(response.stream))
            assert gate.is_set() or first == b"data: 1\n\n"
            gate.set()
            # What comes in one read is handed over as one.
            assert first + await soon(collect(response.stream)) == b"data: 1\n\ndata: 2\n\n"
        client.close()
    assert here.connections == 1


async def test_a_stream_that_breaks_off_says_so_after_what_had_come() -> None:
    async def answer(got: Got, wire: Wire) -> None:
        await wire.stream()
        await wire.chunk(b"data: 1\n\n")
        wire.close()

    async with site(answer) as here:
        client, post = client_of(here.url)
        response = await soon(client.send(post, body=b"{}"))
        assert response.stream is not None
        assert await soon(anext(response.stream)) == b"data: 1\n\n"
        with pytest.raises(UpstreamBroken) as caught:
            await soon(anext(response.stream))
        client.close()
    assert caught.value.code == "upstream_closed"


async def test_a_stream_that_falls_silent_ends() -> None:
    async def answer(got: Got, wire: Wire) -> None:
        await wire.stream()
        await wire.closed()

    async with site(answer) as here:
        client, post = client_of(here.url, QUICK)
        response = await soon(client.send(post, body=b"{}"))
        assert response.stream is not None
        with pytest.raises(UpstreamBroken) as caught:
            await soon(anext(response.stream))
        client.close()
    assert caught.value.code == "upstream_timeout"


async def test_a_reader_that_takes_nothing_stops_the_server_and_loses_nothing() -> None:
    total = 20 * 1024 * 1024
    sent = 0

    async def answer(got: Got, wire: Wire) -> None:
        nonlocal sent
        await wire.stream()
        piece = b"x" * 65536
        while sent < total:
            await wire.chunk(piece)
            sent += len(piece)
            moved.set()
        await wire.end()

    moved = asyncio.Event()
    async with site(answer) as here:
        client, post = client_of(here.url, QUICK)
        response = await soon(client.send(post, body=b"{}"))
        stream = response.stream
        assert stream is not None
        while stream._held_bytes <= 256 * 1024:
            moved.clear()
            await soon(moved.wait())
        # Longer than the idle limit: our own slowness is not the server's silence.
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), 3 * QUICK.idle_seconds)
        assert stream._held_bytes < 1024 * 1024
        assert sent < total
        assert len(await soon(collect(stream))) == total
        client.close()


async def test_a_finished_reader_leaves_a_stream_that_ends_soon_for_reuse() -> None:
    async def answer(got: Got, wire: Wire) -> None:
        await wire.stream()
        await wire.chunk(b"data: reply\n\n")
        await gate.wait()
        await wire.chunk(b"data: more\n\n")
        await wire.end()

    gate = asyncio.Event()
    async with site(answer) as here:
        client, post = client_of(here.url, HttpLimits(max_connections=1))
        response = await soon(client.send(post, body=b"{}"))
        assert response.stream is not None
        await soon(anext(response.stream))
        response.stream.finish()
        gate.set()
        again = await soon(client.send(post, body=b"{}"))
        assert again.stream is not None
        assert await soon(collect(again.stream)) == b"data: reply\n\ndata: more\n\n"
        client.close()
    assert here.connections == 1


async def test_a_stream_that_does_not_end_after_its_reader_has_finished_is_closed() -> None:
    async def answer(got: Got, wire: Wire) -> None:
        await wire.stream()
        await wire.chunk(b"data: reply\n\n")
        await wire.closed()
        closed.set()

    closed = asyncio.Event()
    async with site(answer) as here:
        client, post = client_of(here.url)
        response = await soon(client.send(post, body=b"{}"))
        assert response.stream is not None
        await soon(anext(response.stream))
        response.stream.finish()
        await soon(closed.wait())
        client.close()
