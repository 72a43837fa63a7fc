"""The house's shape: who may import whom, what pure rooms may not touch, and no cycles.

```
cli → app → {gateway, identity, console, stores, declared, policy} → {protocols, ports}
    → {core, ledger}
```
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SRC = Path(__file__).parents[2] / "src"
ROOT = "bailiwick"

BELOW: dict[str, set[str]] = {
    "core": set(),
    "ledger": set(),
    "ports": {"core", "ledger"},
    "protocols": {"core", "ledger"},
    "gateway": {"ports", "protocols", "core", "ledger"},
    "identity": {"ports", "protocols", "core", "ledger"},
    "console": {"ports", "protocols", "core", "ledger"},
    "stores": {"ports", "protocols", "core", "ledger"},
    "declared": {"ports", "protocols", "core", "ledger"},
    "policy": {"ports", "core"},
    "testing": {
        *("gateway", "identity", "console", "stores", "declared"),
        *("ports", "protocols", "core", "ledger"),
    },
    "examples": set(),
    "app": {
        *("gateway", "identity", "console", "stores", "declared", "policy"),
        *("ports", "protocols", "core", "ledger"),
    },
    "cli": {
        *("app", "examples", "gateway", "identity", "console", "stores", "declared"),
        "policy",
        *("ports", "protocols", "core", "ledger"),
    },
}
"""Room → the rooms it may import, besides itself."""

THIRD_PARTY: dict[str, set[str]] = {
    "core": {"cryptography", "rfc8785", "msgspec", "ada_url", "re2", "sqlglot"},
    "ledger": {"cryptography", "rfc8785", "msgspec"},
    "ports": {"msgspec"},
    "protocols": {"msgspec", "rfc8785", "cryptography", "opentelemetry", "google"},
}
"""Rooms whose outside imports are limited, and to what. docs/adr/0005 on msgspec."""

EFFECTS = {
    "asyncio": "pure rooms wait for nothing",
    "http": "pure rooms reach nothing",
    "io": "pure rooms read and write nothing",
    "multiprocessing": "pure rooms start nothing",
    "os": "pure rooms read no environment",
    "pathlib": "pure rooms know no files",
    "random": "randomness is an argument",
    "secrets": "randomness is an argument",
    "shutil": "pure rooms know no files",
    "signal": "pure rooms start nothing",
    "socket": "pure rooms reach nothing",
    "sqlite3": "pure rooms keep nothing",
    "subprocess": "pure rooms start nothing",
    "tempfile": "pure rooms know no files",
    "threading": "pure rooms share nothing",
    "time": "now is an argument",
    "urllib.request": "pure rooms reach nothing",
    "uuid": "randomness is an argument",
}
"""Forbidden in core, ledger and protocols: why."""

LAZY = {"cli", "examples"}
"""Rooms that may import inside functions: `bailiwick --help` must not load the gateway."""

LAZY_MODULES = {
    "bailiwick.declared.sql": "sqlglot takes half a second to load, and few mandates ask of SQL",
    "bailiwick.app.telemetry": "protobuf takes 50 ms and 6 MiB to load, and few send spans",
    "bailiwick.gateway.telemetry.door": "as above, and few agents send any",
}
"""Modules that may import inside functions: why."""


def modules() -> dict[str, Path]:
    found = {}
    for path in sorted((SRC / ROOT).rglob("*.py")):
        parts = list(path.relative_to(SRC).with_suffix("").parts)
        if parts[-1] == "__init__":
            parts.pop()
        found[".".join(parts)] = path
    return found


def imports(tree: ast.AST) -> Iterator[str]:
    """Absolute names imported anywhere in the file; `from a import b` gives `a` and `a.b`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            assert node.module is not None
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def typing_only(tree: ast.Module) -> ast.Module:
    """The module without its `if TYPE_CHECKING:` blocks."""
    kept = [
        node
        for node in tree.body
        if not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    ]
    return ast.Module(kept, [])


