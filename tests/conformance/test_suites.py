"""The official suites: what passes directly passes through the gateway."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.conformance.run import SUITES, Comparison, Suite

pytestmark = [pytest.mark.conformance, pytest.mark.slow]

Compared = Callable[[Suite], Comparison]


@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.key)
def test_everything_scored_passes_directly(suite: Suite, compared: Compared) -> None:
    direct = compared(suite).direct
    assert direct.scenarios
    assert direct.failed() == []


@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.key)
def test_nothing_that_passes_directly_is_lost_through_the_gateway(
    suite: Suite, compared: Compared
) -> None:
    comparison = compared(suite)
    assert comparison.through is not None
    assert comparison.lost == []
