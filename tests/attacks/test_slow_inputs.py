"""Inputs made to take long: one process serves everybody, so no single body may hold it up.

Each body here took from ten seconds to hours once. The bound is generous: what is held is the
order of growth, not the machine.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue, KeyValueList
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span

from bailiwick.core.argument_path import look_alikes
from bailiwick.core.call import CallKind, ModelUse, Target
from bailiwick.core.canonical import JsonObject
from bailiwick.core.conditions import Equals, Matches, triggers
from bailiwick.core.errors import TheirError
from bailiwick.core.limits.pricing import NO_TERMS
from bailiwick.core.target_pattern import TargetPattern
from bailiwick.core.texts.email import read_email
from bailiwick.core.texts.glob import Glob
from bailiwick.core.texts.paths import read_path
from bailiwick.core.texts.shell import read_command
from bailiwick.core.texts.urls import read_url
from bailiwick.core.thinking.said_and_did import SaidAndDid
from bailiwick.core.values import CANNOT_TELL, fold
from bailiwick.gateway.llm.bounds import bounded
from bailiwick.gateway.llm.capture import StreamCapture
from bailiwick.gateway.llm.offering import meanings_of
from bailiwick.gateway.retellings import Retellings
from bailiwick.protocols.llm.dialect import Dialect
from bailiwick.protocols.llm.requests import read_request
from bailiwick.protocols.llm.told import Told
from bailiwick.protocols.otlp.read import read_protobuf
from bailiwick.protocols.strict_json import MAX_VALUES, parse

SECONDS = 4.0  # Of the processor: what others take of a busy machine does not count.

HARD_TO_ORDER = [
    "\u0301" * 120_000 + "\u0316" * 120_000,
    "\u0f73" * 240_000,
    ("\u0301" * 29 + "\uff9e") * 8_000,
]
"""Marks that normalization has to put in order, by comparing each with all before it."""


@pytest.mark.parametrize("twin", ["0", '{"a":1}'])
def test_a_body_of_unique_names_and_one_twin_at_the_end_is_refused_at_once(twin: str) -> None:
    names = ",".join(f'"{number:06}":0' for number in range(120_000))
    body = f'{{{names},"119999":{twin}}}'.encode()
    started = time.process_time()
    with pytest.raises(TheirError) as refused:
        parse(body)
    assert refused.value.code == "name_twice"
    assert "`119999`" in refused.value.message
    assert time.process_time() - started < SECONDS


@pytest.mark.parametrize("text", HARD_TO_ORDER, ids=["two kinds", "decomposing", "half width"])
def test_marks_without_end_are_compared_in_linear_time(text: str) -> None:
    arguments: JsonObject = {"memo": text, text: 1}
    started = time.process_time()
    assert look_alikes(arguments) is None
    assert not triggers(Equals(("memo",), "urgent"), arguments)
    assert not triggers(Matches(("memo",), (Glob("*urgent*"),)), arguments)
    assert time.process_time() - started < SECONDS


def test_breaking_up_marks_does_not_tell_apart_what_is_written_in_two_ways() -> None:
    assert fold("re\u0301sume\u0301 " * 100) == fold("r\u00e9sum\u00e9 " * 100)
    assert fold("a" + "\u0316\u0301" * 15) == fold("a" + "\u0301\u0316" * 15)


@pytest.mark.parametrize("marks", [29, 30, 31, 60, 61, 200])
def test_long_runs_of_marks_are_broken_up_and_nothing_else_is_changed(marks: int) -> None:
    text = "\ufdfaA" + "\u0301\u0316" * (marks // 2) + "\u0301" * (marks % 2) + "]^-\u200bB"
    runs = [len(run) for run in re.findall("[\u0301\u0316]+", fold(text))]
    assert max(runs) <= 30
    assert sum(runs) + ("\u00e1" in fold(text)) == marks
    assert fold(text).startswith(fold("\ufdfa"))
    assert fold(text).endswith("]^-b")


@pytest.mark.parametrize(
    "body",
    [
        b'["' + b'\\"' * 1_000_000 + b",[{" * 600_000,
        b'"' * 4_000_001,
        b"[" + b",".join([b"[" * 60 + b"]" * 60] * 30_000) + b"]",
        b"{" + b",".join(b'"%x":0' % number for number in range(400_000)) + b"}",
    ],
    ids=["open text", "quotation marks", "brackets", "names"],
)
def test_counting_values_takes_no_longer_than_reading_them(body: bytes) -> None:
    started = time.process_time()
    with pytest.raises(TheirError) as refused:
        parse(body, MAX_VALUES)
    assert refused.value.code in ("body_not_json", "too_many_values")
    assert time.process_time() - started < SECONDS


@pytest.mark.parametrize("text", HARD_TO_ORDER, ids=["two kinds", "decomposing", "half width"])
def test_paths_and_urls_full_of_marks_are_refused_at_once(text: str) -> None:
    started = time.process_time()
    for _ in range(200):
        assert isinstance(read_path("/" + text[118_000:122_000]), str)
        assert isinstance(read_url("https://a.example/" + text[116_000:124_000]), str)
    assert time.process_time() - started < SECONDS


UMLAUTS = ".".join(["\u00fc" * 40] * 4)


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (read_url, "https://a.example/"),
        (read_url, "https://\u00fc.example/"),
        (read_url, f"https://{UMLAUTS}/"),
        (read_url, "https://" + "xn--tda." * 28 + "example/"),
        (read_url, "https://a.example/" + "\u00e9" * 8_000),
        (read_email, f"a@{UMLAUTS}"),
        (read_path, "/\u00e9" * 2_000),
        (read_command, "a " * 200),
    ],
)
def test_a_list_of_texts_that_are_hard_to_read_holds_nobody_up(
    read: Callable[[str], object], text: str
) -> None:
    many = min(MAX_VALUES, 4 * 2**20 // len(text.encode()))  # as many as a body has room for
    few = many // 20
    started = time.process_time()
    for _ in range(few):
        read(text)
    assert (time.process_time() - started) * many / few < 3 * SECONDS


def test_a_name_of_megabytes_is_compared_with_no_pattern() -> None:
    patterns = tuple(TargetPattern(CallKind.TOOL, "bank", f"pay{n}*") for n in range(30))
    target = Target(CallKind.TOOL, "bank", "\u00e9" * 2_000_000)
    started = time.process_time()
    assert {pattern.covers(target) for pattern in patterns} == {CANNOT_TELL}
    assert time.process_time() - started < SECONDS


@pytest.mark.parametrize(
    ("begin", "piece"),
    [(b"event: x\ndata: ", b"aa"), (b"data: x\n", b"data: y\n"), (b": x\n", b":\n")],
    ids=["one line", "many lines", "comments"],
)
def test_an_event_in_ten_thousands_of_pieces_is_looked_at_once(begin: bytes, piece: bytes) -> None:
    capture = StreamCapture(Dialect.RESPONSES, 200)
    gone = capture.add(begin)
    started = time.process_time()
    for _ in range(60_000):
        gone += capture.add(piece)
    gone += capture.add(b"\n\n")
    assert time.process_time() - started < SECONDS
    assert gone == begin + piece * 60_000 + b"\n\n"


@pytest.mark.parametrize("place", ["in an attribute", "of an event", "of a resource"])
def test_a_million_attributes_of_two_bytes_are_not_all_looked_at(place: str) -> None:
    """4 KB of gzip made 1.4 GB of them."""
    many = KeyValueList.FromString(b"\x0a\x00" * 1_000_000)
    resource, span = Resource(), Span(trace_id=b"\1" * 16, span_id=b"\2" * 8)
    if place == "in an attribute":
        span.attributes.append(KeyValue(key="x", value=AnyValue(kvlist_value=many)))
    elif place == "of an event":
        span.events.append(Span.Event(attributes=many.values))
    else:
        resource.attributes.extend(many.values)
    spans = ResourceSpans(resource=resource, scope_spans=[ScopeSpans(spans=[span])])
    body = ExportTraceServiceRequest(resource_spans=[spans]).SerializeToString()
    started = time.process_time()
    claims = read_protobuf(body)
    assert time.process_time() - started < SECONDS
    assert len(claims.spans) == 1
    assert claims.spans[0].left_out > 900_000 or place == "of a resource"


@pytest.mark.parametrize(
    ("told", "times"),
    [
        ("1 " * 2_000_000, 1),
        ("lines: " * 37_000, 15),
        (("1 " * 100 + "removedx") * 1_200, 15),
        ("a" * 900 + "b", 2_000),
    ],
    ids=["one long", "words of marks", "signs of marks", "many short"],
)
def test_results_told_to_take_long_are_compared_within_bounds(told: str, times: int) -> None:
    """A request of 4 MB took seven seconds, of nobody else's service too."""
    results = Retellings()
    text = " " + "a" * 100_000 + " "
    body = json.dumps({"content": [{"type": "text", "text": text}] * 2}).encode()
    for number in range(8):
        results.came("id", f"call{number}", body=body)
    started = time.process_time()
    found = results.told([Told("id", f"{told}{n}") for n in range(times)], complete=True)
    assert time.process_time() - started < SECONDS
    assert {each.match for each in found} <= {SaidAndDid.UNKNOWN, SaidAndDid.ALTERED}
    assert found


