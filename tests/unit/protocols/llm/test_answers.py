"""What a model said, read from transcripts; whatever a server sends, nothing raises."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailiwick.protocols.llm import answers
from bailiwick.protocols.llm.chat_answer import ChatHearer
from bailiwick.protocols.llm.dialect import AskedTool, Dialect, Reasoning, Said, Usage
from bailiwick.protocols.llm.gathering import MAX_PARTS, Room
from bailiwick.protocols.llm.hearer import Reader, read_whole
from bailiwick.protocols.llm.messages_answer import read_count
from tests.unit.protocols.llm.transcripts import (
    CALL_ITEM,
    FULL,
    MESSAGE,
    OMITTED,
    PAY,
    RESPONSE_EVENTS,
    RESPONSE_SAID,
    SEAL,
    STREAMS,
    SUMMARY,
    WHOLE_RESPONSE,
    call_delta,
    chat,
    lines,
    responses,
)

CHAT, RESPONSES, MESSAGES, EMBEDDINGS = Dialect


def said(dialect: Dialect, *chunks: bytes) -> Said:
    reader = answers.reader(dialect)
    for chunk in chunks:
        reader.feed(chunk)
    return reader.said()


def whole(dialect: Dialect, body: dict[str, Any]) -> Said:
    return answers.read_answer(dialect, json.dumps(body).encode())


@pytest.mark.parametrize(("dialect", "name", "stream", "expected"), STREAMS)
def test_a_stream_says(dialect: Dialect, name: str, stream: bytes, expected: Said) -> None:
    assert said(dialect, stream) == expected, name


@pytest.mark.parametrize(("dialect", "name", "stream", "expected"), STREAMS)
def test_one_byte_at_a_time_says_the_same(
    dialect: Dialect, name: str, stream: bytes, expected: Said
) -> None:
    assert said(dialect, *(bytes([byte]) for byte in stream)) == expected, name


@given(data=st.data())
def test_any_split_of_the_bytes_says_the_same(data: st.DataObject) -> None:
    dialect, _, stream, expected = data.draw(st.sampled_from(STREAMS))
    ends = data.draw(st.sampled_from((b"\n", b"\r\n", b"\r")))
    stream = stream.replace(b"\r\n", b"\n").replace(b"\n", ends)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    chunks = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert said(dialect, *chunks) == expected


EVENT = b'{"choices": [{"index": 0, "delta": {"content": "a"}}]}'
BITS = st.sampled_from(
    (
        *(b"data: ", b"data:", b"data", b"\n", b"\n\n", b"\r", b"\r\n", b"\xef\xbb\xbf", b": c"),
        *(b"event: x\n", b"id: 1\n", b"[DONE]", b"{", EVENT, EVENT[:20], EVENT[20:]),
        *(b"data: " + EVENT + b"\n\n", b"event: x\ndata: " + EVENT + b"\n\n"),
    )
)


@given(chunks=st.lists(st.lists(BITS, max_size=6).map(b"".join), max_size=8))
def test_any_split_of_odd_streams_says_the_same(chunks: list[bytes]) -> None:
    stream = b"".join(chunks)
    in_bytes = said(CHAT, *(bytes([byte]) for byte in stream))
    assert said(CHAT, *chunks) == in_bytes
    assert said(CHAT, stream) == in_bytes


CHAT_ANSWER = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "model": "qwen-3",
    "choices": [
        {
            "index": 0,
            "message": {
                "role": "assistant",
                "content": "Paid.",
                "reasoning": "Rent is due.",
                "tool_calls": [
                    {"id": "c1", "type": "function", "function": {"name": "pay", "arguments": PAY}},
                    {"id": "c2", "type": "custom", "custom": {"name": "apply", "input": "patch"}},
                ],
            },
            "logprobs": {"content": [{"token": "Paid", "logprob": -0.1}]},
            "finish_reason": "tool_calls",
        }
    ],
    "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7},
}


def test_a_whole_chat_answer_says() -> None:
    assert whole(CHAT, CHAT_ANSWER) == Said(
        model="qwen-3",
        id="chatcmpl-1",
        text="Paid.",
        reasoning=(Reasoning(FULL, "Rent is due."),),
        tool_calls=(AskedTool("c1", "pay", PAY), AskedTool("c2", "apply", "patch")),
        usage=Usage(input=3, output=4),
        finish="tool_calls",
    )


def test_a_whole_response_says_what_its_stream_says() -> None:
    assert whole(RESPONSES, WHOLE_RESPONSE) == RESPONSE_SAID


def test_a_whole_message_says() -> None:
    answer = whole(
        MESSAGES,
        {
            **MESSAGE,
            "content": [
                {"type": "thinking", "thinking": "Rent.", "signature": ""},
                {"type": "text", "text": "Pay"},
                {"type": "text", "text": "ing."},
                {"type": "tool_use", "id": "t1", "name": "pay", "input": {"to": "ben"}},
            ],
            "stop_reason": "tool_use",
            "usage": {"input_tokens": 3, "output_tokens": 4},
        },
    )
    assert answer == Said(
        model="claude-opus-x",
        id="msg_1",
        text="Paying.",
        reasoning=(Reasoning(FULL, "Rent."),),
        tool_calls=(AskedTool("t1", "pay", '{"to":"ben"}'),),
        usage=Usage(input=3, output=4),
        finish="tool_use",
    )


@pytest.mark.parametrize(
    ("model", "signature", "visibility"),
    [
        ("claude-opus-x", SEAL, SUMMARY),
        ("claude-3-7-sonnet", SEAL, FULL),
        ("local/qwen", "0f8fad5bd9cb469fa16570867728950e", FULL),
        ("local/qwen", "", FULL),
    ],
)
def test_thinking_beside_a_seal_may_be_less_than_what_is_sealed(
    model: str, signature: str, visibility: object
) -> None:
    block = {"type": "thinking", "thinking": "Rent.", "signature": signature}
    (piece,) = whole(MESSAGES, {**MESSAGE, "model": model, "content": [block]}).reasoning
    assert piece.visibility is visibility
    left_out = {**block, "thinking": ""}
    (piece,) = whole(MESSAGES, {**MESSAGE, "model": model, "content": [left_out]}).reasoning
    assert piece.visibility is OMITTED


def test_an_embedding_says_what_it_took() -> None:
    answer = whole(
        EMBEDDINGS,
        {
            "object": "list",
            "model": "embed",
            "data": [{"object": "embedding", "index": 0, "embedding": [0.1, 0.2]}],
            "usage": {"prompt_tokens": 6, "total_tokens": 6},
        },
    )
    assert answer == Said(model="embed", usage=Usage(input=6, output=0))


def test_a_token_count_is_read() -> None:
    assert read_count(b'{"input_tokens": 17}') == 17
    assert read_count(b'{"input_tokens": -1}') is None
    assert read_count(b'{"input_tokens": "17"}') is None
    assert read_count(b"<html>") is None


@pytest.mark.parametrize(
    ("dialect", "body", "text"),
    [
        (CHAT, {"error": {"message": "no", "type": "t", "code": "c"}}, "c: no"),
        (CHAT, {"error": "plain words"}, "plain words"),
        (
            CHAT,
            {"object": "error", "message": "no", "type": "BadRequestError"},
            "BadRequestError: no",
        ),
        (RESPONSES, {"error": {"message": "no"}}, "no"),
        (
            MESSAGES,
            {"type": "error", "error": {"type": "api_error", "message": "no"}},
            "api_error: no",
        ),
        (EMBEDDINGS, {"error": {}, "model": "m"}, ""),
        (EMBEDDINGS, {"error": {"code": 5}}, "an error without a message"),
    ],
)
def test_an_errors_body_says_its_error(dialect: Dialect, body: dict[str, Any], text: str) -> None:
    answer = whole(dialect, body)
    assert answer.error == text
    assert (answer.finish == "error") is bool(text)


@pytest.mark.parametrize("dialect", Dialect)
@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[]", b"<html>", b"null", b'{"a": ', b"\xff\xfe", b"[" * 100_000]
)
def test_what_is_no_answer_is_unreadable(dialect: Dialect, body: bytes) -> None:
    assert answers.read_answer(dialect, body) == Said(finish="unreadable")


def test_what_is_no_stream_is_unfinished() -> None:
    for dialect in Dialect:
        assert said(dialect, b"<html><body>bad gateway</body></html>").finish == "unfinished"


def test_several_choices_are_told_apart_and_joined() -> None:
    chunks = [
        {"choices": [{"index": 1, "delta": {"content": "tw"}}]},
        {"choices": [{"index": 0, "delta": {"content": "one", "reasoning": "r0"}}]},
        {"choices": [{"index": 1, "delta": {"content": "o", "reasoning": "r1"}}]},
        {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
        {"choices": [{"index": 1, "delta": {}, "finish_reason": "length"}]},
    ]
    answer = said(CHAT, lines(*chunks))
    assert answer.text == "one\n\ntwo"
    assert [piece.text for piece in answer.reasoning] == ["r0", "r1"]
    assert answer.finish == "stop"


def test_calls_without_numbers_go_by_their_ids() -> None:
    stream = chat(
        {"tool_calls": [{"id": "a", "function": {"name": "pay", "arguments": "{"}}]},
        {"tool_calls": [{"function": {"arguments": "}"}}]},
        {"tool_calls": [{"id": "b", "function": {"name": "note", "arguments": {"x": 1}}}]},
    )
    assert said(CHAT, stream).tool_calls == (
        AskedTool("a", "pay", "{}"),
        AskedTool("b", "note", '{"x":1}'),
    )


def test_calls_that_all_have_number_0_go_by_their_ids() -> None:
    stream = chat(
        call_delta(0, id="a", function={"name": "pay", "arguments": "{}"}),
        call_delta(0, id="b", function={"name": "pay", "arguments": "[]"}),
    )
    assert said(CHAT, stream).tool_calls == (
        AskedTool("a", "pay", "{}"),
        AskedTool("b", "pay", "[]"),
    )


def test_a_name_that_comes_whole_with_every_piece_counts_once() -> None:
    stream = chat(
        call_delta(0, id="a", function={"name": "pay", "arguments": "{"}),
        call_delta(0, id="a", function={"name": "pay", "arguments": "}"}),
    )
    assert said(CHAT, stream).tool_calls == (AskedTool("a", "pay", "{}"),)


def test_the_old_function_call_is_a_tool_call() -> None:
    stream = chat(
        {"function_call": {"name": "pay", "arguments": "{"}}, {"function_call": {"arguments": "}"}}
    )
    assert said(CHAT, stream).tool_calls == (AskedTool("", "pay", "{}"),)


def both_names(old: dict[str, str], new: dict[str, str]) -> dict[str, Any]:
    return {"function_call": old, "tool_calls": [{"index": 0, "id": "a", "function": new}]}


def test_one_call_under_the_old_name_and_the_new_is_one_call() -> None:
    # llama-cpp-python 0.3.36
    first, last = {"name": "pay", "arguments": "{"}, {"name": "pay", "arguments": "}"}
    pieces = chat(both_names(first, first), both_names(last, last))
    assert said(CHAT, pieces).tool_calls == (AskedTool("a", "pay", "{}"),)


def test_different_calls_under_the_old_name_and_the_new_are_two() -> None:
    old, new = {"name": "pay", "arguments": '{"a":9}'}, {"name": "pay", "arguments": "{}"}
    assert said(CHAT, chat(both_names(old, new))).tool_calls == (
        AskedTool("a", "pay", "{}"),
        AskedTool("", "pay", '{"a":9}'),
    )


def test_parts_of_thinking_and_text_are_told_apart() -> None:
    parts = [
        {"type": "thinking", "thinking": [{"type": "text", "text": "Rent is due."}]},
        {"type": "text", "text": "Paid."},
    ]
    answer = said(CHAT, chat({"content": parts}))
    assert answer.text == "Paid."
    assert answer.reasoning == (Reasoning(FULL, "Rent is due."),)


def test_running_totals_of_usage_are_not_added_up() -> None:
    def usage(count: int) -> dict[str, Any]:
        return {"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": count}}

    assert said(CHAT, lines(usage(1), usage(2), usage(3))).usage == Usage(input=5, output=3)
    counts = {"prompt_tokens": 5, "completion_tokens": 3}
    assert said(CHAT, lines({"x_groq": {"usage": counts}})).usage == Usage(input=5, output=3)
    assert said(CHAT, lines({"choices": [{"index": 0, "usage": counts}]})).usage == Usage(
        5, output=3
    )


@pytest.mark.parametrize("count", [-1, "3", 1.5, True, None])
def test_usage_that_is_no_count_is_not_known(count: object) -> None:
    answer = whole(CHAT, {**CHAT_ANSWER, "usage": {"prompt_tokens": 5, "completion_tokens": count}})
    assert answer.usage == Usage(input=5)


def test_a_done_item_stands_against_what_the_end_says() -> None:
    other = {**CALL_ITEM, "arguments": '{"to": "eve"}'}
    end = {"type": "response.completed", "response": {**WHOLE_RESPONSE, "output": [{}, other]}}
    assert said(RESPONSES, responses(*RESPONSE_EVENTS[:-1], end)) == RESPONSE_SAID


def test_more_than_is_kept_is_cut_and_said_to_be() -> None:
    hearer = ChatHearer(Room(10))
    reader = Reader(hearer)
    reader.feed(chat({"content": "12345"}, {"content": "6789"}, {"content": "abc"}))
    answer = reader.said()
    # 10 for what is said; names and reasons take no part of it.
    assert answer.text == "123456789a"
    assert answer.cut
    assert answer.finish == "stop"


def test_no_more_choices_and_calls_are_kept_than_there_is_room_for() -> None:
    many = [{"index": n, "delta": {"content": "x"}} for n in range(MAX_PARTS + 5)]
    answer = said(CHAT, lines({"choices": many}))
    assert answer.cut
    assert answer.text.count("x") == MAX_PARTS
    calls = [{"index": n, "function": {"name": "f"}} for n in range(MAX_PARTS + 5)]
    answer = said(CHAT, chat({"tool_calls": calls}))
    assert answer.cut
    assert len(answer.tool_calls) == MAX_PARTS - 1  # the choice is a part too


def test_no_more_items_and_parts_are_kept_than_there_is_room_for() -> None:
    delta = {"type": "response.output_text.delta", "delta": "x"}
    parts = [{**delta, "output_index": n, "content_index": n} for n in range(MAX_PARTS)]
    answer = said(RESPONSES, responses(*parts))
    assert answer.cut
    assert answer.text == "x" * (MAX_PARTS // 2)  # an item and its part each
    block = {"type": "content_block_start", "content_block": {"type": "text", "text": "x"}}
    blocks = [{**block, "index": n} for n in range(MAX_PARTS + 5)]
    answer = said(MESSAGES, lines(*blocks))
    assert answer.cut
    assert answer.text == "x" * MAX_PARTS


def test_an_id_in_endless_pieces_is_cut() -> None:
    pieces = [call_delta(0, function={"name": f"n{n}"}) for n in range(2_000)]
    (call,) = said(CHAT, chat(*pieces)).tool_calls
    assert len(call.name) == 1_024


def test_many_small_pieces_are_put_together() -> None:
    letters = [{"content": letter} for letter in "abcde" * 500]
    assert said(CHAT, chat(*letters)).text == "abcde" * 500


def test_an_event_that_is_too_large_ends_the_reading_and_keeps_what_was_before() -> None:
    first = lines({"choices": [{"index": 0, "delta": {"content": "a"}}]})
    stream = first + b"data: " + b"x" * 2_000 + b"\n\n" + first
    for size in (1, 7, 500, len(stream)):
        reader = answers.reader(CHAT, max_event_bytes=1_000)
        for at in range(0, len(stream), size):
            reader.feed(stream[at : at + size])
        assert reader.said() == Said(text="a", finish="unreadable")


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.floats(allow_nan=False)
    | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                (
                    "type",
                    "index",
                    "delta",
                    "content",
                    "item",
                    "response",
                    "output",
                    "choices",
                    "error",
                    "message",
                    "usage",
                    "tool_calls",
                    "function",
                    "content_block",
                    "output_index",
                    "text",
                    "summary",
                    "reasoning_details",
                    "arguments",
                    "id",
                    "name",
                    "input_tokens",
                )
            ),
            inner
            | st.sampled_from(
                (
                    "response.output_item.done",
                    "response.output_text.delta",
                    "response.completed",
                    "content_block_start",
                    "content_block_delta",
                    "message_start",
                    "message_delta",
                    "reasoning",
                    "thinking",
                    "tool_use",
                    "function_call",
                    "text",
                    "error",
                )
            ),
            max_size=5,
        )
    ),
    max_leaves=25,
)


@given(dialect=st.sampled_from(Dialect), events=st.lists(JSON, max_size=6))
def test_no_objects_break_the_readers(dialect: Dialect, events: list[Any]) -> None:
    stream = b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)
    streamed = said(dialect, stream)
    assert msgspec.json.decode(msgspec.json.encode(streamed), type=Said) == streamed
    for event in events:
        assert answers.read_answer(dialect, json.dumps(event).encode()).finish is not None


@given(dialect=st.sampled_from(Dialect), chunks=st.lists(st.binary(max_size=40), max_size=6))
def test_no_bytes_break_the_readers(dialect: Dialect, chunks: list[bytes]) -> None:
    assert said(dialect, *chunks).text == ""
    assert read_whole(ChatHearer(), b"".join(chunks)).finish in ("unreadable", "error", "")
