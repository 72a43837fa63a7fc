"""Reading Cedar text: bounded before the engine sees it, with the place of what is wrong."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bailiwick.core.flow.labels import NO_LABELS
from bailiwick.policy import PolicyTextError, Statement, check, read_statements
from bailiwick.policy.statements import Entity, Wanted
from bailiwick.policy.tokens import MAX_DEPTH, MAX_STATEMENTS, MAX_TEXT_CHARS
from tests.unit.policy.office import MANDATE, MONDAY, call, house, policies, policy


def read(text: str, because: str = "") -> list[Statement]:
    return read_statements(policy(text, because=because))


def one(condition: str, scope: str = "principal, action, resource") -> Statement:
    (found,) = read(f"forbid({scope}) when {{ {condition} }};")
    return found


def wrong(text: str) -> tuple[int, str]:
    with pytest.raises(PolicyTextError) as raised:
        read(text)
    return raised.value.offset, raised.value.message


# --- what a statement says -----------------------------------------------------------------------


def test_statements_are_named_by_id_or_by_number() -> None:
    first, second, third = read(
        "permit(principal, action, resource);\n"
        '// a "comment"; with signs\n'
        '@id("night") forbid(principal, action, resource);forbid(principal,action,resource);'
    )
    assert [first.id, second.id, third.id] == [
        "policy/office@1/1",
        "policy/office@1/night",
        "policy/office@1/3",
    ]
    assert [first.forbids, second.forbids] == [False, True]
    assert second.offset == 64


def test_a_statements_own_reason_goes_before_that_of_its_policy() -> None:
    first, second = read(
        '@because("Own.") @advice("Ask.") forbid(principal, action, resource);'
        "forbid(principal, action, resource);",
        because="Shared.",
    )
    assert (first.because, first.advice) == ("Own.", "Ask.")
    assert (second.because, second.advice) == ("Shared.", "")


def test_a_long_reason_is_told_in_part() -> None:
    (found,) = read(f'@because("{"x" * 5000}") forbid(principal, action, resource);')
    assert len(found.because) == 300


@pytest.mark.parametrize(
    ("scope", "actions", "servers"),
    [
        ("principal, action, resource", None, None),
        ('principal, action == Action::"bank/pay", resource', {"bank/pay"}, None),
        ('principal, action in [Action::"a/b", Action::"tool"], resource', {"a/b", "tool"}, None),
        ('principal, action in Action::"tool", resource', {"tool"}, None),
        ('principal, action, resource == Server::"bank"', None, {"bank"}),
        ('principal, action, resource in Server::"bank"', None, {"bank"}),
        ("principal, action, resource is Server", None, None),
        ('principal, action, resource is Server in Server::"bank"', None, None),
        ('principal, action, resource == Agent::"odd"', None, None),
        ('principal == Agent::"clerk", action, resource', None, None),
    ],
)
def test_a_scope_restricts_what_a_statement_is_about(
    scope: str, actions: set[str] | None, servers: set[str] | None
) -> None:
    found = one("true", scope)
    assert found.actions == actions
    assert found.servers == servers


@pytest.mark.parametrize(
    ("condition", "wanted"),
    [
        ("context.input.amount > 5", {"input": {"amount": True}}),
        ("context has input", {"input": {}}),
        ("context.input has payee.iban", {"input": {"payee": {"iban": {}}}}),
        ('context["input"]["a b"].c == 1', {"input": {"a b": {"c": True}}}),
        ("context.input == {a: 1}", {"input": True}),
        ("context == {a: 1}", True),
        ("[context.time].contains({hour: 1})", {"time": True}),
        ("(if context.run.untrusted then context else context).name == principal", True),
        ("principal.owner.roles.contains(context.name)", {"name": True}),
        ('!(context.a.b like "*") || -context.n < 3', {"a": {"b": True}, "n": True}),
        ('context.time.now.toTime() < duration("1h")', {"time": {"now": True}}),
        ("true", {}),
    ],
)
def test_what_a_statement_looks_at(condition: str, wanted: object) -> None:
    assert _plain(one(condition).wanted) == wanted


def _plain(wanted: Wanted) -> object:
    if wanted.whole:
        return True
    return {name: _plain(inside) for name, inside in wanted.inside.items()}


def test_every_entity_is_noted_wherever_it_stands() -> None:
    found = one(
        'principal in [Agent::"a", Agent::"b"] && resource == Server::"s" && '
        'action == Action::"s/t" && principal is Agent in Agent::"c"',
        'principal == Agent::"p", action in [Action::"x/y"], resource == Server::"r"',
    )
    assert {str(entity) for entity in found.entities} == {
        'Agent::"a"', 'Agent::"b"', 'Agent::"c"', 'Agent::"p"', 'Server::"s"', 'Server::"r"',
        'Action::"s/t"', 'Action::"x/y"',
    }  # fmt: skip


def test_a_record_that_looks_like_an_entity_is_none() -> None:
    found = one('context == {type: "Server", id: "gone"}')
    assert Entity("Server", "gone") not in found.entities


# --- places --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "at", "said"),
    [
        ("", "", "holds no statement"),
        ("// nothing", "", "holds no statement"),
        ("forbid(principal, action, resource)", ")", "`;` is missing"),
        ("forbid(principal, action resource);", "resource", "unexpected token"),
        ("forbid(principal, action, resource) when { 1 ++ 2 };", "+ 2", "unexpected token `+`"),
        ("forbid(principal, action, resource) when { 1 > };", "};", "unexpected token `}`"),
        ("forbid(principal, action, resouce);", "resouce", "invalid variable"),
        ("forbids(principal, action, resource);", "forbids", "invalid policy effect"),
        ("forbid(principal, action, resource) when { foo(1) };", "foo", "not a valid function"),
        ("forbid(principal, action, resource) when { §};", "§", "a character Cedar lacks"),
        ('forbid(principal, action, resource) when { "a };', '"a', "a text that does not end"),
        ("forbid(principal], action, resource);", "]", "closes nothing"),
        ("forbid(principal == ?principal, action, resource);", "", "slots"),
        ('@id("a") @id("b") forbid(principal, action, resource);', "", "duplicate annotation"),
        ('@note("a") forbid(principal, action, resource);', "note", "`@note` means nothing"),
        ('@id("a b") forbid(principal, action, resource);', "id", "`@id` takes letters"),
        ('@id("7") forbid(principal, action, resource);', "id", "and no number"),
        ('@id("") forbid(principal, action, resource);', "id", "`@id` takes letters"),
        (
            '@id("a") forbid(principal, action, resource);\n'
            '@id("a") permit(principal, action, resource);',
            '@id("a") permit',
            "two statements are named `a`",
        ),
    ],
)
def test_a_mistake_has_a_place_and_a_word(text: str, at: str, said: str) -> None:
    offset, message = wrong(text)
    assert said in message
    assert offset == text.index(at)


def test_the_place_is_found_in_a_later_statement() -> None:
    text = "forbid(principal, action, resource);\n" * 30 + "forbid(principal,, action, resource);"
    assert wrong(text)[0] == text.index(",,") + 1


# --- bounds: the engine ends the whole process where these stop ----------------------------------


@pytest.mark.parametrize(
    "condition",
    [
        "(" * 100_000 + "1" + ")" * 100_000,
        "(" * 2_000 + "true" + ")" * 2_000,
        "[" * 2_000 + "]" * 2_000,
        "{a:" * 2_000 + "1" + "}" * 2_000,
        "if true then " * 6_000 + "true",
        "!" * 6_000 + "true",
        "-" * 6_000 + "1 == 1",
        "||".join(["true"] * 6_000),
        "context" + ".a" * 6_000,
    ],
)
def test_what_nests_too_deep_never_reaches_the_engine(condition: str) -> None:
    wrong(f"forbid(principal, action, resource) when {{ {condition} }};")


def test_what_nests_as_deep_as_is_taken_is_read() -> None:
    deep = MAX_DEPTH - 2
    assert one("(" * deep + "true" + ")" * deep).forbids
    assert one("||".join(["true"] * 200)).forbids
    assert one("if true then true else " * deep + "true").forbids


@pytest.mark.parametrize(
    "condition",
    [
        "(" * 22 + "true" + ")" * 22,
        "!(" * 22 + "true" + ")" * 22,
        "[" * 22 + "1" + "]" * 22 + " == [1]",
        "{a:" * 22 + "1" + "}" * 22 + " == {}",
        "context" + ".a" * 199 + " == 1",
        "if !(" * 22 + "||".join(["context.a.a"] * 40) + ") then true else false" * 22,
    ],
)
def test_what_is_taken_fits_a_small_stack(condition: str) -> None:
    # Too deep ends the whole process, here too.
    text = f"forbid(principal, action, resource) when {{ {condition} }};"
    done: list[bool] = []

    def work() -> None:
        assert check([policy(text)], house()) or read(text)
        denied = policies(text).decide(call(), (MANDATE,), NO_LABELS, MONDAY)
        done.append(denied is not None)

    before = threading.stack_size(512 * 1024)
    try:
        small = threading.Thread(target=work)
        small.start()
    finally:
        threading.stack_size(before)
    small.join()
    assert done == [True]


def test_long_patterns_are_refused_and_long_texts_are_not() -> None:
    assert one(f'context.name like "{"a" * 198}"').forbids
    assert one(f'context.name == "{"a" * 5_000}"').forbids
    text = f'forbid(principal, action, resource) when {{ context.name like "{"a" * 199}" }};'
    assert wrong(text)[0] == text.index('"a')


def test_long_texts_and_many_statements_are_refused() -> None:
    assert "longer than" in wrong(" " * (MAX_TEXT_CHARS + 1))[1]
    many = "forbid(principal,action,resource);" * (MAX_STATEMENTS + 1)
    assert "more than 200 statements" in wrong(many)[1]


_WORDS = st.sampled_from(
    [
        *("permit", "forbid", "(", ")", "{", "}", "[", "]", ",", ";", "when", "unless", "context"),
        *("principal", "action", "resource", "==", "!=", "<", ">", "<=", ">=", "&&", "||", "!"),
        *("-", "+", "*", ".", "::", "in", "is", "has", "like", "if", "then", "else", "true", "1"),
        *("99999999999999999999", "@id", '"x"', '"\\u{110000}"', '"\\q"', '"*"', "?principal"),
        *('Action::"a/b"', "Agent", "//", 'ip("1")', 'decimal("1.0")', "@because"),
    ]
)


def read_or_refused(text: str) -> None:
    found, at = [], 0
    try:
        found = read(text)
    except PolicyTextError as error:
        at = error.offset
    assert found or 0 <= at <= len(text)


@settings(max_examples=300)
@given(st.lists(_WORDS, max_size=40))
def test_no_text_does_worse_than_be_refused(words: list[str]) -> None:
    read_or_refused("forbid(principal, action, resource) when { " + " ".join(words) + " };")


@settings(max_examples=300)
@given(st.text(max_size=200))
def test_no_text_at_all_does_worse_than_be_refused(text: str) -> None:
    read_or_refused(text)
