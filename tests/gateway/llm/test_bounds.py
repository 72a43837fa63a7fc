"""What a model call can take at most, what it took, and when a stream has made too much."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from bailiwick.core.call import ModelUse
from bailiwick.core.canonical import JsonObject
from bailiwick.core.limits.pricing import Price, Size, Terms, most
from bailiwick.gateway.llm.bounds import bounded
from bailiwick.gateway.llm.meter import Meter
from bailiwick.gateway.llm.used import MAX_COUNT, counts_of, overrun, priced, settled
from bailiwick.ports import UpstreamReply
from bailiwick.protocols.llm.dialect import (
    AskedTool,
    Asking,
    Dialect,
    Reasoning,
    Said,
    Usage,
    Visibility,
)
from bailiwick.protocols.llm.hearer import Made
from bailiwick.protocols.llm.requests import read_request

PRICE = Price("USD", 2_000_000, 1_000_000, 2_500_000, 10_000_000, 10_000_000)
ASKING = Asking(Dialect.CHAT, "m", False, (), 50, 1_000)


def bounds(asking: Asking = ASKING, size: Size | None = None, price: Price | None = None) -> Any:
    """(bounds, why what is missing is)."""
    terms = Terms(
        (("m", price),) if price is not None else (), (("m", size),) if size is not None else ()
    )
    use = bounded(ModelUse({}, "m"), asking, {}, "local", terms, "m")
    return dict(use.bounds), dict(use.unbounded)


def test_bytes_and_the_template_bound_the_input_and_the_request_its_answer() -> None:
    found, why = bounds(price=PRICE)
    assert found == {
        "input_tokens": 2_024,
        "output_tokens": 50,
        "tokens": 2_074,
        "cost:USD": 2_024 * 5 // 2 + 500,
    }
    assert not why
    assert bounds(size=Size(template_tokens=0))[0]["input_tokens"] == 1_000


@pytest.mark.parametrize(
    ("betas", "body", "expected"),
    [
        ("", {}, (1_500, 100)),
        ("context-management-2025-06-27,prompt-caching-2024-07-31", {}, (1_500, 100)),
        ("files-1,context-1m-2025-08-07", {}, (9_024, 100)),
        ("CONTEXT-1M-2025-08-07", {}, (9_024, 100)),
        ("output-128k-2025-02-19", {}, (9_024, 50_000)),
        ("output-2k-2030-01-01", {}, (2_048, 2_048)),
        ("", {"anthropic_beta": ["context-1m-2025-08-07"]}, (9_024, 100)),
        ("", {"betas": ["output-128k-2025-02-19"]}, (9_024, 50_000)),
    ],
)
def test_a_model_that_the_request_makes_larger_is_bounded_by_its_new_size(
    betas: str, body: JsonObject, expected: tuple[int, int]
) -> None:
    asking = replace(ASKING, dialect=Dialect.MESSAGES, input_bytes=8_000, max_output=50_000)
    terms = Terms(sizes=(("m", Size(1_500, 100)),))
    use = bounded(ModelUse({}, "m"), asking, body, "local", terms, "m", betas=betas)
    assert (use.bounds["input_tokens"], use.bounds["output_tokens"]) == expected


def test_a_declared_size_bounds_what_is_stated_too() -> None:
    found, _ = bounds(replace(ASKING, max_output=10**15), Size(1_500, 100))
    assert found == {"input_tokens": 1_500, "output_tokens": 100, "tokens": 1_500}
    three = replace(ASKING, max_output=None, choices=3)
    found, _ = bounds(three, Size(1_500, 100))
    assert found == {"input_tokens": 1_500, "output_tokens": 300, "tokens": 1_800}
    found, _ = bounds(three, Size(1_500, None))
    assert found["output_tokens"] == 4_500


@pytest.mark.parametrize("stated", [None, 0])
def test_without_a_bound_of_the_answer_there_is_none(stated: int | None) -> None:
    found, why = bounds(replace(ASKING, max_output=stated), price=PRICE)
    assert found == {"input_tokens": 2_024}
    assert why == {
        "output_tokens": "it states no `max_completion_tokens` or `max_tokens`: state one, or have "
        "`sizes` with a `max_output` declared for model server `local`"
    }


def test_a_bound_that_the_server_does_not_read_is_none() -> None:
    terms = Terms((), (("m", Size(heeds=("max_tokens",))),))

    def use(**bound: int) -> ModelUse:
        body: JsonObject = {"model": "m", "messages": [], **bound}
        asking = read_request(Dialect.CHAT, body)
        return bounded(ModelUse({}, "m"), asking, body, "local", terms, "m")

    assert use(max_tokens=10).bounds["output_tokens"] == 10
    assert use(max_tokens=10, max_completion_tokens=20).bounds["output_tokens"] == 20
    other = use(max_completion_tokens=10)
    assert "output_tokens" not in other.bounds
    assert other.unbounded["output_tokens"].startswith("it states no `max_tokens`: state one")


def test_what_bytes_do_not_bound_is_bounded_by_the_context_alone() -> None:
    pictured = replace(ASKING, unsized=("image_url",))
    found, why = bounds(pictured, price=PRICE)
    assert found == {"output_tokens": 50}
    assert why["input_tokens"].startswith("nothing bounds the tokens of `image_url`: leave it out")
    assert bounds(pictured, Size(9_000))[0]["input_tokens"] == 9_000


def test_tools_that_the_server_runs_leave_nothing_bounded() -> None:
    searching = replace(ASKING, hosted=("web_search",), unsized=("web_search",))
    found, why = bounds(searching, Size(9_000, 100), PRICE)
    assert found == {}
    assert set(why) == {"input_tokens", "output_tokens"}


@pytest.mark.parametrize(
    "told",
    [
        {"edits": [{"type": "clear_thinking_20251015"}, {"type": "compact_20260112"}]},
        [{"type": "compaction", "compact_threshold": 1_000}],
    ],
)
def test_a_conversation_that_the_server_compacts_has_no_bound(told: Any) -> None:
    terms = Terms((("m", PRICE),), (("m", Size(9_000, 100)),))
    body: JsonObject = {"context_management": told}
    use = bounded(ModelUse({}, "m"), ASKING, body, "s", terms, "m")
    assert use.bounds == {}
    assert "leave it out" in use.unbounded["input_tokens"]
    edits: Any = {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]}
    use = bounded(ModelUse({}, "m"), ASKING, {"context_management": edits}, "s", terms, "m")
    assert use.bounds["tokens"]


def test_embeddings_have_no_answer_and_no_template() -> None:
    body = {"model": "m", "input": "hello"}
    asking = read_request(Dialect.EMBEDDINGS, body)
    found, _ = bounds(asking, price=Price("USD", 1, 1, 1, None, None))
    assert found["output_tokens"] == 0
    assert found["input_tokens"] == found["tokens"] == asking.input_bytes
    assert found["cost:USD"] == 1


@pytest.mark.parametrize(
    ("dialect", "letter", "bytes_each"),
    [
        (Dialect.CHAT, "a", 1),
        (Dialect.CHAT, "\u00e9", 2),
        (Dialect.CHAT, "e\u0301", 3),  # composed it would be two
        (Dialect.CHAT, "\U0001d160", 12),
        (Dialect.CHAT, "\ufb2c", 6),
        (Dialect.EMBEDDINGS, "\ufdfa", 33),
    ],
)
def test_letters_count_as_the_longer_of_what_is_sent_and_what_is_made_of_it(
    dialect: Dialect, letter: str, bytes_each: int
) -> None:
    def given(count: int) -> int:
        body: JsonObject = {"model": "m", "max_tokens": 1, "input": letter * count}
        asking = read_request(dialect, body)
        use = bounded(ModelUse({}, "m"), asking, body, "local", Terms(), "m")
        return use.bounds["input_tokens"]

    assert given(100) - given(0) == 100 * bytes_each


def test_counting_takes_nothing() -> None:
    terms = Terms((("m", PRICE),))
    use = bounded(ModelUse({}, "m"), ASKING, {}, "local", terms, "m", counting=True)
    assert use.bounds == {"input_tokens": 0, "output_tokens": 0, "tokens": 0}


@pytest.mark.parametrize(
    ("body", "dearer"),
    [
        ({"service_tier": "auto"}, ()),
        ({"service_tier": None}, ()),
        ({"service_tier": "priority"}, ("service_tier: priority",)),
        ({"service_tier": "Default"}, ("service_tier: Default",)),
        ({"service_tier": {"a": 1}}, ("service_tier: an object",)),
        ({"speed": "fast"}, ("speed: fast",)),
        ({"modalities": ["text"]}, ()),
        ({"modalities": ["text", "audio"]}, ("modalities",)),
        (
            {"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]},
            ("input_audio",),
        ),
    ],
)
def test_what_costs_more_than_its_tokens_has_no_price(
    body: Mapping[str, Any], dearer: tuple[str, ...]
) -> None:
    asking = read_request(Dialect.CHAT, {"model": "m", "messages": [], "max_tokens": 5, **body})
    assert asking.dearer == dearer
    found, why = bounds(asking, Size(9_000), PRICE)
    assert ("cost:USD" in found) is not bool(dearer)
    assert ("price" in why) is bool(dearer)


# --- what was taken ------------------------------------------------------------------------------


def said(usage: Usage | None, **more: Any) -> Said:
    return Said(**{"finish": "stop", "usage": usage, **more})


def test_what_is_reported_counts() -> None:
    usage = Usage(input=100, cached=60, output=10, reasoning=4, cache_written=1)
    used = priced(counts_of(said(usage)), PRICE)
    assert used == {
        "input_tokens": 100,
        "output_tokens": 10,
        "tokens": 110,
        "cached_tokens": 60,
        "cache_written_tokens": 1,
        "reasoning_tokens": 4,
        # 39 at 2, 60 at 1, 1 at 2.50, 10 at 10: 240.5
        "cost:USD": 241,
    }


@pytest.mark.parametrize("finish", ["unfinished", "unreadable", "error"])
def test_nothing_is_believed_of_what_did_not_end_well(finish: str) -> None:
    assert counts_of(said(Usage(input=7, output=1), finish=finish)) == {}


def test_half_a_report_is_half_a_report() -> None:
    found = counts_of(said(Usage(input=7)))
    assert found == {"input_tokens": 7}
    assert priced(found, PRICE) == found
    assert counts_of(said(None)) == {}


def test_an_absurd_count_is_held_down() -> None:
    found = counts_of(said(Usage(input=10**300, output=1)))
    assert found["input_tokens"] == MAX_COUNT


@pytest.mark.parametrize(
    "more",
    [
        {"text": "x" * 257},
        {"reasoning": (Reasoning(Visibility.FULL, "x" * 257),)},
        {"tool_calls": (AskedTool("", "f", "x" * 257),)},
    ],
)
def test_fewer_tokens_than_could_make_what_was_said_are_not_believed(more: Any) -> None:
    assert counts_of(said(Usage(input=7, output=1), **more)) == {"input_tokens": 7}
    assert counts_of(said(Usage(input=7, output=2), **more))["output_tokens"] == 2


def test_sealed_reasoning_says_nothing_of_its_tokens() -> None:
    sealed = (Reasoning(Visibility.ENCRYPTED, "x" * 9_000),)
    assert counts_of(said(Usage(input=7, output=1), reasoning=sealed))["output_tokens"] == 1


@pytest.mark.parametrize(
    ("status", "nothing"),
    [(400, True), (404, True), (429, True), (503, True), (500, False), (502, False), (408, False)],
)
def test_an_error_takes_nothing_only_where_it_says_that_nothing_began(
    status: int, nothing: bool
) -> None:
    used = settled(UpstreamReply(error=b"{}"), PRICE, status).used
    expected = {"input_tokens": 0, "output_tokens": 0, "tokens": 0, "cost:USD": 0}
    assert used == (expected if nothing else {})


# --- streams -------------------------------------------------------------------------------------


@given(
    st.integers(1, 10_000),
    st.lists(st.integers(1, 7), min_size=1, max_size=400),
)
def test_an_answer_within_its_bound_is_never_cut(bound: int, sizes: list[int]) -> None:
    """Of tokens of up to seven characters, sent one by one or letter by letter."""
    tokens = sizes[:bound]
    meter = Meter(bound)
    assert not meter.is_over(Made(sum(tokens), len(tokens), None))
    assert not meter.is_over(Made(sum(tokens), sum(tokens), None))
    assert not meter.is_over(Made(sum(tokens), 1, len(tokens)))


def test_a_stream_is_over_by_count_by_pieces_or_by_length() -> None:
    meter = Meter(100)
    assert not meter.is_over(Made(10, 1, 100))
    assert meter.is_over(Made(10, 1, 101))
    assert not meter.is_over(Made(801, 216, None))
    assert meter.is_over(Made(801, 217, None))
    assert not meter.is_over(Made(800, 9_000, None)), "letters"
    assert not meter.is_over(Made(25_600, 1, None)), "blanks"
    assert meter.is_over(Made(25_601, 1, None))


def test_what_was_cut_counts_as_more_than_its_bound() -> None:
    meter = Meter(100)
    assert meter.tokens(Made(10, 217, None)) == 101
    assert meter.tokens(Made(8_000, 217, None)) == 1_000
    assert meter.tokens(Made(10, 1, 5_000)) == 5_000
    use = ModelUse({"input_tokens": 40, "output_tokens": 100, "tokens": 140}, "m")
    assert overrun(use, PRICE, 101) == {
        "input_tokens": 40,
        "output_tokens": 101,
        "tokens": 141,
        "cost:USD": most(PRICE, 40, 101),
    }
    unknown = ModelUse({"output_tokens": 100}, "m")
    assert overrun(unknown, PRICE, 101) == {"output_tokens": 101}
