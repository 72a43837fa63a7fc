"""What is recorded of said and did is read back as it was, and never guessed."""

from __future__ import annotations

import pytest

from bailiwick.core.canonical import Json
from bailiwick.core.thinking.said_and_did import (
    MAX_DIFFERENCES,
    MAX_RETOLD,
    Retold,
    SaidAndDid,
    Thought,
    read_retold,
    read_thought,
    retold_payload,
    thought_in_words,
    thought_payload,
)


@pytest.mark.parametrize(
    "thought",
    [
        Thought(SaidAndDid.MATCHED, "01J", "call_1"),
        Thought(SaidAndDid.ALTERED, "01J", "call_1", ("amount", "payee.iban")),
        Thought(SaidAndDid.UNASKED),
        Thought(SaidAndDid.UNKNOWN),
    ],
)
def test_a_thought_is_read_back_as_it_was_sealed(thought: Thought) -> None:
    assert read_thought(thought_payload(thought)) == thought


def test_a_thought_names_only_so_many_differences() -> None:
    many = Thought(SaidAndDid.ALTERED, "01J", "", tuple(f"a{n}" for n in range(99)))
    back = read_thought(thought_payload(many))
    assert back is not None
    assert back.differences == many.differences[:MAX_DIFFERENCES]


@pytest.mark.parametrize(
    "sealed", [None, "matched", [], {}, {"match": 1}, {"match": "certainly"}, {"model_call": "01J"}]
)
def test_what_is_no_thought_is_none(sealed: Json) -> None:
    assert read_thought(sealed) is None


def test_the_newest_retold_results_are_kept_and_the_unreadable_left_out() -> None:
    results = [Retold(SaidAndDid.MATCHED, f"call_{n}", "01J") for n in range(MAX_RETOLD + 3)]
    kept = list(retold_payload(results))
    assert kept[0] == {"match": "matched", "tool_call": "call_3", "call": "01J"}
    assert read_retold([*kept, "x", {"match": "?"}]) == tuple(results[3:])
    assert read_retold({"match": "matched"}) == ()


def test_a_person_who_is_to_stamp_reads_how_it_stands_to_what_was_asked_for() -> None:
    altered = Thought(SaidAndDid.ALTERED, "01M", "t1", ("iban", "a\u202eb"))
    assert thought_in_words(altered) == "no, with other arguments: `iban`, `a\\u202eb`"
    assert thought_in_words(Thought(SaidAndDid.ALTERED)) == "no, with other arguments"
    assert thought_in_words(Thought(SaidAndDid.MATCHED, "01M")) == "yes, exactly this (call 01M)"
    assert thought_in_words(Thought(SaidAndDid.UNASKED)) == "no"
    assert thought_in_words(Thought(SaidAndDid.UNKNOWN)) == "not known"
