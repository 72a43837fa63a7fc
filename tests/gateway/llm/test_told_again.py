"""The answer to a call, told to another request that waited for the same call."""

from __future__ import annotations

import pytest

from bailiwick.gateway.llm.replies import told_again
from bailiwick.ports import UpstreamReply


def test_a_whole_answer_and_an_error_are_told_as_they_came() -> None:
    body = b'{"a": 1.50}'
    told = UpstreamReply(result=b'{"status":200,"body":%b}' % body)
    assert told_again(told) == (200, body, False)
    refused = UpstreamReply(error=b'{"status":429,"body":%b}' % body)
    assert told_again(refused) == (429, body, False)


def test_a_stream_is_told_in_one_piece() -> None:
    reply = UpstreamReply(result=b'{"status":200,"events":"data: x\\n\\n"}')
    assert told_again(reply) == (200, b"data: x\n\n", True)


@pytest.mark.parametrize(
    "record",
    [
        b'{"status":200,"events":"data: x","broke_off":"it ended"}',
        b'{"status":200,"events":"data: x","bytes":9000000,"sha256":"ab"}',
        b'{"status":200,"events_base64":"gA=="}',
        b'{"status":200}',
        b"null",
    ],
)
def test_what_is_not_whole_is_not_told(record: bytes) -> None:
    assert told_again(UpstreamReply(error=record)) is None
