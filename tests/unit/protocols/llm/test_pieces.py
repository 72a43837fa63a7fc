"""Pieces taken at once leave behind what they leave one by one, event by event, byte by byte."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailiwick.protocols.llm import answers, chat_plain
from bailiwick.protocols.llm.chat_answer import ChatHearer
from bailiwick.protocols.llm.dialect import Dialect, Said, Visibility
from bailiwick.protocols.llm.gathering import MAX_KEPT_CHARS, MAX_WORD_CHARS, Room
from bailiwick.protocols.llm.hearer import Hearer, Made, Reader, read_whole
from bailiwick.protocols.llm.messages_answer import MessagesHearer
from bailiwick.protocols.llm.responses_answer import ResponsesHearer

CHAT, RESPONSES, MESSAGES, _ = Dialect

Heard = tuple[Said, Made, bool]


def heard(reader: Reader, *chunks: bytes) -> Heard:
    for chunk in chunks:
        reader.feed(chunk)
    return reader.said(), reader.made(), reader.asked


def overheard(reader: Reader, *chunks: bytes) -> Heard:
    """As `heard`, with runs of pieces that differ in their text alone."""
    for chunk in chunks:
        rest = chunk
        while rest:
            size = reader.run(rest)
            if not size:
                size = reader.first_of(rest)
                reader.feed(rest[:size])
            rest = rest[size:]
    return reader.said(), reader.made(), reader.asked


def byte_by_byte(reader: Reader, stream: bytes) -> Heard:
    return heard(reader, *(bytes([byte]) for byte in stream))


PIECES = ("a", " b", "", "é€", '"', "\\", "\n", "\ud800", "</think>\n", "{", "}", "{}")
ODD: tuple[Any, ...] = (None, "", "x", 0, 1, 1.0, -0.0, True, [], [{}], {}, {"text": "x"}, {"a": 1})
USAGE = {"prompt_tokens": 3, "completion_tokens": 4}
LONG = "x" * (MAX_WORD_CHARS + 1)
CALL = {"index": 0, "id": "c1", "function": {"name": "pay", "arguments": "{}"}}
Event = dict[str, Any]


def chunk(delta: Any, *, choice: Event | None = None, **rest: Any) -> Event:
    one = {"index": 0, "delta": delta, "finish_reason": None, **(choice or {})}
    return {"id": "i", "model": "m", "choices": [one], **rest}


def chunks() -> Iterator[Event]:
    for odd in (*ODD, [CALL], [{"type": "reasoning.summary", "summary": "s"}], {"transcript": "t"}):
        for name in (
            *("content", "reasoning", "reasoning_content", "reasoning_details", "refusal"),
            *("audio", "tool_calls", "function_call", "role", "unknown"),
        ):
            yield chunk({"content": "a", name: odd})
            yield chunk({"reasoning": "r", name: odd})
    for odd in (
        *ODD,
        LONG,
        -1,
        2**70,
        USAGE,
        {"content": "m"},
        {"usage": USAGE},
        "error",
        {"message": "e"},
    ):
        for name in ("index", "delta", "message", "finish_reason", "usage", "logprobs"):
            yield chunk({"content": "a"}, choice={name: odd})
            yield chunk({}, choice={name: odd})
        for name in ("id", "model", "object", "error", "usage", "x_groq", "choices", "unknown"):
            yield {**chunk({"content": "a"}), name: odd}
        details = {"prompt_tokens_details": odd, "completion_tokens_details": odd}
        for name in (*USAGE, *details, "prompt_cache_hit_tokens", "unknown"):
            yield chunk({"content": "a"}, usage={**USAGE, name: odd})
        for name in ("cached_tokens", "cache_write_tokens", "reasoning_tokens"):
            both = {each: {name: odd} for each in details}
            yield chunk({"content": "a"}, usage={**USAGE, "prompt_cache_hit_tokens": 1, **both})
    one = chunk({"content": "a"})
    for pair in (0, 0), (0, 1), (1, 0):
        choices = [{**one["choices"][0], "index": index} for index in pair]
        yield {**one, "choices": choices}
    for name in ("index", "delta", "finish_reason"):
        yield {**one, "choices": [{k: v for k, v in one["choices"][0].items() if k != name}]}
    yield {"choices": one["choices"]}
    yield from (chunk({"content": piece}) for piece in PIECES)
    yield chunk({"reasoning": "r", "reasoning_content": "r"})
    yield chunk({"reasoning": "r", "reasoning_content": "s"})


def calling(arguments: Any, *, function: Event | None = None, **rest: Any) -> Event:
    """The next piece of a tool call, perhaps with something else in it."""
    return {"index": 0, "function": {"arguments": arguments, **(function or {})}, **rest}


def call_chunks() -> Iterator[Event]:
    for piece in PIECES:
        yield chunk({"tool_calls": [calling(piece)]})
    for odd in (*ODD, "c1", "c2", {"arguments": "x"}):
        for name in ("index", "id", "function", "custom", "type"):
            yield chunk({"tool_calls": [{**calling("{"), name: odd}]})
        for name in ("arguments", "name", "input"):
            yield chunk({"tool_calls": [calling("{", function={name: odd})]})
        for name in ("content", "reasoning", "reasoning_content", "refusal", "audio", "tool_calls"):
            yield chunk({"tool_calls": [calling("{")], name: odd})
        yield chunk({"tool_calls": [calling("{")], "function_call": odd})
        yield chunk({"tool_calls": [calling("{")], "reasoning_details": odd})
        yield chunk({"tool_calls": [calling("{")]}, choice={"finish_reason": odd})
        yield chunk({"tool_calls": [calling("{")]}, usage=odd)
    yield chunk({"tool_calls": [calling("{")]}, usage=USAGE)
    yield chunk({"tool_calls": [calling("{"), calling("}")]})
    yield chunk({"tool_calls": [calling("}", id=None)]}, choice={"index": 1})


def response_events() -> Iterator[Event]:
    kinds = ("output_text", "refusal", "reasoning_text", "reasoning_summary_text")
    calls = ("function_call_arguments", "custom_tool_call_input", "mcp_call_arguments")
    for kind in (*kinds, *calls, "unknown"):
        plain = {"type": f"response.{kind}.delta", "output_index": 0, "delta": "{}"}
        for odd in ODD:
            for name in ("output_index", "content_index", "summary_index", "delta"):
                yield {**plain, name: odd}
                yield {**plain, "content_index": 2, name: odd}
        yield from ({**plain, "delta": piece} for piece in PIECES)
        yield {name: value for name, value in plain.items() if name != "output_index"}
    for kind in ("message", "reasoning", "function_call", "mcp_call"):
        item = {"type": kind, "id": "i", "name": "n"}
        yield {"type": "response.output_item.added", "output_index": 0, "item": item}
        yield {"type": "response.output_item.done", "output_index": 0, "item": item}


def message_events() -> Iterator[Event]:
    for kind, name in (
        *(("text", "text"), ("thinking", "thinking"), ("input_json", "partial_json")),
        *(("signature", "signature"), ("unknown", "text"), ("text", "thinking")),
    ):
        delta = {"type": f"{kind}_delta", name: "{}"}
        for index in range(5):
            plain = {"type": "content_block_delta", "index": index, "delta": delta}
            yield from ({**plain, "delta": {**delta, name: piece}} for piece in PIECES)
            yield {**plain, "delta": {**delta, name: None}}
        for odd in ODD:
            yield {**plain, "index": odd}
            yield {**plain, "delta": odd}
            yield {**plain, "delta": {**delta, name: odd}}
            yield {**plain, "delta": {**delta, "type": odd}}
        yield {"type": "content_block_delta", "delta": delta}
        yield {"type": "content_block_stop", "index": 2}


BLOCKS = ("text", "thinking", "tool_use", "server_tool_use", "redacted_thinking")
BEGUN: dict[Dialect, list[Event]] = {
    CHAT: [chunk({"role": "assistant", "content": ""})],
    RESPONSES: [{"type": "response.created", "response": {"id": "r", "model": "m"}}],
    MESSAGES: [
        {"type": "message_start", "message": {"id": "r", "model": "m"}},
        *(
            {"type": "content_block_start", "index": index, "content_block": {"type": kind}}
            for index, kind in enumerate(BLOCKS)
        ),
    ],
}
EVENTS = {
    CHAT: [*chunks()],
    RESPONSES: [*response_events()],
    MESSAGES: [*message_events()],
}
TALKING = (CHAT, RESPONSES, MESSAGES)
NO_OBJECTS = (b"[DONE]", b"", b"{", b"[1", b"2]", b"{},{}", b"[]", b"null", b'{"a":1}{"a":2}')
TWICE = (
    b'{"choices":[{"delta":{"content":"a","content":"b"}}]}',
    b'{"choices":[{"delta":{"content":"a"},"finish_reason":"stop","finish_reason":null}]}',
    b'{"choices":[{"delta":{"content":"a"},"finish_reason":null,"finish_reason":"stop"}]}',
    b'{"type":"content_block_delta","delta":{"type":"text_delta","type":"thinking_delta",'
    b'"text":"a","thinking":"b"}}',
    b'{"type":"response.output_text.delta","delta":"a","delta":1}',
    b'{"choices":[{"delta":{"content":"a"}}],"unknown":"\xff"}',
    b'{"choices":[{"delta":{"content":"a"}}],"unknown":[NaN,1e999]}',
    b'{"choices":[{"delta":{"content":"a"}}],"unknown":"\\x"}',
)


def spelt(event: Event) -> bytes:
    return json.dumps(event).encode()


def plain(dialect: Dialect, piece: str) -> Event:
    if dialect is CHAT:
        return chunk({"content": piece})
    if dialect is RESPONSES:
        return {"type": "response.output_text.delta", "output_index": 0, "delta": piece}
    delta = {"type": "text_delta", "text": piece}
    return {"type": "content_block_delta", "index": 0, "delta": delta}


def check_same(dialect: Dialect, texts: list[bytes], name: bytes = b"") -> None:
    events = [name + b"data: " + text + b"\n\n" for text in texts]
    expected = byte_by_byte(answers.reader(dialect), b"".join(events))
    assert heard(answers.reader(dialect), b"".join(events)) == expected, texts
    assert heard(answers.reader(dialect), *events) == expected, texts
    assert overheard(answers.reader(dialect), b"".join(events)) == expected, texts
    assert overheard(answers.reader(dialect), *events) == expected, texts


@pytest.mark.parametrize("dialect", TALKING)
def test_an_odd_event_among_pieces_says_what_it_says_alone(dialect: Dialect) -> None:
    begun = [*map(spelt, BEGUN[dialect])]
    usual = spelt(plain(dialect, "a"))
    for text in (*map(spelt, EVENTS[dialect]), *NO_OBJECTS, *TWICE):
        check_same(dialect, [*begun, usual, text, usual])
        check_same(dialect, [text, *begun, usual])


@pytest.mark.parametrize("number", [{"index": 0}, {"index": 3}, {}])
def test_an_odd_event_in_a_tool_call_says_what_it_says_alone(number: Event) -> None:
    begin = {"id": "c1", "function": {"name": "pay", "arguments": ""}, **number}
    begun = [*BEGUN[CHAT], chunk({"tool_calls": [begin]})]
    usual = spelt(chunk({"tool_calls": [calling('{"a": "')]}))
    for event in (
        *call_chunks(),
        chunk({"content": "a"}),
        chunk({}, choice={"finish_reason": "x"}),
    ):
        check_same(CHAT, [*map(spelt, begun), usual, spelt(event), usual])
        check_same(CHAT, [*map(spelt, begun), spelt(event), spelt(event)])


def test_arguments_of_a_tool_call_are_not_taken_one_by_one() -> None:
    begin = {"index": 0, "id": "c1", "function": {"name": "pay", "arguments": "["}}
    pieces = [chunk({"tool_calls": [calling("1,")]})] * 30
    events = [*BEGUN[CHAT], chunk({"tool_calls": [begin]}), *pieces]
    shy = Shy(CHAT)
    reader = Reader(shy)
    said, _, asked = heard(reader, *(b"data: " + spelt(event) + b"\n\n" for event in events))
    assert (said.tool_calls[0].arguments, asked, shy.taken) == ("[" + "1," * 30, False, 1)
    last = chunk({"tool_calls": [calling("1]")]})
    _, _, asked = heard(reader, b"data: " + spelt(last) + b"\n\n")
    assert (asked, shy.taken) == (True, 1)


def test_an_answer_in_one_piece_says_what_its_fields_say() -> None:
    for event in EVENTS[CHAT]:
        texts = [spelt(event)]
        texts.append(texts[0].replace(b'"delta"', b'"message"'))
        for text in (*texts, *NO_OBJECTS, *TWICE):
            expected = read_whole(ChatHearer(), text)
            assert answers.read_answer(CHAT, text) == expected, text
    thought = {"content": "<think>b</think>c", "reasoning": "a"}
    body = spelt({"id": "i", "choices": [{"message": thought, "finish_reason": "stop"}]})
    said = answers.read_answer(CHAT, body)
    assert said == read_whole(ChatHearer(), body)
    assert [each.text for each in said.reasoning] == ["a", "b"]
    assert chat_plain.read_plain(body) == said


def test_an_answer_without_an_id_or_larger_than_what_is_kept_is_read_by_its_fields() -> None:
    answer = {"id": "i", "choices": [{"message": {"content": "a" * MAX_KEPT_CHARS}}]}
    assert chat_plain.read_plain(spelt(answer)) is None
    assert not answers.read_answer(CHAT, spelt(answer)).cut
    answer = {"id": "", "choices": [{"message": {"content": ""}}]}
    assert answers.read_answer(CHAT, spelt(answer)).finish == "unreadable"


@given(data=st.data(), dialect=st.sampled_from(TALKING), named=st.booleans())
def test_events_at_once_say_what_they_say_byte_by_byte(
    data: st.DataObject, dialect: Dialect, named: bool
) -> None:
    one = st.sampled_from(EVENTS[dialect]).map(spelt) | st.sampled_from(NO_OBJECTS + TWICE)
    texts = data.draw(st.lists(one, max_size=8))
    if data.draw(st.booleans()):
        texts = [*map(spelt, BEGUN[dialect]), *texts]
    check_same(dialect, texts, b"event: x\n" if named else b"")


HEARERS: dict[Dialect, Any] = {
    CHAT: ChatHearer,
    RESPONSES: ResponsesHearer,
    MESSAGES: MessagesHearer,
}


@given(
    dialect=st.sampled_from(TALKING),
    pieces=st.lists(st.sampled_from(PIECES), min_size=1, max_size=12),
    left=st.integers(0, 600),
)
def test_a_room_is_filled_by_pieces_at_once_as_by_one_after_the_other(
    dialect: Dialect, pieces: list[str], left: int
) -> None:
    def hearer() -> Hearer:
        made: Hearer = HEARERS[dialect](Room(left=left))
        return made

    stream = stream_of(dialect, pieces)
    assert heard(Reader(hearer()), stream) == byte_by_byte(Reader(hearer()), stream)


def stream_of(dialect: Dialect, pieces: list[str]) -> bytes:
    events = [*BEGUN[dialect], *(plain(dialect, piece) for piece in pieces)]
    return b"".join(b"data: " + spelt(each) + b"\n\n" for each in events)


class Shy:
    """A hearer whose `take` is counted: how many events it got one by one."""

    def __init__(self, dialect: Dialect) -> None:
        self.hearer: Any = HEARERS[dialect]()
        self.taken = 0

    def take(self, data: Any) -> None:
        self.taken += 1
        self.hearer.take(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.hearer, name)


@pytest.mark.parametrize("dialect", TALKING)
def test_pieces_of_text_are_not_taken_one_by_one(dialect: Dialect) -> None:
    shy = Shy(dialect)
    said, made, _ = heard(Reader(shy), stream_of(dialect, ["a", "b", "c"] * 20))
    assert said.text == "abc" * 20
    assert made.pieces >= 60
    assert shy.taken == (0 if dialect is CHAT else len(BEGUN[dialect]))


def test_reasoning_and_running_totals_are_pieces_too() -> None:
    used = [{"prompt_tokens": 1, "completion_tokens": count} for count in range(4)]
    thought = {"reasoning_content": "r", "reasoning": "r"}
    events = [
        chunk({"content": ""}, usage=used[0]),
        chunk(thought, usage=used[1]),
        chunk(thought, usage=used[2]),
        chunk({"content": "a"}, usage=used[3]),
    ]
    stream = b"".join(b"data: " + spelt(event) + b"\n\n" for event in events)
    shy = Shy(CHAT)
    said, made, _ = heard(Reader(shy), stream)
    assert [(each.visibility, each.text) for each in said.reasoning] == [(Visibility.FULL, "rr")]
    assert (said.text, made.tokens, shy.taken) == ("a", 3, 0)


@pytest.mark.parametrize(
    "lines",
    [
        b'data: {"a":[1\n\ndata: 2]}\n\n',
        b'data: {"choices":[]},{"choices":[]}\n\n',
        b"data: {} {}\n\n",
        b"data: {\n: comment\n\ndata: }\n\n",
    ],
)
def test_what_is_no_json_by_itself_is_unreadable_among_others(lines: bytes) -> None:
    stream = stream_of(CHAT, ["a"]) + lines + stream_of(CHAT, ["b"])
    said, _, _ = heard(answers.reader(CHAT), stream)
    assert (said.finish, said.text) == ("unreadable", "ab")
