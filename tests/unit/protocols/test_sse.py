from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailiwick.core.errors import TheirError
from bailiwick.protocols.sse import SseDecoder, SseEvent, encode_comment, encode_event

LIMIT = 1_000


def decode(*chunks: bytes) -> list[SseEvent]:
    decoder = SseDecoder(LIMIT)
    return [event for chunk in chunks for event in decoder.feed(chunk)]


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        (b"data: a\n\n", [SseEvent(b"a")]),
        (b"data:a\n\n", [SseEvent(b"a")]),
        (b"data:  a\n\n", [SseEvent(b" a")]),
        (b"data: a\r\n\r\n", [SseEvent(b"a")]),
        (b"data: a\r\r", [SseEvent(b"a")]),
        (b"data: a\ndata: b\n\n", [SseEvent(b"a\nb")]),
        (b"event: x\ndata: a\n\ndata: b\n\n", [SseEvent(b"a", "x"), SseEvent(b"b")]),
        (b"id: 7\ndata: a\n\ndata: b\n\n", [SseEvent(b"a", id="7"), SseEvent(b"b", id="7")]),
        (b"id: 7\ndata: a\n\nid\ndata: b\n\n", [SseEvent(b"a", id="7"), SseEvent(b"b")]),
        (b"id: 7\0\ndata: a\n\n", [SseEvent(b"a")]),
        (b": comment\n\ndata: a\n\n", [SseEvent(b"a")]),
        (b"\xef\xbb\xbfdata: a\n\n", [SseEvent(b"a")]),
        (b"other: a\ndata: b\n\n", [SseEvent(b"b")]),
        (b"data: unfinished\n", []),
        (b"event: x\n\ndata: a\n\n", [SseEvent(b"a")]),
        (b"data: a: b\n\n", [SseEvent(b"a: b")]),
    ],
)
def test_events_are_read_as_the_standard_says(stream: bytes, events: list[SseEvent]) -> None:
    assert decode(stream) == events


@given(st.data())
def test_any_split_of_the_bytes_gives_the_same_events(data: st.DataObject) -> None:
    piece = st.sampled_from(
        [
            b"data",
            b":",
            b" ",
            b"\n",
            b"\r",
            b"\r\n",
            b"id",
            b"event",
            b"a",
            b"\n\n",
            b"\xef\xbb\xbf",
        ]
    )
    stream = b"".join(data.draw(st.lists(piece, max_size=40)))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=5)))
    edges = [0, *cuts, len(stream)]
    chunks = [stream[a:b] for a, b in itertools.pairwise(edges)]
    assert decode(*chunks) == decode(stream)


WHOLE = st.builds(
    lambda parts, end: end.join([*parts, b"", b""]),
    st.sampled_from(
        [
            [b"data: a"], [b"data:a"], [b"data: "], [b"data:  a"], [b"event: message", b"data: b"],
            [b"event: other", b"data: b"], [b"id: 1", b"data: a"], [b"id: 2"],
            [b"data: a", b"data: b"], [b"data: a\r\rdata: b"], [b"\xef\xbb\xbfdata: a"], [b": c"],
        ]
    ),
    st.sampled_from([b"\n", b"\r\n", b"\r"]),
)  # fmt: skip


@given(st.lists(WHOLE | st.sampled_from([b"", b"\n", b"event: x\n", b"id: 3\r"]), max_size=6))
def test_an_event_that_comes_whole_is_the_one_that_comes_byte_by_byte(chunks: list[bytes]) -> None:
    def heard(decoder: SseDecoder, chunks: list[bytes]) -> list[object]:
        found: list[object] = []
        try:
            for chunk in chunks:
                found += decoder.feed(chunk)
        except TheirError as error:
            return [error.code]
        return [*found, decoder.last_event_id]

    bytewise = [bytes([byte]) for chunk in chunks for byte in chunk]
    assert heard(SseDecoder(LIMIT), chunks) == heard(SseDecoder(LIMIT), bytewise)


@given(
    data=st.binary(min_size=1, max_size=200),
    event_id=st.text(st.characters(exclude_characters="\r\n\0", codec="utf-8"), max_size=10),
)
def test_what_is_encoded_is_read_back_with_line_ends_as_lf(data: bytes, event_id: str) -> None:
    events = decode(encode_event(data, event_id=event_id))
    expected = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    assert events == [SseEvent(expected, id=event_id)]


def test_a_priming_event_sets_the_last_id_without_being_dispatched() -> None:
    decoder = SseDecoder(LIMIT)
    assert decoder.feed(b"id: 9\nretry: 250\ndata:\n\n") == []
    assert decoder.last_event_id == "9"
    assert decoder.retry_ms == 250


def test_an_id_counts_only_once_its_event_is_complete() -> None:
    decoder = SseDecoder(LIMIT)
    decoder.feed(b"id: 1\ndata: a\n\nid: 2\ndata: lost")
    assert decoder.last_event_id == "1"


@pytest.mark.parametrize("value", [b"-1", b"1.5", b"soon", b""])
def test_a_retry_that_is_no_number_is_ignored(value: bytes) -> None:
    decoder = SseDecoder(LIMIT)
    decoder.feed(b"retry: " + value + b"\n\n")
    assert decoder.retry_ms is None


def test_a_retry_is_capped_at_a_day() -> None:
    decoder = SseDecoder(LIMIT)
    decoder.feed(b"retry: " + b"9" * 5_00 + b"\n\n")
    assert decoder.retry_ms == 86_400_000


@pytest.mark.parametrize(
    "chunks",
    [
        [b"data: " + b"x" * LIMIT],
        [b"data: " + b"x" * 600 + b"\n", b"data: " + b"x" * 600 + b"\n"],
        [b":" * 600, b":" * 600],
        [b"data: a\n" * 501],
        [b"data: " + b"x" * (LIMIT + 1) + b"\n\n"],
    ],
)
def test_an_event_that_never_ends_is_refused_before_it_fills_memory(chunks: list[bytes]) -> None:
    with pytest.raises(TheirError) as caught:
        decode(*chunks)
    assert caught.value.code == "sse_event_too_large"


@pytest.mark.parametrize("text", ["a\nb", "a\rb", "a\0b"])
def test_an_id_or_type_cannot_forge_fields(text: str) -> None:
    with pytest.raises(ValueError, match="line end"):
        encode_event(b"x", event_id=text)
    with pytest.raises(ValueError, match="line end"):
        encode_event(b"x", event=text)


def test_a_comment_is_no_event_and_cannot_forge_one() -> None:
    assert decode(encode_comment("keep-alive"), encode_comment()) == []
    with pytest.raises(ValueError, match="line end"):
        encode_comment("x\n\ndata: forged")


def test_a_retry_is_encoded_with_its_event() -> None:
    decoder = SseDecoder(LIMIT)
    assert decoder.feed(encode_event(b"x", retry_ms=500)) == [SseEvent(b"x")]
    assert decoder.retry_ms == 500
