"""All languages by name."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from tests.llm.sdks.calls import Sdks
from tests.llm.sdks.node import node
from tests.llm.sdks.python import Sync, with_asyncio

LANGUAGES = ("python", "asyncio", "node")


@contextlib.contextmanager
def sdks_of(language: str) -> Iterator[Sdks]:
    """The SDKs of one of LANGUAGES, for as long as the block lasts."""
    if language == "python":
        yield Sync()
        return
    with node() if language == "node" else with_asyncio() as found:
        yield found
