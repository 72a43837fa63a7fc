"""Pieces that are known by their frame leave behind what they leave event by event."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bailiwick.gateway.llm.capture import StreamCapture
from bailiwick.protocols.llm import answers
from bailiwick.protocols.llm.dialect import Dialect
from bailiwick.protocols.llm.frame import _PROBE, MAX_FRAMED_BYTES
from bailiwick.protocols.llm.hearer import Reader

HEADS = {
    Dialect.CHAT: b'data: {"id":"i","model":"m","choices":[{"index":0,"delta":{"content":"',
    Dialect.MESSAGES: b"event: content_block_delta\n"
    b'data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"',
}
TAILS = {
    Dialect.CHAT: b'"},"logprobs":null,"finish_reason":null}],"usage":null}\n\n',
    Dialect.MESSAGES: b'"}}\n\n',
}
BEGUN = {
    Dialect.CHAT: b'data: {"id":"i","model":"m","choices":[{"delta":{"role":"assistant"}}]}\n\n',
    Dialect.MESSAGES: b'event: message_start\ndata: {"type":"message_start","message":{}}\n\n'
    b'data: {"type":"content_block_start","index":0,"content_block":{"type":"text"}}\n\n',
}
ENDS = {
    Dialect.CHAT: b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n'
    b'data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}\n\ndata: [DONE]\n\n',
    Dialect.MESSAGES: b'event: message_stop\ndata: {"type":"message_stop"}\n\n',
}
CALLED = {
    Dialect.CHAT: b'data: {"choices":[{"delta":{"tool_calls":[{"index":0,"id":"c","function":'
    b'{"name":"pay","arguments":"{}"}}]}}]}\n\n',
    Dialect.MESSAGES: b'data: {"type":"content_block_start","index":1,"content_block":'
    b'{"type":"tool_use","id":"c","name":"pay"}}\n\ndata: {"type":"content_block_delta","index":1,'
    b'"delta":{"type":"input_json_delta","partial_json":"{}"}}\n\n',
}
FRAMED = (Dialect.CHAT, Dialect.MESSAGES)

BODIES = (
    *(b"a", b" word", b"", b"tool", b"[DONE]", b"data: ", "é€😀".encode(), b"\\n", b'\\"', b"\\\\"),
    *(
        b"\\",
        b"\\\\\\",
        b'"',
        b'","',
        b'a"',
        b'",',
        b',"b',
        b"\\u00",
        b"41",
        b"\\ud83d",
        b"\\ude00",
    ),
    *(
        b"\xff",
        b"\xe2\x82",
        b"\xac",
        b"\n",
        b"\n\n",
        b"\r",
        b"\n\ndata: ",
        b"\0",
        b"\x7f",
        b"]",
        b"}",
    ),
    *(b'"},"logprobs":null', b'"}}\n\n', b"\\/", b"\\x", _PROBE.encode(), b"x" * 400, b"y" * 3_000),
)
"""What may stand between the quotes, and what may not."""


def events(dialect: Dialect, bodies: list[bytes]) -> list[bytes]:
    return [HEADS[dialect] + body + TAILS[dialect] for body in bodies]


def follow(capture: StreamCapture, chunks: list[bytes]) -> tuple[object, ...]:
    gone = b"".join(capture.add(chunk) for chunk in chunks if chunk)
    return capture.said(), capture.made(), capture.record(), gone + capture.held_back()


def cut(whole: bytes, sizes: list[int]) -> list[bytes]:
    chunks = []
    for size in [*sizes, len(whole)]:
        chunks.append(whole[:size])
        whole = whole[size:]
    return chunks


@example(Dialect.CHAT, [b"a", b"a\\", b",", b"\\", b"b"], [], False)
@example(Dialect.CHAT, [b"a", b'a","b', b"\\", b"c"], [], False)
@example(Dialect.CHAT, [b"a"] * 30, [], True)
@given(
    st.sampled_from(FRAMED),
    st.lists(st.sampled_from(BODIES), max_size=30),
    st.lists(st.integers(1, 3_000), max_size=12),
    st.booleans(),
)
def test_however_it_is_split_a_stream_says_what_it_says_byte_by_byte(
    dialect: Dialect, bodies: list[bytes], sizes: list[int], calls: bool
) -> None:
    each, called = events(dialect, bodies), CALLED[dialect] if calls else b""
    whole = BEGUN[dialect] + b"".join(each) + called + ENDS[dialect]
    expected = follow(StreamCapture(dialect, 200), cut(whole, [1] * len(whole)))
    one_by_one = [BEGUN[dialect], *each, called, ENDS[dialect]]
    for chunks in (cut(whole, sizes), one_by_one):
        capture = StreamCapture(dialect, 200)
        assert follow(capture, chunks) == expected
        gone = whole.removesuffix(capture.held_back())
        assert re.search(rb'\{\}"[\]}]*\n', gone) is None  # no line with a tool call is whole


ARGUMENTS = (
    *BODIES[:14],
    b"{",
    b"[",
    b"[1,",
    b'{\\"a\\":',
    b"\\u007d",
    b"{\\u007d",
    b"{}",
    b'\\\\\\"',
)
CALLING = BEGUN[Dialect.CHAT] + CALLED[Dialect.CHAT].replace(b'"{}"', b'""')


@example([b"{", b"a", b"b", b"\\u007d", b"c"], [], False)
@example([b"a"] * 40 + [b"{}"], [], True)
@given(
    st.lists(st.sampled_from(ARGUMENTS), max_size=30),
    st.lists(st.integers(1, 3_000), max_size=12),
    st.booleans(),
)
def test_of_a_tool_call_as_much_waits_as_waits_event_by_event(
    bodies: list[bytes], sizes: list[int], again: bool
) -> None:
    head = (
        b'data: {"id":"i","choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"'
    )
    each = [head + body + b'"}}]}}]}\n\n' for body in bodies]
    second = CALLED[Dialect.CHAT].replace(b'"id":"c"', b'"id":"d"') if again else b""
    end = [second, *each[:3], ENDS[Dialect.CHAT]]
    whole = CALLING + b"".join(each) + b"".join(end)
    expected = follow(StreamCapture(Dialect.CHAT, 200), cut(whole, [1] * len(whole)))
    for chunks in ([CALLING, *each, *end], cut(whole, sizes)):
        slow, capture = StreamCapture(Dialect.CHAT, 200), StreamCapture(Dialect.CHAT, 200)
        slow._reader._tries = 0
        for chunk in chunks:
            if chunk:
                assert capture.add(chunk) == slow.add(chunk)
        assert capture.held_back() == slow.held_back()
        assert (capture.said(), capture.made(), capture.record()) == expected[:3]


@pytest.mark.parametrize("dialect", FRAMED)
def test_a_run_is_none_once_a_tool_call_may_be_whole(dialect: Dialect) -> None:
    event = events(dialect, [b"a"])[0]
    reader = learned(dialect, event, CALLED[dialect])
    assert reader.asked
    assert reader.run(event) == 0


def test_arguments_are_runs_up_to_what_may_close_them() -> None:
    head = b'data: {"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"'
    one, closing = (head + text + b'"}}]}}]}\n\n' for text in (b"1,", b"\\u005d"))
    reader = learned(Dialect.CHAT, CALLING.replace(b'"arguments":""', b'"arguments":"["'), one)
    assert reader.run(one * 9) == len(one) * 9
    assert reader.run(one + closing) == 0
    before = reader.asked
    reader.feed(closing)
    assert (before, reader.asked) == (False, True)
    assert reader.said().tool_calls[0].arguments == "[" + "1," * 10 + "]"


@given(
    st.sampled_from(FRAMED),
    st.lists(st.sampled_from(BODIES), min_size=1, max_size=30),
)
def test_a_run_is_what_is_read_of_it_and_nothing_else(
    dialect: Dialect, bodies: list[bytes]
) -> None:
    reader, other = answers.reader(dialect), answers.reader(dialect)
    for one in (reader, other):
        one.feed(BEGUN[dialect])
        one.feed(events(dialect, [b"a"])[0])
    chunk = b"".join(events(dialect, bodies))
    size = reader.run(chunk)
    other.feed(chunk[:size])
    assert (reader.said(), reader.made()) == (other.said(), other.made())
    assert not other.asked
    assert chunk[size:] == b"" or size == 0 or not chunk[size:].startswith(HEADS[dialect])


def learned(dialect: Dialect, *stream: bytes) -> Reader:
    reader = answers.reader(dialect)
    for chunk in (BEGUN[dialect], *stream):
        reader.feed(chunk)
    return reader


@pytest.mark.parametrize("dialect", FRAMED)
def test_pieces_alike_are_a_run_whatever_their_text(dialect: Dialect) -> None:
    chunk = b"".join(events(dialect, [b" b", b'\\"', b"", "é".encode(), b"\\n"]))
    reader = learned(dialect, *events(dialect, [b"a"]))
    assert reader.run(chunk) == len(chunk)
    assert (reader.said().text, reader.made().pieces) == ('a b"é\n', 5)
    assert reader.run(chunk + ENDS[dialect]) == len(chunk)
    assert reader.run(ENDS[dialect] + chunk) == 0
    reader.feed(b"data: {")  # half an event
    assert reader.run(chunk) == 0


def test_thinking_and_what_is_said_after_it_have_a_frame_each() -> None:
    thinking = [event.replace(b"content", b"reasoning") for event in events(Dialect.CHAT, [b"t"])]
    reader = learned(Dialect.CHAT, *thinking)
    assert reader.run(thinking[0] * 9) == len(thinking[0]) * 9
    saying = events(Dialect.CHAT, [b"a"])[0]
    assert reader.run(saying) == 0
    reader.feed(saying)
    assert reader.run(saying * 9) == len(saying) * 9
    said = reader.said()
    assert ([each.text for each in said.reasoning], said.text) == (["t" * 10], "a" * 10)


@pytest.mark.parametrize(
    "piece",
    [
        # Where the text seems to stand is another one, which changes nothing of what is said.
        b'data: {"id":"i","model":"m","choices":[{"delta":{"content":"%b"}}],"x":{"content":"a"}}'
        % _PROBE.encode(),
        b'data: {"id":"i","model":"m","choices":[{"delta":{"content":"b"}}],"x":{"content":"a"}}',
        b'data: {"choices":[{"delta":{"\\"content":"a","content":"b","reasoning":"c"}}]}',
        # With each piece something else is said.
        b'data: {"choices":[{"delta":{"content":"a"},"finish_reason":"stop"}]}',
        b'data: {"choices":[{"delta":{"content":"a"}}],"usage":{"completion_tokens":1}}',
        b'data: {"choices":[{"delta":{"content":"a"}}],"error":{"message":"e"}}',
        b'data: {"choices":[{"delta":{"content":"a","tool_calls":[{"index":0}]}}]}',
        b'data: {"choices":[{"index":1,"delta":{"content":"a"}}]}',
        b'data: {"choices":[{"delta":{"content":"%b"}}]}' % (b"x" * MAX_FRAMED_BYTES),
    ],
)
def test_what_is_no_plain_piece_shows_no_frame(piece: bytes) -> None:
    event = piece + b"\n\n"
    reader = learned(Dialect.CHAT, event)
    assert reader.run(event) == 0


def test_a_piece_that_may_still_name_who_answers_shows_no_frame() -> None:
    event = b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n'
    reader = answers.reader(Dialect.CHAT)
    reader.feed(event)
    assert reader.run(event) == 0
    reader.feed(b'data: {"id":"i","model":"m","choices":[]}\n\n')
    reader.feed(event)
    assert reader.run(event) == len(event)


def test_a_stream_without_likeness_is_not_looked_at_for_ever() -> None:
    reader = learned(Dialect.CHAT, *[b'data: {"choices":[]}\n\n'] * 10)
    event = events(Dialect.CHAT, [b"a"])[0]
    reader.feed(event)
    assert reader.run(event) == 0
    assert reader.first_of(event * 99) == len(event) * 99


def test_a_run_is_taken_only_where_there_is_room_for_it() -> None:
    reader = learned(Dialect.CHAT, *events(Dialect.CHAT, [b"a"]))
    event = events(Dialect.CHAT, [b"b"])[0]
    reader._room.left = len(event) - 1
    assert reader.run(event) == 0
    reader._room.left += 1
    assert reader.run(event) == len(event)
