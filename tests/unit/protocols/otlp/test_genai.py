from __future__ import annotations

import base64
from typing import Any

from google.protobuf.json_format import MessageToDict
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from bailiwick.protocols.otlp.encode import to_json, to_protobuf
from bailiwick.protocols.otlp.genai import call_spans, spans_of
from bailiwick.protocols.otlp.spans import SpanKind, parent_of
from bailiwick.protocols.otlp.steps import CallStep, HoldStep, ModelStep, RunStep, StampStep

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACEPARENT = f"00-{TRACE}-{PARENT}-01"
RUN = RunStep("01RUN", "clerk", "pay@1", 1_000, 9_000)


def call(**changed: Any) -> CallStep:
    facts: dict[str, Any] = {
        "id": "01CALL",
        "run": "01RUN",
        "agent": "clerk",
        "mandate": "pay@1",
        "kind": "tool",
        "upstream": "bank",
        "name": "pay",
        "decision": "allow",
        "code": "allowed",
        "rules": ("small",),
        "state": "done",
        "begin_ms": 2_000,
        "end_ms": 2_250,
        "edge": "mcp/2026-07-28",
    }
    return CallStep(**(facts | changed))


def test_a_tool_call_is_an_execute_tool_span_below_the_agents_own() -> None:
    (span,) = call_spans(call(traceparent=TRACEPARENT, tool_call="call_1"))
    assert (span.trace_id, span.parent_id) == (TRACE, PARENT)
    assert (span.name, span.kind, span.error) == ("execute_tool pay", SpanKind.CLIENT, "")
    assert (span.begin_ms, span.end_ms) == (2_000, 2_250)
    told = span.attributes
    assert told["gen_ai.operation.name"] == "execute_tool"
    assert told["gen_ai.tool.name"] == "pay"
    assert told["gen_ai.tool.call.id"] == "call_1"
    assert told["mcp.method.name"] == "tools/call"
    assert told["mcp.protocol.version"] == "2026-07-28"
    assert told["gen_ai.conversation.id"] == "01RUN"
    assert told["bailiwick.verdict"] == "allow"
    assert told["bailiwick.rules"] == ("small",)
    assert [event.name for event in span.events] == ["bailiwick.verdict"]


def test_a_model_call_is_a_chat_span_with_its_tokens() -> None:
    model = ModelStep(
        "messages",
        served="tiny-0001",
        http_status=200,
        request={"gen_ai.request.temperature": 0.5},
        usage={"input_tokens": 7, "output_tokens": 2, "cached_tokens": 3, "reasoning_tokens": 1},
        finish_reasons=("end_turn",),
        asked_as="assistant",
        substitute=True,
    )
    (span,) = call_spans(call(kind="model", name="tiny", upstream="local", model=model))
    told = span.attributes
    assert span.name == "chat tiny"
    assert told["gen_ai.provider.name"] == "anthropic"
    assert told["gen_ai.request.model"] == "tiny"
    assert told["gen_ai.response.model"] == "tiny-0001"
    assert told["gen_ai.request.temperature"] == 0.5
    assert told["gen_ai.usage.input_tokens"] == 7
    assert told["gen_ai.usage.output_tokens"] == 2
    assert told["gen_ai.usage.cache_read.input_tokens"] == 3
    assert told["gen_ai.usage.reasoning.output_tokens"] == 1
    assert told["gen_ai.response.finish_reasons"] == ("end_turn",)
    assert told["bailiwick.model.asked_as"] == "assistant"
    assert told["bailiwick.model.substitute"] is True


def test_embeddings_and_counted_tokens_are_operations_of_their_own() -> None:
    vectors = call(kind="model", name="embed", model=ModelStep("embeddings"))
    counted = call(kind="model", name="tiny", model=ModelStep("messages", counts_only=True))
    assert call_spans(vectors)[0].name == "embeddings embed"
    assert call_spans(counted)[0].name == "count_tokens tiny"


def test_the_wait_for_a_stamp_is_a_span_below_the_call() -> None:
    stamps = (StampStep("p:1", "approve", 2_400, "passkey"), StampStep("p:2", "approve", 2_600))
    hold = HoldStep("01HOLD", 2_010, 2_600, "used", "treasurer", 2, stamps)
    above, wait = call_spans(call(decision="hold", code="approved", hold=hold, end_ms=2_700))
    assert (wait.name, wait.kind) == ("wait_for_stamp", SpanKind.INTERNAL)
    assert (wait.trace_id, wait.parent_id) == (above.trace_id, above.span_id)
    assert (wait.begin_ms, wait.end_ms) == (2_010, 2_600)
    assert wait.attributes["bailiwick.hold.wait_ms"] == 590
    assert wait.attributes["bailiwick.hold.role"] == "treasurer"
    assert wait.attributes["bailiwick.hold.stamps_needed"] == 2
    assert [event.attributes["bailiwick.stamp.person"] for event in wait.events] == ["p:1", "p:2"]
    assert above.attributes["bailiwick.hold.id"] == "01HOLD"


