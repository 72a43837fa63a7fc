"""What of a text between tags is taken for reasoning, and what is not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailiwick.protocols.llm import think


@pytest.mark.parametrize(
    ("text", "reasoning", "answer"),
    [
        ("<think>why</think>\n\nPaid.", "why", "Paid."),
        ("\n<think>\nwhy\n</think>Paid.", "why", "Paid."),
        ("<thinking>why</thinking> Paid.", "why", " Paid."),
        ("<reasoning>why</reasoning>\nPaid.", "why", "Paid."),
        ("[THINK]why[/THINK]Paid.", "why", "Paid."),
        ("<think>never closed", "never closed", ""),
        ("<think></think>Paid.", "", "Paid."),
        ("<think>a </thinking> b</think>Paid.", "a </thinking> b", "Paid."),
        ("why\n</think>\n\nPaid.", "why", "Paid."),
        ("why</think>\r\nPaid.", "why", "Paid."),
        ("why</think>", "why", ""),
        ("Paid.", "", "Paid."),
        ("", "", ""),
        ("Use <think> tags, as in <think>a</think>.", "", None),
        ("Close it with </think> at the end.", "", None),
    ],
)
def test_split(text: str, reasoning: str, answer: str | None) -> None:
    assert think.split(text) == (reasoning, text if answer is None else answer)


@given(st.lists(st.sampled_from(("<think>", "</think>", "[THINK]", "[/THINK]", "a", " ", "\n"))))
def test_no_word_is_lost(pieces: list[str]) -> None:
    reasoning, answer = think.split("".join(pieces))
    assert (reasoning + answer).count("a") == pieces.count("a")
