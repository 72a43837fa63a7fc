"""Budgets over llama.cpp's own server: what a real engine counts, and one that heeds no bound."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.app.running import Running, running
from tests.engines.engine import KEY, Engine, asked_for, environment_of, serving, until, write_model
from tests.engines.spoken import ADD, ASKED, ENDLESS, PIECES

pytestmark = [asked_for("llama"), pytest.mark.slow]

DECLARED = """
people: {{ada: {{name: Ada}}}}
agents: {{clerk: {{owner: ada}}}}
models:
  llama:
    url: {url}
    dialects: [chat, embeddings]
    headers: {{Authorization: "Bearer ${{env:ENGINE_KEY}}"}}
    models: [tiny]
    prices: {{tiny: {{input: "0.50", output: "2", currency: USD}}}}
mandates:
  think:
    from: ada
    to: clerk
    allow: [{{model: llama/*, other_arguments: allow}}]
    limits:
      - {{id: all, model: llama/*, tokens: 20000, each: lifetime}}
      - {{id: money, model: llama/*, cost: 1 USD, each: lifetime}}
      - {{id: told, model: llama/*, output_tokens: 200, per: user, each: lifetime}}
"""


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    environment = environment_of("llama")
    folder = tmp_path_factory.mktemp("llama")
    write_model(environment, "file", folder / "tiny.gguf", thinks=False)
    words: list[Any] = [environment / "python", "-m", "llama_cpp.server"]
    words += ["--model", folder / "tiny.gguf", "--model_alias", "tiny", "--api_key", KEY]
    words += ["--n_ctx", "4096", "--n_threads", "1", "--verbose", "false", "--embedding", "true"]
    with serving(folder, words, seconds=60, env={}) as found:
        yield found


@pytest.fixture
def gateway(tmp_path_factory: pytest.TempPathFactory, engine: Engine) -> Iterator[Running]:
    declared = DECLARED.format(url=engine.url)
    with running(tmp_path_factory.mktemp("up"), declared, env={"ENGINE_KEY": KEY}) as found:
        found.agent_token()
        yield found


def ask(gateway: Running, user: str, **more: Any) -> tuple[int, bytes]:
    body = {"model": "llama/tiny", "messages": ASKED, "temperature": 0, "user": user, **more}
    address = urlsplit(gateway.url)
    assert address.hostname is not None
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=60)
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {gateway.token}"}
    connection.request("POST", "/v1/chat/completions", json.dumps(body).encode(), headers)
    answer = connection.getresponse()
    try:
        return answer.status, answer.read()
    finally:
        connection.close()


def used(gateway: Running, limit: str, user: str = "") -> int:
    rows = gateway.cli("limits")["limits"]
    return sum(row["used"] for row in rows if row["limit"] == limit and row["key"] == user)


def state(gateway: Running) -> str:
    (mandate,) = gateway.cli("mandates")["objects"]
    return str(mandate["state"])


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"messages": [{"role": "user", "content": "\U0001d160" * 50}]},
        {"messages": [{"role": "user", "content": "x y z " * 300}]},
        {"messages": [{"role": "system", "content": ""}] * 40 + ASKED},
        {"tools": [ADD]},
    ],
    ids=["short", "composed", "long", "many", "tools"],
)
def test_what_an_engine_counts_fits_what_was_reserved(gateway: Running, more: Any) -> None:
    status, body = ask(gateway, "a", max_tokens=64, **more)
    assert status == 200, body
    usage = json.loads(body)["usage"]
    assert used(gateway, "all") == usage["total_tokens"]
    assert used(gateway, "told", "a") == usage["completion_tokens"]
    into, out = usage["prompt_tokens"], usage["completion_tokens"]
    assert used(gateway, "money") == -(-(into * 500_000 + out * 2_000_000) // 1_000_000)
    assert state(gateway) == "active", "it was not more than its bound"


def test_a_loop_ends_where_the_budget_does(gateway: Running) -> None:
    found = [ask(gateway, "b", max_tokens=40)[0] for _ in range(40)]
    served = found.count(200)
    assert found == [200] * served + [403] * (40 - served)
    assert served == (200 - 40) // len(PIECES) + 1
    assert used(gateway, "told", "b") == served * len(PIECES)


def test_a_stream_without_a_report_counts_as_its_bound(gateway: Running) -> None:
    status, body = ask(gateway, "c", max_tokens=50, stream=True)
    assert status == 200
    assert body.endswith(b"data: [DONE]\n\n")
    assert used(gateway, "told", "c") == 50


def test_an_engine_that_heeds_no_bound_is_cut(gateway: Running) -> None:
    """It does not know `max_completion_tokens`, and this model goes on as long as it may."""
    _, body = ask(gateway, "d", messages=ENDLESS, max_completion_tokens=30, stream=True)
    assert b"more than the 30 tokens reserved for it" in body
    assert 30 < body.count(b'"content"') < 120
    until(lambda: state(gateway) == "suspended")
    assert 30 < used(gateway, "told", "d") < 200
    assert ask(gateway, "d")[0] == 403
