"""Conditions on commands as they are written in a mandate."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import pytest

from bailiwick.core.conditions import sentence
from bailiwick.core.conditions.commands import Command
from bailiwick.declared import load_text
from tests.unit.declared.house import HOUSE, compiled, problems, warnings

PAGE = (Path(__file__).parents[3] / "docs" / "reference" / "mandates.md").read_text()


def with_condition(text: str) -> str:
    return HOUSE.replace("{any: true}", text)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("{command: {program: pwd}}", "`memo` is the command `pwd`"),
        (
            "{command: [{program: git, subcommand: log, options: '--oneline'}, {program: ls, "
            "words: 'a*', under: [/work]}]}",
            "`memo` is the command `git log` with options `--oneline`; or `ls` with words like "
            "`a*` and paths under `/work`",
        ),
    ],
)
def test_a_condition_reads_back_as_a_sentence(written: str, read: str) -> None:
    mandate = compiled(load_text(with_condition(written)))
    (rule,) = (rule for rule in mandate.allow if rule.id.endswith("small"))
    assert read in [sentence(condition) for condition in rule.conditions]


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ("{command: {words: a}}", "a form of a command needs `program`"),
        ("{command: {program: 'ls -l'}}", "`ls -l` is not a plain word"),
        ("{command: {program: 'A=b'}}", "`A=b` is not a plain word"),
        ("{command: {program: ls, option: -l}}", "unknown key `option`, did you mean `options`?"),
        ("{command: {program: ls, options: l}}", "`l`: an option starts with `-` or `+`"),
        ("{command: {program: ls, words: -l}}", "`-l`: a word that starts with `-` or `+` goes"),
        ("{command: {program: ls, under: /a/..}}", "`/a/..`: the folder `/a/..` holds a `..` step"),
    ],
)
def test_a_mistake_is_reported_where_it_stands(written: str, problem: str) -> None:
    found = problems(with_condition(written))
    assert any(re.match(rf"f\.yaml:26:\d+: {re.escape(problem)}", each) for each in found), found


@pytest.mark.parametrize(
    ("written", "warned"),
    [
        ("{command: {program: find, words: '*'}}", True),
        ("{command: [{program: pwd}, {program: python3.11, options: ['-*']}]}", True),
        ("{command: {program: find, words: '/work/*', options: [-name]}}", False),
        ("{command: {program: ls, words: '*', options: '-*'}}", False),
    ],
)
def test_a_program_that_runs_others_should_not_be_given_just_anything(
    written: str, warned: bool
) -> None:
    found = [each for each in warnings(with_condition(written)) if "can run other programs" in each]
    assert bool(found) is warned


def test_the_example_of_the_page_is_sound() -> None:
    (example,) = re.findall(r"#### Commands.*?```yaml\nwhen:\n(.*?)```", PAGE, re.DOTALL)
    text = HOUSE.replace("          memo: {any: true}\n", textwrap.indent(example, " " * 8))
    (rule,) = (rule for rule in compiled(load_text(text)).allow if rule.id.endswith("small"))
    assert Command in {type(condition) for condition in rule.conditions}