ALL = modules()
TREES = {name: ast.parse(path.read_text()) for name, path in ALL.items()}


def room(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else ""


def test_the_table_names_every_room() -> None:
    assert {room(module) for module in ALL} - {""} == set(BELOW)


@pytest.mark.parametrize("name", sorted(BELOW))
def test_arrows_point_one_way(name: str) -> None:
    wrong = [
        f"{module} imports {target}"
        for module in ALL
        if room(module) == name
        for target in imports(TREES[module])
        if target.startswith(f"{ROOT}.")
        and room(target) not in {name, *BELOW[name]}
        and target in ALL
    ]
    assert wrong == []


@pytest.mark.parametrize("name", sorted(THIRD_PARTY))
def test_inner_rooms_use_few_packages(name: str) -> None:
    allowed = {ROOT, *THIRD_PARTY[name], *sys.stdlib_module_names}
    wrong = [
        f"{module} imports {target}"
        for module in ALL
        if room(module) == name
        for target in imports(TREES[module])
        if target.partition(".")[0] not in allowed
    ]
    assert wrong == []


@pytest.mark.parametrize("name", ["core", "ledger", "protocols", "ports"])
def test_pure_rooms_have_no_effects(name: str) -> None:
    wrong = [
        f"{module} imports {target}: {EFFECTS[target]}"
        for module in ALL
        if room(module) == name
        for target in imports(TREES[module])
        if target in EFFECTS
    ]
    assert wrong == []


def test_pure_rooms_never_ask_the_time() -> None:
    wrong = [
        f"{module}:{node.lineno}"
        for module in ALL
        if room(module) in {"core", "ledger", "protocols"}
        for node in ast.walk(TREES[module])
        if isinstance(node, ast.Attribute) and node.attr in {"now", "utcnow", "today"}
        if ast.unparse(node).startswith(("datetime", "date"))
    ]
    assert wrong == []


def test_only_the_lazy_rooms_import_inside_functions() -> None:
    wrong = [
        f"{module}:{inner.lineno}"
        for module in ALL
        if room(module) not in LAZY and module not in LAZY_MODULES
        for node in ast.walk(TREES[module])
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for inner in ast.walk(node)
        if isinstance(inner, ast.Import | ast.ImportFrom)
    ]
    assert wrong == []


def test_loading_declarations_does_not_load_what_few_need() -> None:
    few = "{'sqlglot', 'google.protobuf'}"
    script = f"import sys, bailiwick.app.gateway; print({few} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert done.stdout.strip() == b"set()"


def test_only_the_composition_root_and_the_command_line_read_the_environment() -> None:
    wrong = [
        f"{module}:{node.lineno}"
        for module in ALL
        if room(module) not in {"app", "cli", "examples"}
        for node in ast.walk(TREES[module])
        if isinstance(node, ast.Attribute) and ast.unparse(node) in {"os.environ", "os.getenv"}
    ]
    assert wrong == []


def test_nobody_keeps_anything_in_context_variables() -> None:
    """One task answers all requests of a connection: what one of them set, the next would find."""
    wrong = [module for module, tree in TREES.items() if "contextvars" in imports(tree)]
    assert wrong == []


def test_there_are_no_import_cycles() -> None:
    edges = {
        module: {t for t in imports(typing_only(TREES[module])) if t in ALL and t != module}
        for module in ALL
    }
    assert cycles(edges) == []


def cycles(edges: dict[str, set[str]]) -> list[list[str]]:
    """Strongly connected components of more than one module."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in sorted(edges[node]):
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            component = stack[stack.index(node) :]
            del stack[stack.index(node) :]
            if len(component) > 1:
                found.append(sorted(component))

    for node in edges:
        if node not in index:
            visit(node)
    return found


def test_the_cycle_finder_finds_cycles() -> None:
    assert cycles({"a": {"b"}, "b": {"a"}, "c": {"a"}}) == [["a", "b"]]
    assert cycles({"a": {"b"}, "b": set()}) == []
