"""Answers whose head is known: always what the parser would have made of them, or nothing."""

from __future__ import annotations

import asyncio
from math import inf
from typing import Any, cast

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bailiwick.core.errors import UpstreamBroken
from bailiwick.gateway.http.client import HttpClient
from bailiwick.gateway.http.connection import Connection
from bailiwick.gateway.http.known import MAX_KNOWN, MAX_KNOWN_BYTES, KnownHeads
from bailiwick.gateway.http.limits import HttpLimits
from bailiwick.gateway.http.response import Response
from bailiwick.gateway.http.wire import Template, parse_url
from tests.gateway.upstreams.site import Got, Wire, site, soon

LIMITS = HttpLimits(max_body_bytes=1_000, max_head_bytes=4_000)


class Transport:
    """Notes what a connection does with it."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.closing = False

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def close(self) -> None:
        self.closing = True

    abort = close

    def is_closing(self) -> bool:
        return self.closing

    def get_extra_info(self, name: str) -> Transport:
        return self

    def setsockopt(self, *option: object) -> None:
        pass


class Line:
    """One connection to a server, and what became of its exchanges."""

    def __init__(self, known: KnownHeads) -> None:
        self.freed = 0
        self.transport = Transport()
        self.connection = Connection("bank", LIMITS, known, self._count, lambda _: None)
        self.connection.connection_made(cast(asyncio.BaseTransport, self.transport))

    def _count(self, connection: Connection) -> None:
        self.freed += 1

    def ask(self, *reads: bytes) -> asyncio.Future[Response]:
        answer = self.connection.send(b"GET", 1.0)
        for read in reads:
            if not self.transport.closing:
                self.connection.data_received(read)
        return answer


def exchange(known: KnownHeads, *reads: bytes) -> dict[str, Any]:
    """Everything that can be told of one exchange."""

    async def run() -> dict[str, Any]:
        line = Line(known)
        answer = line.ask(*reads)
        found: dict[str, Any] = {
            "freed": line.freed,
            "closing": line.transport.closing,
            "keep": line.connection.keep_seconds,
            "deadline": line.connection.deadline == float("inf"),
        }
        if not answer.done():
            line.connection.connection_lost(None)
        error = answer.exception()
        if isinstance(error, UpstreamBroken):
            return found | {"code": error.code, "text": error.message}
        response = answer.result()
        pieces = []
        if response.stream is not None:
            if not line.freed:
                line.connection.connection_lost(None)
            try:
                pieces = [piece async for piece in response.stream]
            except UpstreamBroken as broken:
                found["broken"] = broken.code
        return found | {
            "status": response.status,
            "body": response.body,
            "fields": list(response.fields()),
            "type": response.content_type,
            "stream": b"".join(pieces),
        }

    return asyncio.run(run())


def taught(*answers: bytes) -> KnownHeads:
    """Heads learned from these answers, each whole."""
    known = KnownHeads(LIMITS.max_body_bytes)
    for answer in answers:
        exchange(known, answer)
    return known


def ok(body: bytes, more: bytes = b"Content-Type: application/json\r\n") -> bytes:
    return b"HTTP/1.1 200 OK\r\n%bContent-Length: %d\r\n\r\n%b" % (more, len(body), body)


def marked(known: KnownHeads) -> KnownHeads:
    """The same, but that an answer says so whose head was not parsed."""
    for head in known._heads.values():
        head._headers = {**head._headers, b"x-known": b"1"}
    return known


def was_parsed(found: dict[str, Any]) -> bool:
    return (b"x-known", b"1") not in found["fields"]


# --- what is remembered ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "more",
    [
        b"",
        b"content-type: text/plain; charset=utf-8\r\n",
        b"Date: Sun, 22 Nov 2026 19:00:00 GMT\r\nKeep-Alive: timeout=5\r\n",
        b"X-A: 1\r\nx-a: 2\r\n",
    ],
)
def test_a_head_is_parsed_once_and_then_known_whatever_the_length(more: bytes) -> None:
    known, answer = taught(ok(b"one", more)), ok(b"another body", more)
    found = exchange(known, answer)
    assert found["freed"] == 1
    assert found == exchange(KnownHeads(1_000), answer)
    assert (b"content-length", b"12") in found["fields"]
    assert not was_parsed(exchange(marked(known), answer))


def test_a_known_head_serves_every_connection_of_its_server_and_no_other_server() -> None:
    known = taught(ok(b"ok"))
    assert [was_parsed(exchange(marked(known), ok(b"ok"))) for _ in range(2)] == [False, False]
    assert was_parsed(exchange(marked(KnownHeads(1_000)), ok(b"ok")))


UNUSUAL = {
    "chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "closing": b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
    "of 1.0": b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok",
    "first told to go on": b"HTTP/1.1 100 Continue\r\n\r\n" + ok(b"ok"),
    "followed by more": ok(b"ok") + b"HTTP/1.1",
    "of events": ok(b"data: 1\n\n", b"Content-Type: text/event-stream\r\n"),
    "leading zero": b"HTTP/1.1 200 OK\r\nContent-Length: 02\r\n\r\nok",
    "more space": b"HTTP/1.1 200 OK\r\nContent-Length:  2\r\n\r\nok",
    "space behind": b"HTTP/1.1 200 OK\r\nContent-Length: 2 \r\n\r\nok",
    "not modified": b"HTTP/1.1 304 X\r\nContent-Length: 0\r\n\r\n",
    "long head": ok(b"ok", b"X: %b\r\n" % (b"y" * MAX_KNOWN_BYTES)),
    "another length before": ok(b"ok", b"X-Length: 2\r\n"),
    "bare line ends": b"HTTP/1.1 200 OK\nContent-Length: 2\r\n\r\nok",
}


@pytest.mark.parametrize("answer", UNUSUAL.values(), ids=UNUSUAL.keys())
def test_an_unusual_answer_is_parsed_each_time(answer: bytes) -> None:
    known = taught(answer)
    assert known._heads == {}
    assert exchange(known, answer) == exchange(KnownHeads(1_000), answer)


def test_an_answer_that_comes_in_two_reads_is_parsed_and_not_learned() -> None:
    known, data = KnownHeads(1_000), ok(b"two reads")
    assert exchange(known, data[:40], data[40:])["body"] == b"two reads"
    assert known._heads == {}
    known = marked(taught(data))
    assert was_parsed(exchange(known, data[:40], data[40:]))


def test_what_is_remembered_is_bounded() -> None:
    known = taught(*(ok(b"ok", b"X-Request-Id: %d\r\n" % each) for each in range(3 * MAX_KNOWN)))
    assert 0 < len(known._heads) <= MAX_KNOWN


def test_a_known_head_does_not_lift_the_limit_of_a_body() -> None:
    known = taught(ok(b"ok"))
    assert exchange(known, ok(b"x" * 1_000))["body"] == b"x" * 1_000
    assert exchange(known, ok(b"x" * 1_001))["code"] == "upstream_too_large"


def test_what_one_caller_does_with_its_answer_does_not_change_anothers() -> None:
    known = taught(ok(b"ok"))
    first, second = known.find(ok(b"ok")), known.find(ok(b"another"))
    assert first is not None
    assert second is not None
    with pytest.raises(TypeError):
        first._headers[b"x-evil"] = b"1"  # type: ignore[index]
    first.content_type, first.body, first.status = "text/evil", b"evil", 500
    third = known.find(ok(b"ok"))
    assert third is not None
    assert third.header("content-type") == second.header("content-type") == "application/json"
    assert (third.content_type, third.body, third.status) == ("application/json", b"ok", 200)
    assert second.header("content-length") == "7"


# --- attacks: a server that knows what we know ----------------------------------------------------

ATTACKS = {
    "an answer behind": ok(b"ok") + ok(b"evil"),
    "one byte behind": ok(b"ok") + b"x",
    "a byte missing": ok(b"ok")[:-1],
    "a sign": ok(b"ok").replace(b": 2", b": +2"),
    "an underscore": ok(b"x" * 12).replace(b": 12", b": 1_2"),
    "a zero": ok(b"ok").replace(b": 2", b": 02"),
    "hexadecimal": ok(b"x" * 10).replace(b": 10", b": 0xa"),
    "digits of another script": ok(b"ok").replace(b": 2", ": ٢".encode()),
    "a list of lengths": ok(b"ok").replace(b": 2", b": 2, 2"),
    "a second length": ok(b"ok").replace(b": 2", b": 2\r\nContent-Length: 2"),
    "a folded second length": ok(b"ok").replace(b": 2", b": 2\r\n 2"),
    "chunks as well": ok(b"ok").replace(b": 2", b": 2\r\nTransfer-Encoding: chunked"),
    "a bare line end in the length": ok(b"ok").replace(b": 2", b": 2\nX: y"),
    "nothing for a length": ok(b"ok").replace(b": 2", b": "),
    "closing as well": ok(b"ok").replace(b": 2", b": 2\r\nConnection: close"),
    "a very long number": ok(b"ok").replace(b": 2", b": " + b"0" * 3_000 + b"2"),
}


@pytest.mark.parametrize("answer", ATTACKS.values(), ids=ATTACKS.keys())
def test_a_twist_on_a_known_head_is_taken_as_the_parser_takes_it(answer: bytes) -> None:
    known = taught(ok(b"ok"), ok(b"ok", b""))
    assert len(known._heads) == 2
    assert exchange(known, answer) == exchange(KnownHeads(1_000), answer)


def test_an_answer_known_in_full_is_still_only_for_who_asked() -> None:
    async def run() -> tuple[bool, int]:
        line = Line(taught_here)
        line.connection.data_received(ok(b"unasked"))  # before any request
        return line.transport.closing, line.freed

    taught_here = taught(ok(b"ok"))
    assert asyncio.run(run()) == (True, 0)


def test_a_known_answer_after_the_answer_ends_the_connection() -> None:
    async def run() -> tuple[bytes, bool]:
        line = Line(taught_here)
        answer = line.ask(ok(b"first"), ok(b"evil"))
        return (await answer).body, line.transport.closing

    taught_here = taught(ok(b"ok"))
    assert asyncio.run(run()) == (b"first", True)


@pytest.mark.parametrize(
    "answer",
    [
        ok(b"ok"),
        ok(b"later", b"X-New: 1\r\n"),
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ],
    ids=["known", "parsed", "streamed"],
)
def test_a_connection_whose_request_was_cancelled_is_given_to_nobody(answer: bytes) -> None:
    """The answer may arrive between the cancelling and the turn of who was cancelled."""

    async def run() -> tuple[int, bool]:
        line = Line(taught_here)
        line.ask().cancel()
        line.connection.data_received(answer)
        return line.freed, line.transport.closing

    taught_here = taught(ok(b"ok"))
    assert asyncio.run(run()) == (0, True)


async def test_whoever_is_cancelled_every_other_caller_gets_its_own_answer() -> None:
    async def echo(got: Got, wire: Wire) -> None:
        await wire.raw(ok(got.body))

    async def ask(number: int) -> bytes | None:
        task = asyncio.ensure_future(client.send(post, body=b"call %d" % number))
        if number % 3 == 0:
            for _ in range(number % 7):
                await asyncio.sleep(0)  # at a different point of the exchange each time
            task.cancel()
        try:
            return (await task).body
        except asyncio.CancelledError:
            return None

    async with site(echo) as here:
        origin, target = parse_url(here.url)
        client = HttpClient("bank", origin, HttpLimits(max_connections=4))
        post = Template("POST", origin, target, ())
        bodies = await soon(asyncio.gather(*(ask(number) for number in range(300))))
        client.close()
    own = [b"call %d" % number for number in range(300)]
    assert [body for at, body in enumerate(bodies) if at % 3] == [
        body for at, body in enumerate(own) if at % 3
    ]
    assert all(body in (None, own[at]) for at, body in enumerate(bodies))
    assert client._known._heads


# --- both ways, whatever comes --------------------------------------------------------------------

FIELDS = (
    b"Content-Type: application/json\r\n",
    b"Content-Type: text/event-stream\r\n",
    b"X-Length: 2\r\n",
    b"Keep-Alive: timeout=3\r\n",
    b"Connection: close\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"X: a\r\n b\r\n",
    b"X : a\r\n",
    b"X: \xff\r\n",
    b"Content-Length: 2\r\n",
)
LENGTHS = ("Content-Length: {}\r\n", "content-length: {}\r\n", "CONTENT-LENGTH:{}\r\n")
answers = st.builds(
    lambda start, before, length, said, after, body, behind: b"".join(
        [start, *before, length.format(said(len(body))).encode(), *after, b"\r\n", body, behind]
    ),
    st.sampled_from((b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 404 \r\n", b"HTTP/1.1 204 X\r\n")),
    st.lists(st.sampled_from(FIELDS), max_size=2),
    st.sampled_from(LENGTHS),
    st.sampled_from((str, str, str, lambda n: n + 1, lambda n: f"0{n}", lambda n: f"+{n}")),
    st.lists(st.sampled_from(FIELDS), max_size=1),
    st.sampled_from((b"", b"{}", b"2\r\nok\r\n0\r\n\r\n", b"\r\n\r\nContent-Length: 2\r\n\r\nok")),
    st.sampled_from((b"", b"", b"", b"x", ok(b"evil"))),
)


@given(st.lists(answers, min_size=1, max_size=3), st.data())
@example([ok(b"ok"), ok(b"longer")], None)
def test_known_or_not_an_answer_means_the_same_however_it_is_cut(
    sent: list[bytes], data: st.DataObject | None
) -> None:
    known = taught(*sent)
    for answer in sent:
        at = data.draw(st.integers(0, len(answer))) if data is not None else 0
        reads = [read for read in (answer[:at], answer[at:]) if read]
        assert exchange(known, *reads) == exchange(KnownHeads(1_000), *reads)


@pytest.mark.parametrize("body", [b"any byte", b""])
def test_cut_at_any_byte_a_known_answer_is_whole(body: bytes) -> None:
    known, answer = taught(ok(b"ok")), ok(body)
    expected = exchange(KnownHeads(1_000), answer)
    for at in range(1, len(answer)):
        assert exchange(known, answer[:at], answer[at:]) == expected


def test_half_a_head_is_no_answer_though_its_length_is_nothing() -> None:
    known, answer = taught(ok(b"ok")), ok(b"")
    for at in range(1, len(answer)):
        assert exchange(known, answer[:at]) == exchange(KnownHeads(1_000), answer[:at])


def forgetful() -> KnownHeads:
    """Finds nothing, as every body is too large for it: each answer is the parser's."""
    return KnownHeads(-1)


