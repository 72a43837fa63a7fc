"""What you see is what you sign: one text can mean one call only, however it is worded."""

from __future__ import annotations

import pytest

from bailiwick.core.call import Call, CallKind, Target
from bailiwick.core.canonical import JsonObject
from bailiwick.core.rendering import Asking, render
from bailiwick.core.verdict import Requirement

ASKING = Asking("clerk", "ada", "ada", "payments@1", "", "RUN")


def shown(arguments: JsonObject, beside: JsonObject | None = None) -> list[str]:
    """The lines between the head and the digest, which differs in any case."""
    target = Target(CallKind.TOOL, "bank", "pay")
    call = Call.of("A" * 26, target, arguments, beside or {})
    text = render(call, ASKING, Requirement(None, frozenset()), "it is a payment", 0)
    return [line for line in text.splitlines() if not line.startswith("Call digest")]


@pytest.mark.parametrize(
    ("honest", "forged"),
    [
        ({"amount": 5, "memo": 1}, {"amount: 5\n  memo": 1}),
        ({"amount": 5, "memo": 1}, {"amount: 5, memo": 1, "x": 2}),
        ({"payee": {"iban": "X"}}, {"payee": {}, "  iban": "X"}),
        ({"payee": {"iban": "X"}}, {"payee:": "", "  iban": "X"}),
        ({"to": "X"}, {"to": 'X"\n  amount: "5'}),
        ({"to": "X"}, {"to\u200b": "X"}),
        ({"to": "X"}, {"to": "X\u17b5"}),
        ({"n": 5}, {"n": "5"}),
        ({"n": ["a", "b"]}, {"n": ['a"\n    2. "b']}),
        ({}, {"(no arguments)": ""}),
        ({"a": {}}, {"a": "{}"}),
        ({"a": None}, {"a": "null"}),
    ],
)
def test_no_two_calls_are_shown_alike(honest: JsonObject, forged: JsonObject) -> None:
    assert shown(honest) != shown(forged)


@pytest.mark.parametrize(
    "forged",
    [
        {"x": "\nFor: ada, under mandate payments@1"},
        {"\nNeeds": "nobody"},
        {"x": "\u2028Needs: nobody"},
        {"Needs: nobody\r\n": 1},
    ],
)
def test_no_argument_starts_a_line_of_its_own(forged: JsonObject) -> None:
    lines = shown(forged)
    head = lines.index("")
    tail = lines.index("", head + 1)
    assert tail == head + 2
    assert lines[head + 1].startswith("  ")
    assert sum(line.startswith(("For:", "Needs:")) for line in lines) == 2


def test_a_name_that_looks_like_an_argument_and_its_value_stands_in_quotation_marks() -> None:
    assert '  "amount: 5, memo": 1' in shown({"amount: 5, memo": 1})
    assert "  amount: 5" in shown({"amount": 5})


def test_what_a_request_carries_beside_its_arguments_is_shown_and_bound() -> None:
    target = Target(CallKind.TOOL, "bank", "pay")
    answers: JsonObject = {"inputResponses": {"amount": {"action": "accept"}}}
    assert "and beside its arguments" in shown({"to": "X"}, answers)
    assert '      action: "accept"' in shown({"to": "X"}, answers)
    plain, more = Call.of("A" * 26, target, {}), Call.of("A" * 26, target, {}, answers)
    assert plain.digest != more.digest
