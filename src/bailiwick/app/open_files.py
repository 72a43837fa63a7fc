"""How many files this process may have open: each connection is one, and a call often another."""

from __future__ import annotations

import contextlib
import resource

from bailiwick.app.http_places import DEFAULT_PLACES, FEWEST_PLACES
from bailiwick.core.errors import ConfigError

_OTHERS = 512
"""Database, ledger, servers' pipes, listeners."""


def room_for(connections: int | None) -> int:
    """How many connections there are to be; raises the process's own limit where that is allowed.

    Args:
        connections: as asked for; None for as many as usual, or as there are files for.

    Raises:
        ConfigError: `too_few_files`: not so many as asked for.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _files_for(DEFAULT_PLACES if connections is None else connections)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        # Some systems have a bound of their own that no limit names: then it stays as it was.
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    fits = DEFAULT_PLACES if soft == resource.RLIM_INFINITY else max(0, soft - _OTHERS) // 2
    if connections is None:
        return max(FEWEST_PLACES, min(DEFAULT_PLACES, fits))
    if soft != resource.RLIM_INFINITY and connections > fits:
        raise ConfigError(
            "too_few_files",
            f"`--max-connections {connections}` takes {wanted} open files, and this process may "
            f"have {soft}: raise `ulimit -n`, or ask for at most {max(FEWEST_PLACES, fits)}",
        )
    return connections


def _files_for(connections: int) -> int:
    return 2 * connections + _OTHERS
