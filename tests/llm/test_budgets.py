"""Budgets in tokens and money, over a real gateway and with the official SDKs."""

from __future__ import annotations

import concurrent.futures
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest

from tests.app.running import Running, running
from tests.llm.model_server import (
    CHAT,
    CHAT_EVENTS,
    MESSAGE,
    RESPONSE,
    SECONDS,
    Answer,
    ModelServer,
    chat_chunk,
    named_event,
    serving,
)
from tests.llm.test_attacks import ask

HELLO = [{"role": "user", "content": "hello"}]

# Reserved for HELLO with 10 tokens of output: some hundred bytes, no template, and 10.
DECLARED = """
people:
  ada:
    name: Ada
    limits:
      - {{id: hers, model: local/shared*, tokens: 400, each: lifetime}}
agents: {{clerk: {{owner: ada}}, other: {{owner: ada}}}}
models:
  local:
    url: {url}/v1
    dialects: [chat, responses, messages, embeddings]
    prices:
      "*": {{input: "10", output: "30", cached: "2.5", cache_written: "12.5", currency: USD}}
      cheap*: {{input: "0.10", output: "0.40", cache_written: "0.10", currency: USD}}
      euro: {{input: "10", output: "30", cache_written: "10", currency: EUR}}
      embed: {{input: "0.02", cache_written: "0.02", currency: USD}}
    sizes:
      "*": {{template: 0}}
      wide: {{context: 1000, max_output: 100, template: 0}}
  free:
    url: {url}
    dialects: [chat]
    models: [unpriced]
mandates:
  think:
    from: ada
    to: clerk
    allow:
      - {{models: [local/*, free/*], other_arguments: allow}}
    limits:
      - {{id: loop, model: local/loop, tokens: 600, each: lifetime}}
      - {{id: money, models: [local/money*, local/euro, free/*], cost: 0.01 USD, each: lifetime}}
      - {{id: cut, model: local/cut*, output_tokens: 1000000, each: lifetime}}
      - {{id: wide, models: [local/wide, local/bare], tokens: 100000, each: lifetime}}
      - {{id: crowd, model: local/crowd, output_tokens: 100, each: lifetime}}
      - {{id: once, model: local/once, output_tokens: 50, each: call}}
      - {{id: errors, model: local/errors, output_tokens: 20, each: lifetime}}
      - {{id: failing, model: local/failing, output_tokens: 1000, each: lifetime}}
      - {{id: lies, model: local/lies*, output_tokens: 1000, each: lifetime}}
      - {{id: priced, models: [local/cheap*, local/embed], cost: {{USD: 100}}, each: lifetime}}
  others:
    from: ada
    to: other
    allow:
      - {{models: [local/*], other_arguments: allow}}
"""


@pytest.fixture(scope="module")
def upstream() -> Iterator[ModelServer]:
    with serving() as server:
        yield server


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, upstream: ModelServer) -> Iterator[Running]:
    folder: Path = tmp_path_factory.mktemp("gateway")
    with running(folder, DECLARED.format(url=upstream.url)) as gateway:
        gateway.agent_token()
        yield gateway


@pytest.fixture(autouse=True)
def fresh(upstream: ModelServer) -> None:
    upstream.reset()


@pytest.fixture
def stopped(gateway: Running) -> Iterator[None]:
    """For tests that stop the mandate: that it was, and it goes on afterwards."""
    yield
    found = gateway.cli("mandates")["objects"]
    assert [each["name"] for each in found if each["state"] == "suspended"] == ["think"]
    gateway.cli("resume", "think", "--reason", "the next test")


def chat(model: str, **more: Any) -> dict[str, Any]:
    return {"model": f"local/{model}", "messages": HELLO, "max_tokens": 10, **more}


def limit(gateway: Running, name: str) -> Mapping[str, Any]:
    """One row of `bailiwick limits`."""
    rows = gateway.cli("limits")["limits"]
    row: Mapping[str, Any] = next(each for each in rows if each["limit"] == name)
    return row


