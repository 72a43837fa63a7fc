"""What every test with real gateway processes ends with."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.app.running import end_all


@pytest.fixture(autouse=True)
def nothing_left_running() -> Iterator[None]:
    """End what a test that failed half-way left running.

    A child that nobody waits for is reported wherever its garbage is collected: in another test.
    """
    yield
    end_all()
