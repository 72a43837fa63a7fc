"""Conditions on SQL as they are written in a mandate."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import pytest

from bailiwick.core.conditions import sentence
from bailiwick.core.conditions.sql import Sql
from bailiwick.declared import load_text
from tests.unit.declared.house import HOUSE, compiled, problems

PAGE = (Path(__file__).parents[3] / "docs" / "reference" / "mandates.md").read_text()


def with_condition(text: str) -> str:
    return HOUSE.replace("{any: true}", text)


def test_a_condition_reads_back_as_a_sentence_and_asks() -> None:
    text = "{sql: {dialect: sqlite, statements: [select, insert], tables: t*, functions: total2}}"
    mandate = compiled(load_text(with_condition(text)))
    (rule,) = (rule for rule in mandate.allow if rule.id.endswith("small"))
    (condition,) = (each for each in rule.conditions if isinstance(each, Sql))
    assert sentence(condition) == (
        "`memo` is SELECT or INSERT of SQL (sqlite) on `t*` that may call `total2`"
    )
    assert condition.permits({"memo": "select total2(a) from T1"})
    assert not condition.permits({"memo": "select a from u"})


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ("{sql: {statements: select}}", "a condition on SQL needs `dialect`"),
        ("{sql: {dialect: postgres}}", "a condition on SQL needs `statements` or `tables`"),
        ("{sql: {dialect: oracle, tables: t}}", "`oracle` is not known"),
        ("{sql: {dialect: mysql, statements: drop}}", "`drop` is not known"),
        ("{sql: {dialect: mysql, tables: a..b}}", "`a..b` is not `TABLE`, `SCHEMA.TABLE` or"),
        ("{sql: {dialect: mysql, tables: 'a;b'}}", "`a;b` is not a table"),
        ("{sql: {dialect: mysql, tables: t, functions: 'F()'}}", "`F()` is not the name of"),
    ],
)
def test_a_mistake_is_reported_where_it_stands(written: str, problem: str) -> None:
    found = problems(with_condition(written))
    assert any(re.match(rf"f\.yaml:26:\d+: {re.escape(problem)}", each) for each in found), found


@pytest.mark.parametrize("asked", ["{sql: SQL}", "{all: {sql: SQL}}", "{none: {sql: SQL}}"])
def test_a_list_of_statements_cannot_be_asked(asked: str) -> None:
    condition = asked.replace("SQL", "{dialect: mysql, tables: t}")
    text = HOUSE.replace("memo: {any: true}", f"queries[]: {condition}")
    (found,) = problems(text)
    assert "is about one statement" in found


def test_the_example_of_the_page_is_sound() -> None:
    (example,) = re.findall(r"#### SQL.*?```yaml\nwhen:\n(.*?)```", PAGE, re.DOTALL)
    text = HOUSE.replace("          memo: {any: true}\n", textwrap.indent(example, " " * 8))
    (rule,) = (rule for rule in compiled(load_text(text)).allow if rule.id.endswith("small"))
    assert Sql in {type(condition) for condition in rule.conditions}