def refused(answer: tuple[int, dict[str, str], bytes]) -> tuple[int, str, str]:
    """Status, code and message of an error."""
    status, _, body = answer
    error = json.loads(body)["error"]
    return status, error["code"], error["message"]


def with_usage(usage: object, **more: Any) -> Answer:
    return Answer(body=json.dumps({**CHAT, "usage": usage, **more}).encode())


def test_a_loop_stops_at_its_limit_with_the_sdk_s_own_error(
    gateway: Running, upstream: ModelServer
) -> None:
    client = openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.token, timeout=SECONDS)
    served = 0
    error: openai.PermissionDeniedError | None = None
    with client:
        while error is None and served < 1_000:
            try:
                client.chat.completions.create(
                    model="local/loop", messages=[{"role": "user", "content": "hi"}], max_tokens=100
                )
                served += 1
            except openai.PermissionDeniedError as refusal:
                error = refusal
    assert error is not None
    assert len(upstream.sent) == served, "a refusal is not tried again"
    assert 20 < served < 70, "each took 9, and the last one needed room for what it could take"
    assert error.code == "limit_exceeded"
    assert error.response.headers["x-should-retry"] == "false"
    assert f"limit `loop`: {9 * served} of 600 tokens used in all" in str(error)
    assert f"What is allowed: at most {600 - 9 * served} tokens more" in str(error)
    row = limit(gateway, "loop")
    assert (row["used"], row["in_words"]["ceiling"]) == (9 * served, "600 tokens")
    with (
        anthropic.Anthropic(base_url=gateway.url, api_key=gateway.token, timeout=SECONDS) as other,
        pytest.raises(anthropic.PermissionDeniedError, match="600 tokens used"),
    ):
        other.messages.create(
            model="local/loop", max_tokens=500, messages=[{"role": "user", "content": "hi"}]
        )


def test_money_is_counted_sort_by_sort(gateway: Running, upstream: ModelServer) -> None:
    before = limit(gateway, "money")["posted"]
    usage = {
        **CHAT["usage"],  # type: ignore[dict-item]  # a table
        "prompt_tokens": 100,
        "completion_tokens": 10,
        "prompt_tokens_details": {"cached_tokens": 60},
    }
    upstream.answers.append(with_usage(usage))
    assert ask(gateway, chat("money"))[0] == 200
    # 40 at 10, 60 at 2.50 and 10 at 30 for a million: 0.00085 USD
    row = limit(gateway, "money")
    assert row["posted"] - before == 850
    assert row["in_words"]["ceiling"] == "USD 0.01"


def test_what_a_call_could_cost_is_reserved_first(gateway: Running, upstream: ModelServer) -> None:
    status, code, text = refused(ask(gateway, chat("money", max_tokens=1_000)))
    assert (status, code) == (403, "limit_exceeded")
    assert "limit `money`: USD 0.00" in text
    assert "of USD 0.01 used in all; this would take USD 0.03" in text
    assert not upstream.sent


@pytest.mark.parametrize(
    ("body", "status", "code", "told"),
    [
        ({"model": "free/unpriced"}, 403, "price_unknown", "declare `prices` of model server"),
        ({"model": "local/euro"}, 403, "currency_not_allowed", "it is priced in `EUR`"),
        ({"model": "local/money", "service_tier": "priority"}, 403, "price_unknown", "priority"),
        ({"model": "local/money", "service_tier": ["x"]}, 403, "price_unknown", "service_tier"),
        ({"model": "local/money", "max_tokens": None}, 400, "cost_unbounded", "`max_tokens`"),
        ({"model": "local/money", "max_tokens": 0}, 400, "cost_unbounded", "`max_tokens`"),
        ({"model": "local/loop", "max_tokens": None}, 400, "tokens_unbounded", "`max_output`"),
        (
            {"model": "local/loop", "messages": [{"role": "user", "content": [{"type": "file"}]}]},
            400,
            "tokens_unbounded",
            "nothing bounds the tokens of `file`",
        ),
        (
            {"model": "local/wide", "tools": [{"type": "web_search"}]},
            400,
            "tokens_unbounded",
            "the model's server runs by itself",
        ),
        ({"model": "local/loop", "n": 100}, 403, "limit_exceeded", "this would take 1,"),
        (
            {"model": "local/loop", "max_tokens": 1, "max_completion_tokens": 900},
            403,
            "limit_exceeded",
            "this would take 1,",
        ),
        ({"model": "local/once", "max_tokens": 51}, 403, "limit_exceeded", "51 output tokens in"),
        ({"model": "local/money", "messages": "x" * 3_000}, 403, "limit_exceeded", "USD 0.0"),
    ],
)
def test_what_cannot_be_bounded_or_priced_is_not_sent(
    gateway: Running,
    upstream: ModelServer,
    body: dict[str, Any],
    status: int,
    code: str,
    told: str,
) -> None:
    found = refused(ask(gateway, {"messages": HELLO, "max_tokens": 10, **body}))
    assert found[:2] == (status, code)
    assert told in found[2]
    assert not upstream.sent


