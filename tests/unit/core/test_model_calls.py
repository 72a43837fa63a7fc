"""Conditions on model calls: what they say of a use, and which of them follow from which."""

from __future__ import annotations

import msgspec
import pytest

from bailiwick.core.call import Call, CallKind, ModelUse, Target
from bailiwick.core.circumstances import Circumstance
from bailiwick.core.flow.labels import Facts
from bailiwick.core.narrowing.circumstances import implied
from bailiwick.core.texts.glob import Glob
from bailiwick.core.thinking.model_calls import (
    AskedAs,
    IsSubstitute,
    OffersAny,
    OffersOnly,
    OutputAtMost,
    OutputOver,
    facts_of,
    read_use,
    recorded_use,
)
from bailiwick.core.values import CANNOT_TELL, FAILS, HOLDS, Truth

NOW = 0
ALL: tuple[Circumstance, ...] = (
    AskedAs((Glob("assistant"),)),
    IsSubstitute(wanted=False),
    OutputAtMost(10),
    OutputOver(10),
    OffersOnly((), ()),
    OffersAny((Glob("shell"),)),
)


def globs(*texts: str) -> tuple[Glob, ...]:
    return tuple(Glob(text) for text in texts)


def of(condition: Circumstance, **use: object) -> Truth:
    whole = msgspec.convert({"bounds": {}, "asked_as": "assistant", **use}, ModelUse)
    return condition.of(Facts(of_model=True, use=whole), NOW)


@pytest.mark.parametrize(
    ("condition", "use", "truth"),
    [
        (AskedAs(globs("assistant")), {}, HOLDS),
        (AskedAs(globs("assistant")), {"asked_as": "hosted/gpt"}, FAILS),
        (IsSubstitute(wanted=False), {}, HOLDS),
        (IsSubstitute(wanted=False), {"substitute": True, "because": "a/b busy"}, FAILS),
        (IsSubstitute(wanted=True), {"substitute": True}, HOLDS),
        (OutputAtMost(10), {"max_output": 10}, HOLDS),
        (OutputAtMost(10), {"max_output": 11}, FAILS),
        (OutputAtMost(10), {}, FAILS),
        (OutputOver(10), {"max_output": 10}, FAILS),
        (OutputOver(10), {"max_output": 11}, HOLDS),
        (OutputOver(10), {}, HOLDS),
        (OffersOnly(globs("read"), ()), {"tools": ["read"]}, HOLDS),
        (OffersOnly(globs("read"), ()), {"tools": ["read", "write"]}, FAILS),
        (OffersOnly(globs("read"), ()), {"tools": ["READ"]}, CANNOT_TELL),
        (OffersOnly((), ()), {}, HOLDS),
        (OffersOnly(None, ()), {"tools": ["anything"]}, HOLDS),
        (OffersOnly(None, ()), {"tools": ["mcp"], "hosted": ["mcp"]}, FAILS),
        (OffersOnly(None, globs("mcp")), {"tools": ["mcp"], "hosted": ["mcp"]}, HOLDS),
        (OffersAny(globs("shell")), {"tools": ["read", "shell"]}, HOLDS),
        (OffersAny(globs("shell")), {"tools": ["read", "Shell"]}, CANNOT_TELL),
        (OffersAny(globs("shell")), {"tools": ["read"]}, FAILS),
        (OffersAny(globs("shell")), {}, FAILS),
    ],
)
def test_what_a_condition_says_of_a_model_call(
    condition: Circumstance, use: dict[str, object], truth: Truth
) -> None:
    assert of(condition, **use) is truth
    assert condition.phrase


def test_a_server_s_own_shell_is_not_the_shell_that_an_agent_may_offer() -> None:
    condition = OffersOnly(globs("shell"), ())
    assert of(condition, tools=["shell"]) is HOLDS
    assert of(condition, tools=["shell"], hosted=["shell"]) is FAILS


@pytest.mark.parametrize("condition", ALL)
def test_a_call_of_a_tool_meets_them_all_and_of_an_unknown_use_nothing_can_be_told(
    condition: Circumstance,
) -> None:
    assert condition.of(Facts(), NOW) is HOLDS
    assert condition.of(Facts(of_model=True), NOW) is CANNOT_TELL
    assert condition.missing(Facts(of_model=True), NOW) == ""


def test_facts_of_a_model_call_are_those_of_its_use() -> None:
    use = ModelUse({}, "assistant")
    model = Call.of("0" * 26, Target(CallKind.MODEL, "local", "m"), {}, {}, use)
    tool = Call.of("0" * 26, Target(CallKind.TOOL, "local", "m"), {}, {}, use)
    assert facts_of(model, Facts(run="r")) == Facts(run="r", of_model=True, use=use)
    assert facts_of(tool, Facts(run="r")) == Facts(run="r")


def test_what_stands_in_the_way_is_said() -> None:
    facts = Facts(
        of_model=True,
        use=ModelUse({}, "x", substitute=True, because="a/b busy", tools=("t", "u"), hosted=("u",)),
    )
    told = [each.missing(facts, NOW) for each in ALL]
    assert told == [
        "it was asked for as `x`",
        "in place of `a/b busy`",
        "nothing bounds its answer",
        "nothing bounds its answer",
        "it offers `u` or `t`",
        "it offers `t` or `u`",
    ]


@pytest.mark.parametrize(
    ("own", "asked", "follows"),
    [
        (OutputAtMost(5), OutputAtMost(9), True),
        (OutputAtMost(9), OutputAtMost(5), False),
        (OutputOver(9), OutputOver(5), True),
        (OutputOver(5), OutputOver(9), False),
        (AskedAs(globs("a")), AskedAs(globs("a", "b")), True),
        (AskedAs(globs("*")), AskedAs(globs("a", "b")), False),
        (IsSubstitute(wanted=False), IsSubstitute(wanted=False), True),
        (IsSubstitute(wanted=True), IsSubstitute(wanted=False), False),
        (OffersOnly(globs("a"), ()), OffersOnly(globs("a", "b"), globs("c")), True),
        (OffersOnly(globs("a"), globs("d")), OffersOnly(globs("a"), globs("c")), False),
        (OffersOnly(globs("a"), ()), OffersOnly(None, ()), True),
        (OffersOnly(None, ()), OffersOnly(globs("a"), ()), False),
        (OffersAny(globs("a")), OffersAny(globs("a*")), True),
        (OffersAny(globs("a*")), OffersAny(globs("a")), False),
    ],
)
def test_which_condition_follows_from_which(
    own: Circumstance, asked: Circumstance, follows: bool
) -> None:
    assert implied((own,), asked) is follows


def test_what_is_recorded_of_a_use_is_read_back() -> None:
    use = ModelUse(
        {"tokens": 5},
        "assistant",
        substitute=True,
        because="a/b busy",
        instead_of="0" * 26,
        max_output=3,
        tools=("t", "mcp"),
        hosted=("mcp",),
        removed=("gone",),
    )
    assert read_use(recorded_use(use)) == use
    assert read_use(recorded_use(ModelUse({}, "m"))) == ModelUse({}, "m")
    assert read_use(None) is None
    assert read_use({"asked_as": 1}) is None
