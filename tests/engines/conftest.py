"""Engines, each for one module of tests, and the SDKs that talk to them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.llm.sdks.calls import Sdks
from tests.llm.sdks.every import LANGUAGES, sdks_of


@pytest.fixture(scope="session", params=LANGUAGES)
def every(request: pytest.FixtureRequest) -> Iterator[Sdks]:
    """The SDKs of each language, pointed nowhere yet."""
    with sdks_of(request.param) as found:
        yield found
