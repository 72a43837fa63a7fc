"""Model calls in the benchmark: what is sent, what counts as an answer, and what the aims are."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from openai import OpenAI
from openai.types.chat import ChatCompletionMessageParam

from bailiwick.declared.load import load_text
from bench.load import Load, drive
from bench.measure import Bench, Row, upstream_calls
from bench.models.goals import goals
from bench.models.measure import ModelBench, ModelMeasured, ModelPlan
from bench.models.pace import Pace, pace, summed_up
from bench.models.report import table
from bench.models.targets import (
    DECLARED,
    LITELLM,
    PORTKEY,
    TARGETS,
    start_upstream,
)
from bench.models.wire import (
    KINDS,
    LARGE,
    LARGE_BYTES,
    LARGE_MESSAGES,
    LONG,
    LONG_BYTES,
    LONG_PIECES,
    PIECES,
    STREAMED,
    WHOLE,
    ModelEndpoint,
)
from bench.targets import BAILIWICK, COMPILED, COMPILED_NO_FSYNC, Started
from bench.wire import FIRST_NUMBER, MARKER


@pytest.fixture
def upstream(tmp_path: Path) -> Iterator[Started]:
    started = start_upstream(tmp_path / "upstream")
    yield started
    started.watched.stop()


def _body(endpoint: ModelEndpoint) -> bytes:
    return endpoint.template().request(FIRST_NUMBER).partition(b"\r\n\r\n")[2]


# --- the wire ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_each_call_carries_its_number_and_says_how_long_it_is(kind: str) -> None:
    request = ModelEndpoint(1).of_kind(kind).template().request(87_654_321)
    head, _, body = request.partition(b"\r\n\r\n")
    asked = json.loads(body)
    assert "INV-87654321" in asked["messages"][-1]["content"]
    assert asked.get("stream", False) is (kind == STREAMED)
    assert f"Content-Length: {len(body)}".encode() in head


def test_a_large_call_is_an_agent_s_with_a_hundred_messages() -> None:
    body = _body(ModelEndpoint(1).of_kind(LARGE))
    assert LARGE_BYTES * 0.9 < len(body) < LARGE_BYTES * 1.2
    assert len(json.loads(body)["messages"]) == LARGE_MESSAGES + 2


@pytest.mark.parametrize("kind", KINDS)
def test_the_upstream_answers_every_call_once(upstream: Started, kind: str) -> None:
    assert isinstance(upstream.endpoint, ModelEndpoint)
    endpoint = upstream.endpoint.of_kind(kind)
    load = Load(endpoint.port, endpoint.templates(4), 4, 40, 30, pieces=endpoint.pieces)
    sample = drive(load)
    assert (sample.good, sample.errors, sample.first_error) == (40, 0, "")
    assert upstream_calls(endpoint.port) == 40
    assert len(sample.firsts) == (40 if kind == STREAMED else 0)


def test_the_upstream_is_a_model_server_to_the_official_sdk(upstream: Started) -> None:
    with OpenAI(base_url=f"http://127.0.0.1:{upstream.endpoint.port}/v1", api_key="x") as client:
        asked: list[ChatCompletionMessageParam] = [{"role": "user", "content": "INV-12345678"}]
        whole = client.chat.completions.create(model="fast", messages=asked)
        assert MARKER.decode() in (whole.choices[0].message.content or "")
        with client.chat.completions.stream(model="fast", messages=asked) as stream:
            told = [event.delta for event in stream if event.type == "content.delta"]
    assert len(told) == PIECES
    assert MARKER.decode() in "".join(told)
    assert "INV-12345678" in "".join(told)


def test_the_long_model_streams_what_it_says(upstream: Started) -> None:
    assert isinstance(upstream.endpoint, ModelEndpoint)
    endpoint = upstream.endpoint.asking(LONG, LONG_PIECES)
    load = Load(endpoint.port, endpoint.templates(1), 1, 1, 30, pieces=LONG_PIECES)
    assert drive(load).good == 1
    assert json.loads(_body(endpoint))["model"] == LONG
    assert LONG_BYTES // LONG_PIECES == 256


def test_a_stream_with_pieces_missing_is_an_error(upstream: Started) -> None:
    assert isinstance(upstream.endpoint, ModelEndpoint)
    endpoint = upstream.endpoint.of_kind(STREAMED)
    load = Load(endpoint.port, endpoint.templates(1), 1, 2, 30, pieces=PIECES + 4)
    sample = drive(load)
    assert (sample.good, sample.errors) == (0, 2)


# --- pace ----------------------------------------------------------------------------------------


def test_every_piece_of_a_paced_stream_is_timed(upstream: Started) -> None:
    assert isinstance(upstream.endpoint, ModelEndpoint)
    found = pace(upstream.endpoint, 2, 1)
    assert (found.pieces, found.wanted) == (2 * PIECES, 2 * PIECES)
    assert 0 < found.p50_ms <= found.p99_ms <= found.most_ms


def test_a_piece_that_came_after_the_next_was_sent_was_held_back() -> None:
    found = summed_up([1_000_000, 9_999_999, 10_000_000, 30_000_000], 1, 5)
    assert (found.held, found.pieces, found.wanted, found.most_ms) == (2, 4, 5, 30.0)
    assert summed_up([], 1, 5).pieces == 0


# --- the whole -----------------------------------------------------------------------------------


def test_the_declarations_are_valid_and_hold_calls_to_every_kind_of_rule() -> None:
    text = DECLARED.format(origin="http://127.0.0.1:1")
    assert load_text(text) is not None
    assert all(f"\n    {kind}:\n" in text for kind in ("allow", "deny", "stamp", "limits"))


def test_nginx_is_measured_beside_direct_in_every_kind(upstream: Started, tmp_path: Path) -> None:
    (nginx,) = (target for target in TARGETS if target.name == "nginx")
    plan = ModelPlan(
        connections=(8,),
        rounds=1,
        requests=24,
        seconds=20,
        direct_seconds=20,
        warm_up_seconds=20,
        paced_streams=1,
    )
    said: list[str] = []
    bench = Bench(upstream, tmp_path, said.append)
    direct, found = ModelBench(bench, upstream, said.append).measure([nginx], plan)
    if found.skipped:
        pytest.skip(found.skipped)
    assert (found.errors, found.first_error) == (0, "")
    assert [found.of(kind, 8) is not None for kind in KINDS] == [True] * 3
    assert [direct.of(kind, 8) is not None for kind in KINDS] == [True] * 3
    assert [each.wanted - each.pieces for each in found.paced] == [0, 0]
    assert found.long_peak_mib is not None
    text = table([direct, found])
    assert all(f"{kind}, c = 8" in text for kind in KINDS)


def _result(name: str, rate: float, *paced: Pace, added: float = 0.5) -> ModelMeasured:
    rows = [Row(name, c, rate, 0.1, 1.0, added, 3.0, 0.2, 10, 0, 1.0, added) for c in (1, 64)]
    result = ModelMeasured(name, "about it", paced=list(paced))
    result.of_kind = {WHOLE: rows, STREAMED: rows}
    return result


@pytest.mark.parametrize(
    ("ours", "litellm", "portkey", "met"),
    [(2_500, 100, 1_250, [True] * 4), (2_499, 100, 1_250, [False] * 4)],
)
def test_the_aims_are_25_times_litellm_and_twice_portkey(
    ours: float, litellm: float, portkey: float, met: list[bool]
) -> None:
    found = goals(
        {
            COMPILED: _result(COMPILED, ours),
            LITELLM: _result(LITELLM, litellm),
            PORTKEY: _result(PORTKEY, portkey),
        }
    )
    assert [goal.met for goal in found[:4]] == met


@pytest.mark.parametrize(
    ("added", "whole", "first"), [(0.9, True, True), (1.0, True, False), (1.6, False, False)]
)
def test_the_aims_for_one_caller_are_without_fsync(added: float, whole: bool, first: bool) -> None:
    found = goals({COMPILED_NO_FSYNC: _result(COMPILED_NO_FSYNC, 1, added=added)})
    assert (found[4].met, found[5].met) == (whole, first)


@pytest.mark.parametrize(("held", "pieces", "met"), [(0, 5, True), (1, 5, False), (0, 4, False)])
def test_no_piece_may_be_held_back_or_lost(held: int, pieces: int, met: bool) -> None:
    paced = Pace(1, 0.1, 0.2, 0.3, held, pieces, 5)
    assert goals({COMPILED: _result(COMPILED, 1, paced)})[6].met is met


def test_the_aims_are_held_to_the_compiled_wheel_and_the_sources_stand_beside() -> None:
    measured = {BAILIWICK: _result(BAILIWICK, 3_000), PORTKEY: _result(PORTKEY, 1_250)}
    alone = goals(measured)[2]
    assert (alone.met, alone.measured) == (
        None,
        "not measured (3,000/s to 1,250/s: 2.4 as sources)",
    )
    both = goals({**measured, COMPILED: _result(COMPILED, 2_000)})[2]
    assert (both.met, both.measured) == (
        False,
        "2,000/s to 1,250/s: 1.6 (3,000/s to 1,250/s: 2.4 as sources)",
    )


def test_the_compiled_wheel_is_among_what_is_measured() -> None:
    names = [target.name for target in TARGETS]
    assert {COMPILED, COMPILED_NO_FSYNC} <= set(names)


def test_what_was_not_measured_is_neither_met_nor_missed() -> None:
    assert [goal.met for goal in goals({})] == [None] * 7
    skipped = ModelMeasured("x", "", skipped="gone\nfor good")
    assert "not measured: gone" in table([skipped])
