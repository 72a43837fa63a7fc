"""Settings for every test."""

from __future__ import annotations

import pytest
from hypothesis import settings
from xdist.scheduler import LoadFileScheduling

AT_ONCE = "tests/agents"
"""A folder whose files share what is dear to set up: one worker runs all of it."""

# How long one example takes says how busy the machine is, not whether the code is right.
settings.register_profile("bailiwick", deadline=None)
settings.load_profile("bailiwick")


class _ByFile(LoadFileScheduling):  # type: ignore[misc]  # xdist is untyped
    """A file to a worker, but all of `AT_ONCE` to one."""

    def _split_scope(self, nodeid: str) -> str:
        return AT_ONCE if nodeid.startswith(AT_ONCE) else str(super()._split_scope(nodeid))


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> _ByFile | None:
    """See `_ByFile`; what else `--dist` may ask for stays as it is."""
    return _ByFile(config, log) if config.getvalue("dist") == "loadfile" else None
