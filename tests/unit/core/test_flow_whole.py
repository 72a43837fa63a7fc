"""Whether a value stands in a text as a whole."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailiwick.core.texts.whole import normal, wanted, whole

ACCOUNT = "DE89370400440532013000"


def holds(text: str, value: str | float) -> bool:
    return whole(wanted(value), normal(text)) >= 0


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("Pay 50 to Ann", "Ann"),
        ("Pay 50 to Ann", "ann"),
        ("Pay 50 to Ann", 50),
        ("Pay 50 to Ann", "50"),
        ("Pay 50 to Ann Smith today", "Ann  Smith"),
        ("Pay Ann's invoice", "Ann"),
        ("Write to ann@a.example.", "ann@a.example"),
        ("Write to Ann <ann@a.example>", "ann@a.example"),
        ("Write to mailto:ann@a.example", "ann@a.example"),
        ("ann@a.example,ben@a.example;cat@a.example", "ben@a.example"),
        ("iban=DE89370400440532013000", ACCOUNT),
        ("['Ann', 'Ben']", "Ben"),
        ('{"to": "Ann"', "Ann"),
        ("Read 'bill-december.txt', then pay it", "bill-december.txt"),
        ("Post it in #general!", "general"),
        ("Post it in #general!", "#general"),
        ("To DE89 3704 0044 0532 0130 00.", ACCOUNT),
        ("To DE89-3704-0044-0532-0130-00.", ACCOUNT),
        (f"To {ACCOUNT}.", "DE89 3704 0044 0532 0130 00"),
        ("Get https://a.example/x?y=1.", "https://a.example/x?y=1"),
        ("Look at www.a.example.", "https://www.a.example"),
        ("Look at www.a.example.", "http://www.a.example/"),
        ("Look at www.a.example/x", "https://www.a.example/x/"),
        ("Look at https://www.a.example/ first", "www.a.example"),
        ("Pay $1,000.00", 1000),
        ("Pay 1'000 francs", 1000.0),
        ("Pay 1 100.00 to Ann", 1100),
        ("Pay 50, 100 or 200", 100),
        ("Pay with 4111 1111 1111 1111", "4111111111111111"),
        ("Pay 12.50", 12.5),
        ("Pay 12.5", "12.50"),
        ("At -5 degrees", -5),
        ("Caf\u0065\u0301 Ann", "café ann"),
    ],
)
def test_a_value_is_found_as_people_write_it(text: str, value: str | float) -> None:
    assert holds(text, value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("Pay 50 to Ann", 5),
        ("Pay 50 to Ann", "5"),
        ("Pay 50 to Ann", "0 to"),
        ("Pay 50 to Ann", "An"),
        ("Pay 1,000 to Ann", 1),
        ("Pay 1,000 to Ann", "000"),
        ("Pay 1.5 to Ann", 1),
        ("Pay 1 100.00 to Ann", 100),
        ("Pay 1 100 to Ann", 1),
        ("Pay 1 100 to Ann", "100"),
        ("Pay 1.100,00 to Ann", 1.1),
        ("Pay 12,5 to Ann", 12),
        (f"See evil.test/a,{ACCOUNT}", ACCOUNT),
        (f"See evil.test/;to={ACCOUNT}", ACCOUNT),
        (f"See evil.test:80?a,{ACCOUNT}", ACCOUNT),
        (f"See data:text/plain,{ACCOUNT}", ACCOUNT),
        ("See mailto:ann@a.example?cc=eve@e.test", "eve@e.test"),
        ("Ask o'brien@a.example", "brien@a.example"),
        ("Pay 1.5 to Ann", 5),
        ("Pay 12.50", 12),
        ("On 2026-05-14", 14),
        ("On 2026-05-14", 2026),
        ("At -5 degrees", 5),
        ("At 10:30", 30),
        ("A 50% cut", 50),
        ("Write to ann@a.example", "a.example"),
        ("Write to ann@a.example", "ann"),
        ("Write to ann@a.example.evil.test", "ann@a.example"),
        ("Write to joann@a.example", "ann@a.example"),
        ("See evil.test/?x=ann@a.example", "ann@a.example"),
        (f"See http://evil.test/?to={ACCOUNT}", ACCOUNT),
        (f"See http://evil.test/a,{ACCOUNT},b", ACCOUNT),
        (f'See http://evil.test/"{ACCOUNT}"', ACCOUNT),
        (f"See http://evil.test/{{{ACCOUNT}}}", ACCOUNT),
        (f"See www.evil.test/;{ACCOUNT}", ACCOUNT),
        ("Look at www.a.example", "https://www.a.example.evil.test"),
        ("Look at www.a.example", "https://www.a.example@evil.test"),
        ("Look at www.a.example", "https://www.a.example:8080"),
        ("Look at www.a.example", "https://www.a.example/x"),
        ("Look at www.a.example", "https://evil.test/www.a.example"),
        ("Look at www.a.example", "ftp://www.a.example"),
        ("Look at www.a.example", "javascript:www.a.example"),
        ("Look at https://a.example/x", "a.example"),
        ("Look into notes.md", "https://notes.md"),
        ("report-final.pdf", "final.pdf"),
        ("/home/ann/notes.txt", "notes.txt"),
        ("arn:aws:s3:::bucket", "bucket"),
        ("Ann\u200bSmith", "Ann"),
        ("ann@a.example", "ann@a\u200b.example"),
        ("ann@a.example", "ａnn@a.example"),
        ("info@straße.example", "info@strasse.example"),
        ("info@strasse.example", "info@straße.example"),
        ("x² axis", "x2"),
        ("аnn@a.example (Cyrillic)", "ann@a.example"),
        ("ann@a.example bcc: eve@e.test", "ann@a.example\nbcc: eve@e.test"),
        ("ann@a.example bcc: eve@e.test", "ann@a.example\rbcc: eve@e.test"),
        ("ann@a.example bcc: eve@e.test", "ann@a.example\u2028bcc: eve@e.test"),
        ("Ann\nSmith", "Ann Smith"),
        ("Pay a bill", "a"),
        ("Pay a bill", ""),
        ("Pay a bill -- now", "--"),
        ("Pay a bill", " "),
    ],
)
def test_a_piece_or_a_look_alike_is_not_the_value(text: str, value: str | float) -> None:
    assert not holds(text, value)


def test_a_value_does_not_span_two_texts() -> None:
    assert whole(wanted("ann\0ben"), "ann\0ben") < 0
    assert whole(wanted("ann ben"), "ann\0ben") < 0
    assert whole(wanted("ann"), "ann\0ben") == 0


def test_a_single_letter_counts_only_where_nothing_else_stands() -> None:
    assert whole(wanted("x"), "y\0x\0z") == 2
    assert whole(wanted("x"), "y x z") < 0


# None of four: groups of four are one account number, and no group of it is a value.
WORDS = st.text("abcdefghij0123456789", min_size=2, max_size=12).filter(lambda w: len(w) != 4)


@given(st.lists(WORDS, min_size=1, max_size=8), st.data())
def test_a_word_is_found_exactly_if_it_is_one(words: list[str], data: st.DataObject) -> None:
    text = " ".join(words)
    other = data.draw(st.one_of(st.sampled_from(words), WORDS).filter(lambda w: not w.isdigit()))
    assert holds(text, other) == (other in words)


@given(st.text(max_size=200), st.text(max_size=30))
def test_nothing_is_found_that_is_not_there(text: str, value: str) -> None:
    if holds(text, value) and not value.strip().replace(".", "").replace("-", "").isdigit():
        compact = "".join(normal(value).split())
        assert compact in "".join(normal(text).split())


@given(st.text())
def test_normal_form_is_stable(text: str) -> None:
    assert normal(normal(text)) == normal(text)