def conversation(known: KnownHeads, sent: list[tuple[bytes, int]]) -> list[Any]:
    """What becomes of one answer after the other on one connection, each cut at a place."""

    async def run() -> list[Any]:
        told: list[Any] = []
        line = Line(known)
        for answer, at in sent:
            if line.transport.closing:
                break
            future = line.ask(*(read for read in (answer[:at], answer[at:]) if read))
            told.append((line.freed, line.transport.closing, line.connection.deadline == inf))
            if not future.done():
                line.connection.connection_lost(None)
                line.transport.close()
            error = future.exception()
            if isinstance(error, UpstreamBroken):
                told.append(error.code)
                continue
            response = future.result()
            told.append((response.status, response.body, sorted(response.fields())))
            if response.stream is not None:
                response.stream.close()
        return told

    return asyncio.run(run())


SAID = st.sampled_from(
    [ok(b"ok"), ok(b"", b""), ok(b""), *UNUSUAL.values(), *ATTACKS.values()]
) | answers  # fmt: skip


@given(st.lists(st.tuples(SAID, st.just(0) | st.integers(0, 90)), min_size=1, max_size=6))
@example([(ok(b"ok", b""), 0), (ok(b"", b""), len(ok(b"", b"")) - 2), (ok(b"ok"), 0)])
def test_known_or_not_one_answer_after_the_other_means_the_same(
    sent: list[tuple[bytes, int]],
) -> None:
    knows = taught(ok(b"ok"), ok(b"ok", b""))
    assert conversation(knows, sent) == conversation(forgetful(), sent)
