"""What is wrong with policies is found, with its place and the nearest name, before they count."""

from __future__ import annotations

import pytest

from bailiwick.policy import Flaw, check
from tests.unit.policy.office import DEFINITIONS, definition, house, policy

HEAD = 'forbid (principal, action == Action::"bank/transfer", resource)\nwhen { '


def flaws(*texts: str, **more: bool) -> list[Flaw]:
    declared = [policy(text, f"p{n}", **more) for n, text in enumerate(texts, 1)]
    return check(declared, house())


def test_sound_policies_have_no_flaws() -> None:
    assert (
        flaws(
            HEAD + 'context.input.amount > 5 && context.input.payee.iban like "CH*" };',
            "forbid(principal, action, resource) when { context.time.hour < 6 };",
            "forbid(principal, action, resource) when "
            '{ context has input && context.input has memo && context.input.memo == "x" };',
        )
        == []
    )


@pytest.mark.parametrize(
    ("text", "at", "said"),
    [
        (HEAD + "context.input.amuont > 5 };", "amuont", "did you mean `input.amount`?"),
        (HEAD + 'context.input.memo == "x" };', "memo", "unable to guarantee safety"),
        (HEAD + 'context.input.amount == "x" };', "", "types"),
        (
            HEAD + "context.input has fee && context.input.fee > 5 };",
            "",
            '`.greaterThan(decimal("100.0"))`',
        ),
        (HEAD + "context.input.anything == 1 };", "anything", "it is left out"),
        (HEAD + "context.inptu.amount == 1 };", "inptu", "not found"),
        (
            'forbid(principal, action == Action::"bank/trasnfer", resource);',
            '"bank/trasnfer"',
            "there is no tool `bank/trasnfer`, did you mean `bank/transfer`?",
        ),
        (
            'forbid(principal, action == Action::"bnak/transfer", resource);',
            '"bnak/transfer"',
            "there is no server `bnak`, did you mean `bank`?",
        ),
        (
            'forbid(principal, action == Action::"transfer", resource);',
            '"transfer"',
            "neither `SERVER/TOOL` nor a kind of call",
        ),
        (
            'forbid(principal == Agent::"clrek", action, resource);',
            '"clrek"',
            "there is no agent `clrek`, did you mean `clerk`?",
        ),
        (
            'forbid(principal, action, resource == Server::"bnak");',
            '"bnak"',
            "there is no server `bnak`",
        ),
        (
            'forbid(principal, action, resource) when { principal.owner == Person::"adda" };',
            '"adda"',
            "there is no person `adda`, did you mean `ada`?",
        ),
        (
            'forbid(principal == Agnet::"clerk", action, resource);',
            '"clerk"',
            "there is no type `Agnet`, did you mean `Agent`?",
        ),
        (
            "forbid(principal, action, resource) when { context.input.amount > 5 };",
            "amount",
            "input",
        ),
        ("forbid(principal, action resource);", "resource", "unexpected token"),
    ],
)
def test_a_mistake_is_an_error_with_a_place(text: str, at: str, said: str) -> None:
    found = flaws(text)
    assert found
    first = found[0]
    assert first.error
    assert first.ref == "p1@1"
    assert said in first.message
    if at:
        assert text[first.offset :].startswith(at) or at in text[first.offset : first.offset + 30]


def test_one_mistake_is_reported_once_for_all_tools() -> None:
    text = "forbid(principal, action, resource) when { context.nothing == 1 };"
    assert len(flaws(text)) == 1


def test_every_mistake_of_every_policy_is_reported() -> None:
    found = flaws(
        HEAD + "context.input.a1 == 1 };\n" + HEAD + "context.input.a2 == 1 };",
        "forbid(principal, action",
        'forbid(principal == Agent::"x1", action, resource);',
    )
    assert [flaw.ref for flaw in found] == ["p2@1", "p3@1", "p1@1", "p1@1"]


def test_a_permit_where_nothing_is_denied_is_doubtful() -> None:
    (flaw,) = flaws("permit(principal, action, resource);")
    assert not flaw.error
    assert "permits what is permitted anyway" in flaw.message
    assert flaws("permit(principal, action, resource);", deny_by_default=True) == []


def test_a_server_that_has_shown_nothing_is_doubtful_and_checked_later() -> None:
    text = (
        'forbid(principal, action == Action::"files/write", resource) '
        "when { context.input.path == 1 };"
    )
    (flaw,) = flaws(text)
    assert not flaw.error
    assert "has not shown its tools yet" in flaw.message
    shown = {**DEFINITIONS, "files": {"write": definition({"type": "object"})}}
    (flaw,) = check([policy(text)], house(shown))
    assert flaw.error
