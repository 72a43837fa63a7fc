"""Connections as an attack on a real gateway: who opens more than there is room for, who stays."""

from __future__ import annotations

import contextlib
import json
import resource
import socket
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.app.running import META, Running, refused, running, start

TOY = Path(__file__).parent.parent / "app" / "toy_server.py"
MOST = 64
OF_AGENT = 30
"""Half of what is left of 64 places without the four that are kept."""
IDLE = 2_000


def declared(did: Path) -> str:
    return f"""
servers: {{toy: {{command: [{sys.executable}, {TOY}, {did}]}}}}
people: {{ada: {{name: Ada, roles: [operator]}}}}
agents: {{clerk: {{owner: ada}}, other: {{owner: ada}}}}
mandates:
  work: {{from: ada, to: clerk, allow: [{{tool: toy/note, other_arguments: allow}}]}}
  others: {{from: ada, to: other, allow: [{{tool: toy/note, other_arguments: allow}}]}}
"""


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Running]:
    options = ("--max-connections", str(MOST))
    with running(tmp_path, declared(tmp_path / "did.txt"), *options) as gateway:
        gateway.agent_token("clerk")
        yield gateway


@pytest.fixture
def sockets(gateway: Running) -> Iterator[list[socket.socket]]:
    """Closed at the end, with files enough for all of them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = IDLE + 512
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    opened: list[socket.socket] = []
    yield opened
    for each in opened:
        each.close()
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def opened(gateway: Running, sockets: list[socket.socket]) -> socket.socket:
    address = urlsplit(gateway.url)
    assert address.hostname is not None
    sockets.append(socket.create_connection((address.hostname, address.port or 80), 20))
    return sockets[-1]


def listening(gateway: Running) -> bytes:
    """A request whose answer is an event stream without end."""
    method = "subscriptions/listen"
    params = {"_meta": META, "notifications": {"toolsListChanged": True}}
    body = json.dumps({"jsonrpc": "2.0", "id": "s", "method": method, "params": params}).encode()
    lines = (
        f"POST /mcp HTTP/1.1\r\nHost: {urlsplit(gateway.url).netloc}\r\n"
        f"Authorization: Bearer {gateway.token}\r\nContent-Type: application/json\r\n"
        "Accept: application/json, text/event-stream\r\nMCP-Protocol-Version: 2026-07-28\r\n"
        f"Mcp-Method: {method}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return lines.encode() + body


def call_goes_through(gateway: Running) -> bool:
    return gateway.call("toy__note", {"text": "hello"}).get("isError") is not True


def test_two_thousand_idle_connections_keep_no_agent_and_no_operator_out(
    gateway: Running, sockets: list[socket.socket]
) -> None:
    for number in range(IDLE):
        plain = opened(gateway, sockets)
        if number % 3 == 1:
            with contextlib.suppress(OSError):  # it has given way already
                plain.sendall(b"POST /mcp HTTP/1.1\r\nHost: x\r\nX-Slow: ")
    assert call_goes_through(gateway)
    assert [run["agent"] for run in gateway.cli("runs")["runs"]] == ["clerk"]
    assert "--max-connections" in gateway.said()


def test_idle_connections_with_wrong_tokens_are_strangers_connections(
    gateway: Running, sockets: list[socket.socket]
) -> None:
    kept = opened(gateway, sockets)
    kept.sendall(listening(gateway))
    told = b""
    while b"acknowledged" not in told:  # the first that it is told; all but signs of life
        told += kept.recv(65536)
    good, gateway.token = gateway.token, "not.a.token"
    for _ in range(2 * MOST):
        plain = opened(gateway, sockets)
        plain.sendall(listening(gateway))
        assert plain.recv(12) == b"HTTP/1.1 401"
    gateway.token = good
    assert call_goes_through(gateway)
    kept.sendall(b"\r\n")  # one that has ended would answer by a reset
    kept.setblocking(False)
    with pytest.raises(BlockingIOError):
        kept.recv(65536)


def test_an_agents_event_streams_keep_neither_people_nor_other_agents_out(
    gateway: Running, sockets: list[socket.socket]
) -> None:
    answers = []
    for _ in range(MOST + 10):
        plain = opened(gateway, sockets)
        plain.sendall(listening(gateway))
        answers.append(plain.recv(12))
    assert answers == [b"HTTP/1.1 200"] * OF_AGENT + [b"HTTP/1.1 503"] * (MOST + 10 - OF_AGENT)
    assert gateway.cli("runs") is not None
    gateway.agent_token("other")
    assert call_goes_through(gateway)


def test_streams_that_have_ended_leave_an_agent_all_its_places(
    gateway: Running, sockets: list[socket.socket]
) -> None:
    for ended_by in (socket.SHUT_RDWR, socket.SHUT_WR, None):
        held: list[socket.socket] = []
        for _ in range(2_000):  # those of before may not have been missed yet
            plain = opened(gateway, sockets)
            plain.sendall(listening(gateway))
            if plain.recv(12) == b"HTTP/1.1 200":
                held.append(plain)
            if len(held) == OF_AGENT:
                break
        assert len(held) == OF_AGENT
        for plain in held:
            if ended_by is None:
                plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                plain.close()
            else:
                plain.shutdown(ended_by)
    assert call_goes_through(gateway)


def test_a_gateway_says_what_is_wrong_with_how_many_connections_it_is_to_hold(
    tmp_path: Path,
) -> None:
    gateway = start(tmp_path, declared(tmp_path / "did.txt"), "--max-connections", "3")
    said = refused(gateway)
    assert "--max-connections is 32 to 100000, not `3`" in said
