"""Runs each suite once per session, and prints what came of it at the end."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.conformance.processes import install_suites
from tests.conformance.run import Comparison, Suite, compare

_done: dict[str, Comparison] = {}


@pytest.fixture(scope="session")
def compared() -> Callable[[Suite], Comparison]:
    """Both runs of a suite, from the first test that asks for them."""
    install_suites()

    def both(suite: Suite) -> Comparison:
        if suite.key not in _done:
            _done[suite.key] = compare(suite)
        return _done[suite.key]

    return both


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the summary that `make conformance` prints."""
    if _done:
        terminalreporter.section("MCP conformance")
        for comparison in _done.values():
            terminalreporter.write_line("\n".join(comparison.lines()))
