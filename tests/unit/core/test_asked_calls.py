"""What models asked for, and what an agent then does."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailiwick.core.canonical import Json, JsonObject, canonical
from bailiwick.core.thinking.asked_calls import (
    ANOTHER_TOOL,
    MAX_BYTES,
    MAX_OPEN,
    UNREADABLE,
    AskedCalls,
    Found,
    digest_of_arguments,
)
from bailiwick.core.thinking.said_and_did import MAX_DIFFERENCES, SaidAndDid
from bailiwick.core.values import CANNOT_TELL, FAILS, HOLDS, Truth

PAY: JsonObject = {"to": "ben", "amount": 5}


def heard(
    memory: AskedCalls, arguments: JsonObject | None, name: str = "pay", tool_call: str = ""
) -> None:
    memory.heard("model-1", tool_call, name, ("pay", "read"), arguments, 0)


def only(name: str) -> object:
    def means(asked: str, offered: tuple[str, ...]) -> Truth:
        return HOLDS if asked == name else FAILS

    return means


def find(
    memory: AskedCalls, arguments: JsonObject, name: str = "pay", tool_call: str = ""
) -> Found:
    return memory.find(arguments, tool_call, only(name))  # type: ignore[arg-type]


def make(
    memory: AskedCalls, arguments: JsonObject, name: str = "pay", tool_call: str = ""
) -> SaidAndDid:
    """Make a call: what matches is used up."""
    found = find(memory, arguments, name, tool_call)
    if found.open is not None:
        memory.used(found.open)
    return found.thought.match


def test_what_a_model_asked_for_matches_whatever_the_order_of_its_names() -> None:
    memory = AskedCalls()
    heard(memory, PAY, tool_call="toolu_1")
    found = find(memory, {"amount": 5, "to": "ben"})
    assert found.thought.match is SaidAndDid.MATCHED
    assert (found.thought.model_call, found.thought.tool_call) == ("model-1", "toolu_1")


def test_without_a_model_call_nothing_is_known() -> None:
    assert find(AskedCalls(), PAY).thought.match is SaidAndDid.UNKNOWN


def test_other_arguments_are_altered_and_named() -> None:
    memory = AskedCalls()
    heard(memory, {"to": "ben", "amount": 5, "how": {"fast": True, "by": "post"}})
    made: JsonObject = {"to": "eve", "how": {"fast": True, "by": "hand"}, "memo": "x"}
    thought = find(memory, made).thought
    assert thought.match is SaidAndDid.ALTERED
    assert thought.differences == ("to", "amount", "how.by", "memo")


def test_an_altered_call_leaves_what_was_asked_open() -> None:
    memory = AskedCalls()
    heard(memory, PAY)
    assert make(memory, {"to": "eve", "amount": 5}) is SaidAndDid.ALTERED
    assert make(memory, PAY) is SaidAndDid.MATCHED


def test_of_several_the_nearest_is_taken_for_the_one_that_was_altered() -> None:
    memory = AskedCalls()
    heard(memory, {"to": "ann", "amount": 1}, tool_call="a")
    heard(memory, {"to": "ben", "amount": 5}, tool_call="b")
    thought = find(memory, {"to": "ben", "amount": 6}).thought
    assert (thought.tool_call, thought.differences) == ("b", ("amount",))


def test_another_tool_was_never_asked_for() -> None:
    memory = AskedCalls()
    heard(memory, PAY, name="read")
    assert find(memory, PAY).thought.match is SaidAndDid.UNASKED


def test_another_tool_under_the_models_id_is_altered() -> None:
    memory = AskedCalls()
    heard(memory, PAY, name="read", tool_call="toolu_1")
    thought = find(memory, PAY, tool_call="toolu_1").thought
    assert (thought.match, thought.differences) == (SaidAndDid.ALTERED, (ANOTHER_TOOL,))


def test_an_id_makes_nothing_match() -> None:
    memory = AskedCalls()
    heard(memory, PAY, tool_call="toolu_1")
    found = find(memory, {"to": "eve", "amount": 5}, tool_call="toolu_1")
    assert found.thought.match is SaidAndDid.ALTERED
    assert found.open is None


@pytest.mark.parametrize(
    ("asked", "made", "match"),
    [
        (1, 1.0, SaidAndDid.MATCHED),
        (1.0, 1, SaidAndDid.MATCHED),
        (1, "1", SaidAndDid.ALTERED),
        (1, True, SaidAndDid.ALTERED),
        ("a", "A", SaidAndDid.ALTERED),
        ("a", "\u0430", SaidAndDid.ALTERED),
        (None, "", SaidAndDid.ALTERED),
        ([1, 2], [2, 1], SaidAndDid.ALTERED),
    ],
)
def test_values_are_compared_by_their_canonical_form(
    asked: Json, made: Json, match: SaidAndDid
) -> None:
    memory = AskedCalls()
    heard(memory, {"x": asked})
    assert find(memory, {"x": made}).thought.match is match


def test_asked_once_serves_once() -> None:
    memory = AskedCalls()
    heard(memory, PAY)
    assert make(memory, PAY) is SaidAndDid.MATCHED
    assert make(memory, PAY) is SaidAndDid.UNASKED
    heard(memory, PAY)
    assert make(memory, PAY) is SaidAndDid.MATCHED


def test_a_call_that_was_not_made_after_all_is_open_again() -> None:
    memory = AskedCalls()
    heard(memory, PAY)
    found = find(memory, PAY)
    assert found.open is not None
    memory.used(found.open)
    memory.unused(found.open)
    memory.unused(found.open)
    assert make(memory, PAY) is SaidAndDid.MATCHED
    assert make(memory, PAY) is SaidAndDid.UNASKED


def test_parallel_calls_serve_each_once() -> None:
    memory = AskedCalls()
    heard(memory, PAY, tool_call="a")
    heard(memory, PAY, tool_call="b")
    first, second = find(memory, PAY, tool_call="b"), find(memory, PAY)
    assert (first.thought.tool_call, second.thought.tool_call) == ("b", "a")
    assert [make(memory, PAY) for _ in range(3)] == [
        SaidAndDid.MATCHED,
        SaidAndDid.MATCHED,
        SaidAndDid.UNASKED,
    ]


def test_one_id_for_two_calls_confuses_nobody() -> None:
    memory = AskedCalls()
    heard(memory, {"to": "ann"}, tool_call="call_0")
    heard(memory, {"to": "ben"}, tool_call="call_0")
    assert make(memory, {"to": "ben"}, tool_call="call_0") is SaidAndDid.MATCHED
    assert make(memory, {"to": "ann"}, tool_call="call_0") is SaidAndDid.MATCHED
    assert make(memory, {"to": "ann"}, tool_call="call_0") is SaidAndDid.UNASKED


def test_what_came_out_otherwise_is_not_open_any_more() -> None:
    memory = AskedCalls()
    heard(memory, PAY, tool_call="toolu_1")
    memory.told("toolu_1")
    assert find(memory, PAY).thought.match is SaidAndDid.UNASKED


def test_a_name_in_doubt_is_not_known_and_never_matched() -> None:
    memory = AskedCalls()
    heard(memory, PAY)
    found = memory.find(PAY, "", lambda name, offered: CANNOT_TELL)
    assert (found.thought.match, found.open) == (SaidAndDid.UNKNOWN, None)


def test_while_a_model_is_still_talking_nothing_is_said_not_to_be_asked_for() -> None:
    memory = AskedCalls()
    heard(memory, PAY, name="read")
    memory.thinking.add("model-2")
    assert find(memory, PAY).thought.match is SaidAndDid.UNKNOWN


def test_arguments_that_cannot_be_read_match_nothing() -> None:
    memory = AskedCalls()
    heard(memory, None)
    thought = find(memory, {}).thought
    assert (thought.match, thought.differences) == (SaidAndDid.ALTERED, (UNREADABLE,))


def test_a_flood_forgets_the_oldest_and_says_so() -> None:
    memory = AskedCalls()
    for count in range(10_000):
        heard(memory, {"count": count})
    assert memory.size <= MAX_BYTES
    assert find(memory, {"count": 9_999}).thought.match is SaidAndDid.MATCHED
    assert make(memory, {"count": 0}) is SaidAndDid.ALTERED
    assert find(memory, {"count": 0}, name="read").thought.match is SaidAndDid.UNKNOWN


def test_large_arguments_are_bounded_together() -> None:
    memory = AskedCalls()
    for count in range(MAX_OPEN):
        heard(memory, {"text": f"{count}" + "x" * 15_000})
    assert memory.size <= MAX_BYTES
    assert not memory.complete


def test_of_large_arguments_the_digest_is_enough_to_match() -> None:
    memory = AskedCalls()
    heard(memory, {"text": "x" * 100_000})
    assert find(memory, {"text": "x" * 100_000}).thought.match is SaidAndDid.MATCHED
    assert find(memory, {"text": "y" * 100_000}).thought.differences == (UNREADABLE,)


def test_a_model_with_an_endless_name_is_not_listened_to() -> None:
    memory = AskedCalls()
    heard(memory, PAY, name="x" * 10_000)
    assert find(memory, PAY).thought.match is SaidAndDid.UNKNOWN
    assert memory.size == 0


def test_no_more_differences_are_named_than_fit() -> None:
    memory = AskedCalls()
    heard(memory, {f"a{count}": 1 for count in range(100)})
    made: JsonObject = {f"a{count}": 2 for count in range(100)}
    assert len(find(memory, made).thought.differences) == MAX_DIFFERENCES


def test_what_is_known_of_the_record_is_used_up_again() -> None:
    memory = AskedCalls()
    heard(memory, PAY, tool_call="toolu_1")
    memory.used_as("model-1", "toolu_1", digest_of_arguments(PAY)[0])
    assert find(memory, PAY).thought.match is SaidAndDid.UNASKED


_values: st.SearchStrategy[Json] = st.sampled_from([0, 1, 1.0, True, "1", "", None, [1], {"a": 1}])
_arguments = st.dictionaries(st.sampled_from(["a", "b", "A"]), _values, max_size=2)
_steps = st.lists(
    st.tuples(
        st.sampled_from(["ask", "call", "tell"]),
        st.sampled_from(["pay", "read"]),
        _arguments,
        st.sampled_from(["", "x", "y"]),
    ),
    max_size=40,
)


@given(_steps)
def test_matched_means_that_an_answer_asked_for_exactly_that_and_was_not_used_up(
    steps: Sequence[tuple[str, str, JsonObject, str]],
) -> None:
    memory, upstream = AskedCalls(), []
    for what, name, arguments, tool_call in steps:
        written = name, canonical(arguments)
        if what == "ask":
            heard(memory, arguments, name, tool_call)
            upstream.append(written)
        elif what == "tell":
            memory.told(tool_call)
        elif make(memory, arguments, name, tool_call) is SaidAndDid.MATCHED:
            assert written in upstream
            upstream.remove(written)
