"""Policies as they are declared: shape, files of Cedar, and where their text stands."""

from __future__ import annotations

from pathlib import Path

import pytest

from bailiwick.declared import (
    Declaration,
    DeclarationError,
    Declared,
    Place,
    compile_policy,
    from_document,
    load,
    load_texts,
    place_in,
)

CEDAR = "forbid (principal,\n  action, resource);\n"
BLOCK = """\
policies:
  weekend:
    because: Not on weekends.
    cedar: |
      forbid (principal,
        action, resource);
    default: deny
"""


def the_policy(declared: Declared, name: str = "weekend") -> Declaration:
    return declared.of("policy")[name]


def place_of(text: str, word: str) -> Place:
    policy = the_policy(load_texts({"a.yaml": text}))
    return place_in(policy, compile_policy(policy).cedar.index(word))


def problems(texts: dict[str, str]) -> list[str]:
    with pytest.raises(DeclarationError) as raised:
        load_texts(texts)
    return [str(problem) for problem in raised.value.problems]


def test_a_policy_compiles_alike_from_a_file_and_from_a_store() -> None:
    declared = the_policy(load_texts({"a.yaml": BLOCK}))
    policy = compile_policy(declared)
    assert (policy.name, policy.because, policy.deny_by_default) == (
        "weekend",
        "Not on weekends.",
        True,
    )
    assert policy.cedar == CEDAR
    assert not policy.suspended
    assert compile_policy(from_document(declared.document)) == policy


def test_a_file_of_cedar_declares_the_policy_it_is_named_after(tmp_path: Path) -> None:
    (tmp_path / "weekend.cedar").write_text(CEDAR)
    (tmp_path / "people.yaml").write_text("people: {ada: {name: Ada}}")
    declared = load([tmp_path])
    assert compile_policy(the_policy(declared)).cedar == CEDAR
    assert place_in(the_policy(declared), CEDAR.index("action")).line == 2
    assert place_in(the_policy(declared), CEDAR.index("action")).column == 3


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (BLOCK, (6, 9)),
        (BLOCK.replace("cedar: |", "cedar: |-"), (6, 9)),
        (BLOCK.replace("cedar: |", "cedar: |2").replace("      ", "      "), (6, 9)),
        (BLOCK.replace("cedar: |\n", "cedar: |\n\n\n"), (8, 9)),
        ("policies:\n  weekend: {cedar: 'forbid(principal, action, resource);'}", (2, 20)),
        (
            "policies:\n  weekend:\n    cedar: >\n      forbid(principal, action, resource);",
            (3, 12),
        ),
    ],
)
def test_a_place_in_the_text_is_a_place_in_the_file(text: str, place: tuple[int, int]) -> None:
    found = place_of(text, "action")
    assert (found.file, found.line, found.column) == ("a.yaml", *place)


def test_a_policy_from_a_store_has_no_file() -> None:
    stored = from_document(the_policy(load_texts({"a.yaml": BLOCK})).document)
    assert place_in(stored, 5).file == "<stored>"


def test_what_is_wrong_with_the_shape_is_said_with_its_place() -> None:
    assert problems(
        {
            "a.yaml": "policies: {a: {}, b: {cedar: 3}, c: {cedar: x, default: no, becuase: y}}",
            "Up.cedar": CEDAR,
        }
    ) == [
        "Up.cedar:1:1: the policy would be named `Up` like its file: use lower-case letters and "
        "digits, with single `-`, `_` or `.` between them",
        "a.yaml:1:15: a policy needs `cedar`",
        "a.yaml:1:30: expected text, found a number; put it in quotes",
        "a.yaml:1:57: `no` is not known; known are `allow`, `deny`",
        "a.yaml:1:61: unknown key `becuase`, did you mean `because`?",
    ]


def test_one_name_stands_for_one_policy_in_yaml_and_cedar() -> None:
    (problem,) = problems({"a.yaml": BLOCK, "dir/weekend.cedar": CEDAR})
    assert "is declared already, at a.yaml:2:3" in problem


def test_a_secret_does_not_belong_into_a_policy() -> None:
    text = BLOCK.replace("Not on weekends.", "${env:TOKEN}")
    assert any("a secret does not belong here" in problem for problem in problems({"a.yaml": text}))
