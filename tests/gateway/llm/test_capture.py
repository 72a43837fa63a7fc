"""Streams as they pass: nothing is lost, and the end waits."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bailiwick.core.errors import UpstreamBroken
from bailiwick.gateway.llm import capture as room
from bailiwick.gateway.llm.capture import StreamCapture
from bailiwick.gateway.llm.facts import facts_of
from bailiwick.ledger.leaf import LeafValue
from bailiwick.protocols.llm.answers import read_answer
from bailiwick.protocols.llm.dialect import Dialect
from bailiwick.protocols.llm.gathering import MAX_PARTS
from tests.llm.model_server import (
    CHAT,
    CHAT_EVENTS,
    EVENTS,
    MESSAGE_EVENTS,
    RESPONSE_EVENTS,
    WHOLE,
    chat_chunk,
    named_event,
)

LAST = {
    Dialect.CHAT: (CHAT_EVENTS, 1),
    Dialect.MESSAGES: (MESSAGE_EVENTS, 1),
    Dialect.RESPONSES: (RESPONSE_EVENTS, 1),
}


@given(st.sampled_from(sorted(LAST)), st.lists(st.integers(1, 60), max_size=80))
def test_however_it_is_split_all_goes_on_and_the_last_event_waits(
    dialect: Dialect, sizes: list[int]
) -> None:
    events, held = LAST[dialect]
    whole, at_once = b"".join(events), b"".join(events[:-held])
    capture, gone, rest = StreamCapture(dialect, 200), b"", whole
    for size in [*sizes, len(whole)]:
        chunk, rest = rest[:size], rest[size:]
        if chunk:
            assert not capture.is_complete
            gone += capture.add(chunk)
    assert gone + capture.held_back() == whole
    assert gone.startswith(at_once)
    assert capture.is_complete
    assert capture.events() == whole


def test_a_model_cannot_say_the_end() -> None:
    said = b'data: {"choices":[{"delta":{"content":"\\ndata: [DONE]"}}]}\n\n'
    inside = b'data: {"x":"' + b"a" * 40 + b'data: [DONE]"}\n\n'
    capture = StreamCapture(Dialect.CHAT, 200)
    gone = b"".join(capture.add(said[number : number + 1]) for number in range(len(said)))
    assert gone == said
    assert capture.add(inside) == inside
    assert not capture.is_complete


@example([b"data: ", b"[DONE]", b"\n\n"], [1])  # the very first line, in pieces
@given(
    st.lists(
        st.sampled_from(
            [b"data: ", b"data:", b"[DONE]", b"[DON", b"E]", b"\n", b"\r", b"\n\n", b"x", b"call"]
        ),
        max_size=14,
    ),
    st.lists(st.integers(1, 9), max_size=12),
)
def test_the_end_is_a_line_of_its_form_and_nothing_else(
    words: list[bytes], sizes: list[int]
) -> None:
    whole = b"".join(words)
    found = re.search(rb"(?<=[\r\n])data: ?\[DONE\]", b"\n" + whole)
    at_once = StreamCapture(Dialect.CHAT, 200)
    gone = at_once.add(whole)
    if found is not None:
        assert at_once.held_back() == whole[found.start() - 1 :]
    else:
        assert not at_once.is_complete
    capture, rest = StreamCapture(Dialect.CHAT, 200), whole
    for size in [*sizes, len(whole)]:
        chunk, rest = rest[:size], rest[size:]
        capture.add(chunk)
    assert capture.is_complete == at_once.is_complete
    assert gone + at_once.held_back() == whole


def test_an_end_is_not_found_in_a_line_that_names_it_again_and_again() -> None:
    line = b"data: x" + b"[DONE]" * 1_000 + b"\n\n"
    capture = StreamCapture(Dialect.CHAT, 200)
    assert capture.add(line) == line
    assert capture.add(line + DONE) == line
    assert capture.held_back() == DONE


@pytest.mark.parametrize("together", [1, 2, 100])
def test_words_before_a_tool_call_do_not_wait_with_it(together: int) -> None:
    before = [chat_chunk({"content": word}) for word in ("I ", "pay ", "now")]
    events = [*before, *chat_call({"id": "c1", "function": {"name": "pay", "arguments": PAY}})[1:]]
    capture, gone = StreamCapture(Dialect.CHAT, 200), b""
    for at in range(0, len(events), together):
        gone += capture.add(b"".join(events[at : at + together]))
    assert gone == b"".join(before)
    assert gone + capture.held_back() == b"".join(events)


def test_of_a_long_stream_the_beginning_and_the_digest_are_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(room, "MAX_KEPT_BYTES", 10)
    monkeypatch.setattr(room, "MAX_STREAM_BYTES", 30)
    capture = StreamCapture(Dialect.CHAT, 200)
    for _ in range(5):
        capture.add(b"data:1")
    recorded = msgspec.json.decode(capture.record("it broke"))
    assert recorded == {
        "status": 200,
        "events": "data:1data",
        "broke_off": "it broke",
        "bytes": 30,
        "sha256": hashlib.sha256(b"data:1" * 5).hexdigest(),
    }
    with pytest.raises(UpstreamBroken, match="longer than"):
        capture.add(b"1")


def facts(dialect: Dialect, body: bytes) -> dict[str, LeafValue]:
    return facts_of(dialect, read_answer(dialect, body), 200)


def facts_of_stream(dialect: Dialect, events: bytes) -> dict[str, LeafValue]:
    capture = StreamCapture(dialect, 200)
    capture.add(events)
    return facts_of(dialect, capture.said(), 200)


def test_facts_of_each_dialect_plain_and_streamed() -> None:
    base = {"http_status": 200, "served": "tiny-0001", "input_tokens": 7, "output_tokens": 2}
    for path, dialect, more, streamed in (
        (
            "/v1/chat/completions",
            Dialect.CHAT,
            {"reasoning_tokens": 1, "reasoning": {"full": 1}},
            {},
        ),
        (
            "/v1/responses",
            Dialect.RESPONSES,
            {"reasoning_tokens": 1, "cached_tokens": 3},
            {"reasoning_tokens": 1, "cached_tokens": 3},
        ),
        ("/v1/messages", Dialect.MESSAGES, {}, {}),
    ):
        named = {"dialect": dialect.value}
        assert facts(dialect, json.dumps(WHOLE[path]).encode()) == base | named | more
        assert facts_of_stream(dialect, b"".join(EVENTS[path])) == base | named | streamed


def test_facts_hold_no_text_of_a_server() -> None:
    odd: Any = {**CHAT, "model": "ada lives\nin Bern", "usage": {"prompt_tokens": "7", "x": 1}}
    assert facts(Dialect.CHAT, json.dumps(odd).encode()) == {
        "dialect": "chat",
        "http_status": 200,
        "reasoning": {"full": 1},
    }
    values: Any = (None, [], "x", {"usage": []}, {"usage": {"prompt_tokens": -1}})
    for value in values:
        assert set(facts(Dialect.CHAT, json.dumps(value).encode())) == {
            "dialect",
            "http_status",
        }
    garbage = b'data: {"usage": \xff}\n\ndata: [1]\n\ndata: {"model":'
    assert set(facts_of_stream(Dialect.CHAT, garbage)) == {"dialect", "http_status"}


PAY = '{"to": "ben {", "note": "a \\"}\\" b", "sum": {"chf": [42]}}'


def chat_call(*deltas: dict[str, Any], finish: str | None = "tool_calls") -> list[bytes]:
    calls = [chat_chunk({"tool_calls": [{"index": 0, **delta}]}) for delta in deltas]
    return [chat_chunk({"reasoning": "they owe"}), *calls, chat_chunk({}, finish), DONE]


DONE = b"data: [DONE]\n\n"
CHAT_CALL = chat_call(
    {"id": "c1", "function": {"name": "pay", "arguments": ""}},
    {"function": {"arguments": PAY[:9]}},
    {"function": {"arguments": PAY[9:30]}},
    {"function": {"arguments": PAY[30:-1]}},
    {"function": {"arguments": PAY[-1:]}},
)
MESSAGE_CALL = [
    named_event(each)
    for each in (
        {"type": "message_start", "message": {"id": "m", "model": "tiny", "content": []}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking"}},
        {
            "type": "content_block_delta",
            "index": 0,
            "delta": {"type": "thinking_delta", "thinking": "they owe"},
        },
        {"type": "content_block_stop", "index": 0},
        {
            "type": "content_block_start",
            "index": 1,
            "content_block": {"type": "tool_use", "id": "c1", "name": "pay", "input": {}},
        },
        {
            "type": "content_block_delta",
            "index": 1,
            "delta": {"type": "input_json_delta", "partial_json": PAY[:20]},
        },
        {
            "type": "content_block_delta",
            "index": 1,
            "delta": {"type": "input_json_delta", "partial_json": PAY[20:]},
        },
        {"type": "content_block_stop", "index": 1},
        {"type": "message_delta", "delta": {"stop_reason": "tool_use"}},
        {"type": "message_stop"},
    )
]
RESPONSE_CALL = [
    named_event(each)
    for each in (
        {"type": "response.created", "response": {"id": "r", "model": "tiny"}},
        {
            "type": "response.output_item.done",
            "output_index": 0,
            "item": {"type": "reasoning", "id": "rs", "summary": [{"text": "they owe"}]},
        },
        {
            "type": "response.output_item.added",
            "output_index": 1,
            "item": {"type": "function_call", "call_id": "c1", "name": "pay", "arguments": ""},
        },
        {"type": "response.function_call_arguments.delta", "output_index": 1, "delta": PAY[:20]},
        {"type": "response.function_call_arguments.delta", "output_index": 1, "delta": PAY[20:]},
        {"type": "response.function_call_arguments.done", "output_index": 1, "arguments": PAY},
        {
            "type": "response.output_item.done",
            "output_index": 1,
            "item": {"type": "function_call", "call_id": "c1", "name": "pay", "arguments": PAY},
        },
        {"type": "response.completed", "response": {"id": "r", "status": "completed"}},
    )
]


@pytest.mark.parametrize(
    ("dialect", "events", "waits_from"),
    [
        (Dialect.CHAT, CHAT_CALL, 5),
        (Dialect.MESSAGES, MESSAGE_CALL, 6),
        (Dialect.RESPONSES, RESPONSE_CALL, 4),
        # Said in one piece.
        (
            Dialect.CHAT,
            chat_call({"id": "c1", "function": {"name": "pay", "arguments": PAY}}),
            1,
        ),
        # No arguments: it is whole when the answer says why it ended.
        (Dialect.CHAT, chat_call({"id": "c1", "function": {"name": "stop"}}), 2),
        # A second call begins.
        (
            Dialect.CHAT,
            chat_call(
                {"id": "c1", "function": {"name": "one", "arguments": ""}},
                {"id": "c2", "index": 1, "function": {"name": "two", "arguments": ""}},
            ),
            2,
        ),
        (Dialect.CHAT, [chat_chunk({"function_call": {"name": "f", "arguments": "{}"}}), DONE], 0),
        (
            Dialect.MESSAGES,
            [*MESSAGE_CALL[:6], named_event({"type": "content_block_stop", "index": 1})],
            6,
        ),
        (
            Dialect.MESSAGES,  # a server that says no ends of blocks
            [*MESSAGE_CALL[:5], *MESSAGE_CALL[8:]],
            5,
        ),
        (
            Dialect.RESPONSES,
            [
                *RESPONSE_CALL[:2],
                named_event({"type": "response.custom_tool_call_input.done", "output_index": 1}),
            ],
            2,
        ),
    ],
)
def test_what_makes_a_tool_call_whole_waits_and_all_before_it_goes(
    dialect: Dialect, events: list[bytes], waits_from: int
) -> None:
    capture = StreamCapture(dialect, 200)
    for number, event in enumerate(events):
        expected = event if number < waits_from else b""
        assert capture.add(event) == expected, number
    assert capture.held_back() == b"".join(events[waits_from:])


@given(st.sampled_from([(Dialect.CHAT, tuple(CHAT_CALL)), (Dialect.MESSAGES, tuple(MESSAGE_CALL)),
                        (Dialect.RESPONSES, tuple(RESPONSE_CALL))]),
       st.lists(st.integers(1, 90), max_size=80))  # fmt: skip
def test_however_it_is_split_no_whole_tool_call_goes_on(
    said: tuple[Dialect, tuple[bytes, ...]], sizes: list[int]
) -> None:
    dialect, events = said
    capture, gone, rest = StreamCapture(dialect, 200), b"", b"".join(events)
    for size in [*sizes, len(rest)]:
        chunk, rest = rest[:size], rest[size:]
        gone += capture.add(chunk)
    seen = StreamCapture(dialect, 200)
    seen.add(gone)
    assert all(_cut_short(call.arguments) for call in seen.said().tool_calls)
    assert gone + capture.held_back() == b"".join(events)
    assert [call.arguments for call in capture.said().tool_calls] == [PAY]
    assert [piece.text for piece in capture.said().reasoning] == ["they owe"]


def _cut_short(arguments: str) -> bool:
    if arguments == "{}":  # what a block of `messages` begins with
        return True
    try:
        json.loads(arguments)
    except ValueError:
        return True
    return False


@pytest.mark.parametrize(
    "odd",
    [
        b'{"choices":[{"delta":{"tool_calls":[{"id":"c1","function":{"name":"pay",'
        b'"arguments":"{\\"to\\": \\"\\ud800\\"}"}}]}}]}',
        b'{"choices":[{"delta":{"tool_calls":[{"id":"c1","x":NaN,"function":{"name":"pay",'
        b'"arguments":"{}"}}]}}]}',
        b'{"choices":[{"delta":{"tool_calls":[{"id":"c1","function":{"name":"p\xff",'
        b'"arguments":"{}"}}]}}]}',
    ],
)
def test_what_only_a_lenient_reader_takes_for_a_tool_call_waits_too(odd: bytes) -> None:
    capture = StreamCapture(Dialect.CHAT, 200)
    assert capture.add(b"data: " + odd + b"\n\n") == b""
    assert [call.id for call in capture.said().tool_calls] == ["c1"]
    recorded = msgspec.json.decode(capture.record())
    events = recorded.get("events", "").encode() or base64.b64decode(recorded["events_base64"])
    assert events == b"data: " + odd + b"\n\n"


def test_behind_more_than_can_be_followed_everything_waits() -> None:
    capture = StreamCapture(Dialect.CHAT, 200)
    choices = [{"index": number, "delta": {"content": "x"}} for number in range(MAX_PARTS + 1)]
    crowd = b"data: " + json.dumps({"choices": choices}).encode() + b"\n\n"
    assert capture.add(crowd) == b""


def test_not_without_end_may_wait_behind_a_tool_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "MAX_HELD_BYTES", 1000)
    capture = StreamCapture(Dialect.CHAT, 200)
    for event in CHAT_CALL[:-1]:
        capture.add(event)
    assert capture.add(b": " + b"a" * 300 + b"\n\n") == b""
    with pytest.raises(UpstreamBroken, match="after a tool call"):
        capture.add(b": " + b"a" * 700 + b"\n\n")


@given(st.sampled_from([b"\n", b"\r\n", b"\r"]), st.lists(st.integers(1, 90), max_size=80))
def test_a_reader_that_does_not_wait_for_the_blank_line_sees_no_whole_tool_call(
    end: bytes, sizes: list[int]
) -> None:
    rest = b"".join(CHAT_CALL).replace(b"\n", end)
    capture, gone = StreamCapture(Dialect.CHAT, 200), b""
    for size in [*sizes, len(rest)]:
        chunk, rest = rest[:size], rest[size:]
        gone += capture.add(chunk)
        lines = gone.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")[:-1]
        eager = StreamCapture(Dialect.CHAT, 200)
        eager.add(b"".join(line + b"\n\n" for line in lines if line))
        assert all(_cut_short(call.arguments) for call in eager.said().tool_calls)
    assert gone + capture.held_back() == b"".join(CHAT_CALL).replace(b"\n", end)


def test_a_large_event_goes_on_in_pieces() -> None:
    capture = StreamCapture(Dialect.CHAT, 200)
    piece = b'data: {"choices":[{"delta":{"content":"' + b"a" * 10_000
    assert capture.add(piece) == piece
    assert capture.add(b'"}}]}\n') == b""
    assert capture.add(b"\n") == b'"}}]}\n\n'


def test_an_event_without_end_is_too_much_whatever_its_lines_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(room, "MAX_HELD_BYTES", 1000)
    capture = StreamCapture(Dialect.CHAT, 200)
    line = b": nothing that anybody reads\n"
    capture.add(line * 20)
    with pytest.raises(UpstreamBroken, match="an event is longer"):
        capture.add(line * 20)
