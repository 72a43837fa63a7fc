"""The inbound ladders as tables: one broken thing, one answer, and the first failure wins."""

from __future__ import annotations

from typing import Any

import pytest

from bailiwick.protocols.mcp.headers import Headers, read_headers
from bailiwick.protocols.mcp.jsonrpc import Request, parse_message
from bailiwick.protocols.mcp.legacy import Hello, greet, progress_token, session_id
from bailiwick.protocols.mcp.modern import Envelope, Rejection, climb
from bailiwick.protocols.mcp.revisions import LEGACY, MODERN, Era, at_least, era_of
from bailiwick.protocols.strict_json import encode
from bailiwick.testing.mcp.wire import legacy, modern, routing_headers


def request(message: Any) -> Request:
    read = parse_message(encode(message))
    assert isinstance(read, Request)
    return read


def headers(message: Any, **changed: str | None) -> Headers:
    held = {**routing_headers(message)}
    for name, value in changed.items():
        key = "mcp-" + name.replace("_", "-")
        held.pop(key, None)
        if value is not None:
            held[key] = value
    return read_headers([(k.encode(), v.encode()) for k, v in held.items()])


def climbed(message: Any, **changed: str | None) -> Envelope | Rejection:
    return climb(headers(message, **changed), request(message))


CALL = modern("tools/call", name="pay", arguments={})


def test_a_conforming_request_passes_every_rung() -> None:
    passed = climbed(
        modern(
            "tools/call",
            name="pay",
            capabilities={"roots": {}},
            meta={"progressToken": 0, "io.modelcontextprotocol/logLevel": "info"},
        )
    )
    assert isinstance(passed, Envelope)
    assert passed.capabilities == {"roots": {}}
    assert passed.progress_token == 0
    assert passed.log_level == "info"


def without_meta(name: str) -> Any:
    message = modern("server/discover")
    del message["params"]["_meta"][f"io.modelcontextprotocol/{name}"]
    return message


@pytest.mark.requirement("2026-07-28/error-codes")
@pytest.mark.requirement("2026-07-28/headers-equal-body")
@pytest.mark.parametrize(
    ("message", "changed", "code"),
    [
        (CALL, {"method": None}, -32020),
        (CALL, {"method": "tools/list"}, -32020),
        (CALL, {"method": "TOOLS/CALL"}, -32020),
        (CALL, {"name": None}, -32020),
        (CALL, {"name": "other"}, -32020),
        (CALL, {"name": "=?base64?cGF5?="}, None),
        (CALL, {"name": "=?base64?b3RoZXI=?="}, -32020),
        (CALL, {"name": "=?base64?cGF5?"}, -32020),
        (CALL, {"name": "=?BASE64?cGF5?="}, -32020),
        (CALL, {"name": "=?base64?cGF5==?="}, -32020),
        (CALL, {"protocol_version": None}, -32020),
        (CALL, {"protocol_version": "2025-11-25"}, -32020),
        (modern("resources/read", uri="a:b"), {"name": "a:c"}, -32020),
        (modern("tasks/get", taskId="t1"), {"name": "t2"}, -32020),
        (modern("unknown/method"), {}, -32601),
        (modern("initialize"), {}, -32601),
        (modern("ping"), {}, -32601),
        (modern("logging/setLevel"), {}, -32601),
        (modern("resources/subscribe"), {}, -32601),
        (modern("tools/call", name=3), {"name": "3"}, -32602),
        (without_meta("protocolVersion"), {"protocol_version": MODERN}, -32602),
        (without_meta("clientCapabilities"), {}, -32602),
        (modern("tools/list", meta={"io.modelcontextprotocol/logLevel": "loud"}), {}, -32602),
        (modern("tools/list", meta={"io.modelcontextprotocol/clientInfo": "x"}), {}, -32602),
        (modern("tools/list", meta={"progressToken": 1.5}), {}, -32602),
    ],
)
def test_each_broken_rung_answers_with_its_code(
    message: Any, changed: dict[str, str | None], code: int | None
) -> None:
    outcome = climbed(message, **changed)
    if code is None:
        assert isinstance(outcome, Envelope)
    else:
        assert isinstance(outcome, Rejection)
        assert outcome.code == code


def test_an_unknown_version_is_told_what_is_served() -> None:
    message = modern("tools/list", meta={"io.modelcontextprotocol/protocolVersion": "1900-01-01"})
    outcome = climbed(message)
    assert isinstance(outcome, Rejection)
    assert outcome.code == -32022
    assert outcome.data == {"supported": [MODERN, *LEGACY], "requested": "1900-01-01"}


def test_disagreement_is_reported_before_an_unknown_version() -> None:
    message = modern("tools/list", meta={"io.modelcontextprotocol/protocolVersion": "1900-01-01"})
    outcome = climbed(message, protocol_version=MODERN)
    assert isinstance(outcome, Rejection)
    assert outcome.code == -32020


def test_a_routing_header_that_stands_twice_is_a_mismatch() -> None:
    held = [(k.encode(), v.encode()) for k, v in routing_headers(CALL).items()]
    twice = read_headers([*held, (b"mcp-name", b"pay")])
    outcome = climb(twice, request(CALL))
    assert isinstance(outcome, Rejection)
    assert outcome.code == -32020


def test_the_era_follows_the_version_header_and_then_the_body() -> None:
    new, old = request(modern("tools/list")), request(legacy("tools/list"))
    assert era_of(MODERN.encode(), old) is Era.MODERN
    assert era_of(b"2025-06-18", new) is Era.LEGACY
    assert era_of(b"2099-01-01", old) is Era.MODERN
    assert era_of(None, new) is Era.MODERN
    assert era_of(None, old) is Era.LEGACY


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        ("2025-03-26", "2025-03-26"),
        ("2025-06-18", "2025-06-18"),
        ("2025-11-25", "2025-11-25"),
        ("2024-11-05", "2025-11-25"),
        ("2026-07-28", "2025-11-25"),
        ("nonsense", "2025-11-25"),
    ],
)
def test_initialize_agrees_on_a_stateful_revision(asked: str, answered: str) -> None:
    hello = greet(request(legacy("initialize", protocolVersion=asked, capabilities={})))
    assert isinstance(hello, Hello)
    assert hello.version == answered


def test_initialize_without_a_version_is_refused() -> None:
    assert isinstance(greet(request(legacy("initialize"))), Rejection)


def test_a_session_id_is_short_visible_ascii_or_nothing() -> None:
    assert session_id(b"abc-123") == "abc-123"
    for bad in (None, b"", b"a b", b"\xff", b"x" * 129, b"a\x00"):
        assert session_id(bad) == ""


def test_only_text_and_integers_are_progress_tokens() -> None:
    assert progress_token({"_meta": {"progressToken": 0}}) == 0
    assert progress_token({"_meta": {"progressToken": True}}) is None
    assert progress_token({"_meta": []}) is None
    assert progress_token({}) is None


def test_log_levels_are_ordered_and_unknown_ones_pass() -> None:
    assert at_least("error", "warning")
    assert not at_least("debug", "info")
    assert at_least("vendor", "error")