@pytest.mark.parametrize("text", HARD_TO_ORDER, ids=["two kinds", "decomposing", "half width"])
@pytest.mark.parametrize("dialect", [Dialect.CHAT, Dialect.EMBEDDINGS])
def test_a_prompt_of_marks_without_end_is_bounded_in_linear_time(
    text: str, dialect: Dialect
) -> None:
    """One such prompt, under a limit in tokens, held up everybody for hours."""
    body: JsonObject = {"model": "m", "input": text}
    if dialect is Dialect.CHAT:
        body = {"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": text}]}
    asking = read_request(dialect, body)
    started = time.process_time()
    use = bounded(ModelUse({}, "m"), asking, body, "local", NO_TERMS, "m")
    assert time.process_time() - started < SECONDS
    assert use.bounds["input_tokens"] >= len(text.encode())


@pytest.mark.parametrize("length", [61, 3_000])
def test_a_thousand_long_names_are_not_each_compared_with_all_tools(length: int) -> None:
    tools = [(f"server{number % 10}", f"tool_{number}") for number in range(500)]
    offered = tuple("x" * length + f"_tool_{number}" for number in range(1_024))
    started = time.process_time()
    found = meanings_of(offered, tools)
    assert time.process_time() - started < SECONDS / 2
    assert list(found) == list(offered)
    assert meanings_of(("bank__pay",), [("bank", "pay")])["bank__pay"].sure == (("bank", "pay"),)
