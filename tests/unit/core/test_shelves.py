"""What is remembered for all children together is bounded, and forgetting it changes no verdict."""

from __future__ import annotations

import dataclasses
import gc

import pytest

from bailiwick.core import line as lines_of
from bailiwick.core.conditions import AtMost
from bailiwick.core.line import line_of
from bailiwick.core.mandate import Mandate
from bailiwick.core.shelves import PARTS_OF_FORMS, Shelf, Shelves
from bailiwick.core.verdict import Allow, Deny
from tests.unit.core.mandates import allow, at, call, mandate, pattern, verdict
from tests.unit.core.test_limits import limit

MOST = 400


@pytest.fixture
def shelves(monkeypatch: pytest.MonkeyPatch) -> Shelves:
    shelves = Shelves(MOST)
    monkeypatch.setattr(lines_of, "_SHELVES", shelves)
    return shelves


ROOT = mandate(allow("bank/*", AtMost(at("amount"), 100)), name="pay")


def child(name: str, most: int = 10) -> Mandate:
    made = mandate(allow("bank/*", AtMost(at("amount"), most)), name=f"pay:{name}")
    return dataclasses.replace(made, parent="pay")


def remembered(one: Mandate) -> int:
    return len(one.lines[0].known) if one.lines else 0


def test_what_was_added_to_longest_ago_is_forgotten_first(shelves: Shelves) -> None:
    children = [child(f"c{number}") for number in range(20)]
    for one in children:
        for tool in range(20):
            line_of((ROOT, one), call(f"bank/t{tool}", {}).target)
    assert remembered(children[0]) == 0
    assert children[0].plans == {}
    assert remembered(children[-1]) == 20
    assert shelves.parts() <= MOST


def test_nothing_is_forgotten_while_there_is_room(shelves: Shelves) -> None:
    children = [child(f"c{number}") for number in range(4)]
    for one in children:
        for tool in range(20):
            line_of((ROOT, one), call(f"bank/t{tool}", {}).target)
    assert [remembered(one) for one in children] == [20] * 4
    assert shelves.parts() == 4 * 20 * 2


def test_a_verdict_is_the_same_before_and_after_it_is_forgotten(shelves: Shelves) -> None:
    one = child("a")
    chain = (ROOT, one)

    def verdicts() -> list[object]:
        return [verdict(call("bank/x", {"amount": amount}), *chain) for amount in (5, 50, 500)]

    before = verdicts()
    assert [type(each) for each in before] == [Allow, Deny, Deny]
    for number in range(20):
        other = child(f"c{number}", 1000)
        for tool in range(20):
            line_of((ROOT, other), call(f"bank/t{tool}", {}).target)
    assert not any(target.name == "x" for target in one.lines[0].known)
    assert verdicts() == before
    assert [target.name for target in one.lines[0].known] == ["x"]


def test_forms_of_limits_count_by_what_they_may_come_to(shelves: Shelves) -> None:
    root = dataclasses.replace(
        ROOT, limits=(dataclasses.replace(limit(), targets=(pattern("bank/*"),)),)
    )
    line = line_of((root, child("a")), call("bank/x", {}).target)
    assert line.forms is not None
    assert shelves.parts() == 2 + PARTS_OF_FORMS


def test_a_declared_mandates_lines_are_its_own(shelves: Shelves) -> None:
    line_of((mandate(allow("bank/*")),), call("bank/x", {}).target)
    assert shelves.parts() == 0


def test_a_mandate_that_is_gone_is_not_kept_alive(shelves: Shelves) -> None:
    one = child("a")
    line_of((ROOT, one), call("bank/x", {}).target)
    assert shelves.parts() == 2
    del one
    gc.collect()
    assert shelves.parts() == 0


def test_what_is_just_being_added_to_is_not_forgotten() -> None:
    shelves = Shelves(10)
    known: dict[int, int] = dict.fromkeys(range(50), 0)
    shelf = Shelf(known, 1, {})
    shelves.added(shelf, 50)
    assert len(known) == 50
    other = Shelf({1: 1}, 1, {})
    shelves.added(other, 6)
    assert not known
    assert shelves.parts() == 1
