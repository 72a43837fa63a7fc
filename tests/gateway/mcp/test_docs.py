"""docs/mcp.md says what the code does: its bounds, its methods, its codes."""

from __future__ import annotations

from pathlib import Path

import pytest

from bailiwick.gateway.mcp import (
    core,
    legacy,
    parked,
    sessions,
    streams,
    subscriptions,
)
from bailiwick.protocols.mcp import headers, names
from bailiwick.protocols.strict_json import MAX_DEPTH

PAGE = (Path(__file__).parents[3] / "docs" / "mcp.md").read_text()
LIMITS = core.Limits()
MIB = 1024 * 1024


@pytest.mark.parametrize(
    "line",
    [
        f"| request body; time for it to arrive | {LIMITS.body_bytes // MIB} MiB; "
        f"{LIMITS.body_seconds:.0f} s |",
        f"| headers | {headers.MAX_HEADERS}; {headers.MAX_HEADER_BYTES // 1024} KiB |",
        f"| requests and streams in flight, each authority | {LIMITS.in_flight_per_caller:,} |",
        f"| sessions, each authority; in all; idle | {sessions.MAX_SESSIONS_PER_CALLER}; "
        f"{sessions.MAX_SESSIONS:,}; one hour |",
        f"| requests in flight, each session | {sessions.MAX_IN_FLIGHT} |",
        f"| events kept for a replay, each stream; bytes in all | {streams.MAX_EVENTS} and "
        f"{streams.MAX_BYTES // MIB} MiB; {LIMITS.replay_bytes // MIB} MiB |",
        f"each authority | {core.MAX_SHAPES_PER_CALLER} |",
        f"| capabilities and clientInfo | {core.MAX_CLIENT_BYTES // 1024} KiB |",
        f"| listen streams, each authority; URIs each | {subscriptions.MAX_LISTENS_PER_CALLER}; "
        f"{subscriptions.MAX_URIS} |",
        f"| questions of servers that wait, each session | {legacy.MAX_ASKS} |",
        f"| requests parked for input, each authority; time | {parked.MAX_PARKED_PER_CALLER}; "
        f"{LIMITS.input_seconds / 60:.0f} minutes |",
        f"| list items in one answer of `/mcp` | {LIMITS.page_items:,} |",
        f"nesting beyond {MAX_DEPTH} levels",
        f"at most {names.MODEL_NAME_CHARS} of them",
        f"at most {LIMITS.keep_alive_seconds:.0f} s apart",
    ],
)
def test_each_bound_on_the_page_is_the_one_in_the_code(line: str) -> None:
    assert line in PAGE


def test_an_hour_is_an_hour_and_ten_rounds_are_ten() -> None:
    assert sessions.IDLE_SECONDS == 3600
    assert legacy.MAX_ROUNDS == 10
    assert sessions.MAX_URIS == subscriptions.MAX_URIS
    assert parked.MAX_QUESTIONS == legacy.MAX_ASKS
