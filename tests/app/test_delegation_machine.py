"""Any sequence of delegating, stopping, changing and calling, held against a model of it."""

from __future__ import annotations

import asyncio
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bailiwick.core.errors import TheirError
from tests.app.delegating import ADA, OLA, House, house

ROOM = 300
"""What the mandate at the top may spend over its life."""

BOUNDS = (100, 60, 200)


def pay(bound: int, leave: int) -> str:
    """The mandate at the top: how much each, and how deep it may be passed on (0: not at all)."""
    delegation = f'delegation: {{to: "helper-*", depth: {leave}, children: 6}}' if leave else ""
    return f"""
    from: ada
    to: clerk
    allow: [{{tool: bank/pay, when: {{amount: {{at_most: {bound}}}}}}}]
    limits:
      - {{id: all, tool: bank/pay, sum: amount, currency: CHF, at_most: {ROOM}, each: lifetime}}
    {delegation}
    """


def child(name: str, bound: int, leave: int) -> str:
    delegation = f'delegation: {{to: "helper-*", depth: {leave}}}' if leave else ""
    return f"""
    to: helper-{"ab"[len(name) % 2]}
    name: {name}
    allow: [{{tool: bank/pay, when: {{amount: {{at_most: {bound}}}}}}}]
    {delegation}
    """


@dataclass
class Known:
    """One mandate as the model has it."""

    bound: int
    leave: int
    state: str = "active"
    children: list[str] = field(default_factory=list)


@dataclass
class Model:
    """What should be so."""

    mandates: dict[str, Known]
    spent: int = 0

    def line(self, name: str) -> list[Known]:
        parts = name.split(":")
        return [self.mandates[":".join(parts[: end + 1])] for end in range(len(parts))]

    def stands(self, name: str) -> bool:
        line = self.line(name)
        deep = all(each.leave >= len(line) - 1 - place for place, each in enumerate(line))
        return deep and all(each.state == "active" for each in line)

    def may_spend(self, name: str, amount: int) -> bool:
        fits = all(amount <= each.bound for each in self.line(name))
        return self.stands(name) and fits and self.spent + amount <= ROOM

    def below(self, name: str) -> list[str]:
        return [each for each in self.mandates if each.startswith(name + ":")]


Step = tuple[str, int, int]
"""What is done, to which mandate, and how: bound and leave of a child or change, an amount."""

BEGUN: list[Step] = [("delegate", 0, 3), ("delegate", 1, 1), ("delegate", 0, 0)]
"""A child, a child of it, and another child."""

steps = st.lists(
    st.tuples(
        st.sampled_from(
            ["delegate"] * 3 + ["call"] * 3 + ["revoke", "suspend", "resume", "change"]
        ),
        st.integers(0, 7),
        st.integers(0, 5),
    ),
    min_size=5,
    max_size=25,
)


async def carry_out(folder: Path, sequence: list[Step]) -> None:
    model = Model({"pay": Known(100, 2)})
    async with house(folder, pay(100, 2)) as there:
        for number, (act, which, how) in enumerate([*BEGUN, *sequence]):
            name = sorted(model.mandates)[which % len(model.mandates)]
            await _ACTS[act](there, model, name, number, how)
            for each, known in model.mandates.items():
                assert there.state(each).value == known.state, (act, each)
                chain = there.gateway.rooms.authority.chain(each)
                active = all(link.state.value == "active" for link in chain)
                assert active == model.stands(each), (act, each)
    async with house(folder, pay(*_top(model))) as again:  # and after a restart
        for each in model.mandates:
            done = await again.code(each, "pay", amount=1) == "done"
            assert done == model.may_spend(each, 1), each
            model.spent += done


def _top(model: Model) -> tuple[int, int]:
    return model.mandates["pay"].bound, model.mandates["pay"].leave


async def _delegate(there: House, model: Model, name: str, number: int, how: int) -> None:
    bound, leave = BOUNDS[how % 3], how // 3
    line = model.line(name)
    above = line[-1]
    deep = all(each.leave >= len(line) - place for place, each in enumerate(line))
    room = sum(model.mandates[each].state != "revoked" for each in above.children) < 6
    may = model.stands(name) and deep and room and bound <= above.bound and leave < above.leave
    try:
        made = await there.child(child(f"c{number}", bound, leave), name)
    except TheirError:
        assert not may, (name, bound, leave)
        return
    assert may, (name, bound, leave)
    above.children.append(made.name)
    model.mandates[made.name] = Known(bound, leave)


async def _call(there: House, model: Model, name: str, number: int, how: int) -> None:
    amount = BOUNDS[how % 3] - number % 2
    done = await there.code(name, "pay", amount=amount) == "done"
    assert done == model.may_spend(name, amount), (name, amount, model.spent)
    model.spent += amount if done else 0


async def _revoke(there: House, model: Model, name: str, number: int, how: int) -> None:
    if name == "pay":
        return  # nothing would be left to try
    await there.control.revoke(ADA, name, "")
    for each in (name, *model.below(name)):
        model.mandates[each].state = "revoked"


async def _suspend(there: House, model: Model, name: str, number: int, how: int) -> None:
    known = model.mandates[name]
    try:
        await there.control.suspend(ADA, name, "")
    except TheirError:
        assert known.state == "revoked"
        return
    assert known.state != "revoked"
    known.state = "suspended"


async def _resume(there: House, model: Model, name: str, number: int, how: int) -> None:
    known = model.mandates[name]
    try:
        await there.control.resume(OLA, name, "")
    except TheirError:
        assert known.state != "suspended"
        return
    assert known.state == "suspended"
    known.state = "active"


async def _change(there: House, model: Model, name: str, number: int, how: int) -> None:
    """Declare the mandate at the top again; a suspended one stays so."""
    top = model.mandates["pay"]
    top.bound, top.leave = BOUNDS[how % 3], 2 - number % 3
    await there.apply(pay(top.bound, top.leave))


_ACTS = {
    "delegate": _delegate,
    "call": _call,
    "revoke": _revoke,
    "suspend": _suspend,
    "resume": _resume,
    "change": _change,
}


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps)
def test_lines_of_mandates_do_what_their_model_does(sequence: list[Step]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(carry_out(Path(folder), sequence))
