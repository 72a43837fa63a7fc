"""The load generator and the fast upstream, over loopback."""

import asyncio
import itertools
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from mcp.shared.inbound import InboundModernRoute, classify_inbound_request

from bench.__main__ import main
from bench.load import Load, Replies, drive
from bench.measure import Bench, Plan, upstream_calls
from bench.targets import OURS, Site, Started, Target, Unavailable, start_upstream
from bench.wire import FIRST_NUMBER, LEGACY, MARKER, Endpoint


@pytest.fixture
def upstream(tmp_path: Path) -> Iterator[Started]:
    started = start_upstream(tmp_path / "upstream")
    yield started
    started.watched.stop()


def _headers(request: bytes) -> dict[str, str]:
    head = request.partition(b"\r\n\r\n")[0].decode().split("\r\n")[1:]
    return {line.partition(":")[0].lower(): line.partition(":")[2].strip() for line in head}


def test_the_call_passes_the_sdk_s_own_ladder_for_the_newest_revision() -> None:
    request = Endpoint(1).template().request(FIRST_NUMBER)
    body = json.loads(request.partition(b"\r\n\r\n")[2])
    verdict = classify_inbound_request(body, headers=_headers(request))
    assert isinstance(verdict, InboundModernRoute)


@pytest.mark.parametrize("number", [FIRST_NUMBER, 99_999_999])
def test_each_call_carries_its_number_as_id_and_in_its_arguments(number: int) -> None:
    request = Endpoint(1).template().request(number)
    head, _, body = request.partition(b"\r\n\r\n")
    parsed = json.loads(body)
    assert parsed["id"] == number
    assert parsed["params"]["arguments"]["reference"] == f"INV-{number}"
    assert f"Content-Length: {len(body)}".encode() in head


@pytest.mark.parametrize("era", ["2026-07-28", LEGACY])
def test_the_upstream_answers_every_call_once_in_both_eras(upstream: Started, era: str) -> None:
    endpoint = Endpoint(upstream.endpoint.port, era=era)
    sample = drive(Load(endpoint.port, endpoint.templates(4), 4, 200, 30))
    assert (sample.good, sample.errors, sample.first_error) == (200, 0, "")
    assert upstream_calls(endpoint.port) == 200


def test_an_answer_without_the_upstream_s_text_is_an_error(upstream: Started) -> None:
    endpoint = Endpoint(upstream.endpoint.port, path="/mcp")
    template = endpoint.template()
    broken = type(template)(
        template.before, template.between.replace(b"tools/call", b"tools/wall"), template.after
    )
    sample = drive(Load(endpoint.port, (broken,), 1, 3, 30))
    assert sample.good == 0
    assert sample.errors == 3
    assert "method not found" in sample.first_error


@pytest.mark.parametrize(
    "reply",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabcd",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n3\r\nbcd\r\n0\r\n\r\n",
    ],
)
def test_a_reply_is_complete_only_with_its_last_byte(reply: bytes) -> None:
    replies = Replies()
    assert all(replies.read(reply[:n]) is None for n in range(len(reply)))
    found = replies.read(reply)
    assert found is not None
    assert found.body == b"abcd"
    assert found.head.status == 200


class _Canned(asyncio.Protocol):
    """Answers every request with the same bytes, as a target would that mixes callers up."""

    reply = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._transport.write(self.reply)


@pytest.fixture
def canned() -> Iterator[int]:
    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(loop.create_server(_Canned, "127.0.0.1", 0))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield server.sockets[0].getsockname()[1]
    loop.call_soon_threadsafe(server.close)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.run_until_complete(server.wait_closed())
    loop.close()


def _json_reply(status: bytes, body: bytes) -> bytes:
    return b"HTTP/1.1 %b\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body)


@pytest.mark.parametrize(
    "reply",
    [
        _json_reply(b"200 OK", b'{"id":1,"result":"%b"}' % MARKER),
        _json_reply(b"500 Oh", b'{"id":%d,"result":"%b"}' % (FIRST_NUMBER, MARKER)),
        _json_reply(b"200 OK", b'{"id":%d,"result":{"isError":true}}' % FIRST_NUMBER),
    ],
    ids=["another caller's answer", "a bad status", "a refusal"],
)
def test_a_wrong_answer_is_an_error(canned: int, reply: bytes) -> None:
    _Canned.reply = reply
    sample = drive(Load(canned, Endpoint(canned).templates(1), 1, 1, 30))
    assert (sample.good, sample.errors) == (0, 1)


def test_answers_that_never_reached_the_upstream_are_errors(
    upstream: Started, canned: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Numbers go on over all measurements of a process, and this answer holds the first ones only.
    monkeypatch.setattr("bench.measure._numbers", itertools.count(FIRST_NUMBER))
    _Canned.reply = _json_reply(
        b"200 OK", b'"%b" %b' % (MARKER, b" ".join(b"%d" % (FIRST_NUMBER + n) for n in range(99)))
    )
    liar = Target("liar", "", lambda _: Started(upstream.watched, Endpoint(canned), 0.0))
    bench = Bench(upstream, tmp_path, lambda _: None)
    (result,) = bench.measure([liar], Plan((1,), 1, 8, 30, 1))
    assert result.errors > 0
    assert "reached the upstream" in result.first_error


def test_direct_and_pass_through_are_measured_side_by_side(
    upstream: Started, tmp_path: Path
) -> None:
    pass_through = next(target for target in OURS if target.name == "pass-through")
    bench = Bench(upstream, tmp_path, lambda _: None)
    (result,) = bench.measure([pass_through], Plan((1, 4), 2, 40, 30, 4))
    assert (result.skipped, result.errors, result.first_error) == ("", 0, "")
    assert [(row.connections, row.good) for row in result.rows] == [(1, 20), (4, 80)]
    assert [row.connections for row in bench.finish().rows] == [1, 4]


def test_a_target_that_cannot_run_is_skipped_with_its_reason(
    upstream: Started, tmp_path: Path
) -> None:
    def absent(_: Site) -> Started:
        raise Unavailable("it is not installed")

    said: list[str] = []
    bench = Bench(upstream, tmp_path, said.append)
    (result,) = bench.measure([Target("gone", "", absent)], Plan((1,), 1, 1, 1, 1))
    assert result.skipped == "it is not installed"
    assert said == ["gone: skipped: it is not installed"]


def test_the_command_measures_prints_and_writes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "result.json"
    options = ["--only", "pass-through", "-c", "1", "--rounds", "1", "--requests", "40"]
    assert main([*options, "--targets", "--output", str(output)]) == 0
    document = json.loads(output.read_text())
    assert [target["target"] for target in document["targets"]] == ["direct", "pass-through"]
    assert "pass-through" in capsys.readouterr().out
