"""The manifest of requirements and the tests name each other, both ways."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeGuard

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[2]
_ID = re.compile(r"(both|legacy|2026-07-28)/[a-z0-9-]+")


@dataclass(frozen=True, slots=True)
class Row:
    """One obligation and the node ids of the tests that hold it."""

    id: str
    text: str
    spec: str
    tests: tuple[str, ...]


@functools.cache
def rows() -> tuple[Row, ...]:
    """Every row of every manifest, as written."""
    return tuple(
        Row(row["id"], row["text"], row["spec"], tuple(row["tests"]))
        for file in sorted(Path(__file__).parent.glob("*.yaml"))
        for row in YAML(typ="safe").load(file.read_text())
    )


@functools.cache
def marked_tests() -> dict[str, frozenset[str]]:
    """Node id of every test function under tests/, with the requirements it is marked with.

    Read from the source, so nothing is imported: a test is a function `test_…` at the top of a
    module or in a class `Test…`; marks of the class and of the module count for it, too.
    """
    found: dict[str, frozenset[str]] = {}
    for file in sorted((ROOT / "tests").rglob("test_*.py")):
        if "node_modules" not in file.parts:
            tree = ast.parse(file.read_text(), str(file))
            found.update(_tests_in(tree, file.relative_to(ROOT).as_posix()))
    return found


def _tests_in(tree: ast.Module, path: str) -> Iterator[tuple[str, frozenset[str]]]:
    module_marks = _pytestmark(tree.body)
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name.startswith("Test"):
            marks = module_marks | _marks(node.decorator_list) | _pytestmark(node.body)
            for item in node.body:
                if _is_test(item):
                    yield f"{path}::{node.name}::{item.name}", marks | _marks(item.decorator_list)
        elif _is_test(node):
            yield f"{path}::{node.name}", module_marks | _marks(node.decorator_list)


def _is_test(node: ast.stmt) -> TypeGuard[ast.FunctionDef | ast.AsyncFunctionDef]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return node.name.startswith("test_")
    return False


def _pytestmark(body: list[ast.stmt]) -> frozenset[str]:
    found: frozenset[str] = frozenset()
    for node in body:
        if isinstance(node, ast.Assign) and any(
            isinstance(target, ast.Name) and target.id == "pytestmark" for target in node.targets
        ):
            found |= _marks([node.value])
    return found


def _marks(nodes: list[ast.expr]) -> frozenset[str]:
    """The ids in every `pytest.mark.requirement("id", …)` below these nodes."""
    return frozenset(
        argument.value
        for top in nodes
        for node in ast.walk(top)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "requirement"
        for argument in node.args
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
    )


def test_each_row_has_an_id_of_its_own_a_text_and_a_page() -> None:
    ids = [row.id for row in rows()]
    assert len(ids) == len(set(ids)) >= 44
    for row in rows():
        assert _ID.fullmatch(row.id), row.id
        assert row.text.endswith("."), row.id
        assert row.spec, row.id


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.id)
def test_each_row_names_tests_that_exist_and_say_so_themselves(row: Row) -> None:
    assert row.tests, f"`{row.id}` has no test"
    for test in row.tests:
        assert test in marked_tests(), f"`{row.id}` names `{test}`, which does not exist"
        assert row.id in marked_tests()[test], f"`{test}` is not marked with `{row.id}`"


def test_each_marked_test_is_listed_under_its_row() -> None:
    listed = {row.id: set(row.tests) for row in rows()}
    missing = [
        f"{mark}: {test}"
        for test, marks in marked_tests().items()
        for mark in sorted(marks)
        if test not in listed.get(mark, set())
    ]
    assert missing == [], "marked, but not in the manifest"


def test_marks_are_found_on_functions_classes_and_modules() -> None:
    source = """
import pytest
pytestmark = [pytest.mark.slow, pytest.mark.requirement("both/a")]
class TestThing:
    pytestmark = pytest.mark.requirement("both/b")
    @pytest.mark.requirement("both/c", "both/d")
    def test_one(self): ...
@pytest.mark.parametrize("x", [1])
async def test_two(x): ...
def helper(): ...
"""
    assert dict(_tests_in(ast.parse(source), "tests/t.py")) == {
        "tests/t.py::TestThing::test_one": {"both/a", "both/b", "both/c", "both/d"},
        "tests/t.py::test_two": {"both/a"},
    }