def test_each_way_to_end_badly_has_its_error_type() -> None:
    denied = call(decision="deny", code="not_allowed", state="denied", end_ms=2_000)
    refused = call(decision="hold", state="refused", ended_as="stamp_refused")
    failed = call(state="failed")
    status = call(kind="model", name="tiny", state="failed", model=ModelStep("chat", "", 503))
    lost = call(state="unknown", ended_as="outcome_unknown")
    errors = [call_spans(each)[0].error for each in (denied, refused, failed, status, lost)]
    assert errors == ["not_allowed", "stamp_refused", "tool_error", "503", "outcome_unknown"]
    assert call_spans(denied)[0].attributes["error.type"] == "not_allowed"


def test_a_span_is_named_by_nothing_an_agent_made_up_and_by_no_uri() -> None:
    denied = call(decision="deny", code="tool_unknown", state="denied", name="pay eve@example.com")
    resource = call(kind="resource", name="file:///home/eve/letter")
    assert call_spans(denied)[0].name == "execute_tool"
    (read,) = call_spans(resource)
    assert read.name == "resources/read"
    assert not any("eve" in str(value) for value in read.attributes.values())


def test_nothing_that_was_said_goes_out_unless_it_was_put_in() -> None:
    said = {"gen_ai.tool.call.arguments": '{"amount":"12"}'}
    assert "gen_ai.tool.call.arguments" not in call_spans(call())[0].attributes
    (span,) = call_spans(call(content=said))
    assert span.attributes["gen_ai.tool.call.arguments"] == '{"amount":"12"}'


def test_a_call_that_goes_on_has_no_span_yet() -> None:
    assert call_spans(call(state="running", end_ms=None)) == []


def test_the_run_has_a_span_only_where_the_agent_names_no_trace() -> None:
    root, below = spans_of(RUN, [call()])
    assert root.name == "invoke_agent clerk"
    assert (below.trace_id, below.parent_id) == (root.trace_id, root.span_id)
    assert [span.name for span in spans_of(RUN, [call(traceparent=TRACEPARENT)])] == [
        "execute_tool pay"
    ]


def test_the_same_record_gives_the_same_ids_and_another_one_others() -> None:
    again = [span.span_id for span in spans_of(RUN, [call(), call(id="01OTHER")])]
    assert again == [span.span_id for span in spans_of(RUN, [call(), call(id="01OTHER")])]
    assert len(set(again)) == 3


def test_what_is_no_traceparent_is_no_parent() -> None:
    for text in (
        "",
        TRACEPARENT.upper(),
        f"ff-{TRACE}-{PARENT}-01",
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        TRACEPARENT + "\n",
    ):
        assert parent_of(text) is None, text


def hexed(value: Any) -> Any:
    """Protobuf's JSON with the ids in hex, as OTLP writes them."""
    if isinstance(value, list):
        return [hexed(each) for each in value]
    if not isinstance(value, dict):
        return value
    ids = ("traceId", "spanId", "parentSpanId")
    return {
        key: base64.b64decode(item).hex() if key in ids else hexed(item)
        for key, item in value.items()
    }


VALUES = st.one_of(
    st.text(st.characters(codec="utf-8")),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.lists(st.text(st.characters(codec="utf-8"))).map(tuple),
)


@given(st.dictionaries(st.text(st.characters(codec="utf-8"), min_size=1), VALUES))
def test_protobuf_and_json_say_the_same(request_of: dict[str, Any]) -> None:
    hold = HoldStep("01HOLD", 2_010, 2_600, "refused", stamps=(StampStep("p", "refuse", 2_600),))
    model = ModelStep("chat", request=request_of)
    steps = [call(hold=hold, state="refused"), call(id="2", kind="model", name="m", model=model)]
    spans = spans_of(RUN, steps)
    read = ExportTraceServiceRequest.FromString(to_protobuf(spans, {"service.name": "b"}, "1"))
    told = hexed(MessageToDict(read, use_integers_for_enums=True))
    assert told == to_json(spans, {"service.name": "b"}, "1")