def test_a_declared_size_bounds_what_a_request_does_not(
    gateway: Running, upstream: ModelServer
) -> None:
    """Context growing at the provider's, pictures, no bound of the output."""
    before = limit(gateway, "wide")["posted"]
    body = {"model": "local/wide", "input": "hi", "previous_response_id": "resp_0"}
    assert ask(gateway, body, "/v1/responses")[0] == 200
    upstream.answers.append(with_usage(None))
    assert ask(gateway, {"model": "local/wide", "messages": HELLO})[0] == 200
    bytes_of_it = len(b'{"messages":[{"content":"hello","role":"user"}],"model":"local/wide"}')
    # 9 as reported; then nothing: the bound, which is its bytes and 100 of output.
    assert limit(gateway, "wide")["posted"] - before == 9 + bytes_of_it + 100


def test_a_huge_tool_is_input_like_any_other(gateway: Running, upstream: ModelServer) -> None:
    tool = {
        "type": "function",
        "function": {"name": "f", "description": "x" * 2_000, "parameters": {"type": "object"}},
    }
    status, code, _ = refused(ask(gateway, chat("loop", tools=[tool])))
    assert (status, code) == (403, "limit_exceeded")
    assert not upstream.sent


@pytest.mark.parametrize(
    "usage",
    [
        None,
        {},
        {"prompt_tokens": 7, "completion_tokens": -2},
        {"prompt_tokens": 7, "completion_tokens": "2"},
        {"prompt_tokens": 7, "completion_tokens": 2.0},
        {"prompt_tokens": 7, "completion_tokens": True},
        "none",
    ],
)
def test_what_is_not_reported_counts_as_its_bound(
    gateway: Running, upstream: ModelServer, usage: object
) -> None:
    before = limit(gateway, "lies")["posted"]
    upstream.answers.append(with_usage(usage))
    assert ask(gateway, chat("lies"))[0] == 200
    assert limit(gateway, "lies")["posted"] - before == 10


def test_less_than_was_said_is_not_believed(gateway: Running, upstream: ModelServer) -> None:
    before = limit(gateway, "lies")["posted"]
    said = [{**CHAT["choices"][0], "message": {"role": "assistant", "content": "a " * 300}}]  # type: ignore[index]
    usage = {"prompt_tokens": 7, "completion_tokens": 1}
    upstream.answers.append(with_usage(usage, choices=said))
    assert ask(gateway, chat("lies"))[0] == 200
    assert limit(gateway, "lies")["posted"] - before == 10


@pytest.mark.usefixtures("stopped")
def test_more_than_was_reserved_is_posted_and_stops_the_mandate(
    gateway: Running, upstream: ModelServer
) -> None:
    before = limit(gateway, "lies")["posted"]
    upstream.answers.append(with_usage({"prompt_tokens": 7, "completion_tokens": 500}))
    assert ask(gateway, chat("lies"))[0] == 200
    assert limit(gateway, "lies")["posted"] - before == 500
    assert refused(ask(gateway, chat("lies")))[1] == "mandate_not_active"
    assert gateway.cli("limits", "audit")["agree"] is True


