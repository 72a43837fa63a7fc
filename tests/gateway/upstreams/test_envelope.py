"""Envelopes are taken apart strictly, and payloads left alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bailiwick.core.errors import TheirError
from bailiwick.gateway.upstreams.envelope import (
    Ask,
    Note,
    Reply,
    decode,
    decode_batch,
    encode,
    encode_error,
    encode_reply,
    encode_request,
    plain_result,
)
from bailiwick.gateway.upstreams.mailbox import MAX_HELD, Mailbox

FINITE = st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | FINITE | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)
MEMBERS = st.sampled_from(["jsonrpc", "id", "method", "params", "result", "error", "x"])


MESSAGE = st.dictionaries(MEMBERS, JSON).map(lambda value: json.dumps(value).encode())


def refusal(take: Callable[[bytes], object], raw: bytes) -> TheirError | None:
    try:
        take(raw)
    except TheirError as error:
        return error
    return None


@given(st.binary(max_size=200) | MESSAGE)
def test_whatever_comes_is_a_message_or_refused(raw: bytes) -> None:
    for take in (decode, decode_batch):
        error = refusal(take, raw)
        assert error is None or (error.code == "message_garbled" and len(error.message) < 200)


@given(
    st.integers(-(2**53), 2**53) | st.text(max_size=20),
    st.dictionaries(st.text(), JSON, max_size=3),
    st.sampled_from(["", " ", "\n"]),
    st.booleans(),
)
def test_a_result_survives_byte_for_byte(
    message_id: Any, value: Any, space: str, is_ascii: bool
) -> None:
    separators = (f",{space}", f":{space}")
    raw = json.dumps(value, ensure_ascii=is_ascii, separators=separators).encode()
    message = decode(encode_reply(message_id, "result", raw))
    assert message == Reply(message_id, raw, None)


MEMBER_TEXTS = st.sampled_from(
    [
        '"jsonrpc":"2.0"', '"jsonrpc":"2.00"', '"x":1', '"method":"m"',
        '"id":7', '"id":8', '"id":"7"', '"id":7.0', '"id":null',
        '"result":{"a":[1]}', '"result": {} ', '"result":[]', '"result":"x"', '"result":{"a":}',
        '"result":{"a":"\udcff"}', '"error":{"code":1,"message":""}',
    ]
)  # fmt: skip
TEXT = st.lists(MEMBER_TEXTS, max_size=5).map(
    lambda members: ("{" + ",".join(members) + "}").encode("utf-8", "surrogateescape")
)
PLAIN = b'{"jsonrpc":"2.0","id":7,"result":{"a":[1]}}'


@given(TEXT | MESSAGE | st.binary(), st.sampled_from([7, "7"]))
@example(PLAIN, 7)
@example(PLAIN[:-1] + b',"result":{"b":2}}', 7)
@example(PLAIN[:-1] + b',"id":8}', 7)
def test_the_short_way_to_a_result_leads_where_the_long_way_does(raw: bytes, asked: Any) -> None:
    result = plain_result(raw, asked)
    if result is not None:
        assert decode(raw) == Reply(asked, result, None)


def test_the_usual_response_is_read_the_short_way() -> None:
    assert plain_result(PLAIN, 7) == b'{"a":[1]}'
    assert plain_result(PLAIN, 8) is None
    assert plain_result(PLAIN, "7") is None


def test_requests_and_notifications_are_told_apart() -> None:
    assert decode(encode_request(1, "a", {"b": 1})) == Ask(1, "a", {"b": 1})
    assert decode(b'{"jsonrpc":"2.0","method":"a"}') == Note("a", {})


def test_an_error_without_an_id_is_a_reply() -> None:
    reply = decode(encode_error(None, -1, "x"))
    assert isinstance(reply, Reply)
    assert reply.id is None


@pytest.mark.parametrize("count", [0, 101])
def test_a_batch_is_bounded(count: int) -> None:
    one = b'{"jsonrpc":"2.0","method":"a"}'
    with pytest.raises(TheirError):
        decode_batch(b"[" + b",".join([one] * count) + b"]")
    assert len(decode_batch(b"[" + b",".join([one] * 100) + b"]")) == 100


def test_an_integer_beyond_64_bits_goes_out_as_it_came() -> None:
    assert encode({"a": 2**80}) == b'{"a":%d}' % 2**80


def test_a_lone_surrogate_does_not_go_out() -> None:
    with pytest.raises(TheirError) as caught:
        encode({"a": "\ud800"})
    assert caught.value.code == "message_unencodable"


async def test_a_mailbox_keeps_the_newest_of_each_kind_within_its_bound() -> None:
    mailbox = Mailbox()
    for number in range(3):
        mailbox.put("notifications/tools/list_changed", {"n": number})
    for number in range(2 * MAX_HELD):
        mailbox.put("notifications/resources/updated", {"uri": f"file:///{number}"})
    mailbox.close()
    held = []
    while (item := await mailbox.take()) is not None:
        held.append(item)
    assert len(held) == MAX_HELD
    assert held[0] == ("notifications/tools/list_changed", {"n": 2})
    assert held[-1][1] == {"uri": f"file:///{2 * MAX_HELD - 1}"}
