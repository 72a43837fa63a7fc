"""What a hostile model server, or an agent before an honest one, tries with answers.

A tool call that some agent could read is read here too, and waits for the record; what is used up
is counted; the gateway's key stays here.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any, cast

import pytest

from bailiwick.core.canonical import JsonObject
from bailiwick.core.errors import UpstreamBroken
from bailiwick.gateway.http.response import Response
from bailiwick.gateway.http.stream import BodyStream
from bailiwick.gateway.llm.call import ModelCall
from bailiwick.gateway.llm.capture import StreamCapture
from bailiwick.gateway.llm.patience import NO_PATIENCE, Patience
from bailiwick.gateway.llm.servers import ModelServer, ModelSpec
from bailiwick.gateway.llm.used import counts_of
from bailiwick.protocols.llm import answers
from bailiwick.protocols.llm.dialect import AskedTool, Dialect, Said
from bailiwick.protocols.llm.kept import keep
from bailiwick.protocols.llm.requests import read_request

CHAT, RESPONSES, MESSAGES, _ = Dialect
PAY = '{"to": "ben"}'
CALL = {"id": "c1", "type": "function", "function": {"name": "pay", "arguments": PAY}}
DELTA = {"tool_calls": [{"index": 0, **CALL}]}
DONE = b"data: [DONE]\n\n"
Event = dict[str, Any]


def event(data: Event | bytes, name: str = "") -> bytes:
    text = data if isinstance(data, bytes) else json.dumps(data).encode()
    return (f"event: {name}\n".encode() if name else b"") + b"data: " + text + b"\n\n"


def passed(dialect: Dialect, *events: bytes) -> tuple[list[bytes], Said]:
    """What of each event goes on before anything is on record, and what was said."""
    capture = StreamCapture(dialect, 200)
    going = [capture.add(each) for each in events]
    assert b"".join(going) + capture.held_back() == b"".join(events)
    return going, capture.said()


def whole(dialect: Dialect, body: Event) -> Said:
    return answers.read_answer(dialect, json.dumps(body).encode())


# --- a tool call that is hidden from the gateway and not from the agent ---------------------------


@pytest.mark.parametrize("index", [0.0, None, "0", True, [], {}])
def test_a_choice_whose_number_is_none_is_read(index: object) -> None:
    # Agents that take the first choice do not look at its number.
    call = event({"choices": [{"index": index, "delta": DELTA}]})
    text = event({"choices": [{"index": index, "delta": {"content": "hello"}}]})
    going, said = passed(CHAT, text, call)
    assert (going, said.text) == ([text, b""], "hello")
    assert said.tool_calls == (AskedTool("c1", "pay", PAY),)


@pytest.mark.parametrize("sign", [{"error": {"code": 1}}, {"object": "error"}, {"error": "x"}])
def test_an_error_hides_no_tool_call_beside_it(sign: Event) -> None:
    # Not every agent looks for errors first.
    (going,), said = passed(CHAT, event({**sign, "choices": [{"index": 0, "delta": DELTA}]}))
    assert (going, said.finish) == (b"", "error")
    assert said.tool_calls == (AskedTool("c1", "pay", PAY),)
    said = whole(CHAT, {**sign, "choices": [{"index": 0, "message": {"tool_calls": [CALL]}}]})
    assert said.tool_calls == (AskedTool("c1", "pay", PAY),)
    assert said.error


def test_an_error_hides_no_block_beside_it() -> None:
    block = {"type": "tool_use", "id": "c1", "name": "pay", "input": {"to": "ben"}}
    said = whole(MESSAGES, {"type": "message", "error": {"type": "x"}, "content": [block]})
    assert said.tool_calls == (AskedTool("c1", "pay", '{"to":"ben"}'),)
    assert said.error == "x"


def test_a_delta_hides_no_message_of_an_answer_in_one_piece() -> None:
    said = whole(
        CHAT,
        {
            "id": "i",
            "choices": [{"index": 0, "delta": {"content": "x"}, "message": {"tool_calls": [CALL]}}],
        },
    )
    assert said.tool_calls == (AskedTool("c1", "pay", PAY),)


def test_a_message_so_far_beside_each_delta_is_not_said_twice() -> None:
    # As Perplexity streams.
    events = [
        {"choices": [{"index": 0, "delta": {"content": new}, "message": {"content": far}}]}
        for new, far in (("a", "a"), ("b", "ab"))
    ]
    assert passed(CHAT, *map(event, events))[1].text == "ab"


def test_calls_of_one_answer_without_numbers_and_ids_are_several() -> None:
    calls = [{"function": {"name": name, "arguments": PAY}} for name in ("pay", "pay", "tell")]
    said = whole(CHAT, {"id": "i", "choices": [{"message": {"tool_calls": calls}}]})
    assert said.tool_calls == tuple(AskedTool("", name, PAY) for name in ("pay", "pay", "tell"))


@pytest.mark.parametrize("depth", [600, 5_000, 100_000])
def test_what_is_nested_too_deep_for_us_waits(depth: int) -> None:
    # Some readers have no bound, so what it asks for cannot be told here.
    deep = b"[" * depth + b"]" * depth
    text = json.dumps({"choices": [{"index": 0, "delta": DELTA}]}).encode()
    odd = event(text[:-1] + b',"x":' + deep + b"}")
    (before, going), said = passed(CHAT, event({"choices": []}), odd)
    assert (before, going) == (event({"choices": []}), b"")
    assert said.finish == "unreadable" or said.tool_calls


def test_a_number_too_long_for_us_hides_no_tool_call() -> None:
    text = json.dumps({"choices": [{"index": 0, "delta": DELTA}]}).encode()
    odd = event(text[:-1] + b',"x":' + b"9" * 10_000 + b"}")
    (going,), said = passed(CHAT, odd)
    assert going == b""
    assert said.tool_calls == (AskedTool("c1", "pay", PAY),)


ITEM = {"type": "function_call", "call_id": "c1", "name": "pay", "arguments": PAY}
COMPLETED = {"id": "r", "model": "m", "status": "completed", "output": [ITEM]}


@pytest.mark.parametrize("state", ["completed", "incomplete", "failed"])
def test_a_call_that_only_the_end_of_a_response_names_waits_without_its_name(state: str) -> None:
    # The type of the end stands in its data, and readers go by that.
    end = {"type": f"response.{state}", "response": {**COMPLETED, "status": state}}
    begin = event({"type": "response.created", "response": {"id": "r", "model": "m"}})
    going, said = passed(RESPONSES, begin, event(end))
    assert going == [begin, b""]
    assert said.tool_calls == (AskedTool("c1", "pay", PAY),)
    late = b"data: " + json.dumps(end).encode() + f"\nevent: response.{state}\n\n".encode()
    assert passed(RESPONSES, begin, late)[0] == [begin, b""]


USE = {"type": "tool_use", "id": "c1", "name": "pay", "input": {"to": "ben"}}


def test_a_call_of_which_no_end_is_said_waits_with_the_end_of_its_message() -> None:
    start = event({"type": "content_block_start", "index": 0, "content_block": USE})
    going, said = passed(MESSAGES, start, event({"type": "message_stop"}))
    assert going == [start, b""]
    assert said.tool_calls == (AskedTool("c1", "pay", '{"to":"ben"}'),)


def test_the_number_of_a_block_is_a_number_however_it_is_written() -> None:
    start = {"type": "content_block_start", "index": 0, "content_block": {"type": "text"}}
    begun = {"type": "content_block_start", "index": 1.0, "content_block": {**USE, "input": {}}}
    piece = {"type": "input_json_delta", "partial_json": PAY}
    delta = {"type": "content_block_delta", "index": 1.0, "delta": piece}
    going, said = passed(MESSAGES, event(start), event(begun), event(delta))
    assert going == [event(start), event(begun), b""]
    assert said.tool_calls == (AskedTool("c1", "pay", PAY),)
    item = {"type": "response.output_item.added", "output_index": 2.0, "item": ITEM}
    done = {"type": "response.output_item.done", "output_index": 2, "item": ITEM}
    _, said = passed(RESPONSES, event(item), event(done))
    assert said.tool_calls == (AskedTool("c1", "pay", PAY),)


def test_pieces_of_a_call_go_by_its_number_however_it_is_written() -> None:
    def piece(index: object, **more: Any) -> bytes:
        call = {"index": index, **more}
        return event({"choices": [{"index": 0, "delta": {"tool_calls": [call]}}]})

    said = passed(
        CHAT,
        piece(0, id="c1", function={"name": "pay", "arguments": "{"}),
        piece(1, id="c2", function={"name": "tell", "arguments": "["}),
        piece(0.0, function={"arguments": "}"}),
        piece(1.0, function={"arguments": "]"}),
    )[1]
    assert said.tool_calls == (AskedTool("c1", "pay", "{}"), AskedTool("c2", "tell", "[]"))


def test_a_second_block_under_a_number_that_is_taken_waits_and_leaves_doubt() -> None:
    # Both official SDKs number blocks by the order in which they come.
    start = {"type": "content_block_start", "index": 0, "content_block": {"type": "text"}}
    again = {"type": "content_block_start", "index": 0, "content_block": USE}
    going, said = passed(MESSAGES, event(start), event(again))
    assert going == [event(start), b""]
    assert said.cut


def test_that_something_was_not_read_is_kept_though_nothing_was() -> None:
    assert keep(Said(cut=True)).said


# --- what it took ---------------------------------------------------------------------------------


def counted(number: int, usage: Event, **more: Any) -> Event:
    choice = {"index": number, "delta": {"content": "x"}, "finish_reason": None, **more}
    return {"id": "i", "model": "m", "choices": [choice], "usage": usage}


def test_what_one_of_several_answers_took_is_not_taken_for_all_of_them() -> None:
    # An agent asks SGLang for `n` answers, for running counts, and for no total.
    usage = {"prompt_tokens": 5, "completion_tokens": 1_000}
    both = [event(counted(n, usage, finish_reason="stop")) for n in (0, 1)]
    running = [event(counted(n, usage)) for n in (0, 1, 0, 1)]
    for events in (both, [*running, *both], [b"".join([*running, *both])]):
        said = passed(CHAT, *events, DONE)[1]
        assert counts_of(said) == {"input_tokens": 5}
    total = {"prompt_tokens": 5, "completion_tokens": 2_000}
    said = passed(CHAT, *both, event({"choices": [], "usage": total}), DONE)[1]
    assert counts_of(said) == {"input_tokens": 5, "output_tokens": 2_000, "tokens": 2_005}


def test_what_each_of_several_answers_says_it_took_is_not_taken_for_all_of_them() -> None:
    usage = {"prompt_tokens": 5, "completion_tokens": 7}
    choices: list[Event] = [
        {"index": n, "message": {"content": "x"}, "usage": usage} for n in (0, 1)
    ]
    assert counts_of(whole(CHAT, {"id": "i", "choices": choices})) == {"input_tokens": 5}
    said = whole(CHAT, {"id": "i", "choices": choices[:1]})
    assert counts_of(said)["output_tokens"] == 7
    for choice in choices:
        choice["usage"] = None
    said = whole(CHAT, {"id": "i", "choices": choices, "usage": usage})
    assert counts_of(said)["output_tokens"] == 7


def test_what_compacting_a_conversation_took_is_counted() -> None:
    # The totals leave it out, so an agent could have most of what it uses not counted.
    step = {"type": "compaction", "input_tokens": 180_000, "output_tokens": 3_500}
    last = {"type": "message", "input_tokens": 23_000, "output_tokens": 1_000}
    totals = {"input_tokens": 23_000, "output_tokens": 1_000}
    usage = {**totals, "iterations": [{**step, "cache_read_input_tokens": 7}, last]}
    message = {"id": "m", "model": "t", "content": [{"type": "text", "text": "x"}]}
    counts = counts_of(whole(MESSAGES, {**message, "usage": usage}))
    assert (counts["input_tokens"], counts["output_tokens"]) == (203_007, 4_500)
    assert counts["cached_tokens"] == 7
    delta = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": usage}
    start = {"type": "message_start", "message": {**message, "content": [], "usage": totals}}
    assert counts_of(passed(MESSAGES, event(start), event(delta))[1]) == counts
    usage = {**totals, "iterations": [{**step, "output_tokens": -1}, last]}
    assert "output_tokens" not in counts_of(whole(MESSAGES, {**message, "usage": usage}))


@pytest.mark.parametrize(
    "count",
    [b"-1", b"1e400", b"-1e400", b"1.5", b"12.0", b"true", b'"12"', b"[1]", b"NaN", b"Infinity"],
)
def test_an_absurd_count_is_none(count: bytes) -> None:
    usage = b'"usage":{"prompt_tokens":5,"completion_tokens":' + count + b"}"
    body = b'{"id":"i","choices":[{"message":{"content":"x"}}],' + usage + b"}"
    assert counts_of(answers.read_answer(CHAT, body)) == {"input_tokens": 5}
    body = b'{"id":"i","model":"m","choices":[{"delta":{"content":"x"}}],' + usage + b"}"
    first = event({"id": "i", "model": "m", "choices": [{"delta": {"content": "x"}}]})
    assert counts_of(passed(CHAT, first, event(body), DONE)[1]) == {"input_tokens": 5}


def test_a_count_beyond_all_bounds_is_kept_within_one() -> None:
    usage = b'"usage":{"prompt_tokens":5,"completion_tokens":' + b"9" * 400 + b"}"
    body = b'{"id":"i","choices":[{"message":{"content":"x"}}],' + usage + b"}"
    said = answers.read_answer(CHAT, body)
    assert counts_of(said)["output_tokens"] == 10**15
    assert keep(said).said


# --- the gateway's key ----------------------------------------------------------------------------

KEY = b"sk-upstream-secret-key"
BODY: JsonObject = {"model": "m", "messages": [], "stream": True}
HELLO = event({"choices": [{"index": 0, "delta": {"content": "hello"}}]})
ERROR = event({"error": {"message": "no"}})


class _Source:
    def pause(self) -> None: ...
    def resume(self) -> None: ...
    def drain(self) -> None: ...
    def abort(self) -> None: ...
    def set_idle_seconds(self, seconds: float) -> None: ...


class _Server:
    """Each piece comes by itself, in a turn of the loop of its own."""

    spec = ModelSpec("engine", "http://127.0.0.1:1", frozenset({"chat"}), ("*",))

    def __init__(self, *pieces: bytes) -> None:
        self.stream = BodyStream(_Source())
        self._pieces = iter(pieces)

    def _go_on(self) -> None:
        piece = next(self._pieces, None)
        if piece is not None:
            assert not self.stream.has_more
            self.stream.push(piece)
            asyncio.get_running_loop().call_soon(self._go_on)

    def tells_its_key(self, said: bytes) -> bool:
        return KEY in said

    def begins_its_key(self, said: bytes) -> int:
        return 0

    async def send(self, *_: object) -> Response:
        self._go_on()
        response = Response(200, {b"content-type": b"text/event-stream"})
        response.stream = self.stream
        return response


def _call(patience: Patience, *pieces: bytes) -> tuple[ModelCall, list[bytes]]:
    got: list[bytes] = []

    async def send(message: Mapping[str, Any]) -> None:
        got.append(message.get("body", b""))

    asking = read_request(CHAT, BODY)
    server = cast(ModelServer, _Server(*pieces))
    path = "/v1/chat/completions"
    return ModelCall(send, server, asking, path, b"{}", (), (), patience=patience), got


async def test_a_key_that_is_told_behind_the_end_stays_here() -> None:
    call, got = _call(NO_PATIENCE, HELLO, DONE, b": " + KEY + b"\n\n")
    heard = await asyncio.wait_for(call.dispatch(), 10)
    assert call.broken is not None
    assert "told the key" in call.broken.message
    await call.break_off(502, call.broken.code, call.broken.message)
    assert HELLO in got
    assert KEY not in b"".join(got) + (heard.error or b"") + heard.said


async def test_a_key_that_is_told_behind_an_error_stays_here() -> None:
    call, got = _call(Patience(defers=True), ERROR, b": " + KEY + b"\n\n")
    with pytest.raises(UpstreamBroken, match="told the key"):
        await asyncio.wait_for(call.dispatch(), 10)
    assert got == []
    assert call.failed == "broken"