def test_errors_that_say_that_nothing_began_take_nothing(
    gateway: Running, upstream: ModelServer
) -> None:
    error = json.dumps({"error": {"message": "no", "type": "x"}}).encode()
    for status in (400, 404, 413, 422, 429, 503):
        upstream.answers.append(Answer(status, error))
        assert ask(gateway, chat("errors"))[0] == status
    upstream.answers.append(Answer(401, error))
    assert ask(gateway, chat("errors"))[0] == 502
    assert limit(gateway, "errors")["used"] == 0
    # After this one it may have begun.
    upstream.answers.append(Answer(500, error))
    assert ask(gateway, chat("errors"))[0] == 500
    assert limit(gateway, "errors")["posted"] == 10


def endless(pieces: int, text: str = "word after word ") -> list[bytes]:
    return [chat_chunk({"role": "assistant", "content": text}) for _ in range(pieces)]


@pytest.mark.parametrize(
    "error",
    [
        {"code": "json_validate_failed", "failed_generation": "{" * 20},
        {"message": "max_tokens or model output limit was reached"},
        {"message": "too long", "usage": {"total_tokens": 20}},
    ],
)
def test_an_error_after_something_was_generated_counts_as_its_bound(
    gateway: Running, upstream: ModelServer, error: dict[str, Any]
) -> None:
    before = limit(gateway, "failing")["used"]
    upstream.answers.append(Answer(400, json.dumps({"error": error}).encode()))
    assert ask(gateway, chat("failing"))[0] == 400
    assert limit(gateway, "failing")["used"] == before + 10


@pytest.mark.usefixtures("stopped")
def test_a_stream_that_makes_too_much_is_cut(gateway: Running, upstream: ModelServer) -> None:
    events = endless(200)
    upstream.answers.append(Answer(events=events, wait_before=150))
    client = openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.token, timeout=SECONDS)
    seen: list[object] = []
    with client:
        stream = client.chat.completions.create(
            model="local/cut",
            messages=[{"role": "user", "content": "hi"}],
            max_tokens=10,
            stream=True,
        )
        with pytest.raises(openai.APIError, match="more than the 10 tokens") as cut:
            seen.extend(stream)
    assert cut.value.code == "output_above_bound"
    assert 0 < len(seen) <= 40, "at twice the bound or a little later"
    assert upstream.gone.wait(SECONDS), "the server's work is cancelled"
    assert limit(gateway, "cut")["posted"] > 10


@pytest.mark.usefixtures("stopped")
def test_a_stream_is_cut_by_the_server_s_own_count(gateway: Running, upstream: ModelServer) -> None:
    before = limit(gateway, "cut")["posted"]
    events = [
        named_event({"type": "message_start", "message": {**MESSAGE, "content": []}}),
        named_event({"type": "message_delta", "delta": {}, "usage": {"output_tokens": 11}}),
        named_event({"type": "message_delta", "delta": {}, "usage": {"output_tokens": 12}}),
    ]
    upstream.answers.append(Answer(events=events, wait_before=2))
    body = {"model": "local/cut", "messages": HELLO, "max_tokens": 10, "stream": True}
    status, _, raw = ask(gateway, body, "/v1/messages")
    assert status == 200
    assert b"event: error" in raw
    assert b"output_above_bound" in raw
    assert limit(gateway, "cut")["posted"] - before == 11


def test_an_honest_stream_is_not_cut_however_it_is_split(
    gateway: Running, upstream: ModelServer
) -> None:
    letters = [chat_chunk({"role": "assistant", "content": each}) for each in "word " * 10]
    for events in (letters, endless(1, " " * 1_000), endless(10, " " * 128)):
        end = [chat_chunk({}, "stop"), *CHAT_EVENTS[-2:]]
        upstream.answers.append(Answer(events=[*events, *end]))
        body = chat("cut", stream=True, stream_options={"include_usage": True})
        _, _, raw = ask(gateway, body)
        assert raw == b"".join([*events, *end])


