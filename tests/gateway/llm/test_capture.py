"""Streams as they pass: nothing is lost, and the end waits."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailiwick.core.errors import UpstreamBroken
from bailiwick.gateway.llm import capture as room
from bailiwick.gateway.llm.capture import StreamCapture
from bailiwick.gateway.llm.facts import facts_of, facts_of_stream
from bailiwick.protocols.llm.dialect import Dialect
from tests.llm.model_server import (
    CHAT,
    CHAT_EVENTS,
    EVENTS,
    MESSAGE_EVENTS,
    RESPONSE_EVENTS,
    WHOLE,
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
    for number in range(len(said)):
        assert capture.add(said[number : number + 1]) == said[number : number + 1]
    assert capture.add(inside) == inside
    assert not capture.is_complete


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


def test_facts_of_each_dialect_plain_and_streamed() -> None:
    base = {"http_status": 200, "served": "tiny-0001", "input_tokens": 7, "output_tokens": 2}
    for path, dialect, more, streamed in (
        ("/v1/chat/completions", Dialect.CHAT, {"reasoning_tokens": 1}, {}),
        (
            "/v1/responses",
            Dialect.RESPONSES,
            {"reasoning_tokens": 1, "cached_tokens": 3},
            {"reasoning_tokens": 1, "cached_tokens": 3},
        ),
        ("/v1/messages", Dialect.MESSAGES, {}, {}),
    ):
        named = {"dialect": dialect.value}
        assert facts_of(dialect, json.dumps(WHOLE[path]).encode(), 200) == base | named | more
        assert facts_of_stream(dialect, b"".join(EVENTS[path])) == base | named | streamed


def test_facts_hold_no_text_of_a_server() -> None:
    odd: Any = {**CHAT, "model": "ada lives\nin Bern", "usage": {"prompt_tokens": "7", "x": 1}}
    assert facts_of(Dialect.CHAT, json.dumps(odd).encode(), 200) == {
        "dialect": "chat",
        "http_status": 200,
    }
    values: Any = (None, [], "x", {"usage": []}, {"usage": {"prompt_tokens": -1}})
    for value in values:
        assert set(facts_of(Dialect.CHAT, json.dumps(value).encode(), 200)) == {
            "dialect",
            "http_status",
        }
    garbage = b'data: {"usage": \xff}\n\ndata: [1]\n\ndata: {"model":'
    assert set(facts_of_stream(Dialect.CHAT, garbage)) == {"dialect", "http_status"}
