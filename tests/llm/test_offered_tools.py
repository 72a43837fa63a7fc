"""Offered tools are filtered to what the mandate allows: over a real gateway with a real server."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.app.running import Running, running
from tests.llm.model_server import ModelServer, serving
from tests.llm.test_attacks import ask

CHAT, RESPONSES, MESSAGES = "/v1/chat/completions", "/v1/responses", "/v1/messages"
HELLO = [{"role": "user", "content": "hello"}]
TOY = Path(__file__).parent.parent / "app" / "toy_server.py"

DECLARED = """
people: {{ada: {{name: Ada}}}}
agents: {{clerk: {{owner: ada}}, strict: {{owner: ada}}, free: {{owner: ada}}}}
servers: {{toy: {{command: [{python}, {toy}, {log}]}}}}
models: {{one: {{url: {url}, dialects: [chat, messages, responses], models: [m]}}}}
mandates:
  think: &think
    from: ada
    to: clerk
    allow:
      - {{model: one/m, other_arguments: allow}}
      - {{tools: [toy/note, toy/secret], other_arguments: allow}}
    deny: [{{tool: toy/secret}}]
    offered_tools: {{hosted: [web_search], others: keep}}
  strictly:
    from: ada
    to: strict
    allow:
      - {{model: one/m, other_arguments: allow}}
      - {{tool: toy/note, other_arguments: allow}}
    offered_tools: {{others: remove}}
  freely:
    from: ada
    to: free
    allow: [{{model: one/m, other_arguments: allow}}, {{tool: toy/note, other_arguments: allow}}]
"""


@pytest.fixture(scope="module")
def upstream() -> Iterator[ModelServer]:
    with serving() as server:
        yield server


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, upstream: ModelServer) -> Iterator[Running]:
    folder: Path = tmp_path_factory.mktemp("gateway")
    declared = DECLARED.format(
        python=sys.executable, toy=TOY, log=folder / "log", url=upstream.url
    ).replace("&think", "")
    with running(folder, declared) as gateway:
        gateway.agent_token()
        status, _ = gateway.post("tools/list", {})  # so that the tools are known
        assert status == 200
        yield gateway


@pytest.fixture(autouse=True)
def fresh(gateway: Running, upstream: ModelServer) -> None:
    gateway.agent_token("clerk")
    upstream.reset()


def function(name: str) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name}}


def chat(*tools: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"model": "one/m", "messages": HELLO, "tools": list(tools), **more}


def names(upstream: ModelServer) -> list[str]:
    """What the model was offered, in chat."""
    told = upstream.last.body.get("tools", [])
    return [each.get("function", each).get("name", each["type"]) for each in told]


@pytest.mark.parametrize(
    "written",
    [
        "toy__{}",
        "mcp__bailiwick__toy__{}",
        "bailiwick__toy__{}",
        "bailiwick_toy__{}",
        "toy_{}",
    ],
)
def test_a_tool_that_the_mandate_denies_is_taken_out_however_an_agent_writes_it(
    gateway: Running, upstream: ModelServer, written: str
) -> None:
    tools = [function(written.format(name)) for name in ("note", "secret", "slow")]
    status, headers, _ = ask(gateway, chat(*tools))
    assert status == 200
    assert names(upstream) == [written.format("note")]
    assert headers["bailiwick-removed-tools"] == "2"


def test_it_is_taken_out_of_every_dialect(gateway: Running, upstream: ModelServer) -> None:
    own = [{"name": "mcp__bailiwick__toy__note"}, {"name": "mcp__bailiwick__toy__secret"}]
    body = {"model": "one/m", "max_tokens": 9, "messages": HELLO, "tools": own}
    assert ask(gateway, body, MESSAGES)[0] == 200
    assert upstream.last.body["tools"] == own[:1]
    spaced = {
        "type": "namespace",
        "name": "mcp__bailiwick",
        "tools": [{"name": "toy__note"}, {"name": "toy__secret"}],
    }
    assert (
        ask(gateway, {"model": "one/m", "input": "hello", "tools": [spaced]}, RESPONSES)[0] == 200
    )
    assert upstream.last.body["tools"][0]["tools"] == [{"name": "toy__note"}]


def test_the_agent_s_own_tools_stay_or_go_as_declared(
    gateway: Running, upstream: ModelServer
) -> None:
    tools = [function("shell"), function("toy__note")]
    assert ask(gateway, chat(*tools))[0] == 200
    assert names(upstream) == ["shell", "toy__note"]
    gateway.agent_token("strict")
    assert ask(gateway, chat(*tools))[0] == 200
    assert names(upstream) == ["toy__note"]


def test_tools_of_the_model_s_server_go_on_as_declared(
    gateway: Running, upstream: ModelServer
) -> None:
    tools = [{"type": "web_search"}, {"type": "mcp", "server_url": "https://elsewhere.test"}]
    assert ask(gateway, chat(*tools))[0] == 200
    assert names(upstream) == ["web_search"]
    gateway.agent_token("strict")
    assert ask(gateway, chat(*tools))[0] == 200
    assert "tools" not in upstream.last.body


def test_without_the_word_of_a_mandate_nothing_is_taken_out(
    gateway: Running, upstream: ModelServer
) -> None:
    gateway.agent_token("free")
    tools = [function("toy__secret"), {"type": "mcp"}]
    status, headers, _ = ask(gateway, chat(*tools))
    assert status == 200
    assert upstream.last.body["tools"] == tools
    assert "bailiwick-removed-tools" not in headers


def test_to_insist_on_a_tool_that_was_taken_out_is_refused(
    gateway: Running, upstream: ModelServer
) -> None:
    body = chat(function("toy__secret"), tool_choice=function("toy__secret"))
    status, _, told = ask(gateway, body)
    assert status == 403
    assert b"toy__secret" in told
    assert not upstream.sent
    assert gateway.cli("calls")["calls"][0]["code"] == "tool_not_offered"


def test_what_is_recorded_is_what_was_sent_and_says_what_was_taken_out(
    gateway: Running, upstream: ModelServer
) -> None:
    _, headers, _ = ask(gateway, chat(function("toy__note"), function("toy__secret")))
    path = gateway.cli("call", headers["bailiwick-call"])
    recorded = path["intent"]["call"]["arguments"]
    assert recorded["tools"] == upstream.last.body["tools"] == [function("toy__note")]
    assert path["intent"]["use"]["removed"] == ["toy__secret"]
    assert json.dumps(recorded).count("secret") == 0
