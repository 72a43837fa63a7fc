"""The names agents give to sessions and tool calls, as they were seen to send them."""

from __future__ import annotations

import pytest

from bailiwick.core.canonical import Json, JsonObject
from bailiwick.protocols.llm.agent_ids import (
    MAX_ID_CHARS,
    session_in_body,
    session_in_headers,
    session_in_meta,
    session_of_both,
    tool_call_in_meta,
)

CODEX = b'{"installation_id":"c5","session_id":"01a2-b","thread_id":"01a2-b"}'


@pytest.mark.parametrize(
    ("raw", "session"),
    [
        ([(b"agent-session-id", b"20261122_1")], "20261122_1"),
        ([(b"x-codex-turn-metadata", CODEX)], "01a2-b"),
        ([(b"agent-session-id", b"one"), (b"x-codex-turn-metadata", CODEX)], "one"),
        ([(b"session-id", b"of-nobody-we-know")], ""),
        ([(b"x-codex-turn-metadata", b"{")], ""),
        ([(b"x-codex-turn-metadata", b"[1]")], ""),
        ([(b"agent-session-id", b"two words")], ""),
        ([(b"agent-session-id", b"x" * (MAX_ID_CHARS + 1))], ""),
        ([], ""),
    ],
)
def test_some_agents_name_one_session_with_both(
    raw: list[tuple[bytes, bytes]], session: str
) -> None:
    assert session_of_both(raw) == session


@pytest.mark.parametrize(
    ("raw", "body", "session"),
    [
        ([(b"x-claude-code-session-id", b"842b")], {}, "842b"),
        ([(b"x-session-id", b"ses_1")], {}, "ses_1"),
        ([], {"metadata": {"user_id": '{"device_id":"e6","session_id":"842b"}'}}, "842b"),
        ([], {"metadata": {"user_id": "user_e6_account__session_842b"}}, "842b"),
        ([], {"metadata": {"user_id": "somebody"}}, ""),
        ([], {"metadata": {"user_id": "{" * 5_000}}, ""),
        ([], {"metadata": {"session_id": "s1"}}, "s1"),
        ([], {"prompt_cache_key": "k1"}, "k1"),
        ([], {"metadata": [], "prompt_cache_key": 4}, ""),
    ],
)
def test_others_name_it_with_model_calls_only(
    raw: list[tuple[bytes, bytes]], body: JsonObject, session: str
) -> None:
    assert (session_in_headers(raw) or session_in_body(body)) == session


@pytest.mark.parametrize(
    ("meta", "session", "tool_call"),
    [
        ({"agent-session-id": "2026_1", "agent-tool-call-request-id": "c1"}, "2026_1", "c1"),
        ({"x-codex-turn-metadata": {"session_id": "01a2"}, "callId": "c2"}, "01a2", "c2"),
        ({"claudecode/toolUseId": "toolu_0", "progressToken": 1}, "", "toolu_0"),
        ({"callId": 4, "agent-session-id": ["x"]}, "", ""),
        (None, "", ""),
        ("x", "", ""),
    ],
)
def test_tool_calls_name_it_in_meta(meta: Json, session: str, tool_call: str) -> None:
    assert (session_in_meta(meta), tool_call_in_meta(meta)) == (session, tool_call)
