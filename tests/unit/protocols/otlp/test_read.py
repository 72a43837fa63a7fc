from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from bailiwick.core.errors import TheirError
from bailiwick.protocols.otlp.claims import (
    MAX_ATTRIBUTES,
    MAX_DEPTH,
    MAX_EVENTS,
    MAX_LINKS,
    MAX_SPANS,
    MAX_TEXT_CHARS,
    MAX_VALUES,
    ClaimedSpan,
    Claims,
)
from bailiwick.protocols.otlp.read import MAX_FIELDS, read_json, read_protobuf

TRACE, SPAN = bytes(range(1, 17)), bytes(range(1, 9))


def text(value: str) -> AnyValue:
    return AnyValue(string_value=value)


def pair(key: str, value: AnyValue | None = None) -> KeyValue:
    return KeyValue(key=key, value=value if value is not None else text("v"))


def span(**changed: Any) -> Span:
    facts: dict[str, Any] = {
        "trace_id": TRACE,
        "span_id": SPAN,
        "name": "chat",
        "kind": 3,
        "start_time_unix_nano": 1_795_341_600_000_000_001,
        "end_time_unix_nano": 1_795_341_600_000_000_002,
    }
    return Span(**(facts | changed))


def request(*spans: Span, resource: tuple[KeyValue, ...] = ()) -> ExportTraceServiceRequest:
    whole = ExportTraceServiceRequest()
    of_resource = whole.resource_spans.add()
    of_resource.resource.attributes.extend(resource)
    of_scope = of_resource.scope_spans.add()
    of_scope.scope.name = "lib"
    of_scope.spans.extend(spans)
    return whole


def as_json(whole: ExportTraceServiceRequest) -> bytes:
    def hexed(value: Any) -> Any:
        if isinstance(value, list):
            return [hexed(each) for each in value]
        if not isinstance(value, dict):
            return value
        ids = ("traceId", "spanId", "parentSpanId")
        return {
            key: base64.b64decode(item).hex().upper() if key in ids else hexed(item)
            for key, item in value.items()
        }

    return json.dumps(hexed(MessageToDict(whole, use_integers_for_enums=True))).encode()


def both(whole: ExportTraceServiceRequest) -> Claims:
    """Read from both encodings, which must say the same."""
    found = read_protobuf(whole.SerializeToString())
    assert read_json(as_json(whole)) == found
    return found


def one(*attributes: KeyValue, **changed: Any) -> ClaimedSpan:
    (found,) = both(request(span(attributes=attributes, **changed))).spans
    return found


