"""Bytes to one of three messages, or a refusal that says which rule was broken."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailiwick.core.errors import TheirError
from bailiwick.protocols.mcp import jsonrpc
from bailiwick.protocols.mcp.jsonrpc import (
    Code,
    Notification,
    Request,
    Response,
    code_of,
    error_body,
    error_message,
    parse_message,
    result_message,
    rpc_code,
)
from bailiwick.protocols.strict_json import encode, parse


def message(**members: object) -> bytes:
    return json.dumps({"jsonrpc": "2.0", **members}).encode()


def test_a_request_keeps_its_id_as_the_client_wrote_it() -> None:
    read = parse_message(message(id="7", method="ping"))
    assert isinstance(read, Request)
    assert read.id_json == b'"7"'
    assert result_message(read.id_json, b"{ }") == b'{"jsonrpc":"2.0","id":"7","result":{ }}'


def test_a_message_without_id_is_a_notification() -> None:
    read = parse_message(message(method="notifications/initialized"))
    assert read == Notification("notifications/initialized", {})


def test_results_and_errors_are_responses() -> None:
    assert parse_message(message(id=3, result={"a": 1})) == Response(3, {"a": 1}, None)
    assert parse_message(message(id=3, error={"code": 1})) == Response(3, None, {"code": 1})


@pytest.mark.parametrize(
    "body",
    [
        b"1",
        b'"x"',
        b"{}",
        message(id=1),
        message(method="x", id=None),
        message(method="x", id=True),
        message(method="x", id=1.5),
        message(method="x", id=[1]),
        message(method="x", id="i" * 257),
        message(method="", id=1),
        message(method=3, id=1),
        message(method="x", id=1, params=[1]),
        message(method="x", id=1, params=None),
        message(method="x", id=1, result={}),
        message(id=1, result={}, error={}),
        message(id=1, result="text"),
        message(id=1, result={}, params={}),
        b'{"jsonrpc":"1.0","id":1,"method":"x"}',
        b'{"id":1,"method":"x"}',
    ],
)
def test_what_is_not_exactly_one_message_is_an_invalid_request(body: bytes) -> None:
    with pytest.raises(TheirError) as refused:
        parse_message(body)
    assert rpc_code(refused.value) is Code.INVALID_REQUEST


@pytest.mark.parametrize(
    "body",
    [
        b'{"jsonrpc":"2.0","id":1,"Method":"tools/call"}',
        b'{"jsonrpc":"2.0","id":1,"method":"tools/list","PARAMS":{"name":"x"}}',
        b'{"jsonrpc":"2.0","id":1,"method":"tools/list","method":"tools/call"}',
        b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"Name":"other"}}',
        b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","NAME":"b"}}',
        '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"argument\u017f":{}}}'.encode(),
    ],
)
def test_a_judged_name_in_other_letters_is_refused_even_alone(body: bytes) -> None:
    # A reader that ignores case (Go's, for one) would take it for the real one.
    with pytest.raises(TheirError):
        parse_message(body)


def test_a_batch_is_refused_by_name() -> None:
    with pytest.raises(TheirError) as refused:
        parse_message(b'[{"jsonrpc":"2.0","id":1,"method":"ping"}]')
    assert refused.value.code == "batch_refused"


def test_an_unreadable_body_is_a_parse_error() -> None:
    with pytest.raises(TheirError) as refused:
        parse_message(b"{")
    assert rpc_code(refused.value) is Code.PARSE_ERROR


def test_the_code_of_an_upstream_error_is_read_and_a_missing_one_is_internal() -> None:
    assert code_of(error_body(Code.INVALID_PARAMS, "no")) == -32602
    assert code_of(b'{"message":"x"}') == Code.INTERNAL_ERROR
    assert code_of(b"not json") is None
    assert code_of(b'{"code":-1,"code":-32042}') is None
    assert error_message(b"1", b'{"code":5}') == b'{"jsonrpc":"2.0","id":1,"error":{"code":5}}'


anything = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 5),
    st.sampled_from([2**53 - 1, 1 - 2**53, 2**53, 1.0]),
    st.sampled_from(["", "2.0", "tools/call", "a" * 300]),
    st.dictionaries(st.sampled_from(["name", "Name", "_meta", "x", "X"]), st.none(), max_size=3),
    st.just([]),
)


@given(
    st.fixed_dictionaries(
        {"jsonrpc": st.just("2.0") | anything},
        optional=dict.fromkeys(("id", "method", "params", "result", "error", "x", "Id"), anything),
    )
)
def test_a_usual_request_is_read_as_any_message_is(value: dict[str, object]) -> None:
    def outcome(read: Callable[[], object]) -> object:
        try:
            return read()
        except TheirError as error:
            return error.code, error.message

    body = encode(value)  # type: ignore[arg-type]  # any JSON
    assert outcome(lambda: parse_message(body)) == outcome(lambda: jsonrpc._read(parse(body)))


def test_a_boolean_is_no_id_though_it_is_an_int() -> None:
    with pytest.raises(TheirError, match="`id`"):
        parse_message(b'{"jsonrpc":"2.0","id":true,"method":"ping","params":{}}')
