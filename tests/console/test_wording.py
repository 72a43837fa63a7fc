"""Words, times and values for people."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailiwick.console.outcome import readable
from bailiwick.console.wording import MAX_ROWS, Field, ago, call_word, exact, fields, left, took
from bailiwick.ports import CallState


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-5, "just now"),
        (0, "just now"),
        (40, "40 s ago"),
        (200, "3 min ago"),
        (7_300, "2 h ago"),
        (86_400 * 5, "5 days ago"),
    ],
)
def test_times_are_told_roughly(seconds: int, words: str) -> None:
    assert ago(0, seconds * 1000) == words


def test_the_time_left_is_never_negative() -> None:
    assert left(193_000, 0) == "3 min left"
    assert left(0, 1) == "none left"


def test_the_exact_moment_is_in_utc() -> None:
    assert exact(1_795_341_600_000) == "2026-11-22 10:00:00 UTC"


def test_durations_read_naturally() -> None:
    assert (took(0, 38), took(0, 4_200), took(0, 180_000)) == ("38 ms", "4.2 s", "3 min")
    assert took(10, 0) == "0 ms", "a clock that was set back"


@pytest.mark.parametrize("state", CallState)
def test_every_state_has_words_of_its_own(state: CallState) -> None:
    assert call_word(state.value).text != state.value


def test_values_read_like_a_form() -> None:
    rows, more = fields(
        {
            "to": {"iban": "DE89"},
            "amount": 12.5,
            "urgent": True,
            "note": "",
            "cc": None,
            "lines": [{"n": 1}, {"n": 2}],
            "tags": ["a", "b"],
            "empty": [],
        }
    )
    assert rows == [
        Field(("to", "iban"), "DE89", "text"),
        Field(("amount",), "12.5", "number"),
        Field(("urgent",), "yes", "yes or no"),
        Field(("note",), "empty text", "nothing"),
        Field(("cc",), "nothing", "nothing"),
        Field(("lines", "1.", "n"), "1", "number"),
        Field(("lines", "2.", "n"), "2", "number"),
        Field(("tags",), "a\nb", "2 items"),
        Field(("empty",), "empty list", "nothing"),
    ]
    assert more == 0


def test_text_that_looks_like_another_kind_is_told_apart() -> None:
    rows, _ = fields({"a": "yes", "b": True, "c": "5", "d": 5, "e": ["x\ny", "z"], "f": "EUR "})
    kinds = [row.kind for row in rows]
    assert kinds == ["text", "yes or no", "text", "number", "text", "text", "blanks at its ends"]


def test_many_values_are_cut_and_counted() -> None:
    rows, more = fields({f"k{number}": number for number in range(MAX_ROWS + 7)})
    assert (len(rows), more) == (MAX_ROWS, 7)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(_json)
def test_any_value_has_rows(value: object) -> None:
    rows, more = fields(value)  # type: ignore[arg-type]
    assert len(rows) >= 1
    assert more == 0


@given(_json)
def test_any_outcome_reads_or_is_absent(value: object) -> None:
    for outcome in (value, {"result": value}, {"error": value}, {"result": {"content": value}}):
        result = readable(outcome)  # type: ignore[arg-type]
        assert result is None or all(isinstance(block.text, str) for block in result.blocks)


def test_a_tool_error_is_told_as_one() -> None:
    result = readable({"result": {"isError": True, "content": [{"type": "text", "text": "no"}]}})
    assert result is not None
    assert result.failed
    assert result.blocks[0].text == "no"


def test_a_text_that_repeats_the_structured_content_is_left_out() -> None:
    structured = {"status": "booked"}
    for text, blocks in (('{"status":  "booked"}', 0), ('{"status": "other"}', 1), ("booked", 1)):
        content = [{"type": "text", "text": text}]
        result = readable({"result": {"content": content, "structuredContent": structured}})
        assert result is not None
        assert (len(result.blocks), result.structured) == (blocks, structured)
    content = [{"type": "text", "text": "a\nb"}]
    result = readable({"result": {"content": content, "structuredContent": {"content": "a\nb"}}})
    assert result is not None
    assert (len(result.blocks), result.structured) == (1, None)


def test_pictures_are_named_and_not_shown() -> None:
    item = {"type": "image", "mimeType": "image/png", "data": "AAAA" * 100}
    result = readable({"result": {"content": [item]}})
    assert result is not None
    assert result.blocks[0].text == "image/png, 300 bytes"


def test_a_result_too_large_to_keep_shows_its_beginning() -> None:
    result = readable({"kind": "result", "bytes": 900_000, "sha256": "00", "head": '{"content"'})
    assert result is not None
    assert (result.cut_from_bytes, result.blocks[0].text) == (900_000, '{"content"')
    assert not result.failed


def test_nothing_back_is_nothing() -> None:
    assert readable(None) is None
    assert readable({}) is None
