"""Budgets once calls are over: what is recorded, tried again, explained and left after a crash."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.app.running import Running, command, running, start
from tests.llm.model_server import CHAT, CHAT_EVENTS, SECONDS, Answer, ModelServer, serving
from tests.llm.test_attacks import ask

DECLARED = """
people: {{ada: {{name: Ada, roles: [operator]{limits}}}}}
agents: {{clerk: {{owner: ada}}}}
models:
  local:
    url: {url}/v1
    dialects: [chat, messages]
    prices: {{"*": {{input: "{price}", output: "{price}", cache_written: "0", currency: USD}}}}
    sizes: {{"*": {{template: 0}}}}
mandates:
  think:
    from: ada
    to: clerk
    allow: [{{models: local/*, other_arguments: allow}}]
    limits:
      - {{id: tokens, model: local/*, output_tokens: 1000, each: lifetime}}
      - {{id: money, model: local/*, cost: {money} USD, each: lifetime}}
"""


@pytest.fixture
def upstream() -> Iterator[ModelServer]:
    with serving() as server:
        yield server


def declared(upstream: ModelServer, price: str = "10", money: str = "1", limits: str = "") -> str:
    return DECLARED.format(url=upstream.url, price=price, money=money, limits=limits)


def chat(**more: Any) -> dict[str, Any]:
    return {
        "model": "local/tiny",
        "messages": [{"role": "user", "content": "hi"}],
        "max_tokens": 10,
        **more,
    }


def limits(gateway: Running) -> dict[str, int]:
    return {row["limit"]: row["used"] for row in gateway.cli("limits")["limits"]}


def test_a_budget_is_tried_on_recorded_calls_at_its_own_prices(
    tmp_path: Path, upstream: ModelServer
) -> None:
    with running(tmp_path, declared(upstream)) as gateway:
        gateway.agent_token()
        error = json.dumps({"error": {"message": "no"}}).encode()
        for answer in (None, Answer(400, error), None, None):
            if answer is not None:
                upstream.answers.append(answer)
            ask(gateway, chat())
        # Three answers of 7 and 2 tokens at 10 USD a million.
        assert limits(gateway)["money"] == 3 * 90
        (call, *_) = gateway.cli("calls")["calls"]
        told = command("call", call["id"], "--data", str(gateway.data), "--as", "ada").stdout
        assert "think@1/limit/tokens  2 output tokens, of 10 output tokens set aside" in told
        assert "think@1/limit/money   USD 0.00009, of USD 0.00" in told
        same = gateway.cli("simulate", "think")
        assert (same["calls"], same["flips"]) == (4, 0)
        dear = tmp_path / "dear.yaml"
        # Of each call 9 tokens cost 9 cents now, and some 90 bytes with 10 tokens a dollar.
        dear.write_text(declared(upstream, price="10000", money="1.05"))
        tried = gateway.cli("simulate", "think", "-f", str(dear))
        assert tried["flips"] == 1, "the last one: two answers are 18 cents"
        now = tried["groups"][0]["examples"][0]["now"]
        assert "limit `money`: USD 0.18 of USD 1.05 used" in now


def test_prices_can_change_while_answers_are_under_way(
    tmp_path: Path, upstream: ModelServer
) -> None:
    with running(tmp_path, declared(upstream)) as gateway:
        gateway.agent_token()
        upstream.answers.append(Answer(events=CHAT_EVENTS, wait_before=3))
        address = urlsplit(gateway.url)
        assert address.hostname is not None
        connection = http.client.HTTPConnection(address.hostname, address.port, timeout=SECONDS)
        headers = {"Authorization": f"Bearer {gateway.token}", "Content-Type": "application/json"}
        body = json.dumps(chat(stream=True)).encode()
        connection.request("POST", "/v1/chat/completions", body, headers)
        answer = connection.getresponse()
        assert upstream.started.wait(SECONDS)
        changed = tmp_path / "changed.yaml"
        changed.write_text(declared(upstream, price="20"))
        gateway.cli("apply", "-f", str(changed))
        upstream.go.set()
        assert answer.read() == b"".join(CHAT_EVENTS), "it goes on"
        connection.close()
        assert limits(gateway)["money"] == 90, "at the price it was judged by"
        ask(gateway, chat())
        assert limits(gateway)["money"] == 90 + 180


def test_after_a_crash_what_was_under_way_counts_as_its_bound(
    tmp_path: Path, upstream: ModelServer
) -> None:
    with running(tmp_path, declared(upstream)) as gateway:
        gateway.agent_token()
        upstream.answers.append(Answer(events=CHAT_EVENTS, wait_before=3))
        address = urlsplit(gateway.url)
        assert address.hostname is not None
        connection = http.client.HTTPConnection(address.hostname, address.port, timeout=SECONDS)
        headers = {"Authorization": f"Bearer {gateway.token}", "Content-Type": "application/json"}
        connection.request(
            "POST", "/v1/chat/completions", json.dumps(chat(stream=True)).encode(), headers
        )
        connection.getresponse()
        assert upstream.started.wait(SECONDS)
        gateway.kill()
        connection.close()
        again = start(tmp_path, declared(upstream))
        again.wait()
        found = again.cli("limits")
        assert not found["unsettled"], "there is nothing to ask a person for"
        row = next(each for each in found["limits"] if each["limit"] == "tokens")
        assert (row["posted"], row["unknown"]) == (10, 0)
        assert again.cli("limits", "audit")["agree"] is True
        assert again.stop() == 0


def test_what_an_agent_left_counts_as_its_bound(tmp_path: Path, upstream: ModelServer) -> None:
    with running(tmp_path, declared(upstream)) as gateway:
        gateway.agent_token()
        upstream.answers.append(Answer(events=CHAT_EVENTS, wait_before=3))
        address = urlsplit(gateway.url)
        assert address.hostname is not None
        connection = http.client.HTTPConnection(address.hostname, address.port, timeout=SECONDS)
        headers = {"Authorization": f"Bearer {gateway.token}", "Content-Type": "application/json"}
        connection.request(
            "POST", "/v1/chat/completions", json.dumps(chat(stream=True)).encode(), headers
        )
        connection.getresponse().read1(10)
        connection.close()
        assert upstream.gone.wait(SECONDS)
        # The next call waits for nothing of the first, and both stand in the books.
        upstream.answers.append(Answer(body=json.dumps({**CHAT, "usage": None}).encode()))
        assert ask(gateway, chat())[0] == 200
        found = gateway.cli("limits")
        row = next(each for each in found["limits"] if each["limit"] == "tokens")
        assert (row["used"], row["unknown"]) == (20, 0)
        assert not found["unsettled"]


def test_a_refusal_is_explained_with_the_person_whose_limit_it_was(
    tmp_path: Path, upstream: ModelServer
) -> None:
    hers = ", limits: [{id: hers, model: local/*, output_tokens: 15, each: lifetime}]"
    with running(tmp_path, declared(upstream, limits=hers)) as gateway:
        gateway.agent_token()
        assert ask(gateway, chat())[0] == 200
        status, headers, _ = ask(gateway, chat(max_tokens=14))
        assert status == 403
        told = gateway.cli("explain", headers["bailiwick-call"])
        assert told["rules"] == ["@ada/limit/hers"]
        rules = [each for part in told["explanation"]["mandates"] for each in part["rules"]]
        decided = [each for each in rules if each["decided"]]
        assert [each["rule"] for each in decided] == ["@ada/limit/hers"]
        assert decided[0]["compared"][-1]["found"] == "2 of 15 output tokens used in all"
        read = "\n".join(gateway.cli("mandate", "read", "think")["sentences"])
        assert (
            "As `ada` now has it, of all mandates from `ada` together: up to 15 output tokens in "
            "all, by every use of the model `local/*` (limit `hers`)." in read
        )
        ledger = gateway.cli("call", headers["bailiwick-call"])
        leaf = json.dumps(ledger)
        assert "/limit/hers" in leaf
