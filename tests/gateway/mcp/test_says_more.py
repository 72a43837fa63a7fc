"""The one look at `_meta`: what it lets through unsearched has nothing in it to be found."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bailiwick.core.canonical import Json
from bailiwick.gateway.mcp import said
from bailiwick.gateway.mcp.said import says_more, without_ours
from bailiwick.protocols.llm.agent_ids import session_in_meta, tool_call_in_meta
from bailiwick.protocols.mcp.headers import read_headers, trace_parent
from bailiwick.protocols.mcp.jsonrpc import Request

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TELLING = (
    *said._META.values(),
    "agent-session-id",
    "x-codex-turn-metadata",
    "claudecode/toolUseId",
    "callId",
    "agent-tool-call-request-id",
    "traceparent",
    "bailiwick/anything",
)
QUIET = tuple(said._OF_EVERY_CLIENT)
VALUES = st.sampled_from([TRACE, "an-id", {"session_id": "S1"}, 1, None])
METAS: st.SearchStrategy[Json] = (
    st.none()
    | st.just("text")
    | st.just([])
    | st.dictionaries(st.sampled_from((*TELLING, *QUIET)), VALUES)
)
NO_HEADERS = read_headers([])


@given(METAS)
def test_what_says_no_more_tells_nothing_anywhere(meta: Json) -> None:
    params: dict[str, Json] = {} if meta is None else {"_meta": meta}
    if says_more(params):
        return
    request = Request(1, b"1", "tools/call", params)
    assert without_ours(request) is request
    assert said._with_ours(params) is None
    assert (session_in_meta(meta), tool_call_in_meta(meta)) == ("", "")
    assert trace_parent(NO_HEADERS, meta) == ""


def test_any_other_name_and_any_odd_meta_is_looked_at() -> None:
    assert not says_more({})
    assert not says_more({"_meta": dict.fromkeys(QUIET, "x")})
    for name in TELLING:
        assert says_more({"_meta": {**dict.fromkeys(QUIET, "x"), name: "x"}}), name
    assert says_more({"_meta": "text"})
    assert says_more({"_meta": []})
