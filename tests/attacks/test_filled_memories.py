"""What the gateway remembers to be quick, filled by an agent that makes things up without end, and
rules written to take long to tell apart: memory and time stay bounded, and nothing is let through.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import pytest

from bailiwick.core import argument_path
from bailiwick.core.argument_path import BLOCKED, MISSING, at_key, reach
from bailiwick.core.call import CallKind, Target
from bailiwick.core.canonical import Json, JsonObject
from bailiwick.core.conditions import AtMost, Equals, OneOf
from bailiwick.core.line import line_of
from bailiwick.core.mandate import MAX_PLANS_OF_CHILD, AllowRule
from bailiwick.core.thinking.asked_calls import MAX_BYTES, AskedCalls
from bailiwick.core.values import fold
from bailiwick.core.verdict import Allow, Deny
from bailiwick.gateway import thoughts as thoughts_module
from bailiwick.gateway.gate import Gate
from bailiwick.gateway.llm.offering import Offerings
from bailiwick.gateway.thoughts import Recalls, Thoughts
from bailiwick.protocols.llm import tool_names
from tests.unit.core.mandates import allow, at, call, mandate, verdict

TRANSFER = "bank/transfer"
TARGET = Target(CallKind.TOOL, "bank", "transfer")


# --- names of tools that are offered to models ---------------------------------------------------


def offer(number: int, chars: int = 500) -> tuple[str, ...]:
    """As many names as a request may have, made up anew for each."""
    return tuple(f"{number}-{which}-".ljust(chars, "x") for which in range(1_024))


def test_names_offered_with_open_calls_count_among_the_bytes_of_a_run() -> None:
    asked = AskedCalls()
    for number in range(20):
        asked.heard("model", f"t{number}", "pay", offer(number), {}, 0)
    held = {id(each.offered): each.offered for each in asked._open.values()}
    assert sum(len(name) for names in held.values() for name in names) <= MAX_BYTES
    assert asked.size <= MAX_BYTES
    assert not asked.complete


def test_the_same_names_offered_again_and_again_are_kept_once_and_given_back() -> None:
    asked = AskedCalls()
    for number in range(100):
        asked.heard("model", f"t{number}", "pay", offer(1, 64), {"n": number}, 0)
    assert asked.complete
    assert len({id(each.offered) for each in asked._open.values()}) == 1
    for number in range(100):
        asked.told(f"t{number}")
    assert asked.size == 0


async def never(run: str) -> thoughts_module.RunThoughts:
    raise AssertionError(run)


def test_what_names_mean_is_not_remembered_for_names_without_end() -> None:
    class Nothing:
        of = staticmethod(never)

    thoughts = Thoughts(cast(Recalls, Nothing()), lambda: 0)
    tools = (("bank", "transfer"),)
    thoughts.tools = lambda: tools
    for number in range(60):
        thoughts._means(TARGET)(f"bank__transfer_{number}", offer(number))
    kept = sum(len(name) for _, _, names in thoughts._meant for name in names)
    assert kept <= thoughts_module.MAX_MEANT_CHARS + 1_024 * 500


def test_offers_of_names_without_end_are_not_remembered() -> None:
    offerings = Offerings(cast(Gate, None), lambda: (("bank", "transfer"),))
    for number in range(20):
        assert len(offerings._of(offer(number))) == 1_024
    assert not offerings._meanings
    usual = offer(0, 40)
    assert offerings._of(usual) is offerings._of(usual)


def test_the_best_names_are_remembered_of_few_offers() -> None:
    for number in range(200):
        names = (f"a{number}__bank__transfer", f"{number}")
        assert tool_names.means(names[0], ("bank", "transfer"), names, ()).name == "HOLDS"
    assert len(tool_names._best_of_offers) <= tool_names.MAX_OFFERS


# --- rules that are nearly alike -----------------------------------------------------------------


class Looked(int):
    """A number that counts how often it is compared."""

    count = 0

    def __eq__(self, other: object) -> bool:
        Looked.count += 1
        return int(self) == other

    def __hash__(self) -> int:
        return hash(int(self))


def nearly_alike(*, lists: bool) -> list[AllowRule]:
    """Rules of one hash that differ in their last values alone: `1`, `1.0` and `true`."""
    rules = []
    for number in range(40):
        tail: list[Json] = [1.0 if number >> bit & 1 else 1 for bit in range(6)]
        values: list[Json] = [*(Looked(1) for _ in range(100)), *tail]
        asks = Equals(at("x"), values) if lists else OneOf(at("x"), tuple(values))
        rules.append(allow(TRANSFER, asks, id_=f"rule-{number}"))
    return rules


@pytest.mark.parametrize("lists", [True, False])
def test_rules_that_are_nearly_alike_are_not_each_compared_with_all(lists: bool) -> None:
    chain = (mandate(*nearly_alike(lists=lists)), mandate(*nearly_alike(lists=lists)))
    Looked.count = 0
    line = line_of(chain, TARGET)
    again = line.stages[1].again
    assert again is not None
    assert again.id == "rule-0"
    assert Looked.count <= 2 * 40 * 100


def test_a_child_of_which_an_agent_can_make_a_thousand_remembers_few_targets() -> None:
    root = mandate(allow("*/*"))
    child = replace(root, name="pay:helper", parent="pay")
    for number in range(MAX_PLANS_OF_CHILD + 10):
        line_of((root, child), Target(CallKind.RESOURCE, "files", f"file:///{number}"))
    assert 0 < len(child.plans) <= MAX_PLANS_OF_CHILD
    assert 0 < len(child.lines[0].known) <= MAX_PLANS_OF_CHILD
    assert len(root.plans) == MAX_PLANS_OF_CHILD + 10


# --- names beside an argument --------------------------------------------------------------------


@pytest.fixture
def folded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How long the names were that have been folded."""
    lengths: list[int] = []

    def counting(text: str) -> str:
        lengths.append(len(text))
        return fold(text)

    monkeypatch.setattr(argument_path, "fold", counting)
    return lengths


LONG: Sequence[JsonObject] = (
    {"\ufdfa" * 400_000: 1},
    {f"\ufdfa{number}" * 20: 1 for number in range(10_000)},
)


@pytest.mark.parametrize("beside", LONG, ids=["one", "many"])
def test_names_of_megabytes_are_not_folded_for_each_thing_that_is_asked(
    beside: JsonObject, folded: list[int]
) -> None:
    asks = [AtMost(at(f"a.x{number}"), 5, optional=True) for number in range(30)]
    asked = call(TRANSFER, {"a": {**beside, "x1": 1}})
    folded.clear()
    assert isinstance(verdict(asked, mandate(allow(TRANSFER, *asks))), Deny)
    assert sum(folded) < 1_000_000  # 58 million once


@pytest.mark.parametrize("beside", LONG, ids=["one", "many"])
def test_what_stands_beside_names_of_megabytes_cannot_be_told(beside: JsonObject) -> None:
    assert at_key("x", beside) is BLOCKED
    assert reach(("a", "x"), {"a": {**beside, "x": 1}}) == [BLOCKED]
    plain = {f"someName-{number}": 1 for number in range(10_000)}
    assert at_key("x", plain) is MISSING
    assert reach(("a", "x"), {"a": {**plain, "x": 1}}) == [1]
    asks = mandate(allow(TRANSFER, AtMost(at("x"), 5, optional=True), other=True))
    assert isinstance(verdict(call(TRANSFER, {"memo": 1}), asks), Allow)
    assert isinstance(verdict(call(TRANSFER, {**beside}), asks), Deny)
