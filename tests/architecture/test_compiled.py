"""What a compiled wheel may have compiled (docs/adr/0013), and that no checkout has any of it."""

from __future__ import annotations

import ast
import importlib
import importlib.util
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SRC = ROOT / "src"
LINES = (ROOT / "scripts/compile/modules.txt").read_text().splitlines()
LISTED = [line for line in LINES if line and not line.startswith("#")]

_WAITS = (ast.Await, ast.AsyncWith, ast.AsyncFor)


def tree_of(module: str) -> ast.Module:
    return ast.parse((SRC / module).read_text(), module)


def waits_in_handlers(tree: ast.AST) -> list[int]:
    """Lines where a coroutine awaits while it handles an exception, or may have to hand one on."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.AsyncWith | ast.AsyncFor):
            found.append(node.lineno)
        if isinstance(node, ast.comprehension) and node.is_async:
            found.append(node.iter.lineno)
        if isinstance(node, ast.Try | ast.TryStar):
            handling: list[ast.stmt] = [*node.finalbody]
            for handler in node.handlers:
                handling += handler.body
            for each in handling:
                found += [inner.lineno for inner in ast.walk(each) if isinstance(inner, _WAITS)]
    return found


def called_names(function: ast.AST, own: set[str]) -> Iterator[str]:
    """What a function calls: functions by name, methods of those called in `own` as `self.name`."""
    for node in ast.walk(function):
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Name):
                yield node.func.id
            elif isinstance(node.func, ast.Attribute) and _is_own(node.func.value, own):
                yield f"self.{node.func.attr}"


def _is_own(holder: ast.expr, own: set[str]) -> bool:
    return isinstance(holder, ast.Name) and holder.id in own


def recursive(tree: ast.AST) -> list[str]:
    """Functions of a module that can reach themselves within it."""
    classes = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    methods = {id(each) for node in classes for each in node.body}
    own = {"self", "cls", *(node.name for node in classes)}
    calls: dict[str, set[str]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            name = f"self.{node.name}" if id(node) in methods else node.name
            calls.setdefault(name, set()).update(called_names(node, own))
    found = []
    for name in calls:
        reached: set[str] = set()
        pending = calls[name] & calls.keys()
        while pending:
            reached |= pending
            pending = {each for one in pending for each in calls[one] & calls.keys()} - reached
        if name in reached:
            found.append(name)
    return found


def test_a_checkout_holds_no_extension_modules() -> None:
    assert [str(path) for path in SRC.rglob("*.so")] == []


def test_the_list_is_in_order_and_of_modules_that_are_there() -> None:
    assert len(LISTED) > 20
    assert len(set(LISTED)) == len(LISTED)
    assert [module for module in LISTED if not (SRC / module).is_file()] == []


def test_no_compiled_coroutine_awaits_while_it_handles_an_exception() -> None:
    found = {module: waits_in_handlers(tree_of(module)) for module in LISTED}
    assert {module: lines for module, lines in found.items() if lines} == {}


def test_nothing_compiled_calls_itself() -> None:
    assert {module: names for module in LISTED if (names := recursive(tree_of(module)))} == {}


@pytest.mark.parametrize(
    "source",
    [
        "async def f():\n try:\n  await g()\n finally:\n  await h()",
        "async def f():\n try:\n  g()\n except E:\n  await h()\n  raise",
        "async def f():\n try:\n  g()\n except E:\n  try:\n   await h()\n  except F:\n   raise",
        "async def f():\n async with g():\n  h()",
        "async def f():\n async for x in g():\n  h()",
        "async def f():\n return [x async for x in g()]",
    ],
)
def test_the_rule_on_coroutines_sees_what_is_miscompiled(source: str) -> None:
    assert waits_in_handlers(ast.parse(source))


@pytest.mark.parametrize(
    "source",
    [
        "async def f():\n try:\n  await g()\n except E:\n  raise\n else:\n  await h()",
        "async def f():\n try:\n  await g()\n finally:\n  h()",
        "async def f():\n with g():\n  await h()",
    ],
)
def test_the_rule_on_coroutines_lets_an_await_be_tried(source: str) -> None:
    assert waits_in_handlers(ast.parse(source)) == []


def test_the_rule_on_recursion_sees_a_detour_and_a_method() -> None:
    detour = "def f(x):\n g(x)\ndef g(x):\n f(x)\ndef h(x):\n f(x)"
    assert recursive(ast.parse(detour)) == ["f", "g"]
    assert recursive(ast.parse("class A:\n def f(self):\n  self.f()")) == ["self.f"]
    assert recursive(ast.parse("class A:\n def f():\n  A.f()")) == ["self.f"]


def test_a_method_that_calls_a_function_of_its_name_does_not_call_itself() -> None:
    assert recursive(ast.parse("class A:\n def f(self):\n  f()")) == []


def test_what_is_listed_is_compiled_in_a_compiled_wheel_and_in_nothing_else() -> None:
    compiled = importlib.util.find_spec("bailiwick__mypyc") is not None
    for module in LISTED:
        name = module.removesuffix(".py").replace("/", ".")
        loaded = importlib.import_module(name).__file__ or ""
        assert loaded.endswith(".so" if compiled else ".py"), name