def field(number: int, content: bytes) -> bytes:
    """A length-delimited field."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def varint(number: int) -> bytes:
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes(found) + bytes([number])


def in_a_span(content: bytes) -> bytes:
    return field(1, field(2, field(2, content)))


def refused(body: bytes) -> str:
    with pytest.raises(TheirError) as caught:
        read_protobuf(body)
    return caught.value.code


def code_of(read: Callable[[bytes], Claims], body: bytes) -> str:
    """The code of a refusal; "" if there is none."""
    try:
        read(body)
    except TheirError as error:
        return error.code
    return ""


# --- what is read --------------------------------------------------------------------------------


def test_a_span_is_kept_with_all_that_it_says() -> None:
    status = {"code": 2, "message": "gone"}
    event = Span.Event(name="seen", time_unix_nano=5, attributes=[pair("at")])
    link = Span.Link(trace_id=TRACE, span_id=SPAN)
    whole = request(
        span(parent_span_id=SPAN, events=[event], links=[link], status=status),
        resource=(pair("service.name", text("agent")),),
    )
    claims = both(whole)
    (found,) = claims.spans
    assert claims.resources == [{"service.name": "agent"}]
    assert found.trace_id == TRACE.hex()
    assert found.parent_id == SPAN.hex()
    assert (found.begin_ns, found.end_ns) == ("1795341600000000001", "1795341600000000002")
    assert (found.kind, found.status, found.message, found.scope) == (3, 2, "gone", "lib")
    assert [(each.name, each.at_ns, each.attributes) for each in found.events] == [
        ("seen", "5", {"at": "v"})
    ]
    assert [each.span_id for each in found.links] == [SPAN.hex()]
    assert found.left_out == 0


def test_values_of_every_type_become_json() -> None:
    listed, named = AnyValue(), AnyValue()
    listed.array_value.values.extend([text("a"), AnyValue(int_value=2)])
    named.kvlist_value.values.append(pair("in", AnyValue(bool_value=False)))
    found = one(
        pair("list", listed),
        pair("named", named),
        pair("big", AnyValue(int_value=2**63 - 1)),
        pair("small", AnyValue(int_value=-7)),
        pair("double", AnyValue(double_value=0.5)),
        pair("nan", AnyValue(double_value=float("nan"))),
        pair("minus", AnyValue(double_value=float("-inf"))),
        pair("bytes", AnyValue(bytes_value=b"\x00\xff")),
        pair("empty", text("")),
        KeyValue(key="none"),
    )
    assert found.attributes == {
        "list": ["a", 2],
        "named": {"in": False},
        "big": str(2**63 - 1),
        "small": -7,
        "double": 0.5,
        "nan": "NaN",
        "minus": "-Infinity",
        "bytes": "AP8=",
        "empty": "",
        "none": None,
    }


def test_of_an_attribute_that_stands_twice_the_last_counts() -> None:
    assert one(pair("a", text("1")), pair("a", text("2"))).attributes == {"a": "2"}


def test_fields_of_a_later_version_are_skipped() -> None:
    later = field(99, b"new") + varint(99 << 3) + b"\x01"
    body = field(1, field(2, field(2, span().SerializeToString() + later) + later) + later) + later
    assert len(read_protobuf(body).spans) == 1
    told = json.loads(as_json(request(span())))
    told["later"] = told["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["later"] = {"a": [1]}
    assert len(read_json(json.dumps(told).encode()).spans) == 1


def test_a_resource_sent_in_two_parts_is_one() -> None:
    part = request(resource=(pair("a"),)).resource_spans[0].resource.SerializeToString()
    other = request(resource=(pair("b"),)).resource_spans[0].resource.SerializeToString()
    body = field(1, field(1, part) + field(1, other) + field(2, b""))
    assert read_protobuf(body).resources == [{"a": "v", "b": "v"}]


def test_json_may_say_64_bit_numbers_as_numbers() -> None:
    told = json.loads(as_json(request(span(attributes=[pair("n", AnyValue(int_value=3))]))))
    sent = told["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
    sent["startTimeUnixNano"] = int(sent["startTimeUnixNano"])
    sent["attributes"][0]["value"] = {"intValue": 3}
    (found,) = read_json(json.dumps(told).encode()).spans
    assert (found.begin_ns, found.attributes) == ("1795341600000000001", {"n": 3})


@given(st.text(st.characters(codec="utf-8"), max_size=40), st.integers(-(2**63), 2**63 - 1))
def test_any_text_and_any_number_survive_in_both_encodings(word: str, number: int) -> None:
    found = one(pair(word, AnyValue(int_value=number)), name=word)
    assert found.name == word
    assert str(found.attributes[word]) == str(number)


@given(st.binary(max_size=200))
def test_whatever_is_sent_is_read_or_refused(body: bytes) -> None:
    for read in (read_protobuf, read_json):
        assert code_of(read, body) in ("", "otlp_malformed", "otlp_too_much")


@given(st.binary(max_size=60), st.integers(0, 200))
def test_a_damaged_request_is_read_or_refused(noise: bytes, at: int) -> None:
    whole = request(span(attributes=[pair("a")])).SerializeToString()
    place = at % len(whole)
    for body in (whole[:place], whole[:place] + noise + whole[place:]):
        assert code_of(read_protobuf, body) in ("", "otlp_malformed")


# --- attacks -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"trace_id": b""}, "trace_id"),
        ({"trace_id": bytes(16)}, "trace_id"),
        ({"trace_id": b"x" * 15}, "trace_id"),
        ({"trace_id": b"x" * 17}, "trace_id"),
        ({"span_id": bytes(8)}, "span_id"),
        ({"span_id": b"x" * 9}, "span_id"),
        ({"parent_span_id": b"x" * 7}, "parent_span_id"),
    ],
)
def test_a_span_without_valid_ids_is_rejected_and_the_others_kept(
    changed: dict[str, bytes], why: str
) -> None:
    claims = both(request(span(**changed), span()))
    assert len(claims.spans) == 1
    ((reason, count),) = claims.rejected.items()
    assert why in reason
    assert count == 1


def test_ids_that_are_no_hexadecimal_are_none() -> None:
    told = json.loads(as_json(request(span())))
    told["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["traceId"] = "g" * 32
    assert read_json(json.dumps(told).encode()).spans == []


def test_a_span_of_a_hundred_thousand_attributes_keeps_some_and_says_so() -> None:
    whole = request(span(attributes=[pair(f"a{n}") for n in range(60_000)]))
    (found,) = both(whole).spans
    assert len(found.attributes) == MAX_ATTRIBUTES
    assert found.left_out == 60_000 - MAX_ATTRIBUTES
    more = request(span(attributes=[pair(f"a{n}") for n in range(100_000)]))
    assert refused(more.SerializeToString()) == "otlp_too_much"


def test_events_links_and_texts_beyond_the_bounds_are_counted() -> None:
    events = [Span.Event(name="e")] * (MAX_EVENTS + 3)
    links = [Span.Link(trace_id=TRACE, span_id=SPAN)] * (MAX_LINKS + 4)
    long = pair("long", text("x" * (MAX_TEXT_CHARS + 1)))
    found = one(long, events=events, links=links, dropped_attributes_count=10)
    assert (len(found.events), len(found.links)) == (MAX_EVENTS, MAX_LINKS)
    assert len(str(found.attributes["long"])) == MAX_TEXT_CHARS
    assert found.left_out == 3 + 4 + 1 + 10


def test_values_within_values_are_bounded_together() -> None:
    wide = AnyValue()
    wide.array_value.values.extend([text("x")] * (2 * MAX_VALUES))
    found = one(pair("wide", wide), pair("after"))
    assert len(found.attributes["wide"]) == MAX_VALUES - 1  # type: ignore[arg-type]  # a list
    assert "after" not in found.attributes
    assert found.left_out == MAX_VALUES + 2


def nested(depth: int) -> AnyValue:
    found = text("end")
    for _ in range(depth):
        around = AnyValue()
        around.array_value.values.append(found)
        found = around
    return found


def test_values_nested_beyond_the_bound_are_left_out() -> None:
    assert one(pair("deep", nested(MAX_DEPTH))).left_out == 0
    assert one(pair("deep", nested(MAX_DEPTH + 1))).left_out == 1
    assert one(pair("deep", nested(40))).left_out == 1


def test_values_nested_without_end_are_refused() -> None:
    value = b""
    for _ in range(50_000):
        value = field(5, field(1, value))
    assert refused(in_a_span(field(9, field(2, value)))) == "otlp_malformed"
    start = b'{"resourceSpans":[{"resource":{"attributes":[{"key":"k","value":'
    bottom = b'{"arrayValue":{"values":[' * 50_000
    with pytest.raises(TheirError, match="nested too deeply"):
        read_json(start + bottom)


@pytest.mark.parametrize("inside", ["spans", "resources", "scopes", "attributes", "unknown"])
def test_two_bytes_that_make_an_object_are_counted_before_they_do(inside: str) -> None:
    many = 2_000_000
    body = {
        "resources": field(1, b"") * many,
        "scopes": field(1, field(2, b"") * many),
        "spans": field(1, field(2, field(2, b"") * many)),
        "attributes": in_a_span(field(9, b"") * many),
        "unknown": field(15, b"") * many,
    }[inside]
    began = time.process_time()
    assert refused(body) == "otlp_too_much"
    assert time.process_time() - began < 2


def test_json_of_too_many_values_is_refused_before_it_is_read() -> None:
    with pytest.raises(TheirError) as caught:
        read_json(b'{"resourceSpans":[' + b"{}," * 300_000 + b"{}]}")
    assert caught.value.code == "otlp_too_much"


def test_too_many_spans_are_refused() -> None:
    assert MAX_SPANS < MAX_FIELDS
    assert refused(request(*[Span()] * (MAX_SPANS + 1)).SerializeToString()) == "otlp_too_much"


@pytest.mark.parametrize(
    "body",
    [
        b"\x0a",  # no length
        b"\x0a\x05abc",  # ends after the message
        b"\x0a" + b"\xff" * 11,  # a number without an end
        b"\x0b\x0c",  # a group
        b"\x02\x00",  # field 0
        field(1, field(1, b"\xff\xff")),
        in_a_span(field(5, b"\xff\xfe")),  # no UTF-8
    ],
)
def test_what_is_no_request_is_refused(body: bytes) -> None:
    assert refused(body) == "otlp_malformed"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"nothing",
        b'{"resourceSpans":{}}',
        b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":5}]}]}]}',
        b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"startTimeUnixNano":"soon"}]}]}]}',
        b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"endTimeUnixNano":18446744073709551616}]}]}]}',
        b'{"resourceSpans":[{"resource":{"attributes":[{"key":"k","value":{"bytesValue":"?"}}]}}]}',
        b'\xff{"resourceSpans":[]}',
    ],
)
def test_what_is_no_request_in_json_is_refused(body: bytes) -> None:
    with pytest.raises(TheirError) as caught:
        read_json(body)
    assert caught.value.code == "otlp_malformed"


def test_an_empty_request_has_no_spans() -> None:
    assert read_protobuf(b"") == read_json(b"{}") == Claims()
