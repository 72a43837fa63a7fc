"""What an agent's text does to the terminal of the person who is about to approve it: nothing."""

from __future__ import annotations

import pytest

from bailiwick.cli.show import visible


@pytest.mark.parametrize(
    ("sent", "printed"),
    [
        ("a\u200b\u200bb", "a<U+200B><U+200B>b"),
        ("\x1b[2J\x1b[31mok", "<U+001B>[2J<U+001B>[31mok"),
        ("\u202e\u202e5", "<U+202E><U+202E>5"),
        ("\x9b31m", "<U+009B>31m"),
        ("one\r\ntwo", "one<U+000D><U+000A>two"),
        ("\x07\x07\x07", "<U+0007><U+0007><U+0007>"),
        ("p\u0430\u0430ypal", "p\u0430<U+0430>\u0430<U+0430>ypal"),
    ],
)
def test_what_hides_or_commands_is_written_out_however_often_it_stands(
    sent: str, printed: str
) -> None:
    assert visible(sent) == printed