def test_a_stream_without_usage_counts_as_its_bound(
    gateway: Running, upstream: ModelServer
) -> None:
    before = limit(gateway, "cut")["posted"]
    upstream.answers.append(Answer(events=[*CHAT_EVENTS[:-2], CHAT_EVENTS[-1]]))
    assert ask(gateway, chat("cut", stream=True))[0] == 200
    assert limit(gateway, "cut")["posted"] - before == 10
    upstream.answers.append(Answer(events=CHAT_EVENTS[:3], cut=True))
    assert ask(gateway, chat("cut", stream=True))[0] == 200
    assert limit(gateway, "cut")["posted"] - before == 20, "one that broke off, too"


def test_64_at_once_against_room_for_10(gateway: Running, upstream: ModelServer) -> None:
    # Nothing is reported, so each takes its bound.
    upstream.answers.extend(with_usage(None) for _ in range(64))
    with concurrent.futures.ThreadPoolExecutor(64) as pool:
        found = list(pool.map(lambda _: ask(gateway, chat("crowd"))[0], range(64)))
    assert (found.count(200), found.count(403)) == (10, 54)
    assert len(upstream.sent) == 10
    row = limit(gateway, "crowd")
    assert (row["used"], row["left"]) == (100, 0)
    assert gateway.cli("limits", "audit")["agree"] is True


def test_counting_tokens_takes_none_and_embeddings_only_input(
    gateway: Running, upstream: ModelServer
) -> None:
    before = limit(gateway, "priced")["posted"]
    count = {"model": "local/cheap-1", "messages": HELLO}
    for path in ("/v1/messages/count_tokens", "/v1/messages/count_tokens?beta=true"):
        assert ask(gateway, count, path)[0] == 200
    assert limit(gateway, "priced")["posted"] == before
    assert ask(gateway, {"model": "local/embed", "input": "hi"}, "/v1/embeddings")[0] == 200
    assert limit(gateway, "priced")["posted"] - before == 1, "0.14 of a step, rounded up"


def test_the_most_specific_price_counts(gateway: Running, upstream: ModelServer) -> None:
    before = limit(gateway, "priced")["posted"]
    upstream.answers.append(with_usage({"prompt_tokens": 50, "completion_tokens": 10}))
    assert ask(gateway, chat("cheap-2"))[0] == 200
    assert limit(gateway, "priced")["posted"] - before == 9


def test_a_person_s_budget_counts_all_her_mandates(gateway: Running, upstream: ModelServer) -> None:
    def spend(token: str) -> tuple[int, str]:
        upstream.answers.append(with_usage({"prompt_tokens": 70, "completion_tokens": 10}))
        sent = {"Authorization": f"Bearer {token}"}
        status, _, body = ask(gateway, chat("shared"), headers=sent)
        return status, "" if status == 200 else json.loads(body)["error"]["message"]

    tokens: tuple[str, ...] = (
        gateway.token,
        gateway.cli("agents", "token", "other")["token"],
    )
    for token in tokens * 2:
        assert spend(token)[0] == 200
    row = limit(gateway, "hers")
    assert (row["person"], row["mandate"], row["used"]) == ("ada", "", 320)
    for token in tokens:
        status, text = spend(token)
        assert status == 403
        assert "limit `hers`: 320 of 400 tokens used in all" in text
    leaves = (gateway.data / "bailiwick.db").read_bytes()
    assert b'"rules":["@ada/' not in leaves, "people stand in leaves by pseudonym"


def test_a_response_s_usage_counts_in_its_own_words(
    gateway: Running, upstream: ModelServer
) -> None:
    before = limit(gateway, "money")["posted"]
    assert RESPONSE["usage"]["input_tokens_details"] == {"cached_tokens": 3}
    body = {"model": "local/money", "input": "hi", "max_output_tokens": 10}
    assert ask(gateway, body, "/v1/responses")[0] == 200
    # 4 at 10, 3 at 2.50, 2 at 30: 107.5 steps, rounded up
    assert limit(gateway, "money")["posted"] - before == 108
