"""What a hostile model server tries with the form of a stream: an event that readers find where
the gateway finds none, or a tool call that ends otherwise for them.

A line-based reader (goose) acts on each line of data as it comes, and at the end of a stream on
what has no line's end; the AI SDK acts on arguments as soon as they parse, whatever they are; some
take the last block or item for the one that is meant, whatever its number.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailiwick.gateway.llm.capture import StreamCapture
from bailiwick.gateway.llm.replies import streamed_reply
from bailiwick.ports import UpstreamReply
from bailiwick.protocols.llm.dialect import UNFINISHED, AskedTool, Dialect, Said
from bailiwick.protocols.llm.kept import read_kept

CHAT, RESPONSES, MESSAGES, _ = Dialect
Event = dict[str, Any]
PAY = '{"to": "ben"}'


def event(data: Event | bytes) -> bytes:
    text = data if isinstance(data, bytes) else json.dumps(data).encode()
    return b"data: " + text + b"\n\n"


def chat(delta: Event, **more: Any) -> Event:
    return {"id": "i", "model": "m", "choices": [{"index": 0, "delta": delta, **more}]}


def call(arguments: str, index: int | None = 0, **more: Any) -> Event:
    piece: Event = {**more, "function": {"arguments": arguments}}
    return chat({"tool_calls": [piece if index is None else {"index": index, **piece}]})


def begin(arguments: str = "") -> Event:
    named = {"name": "pay", "arguments": arguments}
    return chat({"tool_calls": [{"index": 0, "id": "c1", "function": named}]})


THOUGHT = event(chat({"reasoning": "they owe"}))
CALL = json.dumps(begin(PAY)).encode()
SAID = (AskedTool("c1", "pay", PAY),)


def passed(dialect: Dialect, *pieces: bytes) -> tuple[list[bytes], Said]:
    """What of each piece goes on before anything is on record, and what is recorded of all."""
    capture = StreamCapture(dialect, 200)
    going = [capture.add(each) for each in pieces]
    assert b"".join(going) + capture.held_back() == b"".join(pieces)
    return going, recorded(streamed_reply(dialect, 200, capture))


def recorded(heard: UpstreamReply) -> Said:
    return read_kept(heard.said) or Said()


# --- the end of a stream --------------------------------------------------------------------------


@pytest.mark.parametrize("end", [b"", b" ", b"\n", b"\r\n", b"\r", b"\n: comment\n"])
@pytest.mark.parametrize("prefix", [b"data: ", b"data:", b"event: x\ndata: "])
def test_an_event_at_the_end_without_its_blank_line_waits_and_is_read(
    prefix: bytes, end: bytes
) -> None:
    (first, last), said = passed(CHAT, THOUGHT, prefix + CALL + end)
    assert (first, last) == (THOUGHT, b"")
    assert said.tool_calls == SAID
    assert [each.text for each in said.reasoning] == ["they owe"]


@given(st.lists(st.integers(1, 40), max_size=40), st.sampled_from([b"", b"\n", b"\r\n"]))
def test_however_the_end_is_split_what_makes_the_call_whole_waits(
    sizes: list[int], end: bytes
) -> None:
    capture, gone, rest = StreamCapture(CHAT, 200), b"", THOUGHT + b"data: " + CALL + end
    whole = rest
    for size in [*sizes, len(rest)]:
        gone += capture.add(rest[:size])
        rest = rest[size:]
    assert gone + capture.held_back() == whole
    line = gone.removeprefix(THOUGHT).removeprefix(b"data: ")
    with pytest.raises(ValueError, match=r"\S"):
        json.loads(line)
    assert recorded(streamed_reply(CHAT, 200, capture)).tool_calls == SAID


def test_what_was_used_is_counted_though_the_stream_ends_without_a_blank_line() -> None:
    usage = {"prompt_tokens": 5, "completion_tokens": 7}
    stop = event(chat({"content": "hello"}, finish_reason="stop"))
    capture = StreamCapture(CHAT, 200)
    capture.add(stop + event({"choices": [], "usage": usage}).rstrip())
    heard = streamed_reply(CHAT, 200, capture)
    assert heard.used["output_tokens"] == 7


def test_an_error_at_the_end_without_a_blank_line_is_one() -> None:
    said = passed(CHAT, THOUGHT, b'data: {"error":{"message":"no more"}}\n')[1]
    assert (said.finish, said.error) == ("error", "no more")


def test_what_broke_off_in_the_middle_is_unfinished() -> None:
    for rest in (b"data: " + CALL[:-9], b"data: " + CALL[:-1] + b"\n", b"data", b"data: "):
        said = passed(CHAT, THOUGHT, rest)[1]
        assert (said.finish, said.tool_calls) == (UNFINISHED, ())


def test_events_parted_by_one_line_end_are_read_at_the_end() -> None:
    lines = b"".join(event(chat({"content": word}))[:-1] for word in ("I ", "pay "))
    going, said = passed(CHAT, lines, b"data: " + CALL + b"\n", b"data: [DONE]\n")
    assert going == [b"", b"", b""]
    assert (said.text, said.tool_calls) == ("I pay ", SAID)


def test_a_whole_event_does_not_wait() -> None:
    for end in (b"\n", b"\r\n", b"\r"):
        piece = THOUGHT.replace(b"\n", end)
        assert passed(CHAT, piece, piece)[0] == [piece, piece]
    capture = StreamCapture(CHAT, 200)
    assert capture.add(THOUGHT[:40]) == THOUGHT[:40]
    assert capture.add(THOUGHT[40:] + THOUGHT[:40]) == THOUGHT[40:] + THOUGHT[:40]


# --- lines that are no data for us ----------------------------------------------------------------

NOTHING = b'data: {"choices":[]}\n\n'


@pytest.mark.parametrize(
    "lines",
    [
        # JSON takes a CR for a blank, and who splits at LF alone reads on.
        b"data: \r" + CALL + b"\n\n",
        b'data: {"a":1,\r' + CALL[1:] + b'\ndata: "b":2}\n\n',
        # Who takes each line of data for an event, and goes on where one is none.
        b'data: {"x":\ndata: ' + CALL + b"\ndata: }\n\n",
        # Other lines that some take for data.
        b" data: " + CALL + b"\n\n",
        b"\xef\xbb\xbfdata: " + CALL + b"\n\n",
        CALL + b"\n\n",
        # Ends of lines of other readers: U+2028, NEL, VT.
        b": x\xe2\x80\xa8data: " + CALL + b"\n\n",
        b"id: x\xc2\x85data: " + CALL + b"\n\n",
        b"event: x\x0bdata: " + CALL + b"\ndata: {}\n\n",
    ],
)
def test_a_line_that_some_reader_takes_for_data_waits(lines: bytes) -> None:
    going, _ = passed(CHAT, NOTHING, lines, NOTHING)
    assert going == [NOTHING, b"", b""]
    going, _ = passed(CHAT, NOTHING, *[lines[at : at + 1] for at in range(len(lines))])
    assert b"}]}" not in b"".join(going[1:])


def test_lines_of_one_event_are_read_one_by_one_where_they_are_no_event_together() -> None:
    lines = b"data: " + CALL + b"\ndata: " + json.dumps(chat({"content": "x"})).encode() + b"\n\n"
    going, said = passed(CHAT, THOUGHT, lines)
    assert going == [THOUGHT, b""]
    assert (said.tool_calls, said.text, said.finish) == (SAID, "x", "unreadable")


def test_of_the_lines_of_one_event_not_all_are_read() -> None:
    line = b'data: {"choices":[{"delta":{"content":"x"}}]}\n'
    going, said = passed(CHAT, line * (4_096 + 5) + b"\n", NOTHING)
    assert going == [b"", b""]
    assert (said.text, said.cut) == ("x" * 4_096, True)


def test_an_event_of_several_lines_is_one() -> None:
    text = json.dumps(chat({"content": "x"}), indent=1).encode()
    lines = b"data: " + text.replace(b"\n", b"\ndata: ") + b"\n\n"
    going, said = passed(CHAT, lines, lines)
    assert going == [lines, lines]
    assert (said.text, said.finish) == ("xx", UNFINISHED)


# --- how a tool call ends -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "other",
    [
        chat({"content": ""}),
        chat({"content": "so"}),
        chat({"reasoning": "so"}),
        chat({"tool_calls": []}),
        chat({}),
        {"id": "i", "model": "m", "choices": []},
        {"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 1}},
        {"choices": [{"index": 1, "delta": {}, "finish_reason": "tool_calls"}]},
    ],
)
def test_whatever_does_not_go_on_with_a_tool_call_ends_it(other: Event) -> None:
    # goose acts then, and takes no arguments for an empty object.
    talk, begun, end = event(chat({"content": "a"})), event(begin()), event(other)
    going, said = passed(CHAT, talk, talk, begun, end)
    assert going == [talk, talk, begun, b""]
    assert said.tool_calls == (AskedTool("c1", "pay", ""),)
    going, _ = passed(CHAT, talk, talk * 9, begun + end)  # a frame is known by then
    assert going == [talk, talk * 9, begun]


@pytest.mark.parametrize("arguments", ["5", '"x"', " null", "true", "-1", "}"])
def test_arguments_that_are_no_object_may_be_whole_with_any_piece(arguments: str) -> None:
    begun, blank, last = event(begin()), event(call(" ")), event(call(arguments))
    assert passed(CHAT, begun, blank, last)[0] == [begun, blank, b""]
    assert passed(CHAT, begun, blank, blank * 9, last * 2)[0] == [begun, blank, blank * 9, b""]
    going, said = passed(CHAT, begun, blank, blank + last + blank * 40)
    assert going == [begun, blank, blank]
    assert said.tool_calls[0].arguments.strip() == arguments.strip()


def test_a_piece_of_a_call_without_its_number_may_be_another_call() -> None:
    # The AI SDK counts on where there is no number, and acts on what parses.
    begun = event(begin("["))
    other = event(call(PAY, None, id="c1"))
    assert passed(CHAT, begun, other)[0] == [begun, b""]


# --- blocks and items by other numbers ------------------------------------------------------------

START = {"type": "message_start", "message": {"id": "i", "model": "m", "content": []}}
USE = {"type": "tool_use", "id": "c1", "name": "pay", "input": {}}


def block(kind: str, index: int = 0, **more: Any) -> bytes:
    return event({"type": f"content_block_{kind}", "index": index, **more})


def test_the_end_of_a_block_by_any_number_ends_a_tool_call() -> None:
    begun, stop = block("start", 0, content_block=USE), block("stop", 7)
    assert passed(MESSAGES, event(START), begun, stop)[0] == [event(START), begun, b""]


def test_a_piece_of_a_block_that_never_began_waits_and_leaves_doubt() -> None:
    begun = block("start", 0, content_block=USE)
    piece = block("delta", 7, delta={"type": "input_json_delta", "partial_json": PAY})
    going, said = passed(MESSAGES, event(START), begun, piece)
    assert going == [event(START), begun, b""]
    assert said.cut
    signed = block("delta", 7, delta={"type": "signature_delta", "signature": "x"})
    assert passed(MESSAGES, event(START), signed)[0] == [event(START), b""]


def test_a_tool_call_in_the_begin_of_a_message_is_one() -> None:
    start = {"type": "message_start", "message": {"id": "i", "model": "m", "content": [USE]}}
    stop = block("stop")
    going, said = passed(MESSAGES, event(start), stop)
    assert going == [event(start), b""]
    assert said.tool_calls == (AskedTool("c1", "pay", "{}"),)


@pytest.mark.parametrize("together", [True, False])
def test_text_in_a_block_of_another_kind_counts_as_cut(together: bool) -> None:
    begun = block("start", 0, content_block={"type": "thinking"})
    piece = block("delta", 0, delta={"type": "text_delta", "text": "x"})
    pieces = [begun + piece] if together else [begun, piece[:20], piece[20:]]
    going, said = passed(MESSAGES, *pieces)
    assert (b"".join(going), said.cut) == (begun + piece, True)


ITEM = {"type": "function_call", "call_id": "c1", "name": "pay", "arguments": PAY}
MESSAGE = {"type": "message", "id": "m1", "content": [{"type": "output_text", "text": "hello"}]}


def item(state: str, told: Event, **more: Any) -> bytes:
    return event({"type": f"response.output_item.{state}", "item": told, **more})


@pytest.mark.parametrize("state", ["added", "done"])
@pytest.mark.parametrize("number", [{}, {"output_index": 0}])
def test_a_tool_call_under_the_number_of_another_item_is_one(state: str, number: Event) -> None:
    # Codex acts on each item that is done, and looks at no number.
    message, asked = item("done", MESSAGE, **number), item(state, ITEM, **number)
    rest = [] if state == "done" else [item("done", ITEM, **number)]
    output = {"id": "r", "model": "m", "status": "completed", "output": [MESSAGE, ITEM]}
    end = event({"type": "response.completed", "response": output})
    going, said = passed(RESPONSES, message, asked, *rest, end)
    assert going[:2] == [message, b""]
    assert (said.text, said.tool_calls) == ("hello", SAID)


def test_a_tool_call_that_only_the_end_names_is_one_whatever_stood_in_its_place() -> None:
    message = item("done", MESSAGE, output_index=0)
    output = {"id": "r", "model": "m", "status": "completed", "output": [ITEM]}
    end = event({"type": "response.completed", "response": output})
    going, said = passed(RESPONSES, message, end)
    assert going == [message, b""]
    assert (said.text, said.tool_calls) == ("hello", SAID)


@pytest.mark.parametrize("together", [1, 2])
def test_an_error_beside_a_piece_is_one(together: int) -> None:
    delta = {"type": "response.output_text.delta", "output_index": 0, "delta": "a"}
    said = passed(RESPONSES, event({**delta, "error": {"code": "x"}}) * together)[1]
    assert (said.error, said.text) == ("x", "a" * together)
