"""Nothing in shown text can hide."""

from __future__ import annotations

import sys
import time
import unicodedata
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailiwick.console.visible import (
    hidden_count,
    hidden_in_rendering,
    pieces,
    prose,
    visible,
    visible_rendering,
)

HIDING = {
    "right-to-left override": "\u202e",
    "isolate": "\u2066",
    "zero width space": "\u200b",
    "zero width joiner": "\u200d",
    "soft hyphen": "\u00ad",
    "byte order mark": "\ufeff",
    "no-break space": "\u00a0",
    "line separator": "\u2028",
    "null": "\x00",
    "escape": "\x1b",
    "carriage return": "\r",
    "tab": "\t",
    "Hangul filler": "\u3164",
    "Braille blank": "\u2800",
    "variation selector": "\ufe0f",
    "tag letter": "\U000e0041",
    "grapheme joiner": "\u034f",
    "private use": "\ue000",
    "unassigned": "\u0378",
    "lone surrogate": "\ud800",
}


class _Text(HTMLParser):
    """What a browser would draw, and which tags it would make."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.drawn = ""
        self.tags: set[str] = set()
        self.feed(page)
        self.close()

    def handle_data(self, data: str) -> None:
        self.drawn += data

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)


@pytest.mark.parametrize("character", HIDING.values(), ids=HIDING.keys())
def test_a_character_that_hides_is_marked_by_its_code(character: str) -> None:
    shown = _Text(str(visible(f"pay{character}100")))
    assert shown.drawn == f"payU+{ord(character):04X}100"
    assert shown.tags == {"mark"}
    assert hidden_count(f"pay{character}100") == 1


def test_plain_text_of_any_language_is_left_alone() -> None:
    for text in (
        "Überweisung an Café Zoë",
        "支付 100 元",
        "שלום",
        "Привет",
        "Γειά σου",
        "naïve ½ €",
    ):
        assert str(visible(text)) == text


def test_letters_of_another_script_inside_a_word_are_marked() -> None:
    assert _Text(str(visible("p\u0430ypal"))).drawn == "p\u0430 U+0430ypal"
    assert hidden_count("Amazon \u0410mazon") == 1
    assert hidden_count("Moscow Москва") == 0
    assert hidden_count("pa\u0301\u0443\u0301pal") == 1, "an accent does not end a word"


def test_a_run_of_one_character_is_marked_once_with_its_length() -> None:
    assert _Text(str(visible("a\u202e\u202e\u202eb"))).drawn == "aU+202E ×3b"
    assert hidden_count("a\u202e\u202e\u202eb\u202e") == 4


def test_megabytes_that_hide_are_shown_in_seconds() -> None:
    begun = time.process_time()
    visible("\u202e\u202d" * 250_000)
    assert time.process_time() - begun < 30, "about two seconds where this was written"


def test_stacked_marks_are_shown_beyond_the_fourth() -> None:
    assert hidden_count("a" + "\u0301" * 4) == 0
    assert hidden_count("a" + "\u0301" * 9) == 5


@given(st.text())
def test_showing_loses_nothing(text: str) -> None:
    assert "".join(piece.text for piece in pieces(text)) == text


@given(st.text(st.characters(codec=None)))
def test_what_is_drawn_holds_nothing_that_hides(text: str) -> None:
    shown = _Text(str(visible(text)))
    assert shown.tags <= {"mark"}
    for character in shown.drawn:
        assert character == "\n" or unicodedata.category(character) not in (
            "Cc",
            "Cf",
            "Cs",
            "Co",
            "Cn",
            "Zl",
            "Zp",
        )


@given(st.text(alphabet="<>&\"'`/=scriptonerad \n"))
def test_markup_in_text_stays_text(text: str) -> None:
    assert _Text(str(visible(text))).drawn == text
    assert _Text(str(visible(text))).tags == set()
    assert _Text(str(prose(text))).tags <= {"code"}
    assert _Text(str(visible_rendering(text))).tags == set()


def test_characters_a_rendering_writes_out_are_marked_with_their_name() -> None:
    shown = str(visible_rendering("to: ⟦U+202E⟧evil <b>"))
    assert '<mark class="hidden" title="RIGHT-TO-LEFT OVERRIDE">⟦U+202E⟧</mark>' in shown
    assert _Text(shown).drawn == "to: ⟦U+202E⟧evil <b>"
    assert hidden_in_rendering("to: ⟦U+202E⟧evil") == 1


def test_a_code_beyond_unicode_is_no_crash() -> None:
    assert "NO CHARACTER" in str(visible_rendering("⟦U+FFFFFF⟧"))
    assert sys.maxunicode < 0xFFFFFF


def test_a_sentence_starts_large_and_shows_quoted_input_as_code() -> None:
    assert str(prose("a `path` must be under `/out`")) == (
        "A <code>path</code> must be under <code>/out</code>"
    )
    assert str(prose("`path` is refused")) == "<code>path</code> is refused"
