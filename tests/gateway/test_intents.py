"""Intents are filled into forms that are remembered: nothing of another call may stay in one."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import replace

import msgspec
import pytest

from bailiwick.core.call import Call, CallKind, ModelUse, Target
from bailiwick.core.canonical import Json
from bailiwick.core.flow.labels import NO_LABELS, Facts
from bailiwick.core.thinking.said_and_did import Retold, SaidAndDid, Thought
from bailiwick.core.verdict import Allow, Deny, Hold, Requirement, Verdict
from bailiwick.gateway import intents
from bailiwick.gateway.call_context import CallContext
from bailiwick.gateway.intents import Intents
from bailiwick.ports import CallOpened, Entry
from tests.gateway.test_record_vectors import CHARGES, CHILD, CLERK
from tests.ledger.test_ledger_docs import PlainVault

ALLOW = Allow(("files@3/allow/1",), "it may")
USE = ModelUse({"tokens": 7}, "fast")
NEWER = replace(CLERK, version=4)
FACTS = replace(NO_LABELS, facts=Facts(end_user="zoë", end_user_by="agent"))
HOLD = Hold(Requirement("treasurer", frozenset()), ("files@3/stamp/1",), "held")
Change = Callable[[CallContext], CallContext]


def constant() -> Callable[[int], bytes]:
    """The same salts for whoever draws equally often, and for nobody else."""
    drawn = itertools.count(1)
    return lambda length: next(drawn).to_bytes(length, "big")


def of(
    target: Target = Target(CallKind.TOOL, "bank", "pay"),  # noqa: B008 - frozen
    arguments: Mapping[str, Json] = {"amount": 1},
    ident: str = "1",
    use: ModelUse | None = None,
) -> CallContext:
    call = Call.of(ident, target, arguments, use=use)
    return CallContext(call, "2", "clerk", "bo", (CLERK,), "mcp/x", "", "3", NO_LABELS)


def change(**changes: object) -> Change:
    return lambda context: msgspec.structs.replace(context, **changes)


OTHERS: list[tuple[Change, Verdict, str]] = [
    (change(agent="helper"), ALLOW, ""),
    (change(owner="cy"), ALLOW, ""),
    (change(edge="llm"), ALLOW, ""),
    (change(token="4"), ALLOW, ""),
    (change(run="9"), ALLOW, ""),
    (change(policies="6"), ALLOW, ""),
    (change(traceparent="00-0123456789abcdef0123456789abcdef-0123456789abcdef-01"), ALLOW, ""),
    (change(chain=(NEWER,)), ALLOW, ""),
    (change(chain=(CLERK, CHILD)), ALLOW, ""),
    (change(chain=(replace(CLERK, principal="cy"),)), ALLOW, ""),
    (change(labels=FACTS), ALLOW, ""),
    (change(thought=Thought(SaidAndDid.ALTERED, "7", "call_1", ("a.b",))), ALLOW, ""),
    (change(thought=Thought(SaidAndDid.MATCHED, "7", "call_1")), ALLOW, ""),
    (change(retold=(Retold(SaidAndDid.ALTERED, "8"),)), ALLOW, ""),
    (change(call=of(arguments={"amount": 2}).call), ALLOW, ""),
    (change(call=of(ident="8").call), ALLOW, ""),
    (change(call=of(Target(CallKind.TOOL, "bank", "read")).call), ALLOW, ""),
    (change(call=of(Target(CallKind.TOOL, "mail", "pay")).call), ALLOW, ""),
    (change(call=of(Target(CallKind.PROMPT, "bank", "pay")).call), ALLOW, ""),
    (change(call=of(Target(CallKind.RESOURCE, "bank", "pay")).call), ALLOW, ""),
    (change(call=of(Target(CallKind.MODEL, "bank", "pay"), use=USE).call), ALLOW, ""),
    (
        change(
            call=of(
                Target(CallKind.MODEL, "bank", "pay"),
                use=ModelUse({}, "x", substitute=True, because="big", instead_of="0"),
            ).call
        ),
        ALLOW,
        "",
    ),
    (change(), Allow(("files@3/allow/2",), "it may"), ""),
    (change(), Allow(("@ada/limit/a",), "it may"), ""),
    (change(), Allow(ALLOW.rules, "it may, too"), ""),
    (change(), Deny("not_in_mandate", ALLOW.rules, "it may"), ""),
    (change(), HOLD, "5"),
    (change(), ALLOW, "5"),
    (change(), ALLOW, "6"),
]


def write(
    to: Intents,
    context: CallContext,
    verdict: Verdict = ALLOW,
    code: str = "allowed",
    hold: str = "",
) -> tuple[Entry, CallOpened]:
    form = to.form(context, verdict, code, hold)
    return to.write(form, context, 4, CHARGES if context.token == "4" else ())


def once(context: CallContext, verdict: Verdict, code: str, hold: str) -> tuple[Entry, CallOpened]:
    return write(Intents(PlainVault(), constant()), context, verdict, code, hold)


@pytest.mark.parametrize(("changed", "verdict", "hold"), OTHERS)
def test_a_call_that_differs_in_one_thing_is_written_as_by_who_remembers_nothing(
    changed: Change, verdict: Verdict, hold: str
) -> None:
    plain, other = of(), changed(of())
    expected = once(other, verdict, "allowed", hold)
    known = Intents(PlainVault(), constant())
    write(known, plain)
    for _ in range(2):  # the second time from memory
        known._random = constant()
        assert write(known, other, verdict, hold=hold) == expected
        known._random = constant()
        assert write(known, plain) == once(plain, ALLOW, "allowed", "")


def test_another_code_is_another_form() -> None:
    known = Intents(PlainVault(), constant())
    write(known, of())
    known._random = constant()
    assert write(known, of(), code="approved") == once(of(), ALLOW, "approved", "")


def test_the_row_says_what_the_leaf_says() -> None:
    resource = Target(CallKind.RESOURCE, "bank", "file:///x")
    _, row = once(of(resource), ALLOW, "allowed", "")
    assert msgspec.structs.astuple(row) == (
        *("1", 4, "2", "clerk", "files@3", "ada", "resource", "bank", "file:///x", ""),
        *("running", "allowed", "it may", "", 0),
    )
    held = of()
    _, row = once(held, HOLD, "held", "5")
    assert (row.digest, row.state, row.hold) == (held.call.digest, "held", "5")


def test_what_is_remembered_is_bounded_in_number_and_length() -> None:
    known = Intents(PlainVault(), constant())
    for number in range(intents.MAX_FORMS + 10):
        write(known, of(Target(CallKind.TOOL, "bank", str(number))))
    assert len(known._forms) == 10
    resource = of(Target(CallKind.RESOURCE, "bank", "file:///" + "x" * intents.MAX_FORM_BYTES))
    for verdict in (ALLOW, Deny("no", (), "y" * 9_999)):
        first, _ = write(known, resource, verdict)
        assert first.sealed
        assert len(known._forms) == 10
