"""Real agents' requests, as they were seen: what they think and what they do is one run."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.app.running import Running, running
from tests.llm.model_server import Answer, ModelServer
from tests.llm.test_attacks import ask

DECLARED = """
people: {{ada: {{name: Ada}}}}
agents: {{clerk: {{owner: ada}}}}
models:
  local: {{url: {url}, dialects: [chat, responses, messages], models: [tiny]}}
servers:
  bank: {{command: ["{python}", -m, bailiwick.examples.bank, "{bank}"], env: {{BANK_API_KEY: k-1}}}}
mandates:
  desk:
    from: ada
    to: clerk
    instruction_from: first_message
    allow:
      - {{model: local/*, other_arguments: allow}}
      - {{tool: bank/balance, other_arguments: allow}}
    deny:
      - {{id: not-asked, tool: bank/*, only: {{asked_by_model: [altered, unasked]}}}}
"""
RESERVE = {"account": "reserve"}
ANSWER = '{"account":"reserve","balance":"250000.00","currency":"EUR"}'
CODEX = '{"session_id":"01a203fd","thread_id":"01a203fd"}'


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, upstream: ModelServer) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("gateway")
    with running(
        folder, DECLARED.format(url=upstream.url, python=sys.executable, bank=folder / "bank")
    ) as gateway:
        yield gateway


@dataclass
class Way:
    """How one agent writes: the path it thinks at, its names, and what it tells of a result."""

    path: str
    headers: Mapping[str, str]
    name: str
    told: str
    meta: Mapping[str, Any] = field(default_factory=dict)
    first: str = "Tell me the balance."


WAYS = {
    "goose": Way(
        "/v1/chat/completions",
        {"agent-session-id": "20261122_1"},
        "bailiwick__bank__balance",
        '{"account": "reserve", "balance": "250000.00", "currency": "EUR"}',
        {"agent-session-id": "20261122_1", "agent-tool-call-request-id": "call_1"},
        "Tell me the balance.\n<turn-context>\n<current-time>now</current-time>\n</turn-context>",
    ),
    "codex": Way(
        "/v1/responses",
        {"x-codex-turn-metadata": CODEX, "session-id": "01a203fd"},
        "mcp__bailiwick__bank__balance",
        f"Wall time: 0.0055 seconds\nOutput:\n{ANSWER}",
        {"x-codex-turn-metadata": json.loads(CODEX), "callId": "call_1"},
    ),
    "claude": Way(
        "/v1/messages",
        {"x-claude-code-session-id": "842beca9", "anthropic-version": "2023-06-01"},
        "mcp__bailiwick__bank__balance",
        ANSWER,
        {"claudecode/toolUseId": "call_1"},
    ),
    "opencode": Way(
        "/v1/chat/completions",
        {"x-session-id": "ses_dfc02a34", "x-session-affinity": "ses_dfc02a34"},
        "bailiwick_bank__balance",
        '{"account": "reserve", "balance": "250000.00", "currency": "EUR"}',
    ),
}


def think(
    gateway: Running, upstream: ModelServer, way: Way, asks: Mapping[str, Any] | None, told: str
) -> None:
    """One model call: `asks` is what the model asks for, `told` the result of `call_1` so far."""
    body, answer = _SHAPES[way.path](way, asks, told)
    upstream.answers.append(Answer(body=json.dumps(answer).encode()))
    status, _, raw = ask(gateway, body, way.path, way.headers)
    assert status == 200, raw


def _chat(way: Way, asks: Any, told: str) -> tuple[Any, Any]:
    function = {"name": way.name, "arguments": json.dumps(asks)}
    call = {"id": "call_1", "type": "function", "function": function}
    messages: list[Any] = [{"role": "user", "content": way.first}]
    if told:
        messages += [
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "call_1", "content": told},
        ]
    said = {"role": "assistant", "content": None if asks else "Done.", **(
        {"tool_calls": [call]} if asks else {}
    )}  # fmt: skip
    choice = {"index": 0, "finish_reason": "stop", "message": said}
    tools = [{"type": "function", "function": {"name": way.name, "parameters": {}}}]
    body = {"model": "local/tiny", "messages": messages, "tools": tools}
    return body, {"id": "c", "object": "chat.completion", "model": "tiny", "choices": [choice]}


def _responses(way: Way, asks: Any, told: str) -> tuple[Any, Any]:
    namespace, _, name = way.name.partition("__bank")
    call = {
        "type": "function_call",
        "call_id": "call_1",
        "name": f"bank{name}",
        "namespace": namespace,
        "arguments": json.dumps(asks),
    }
    environment = "<environment_context>\n  <cwd>/home</cwd>\n</environment_context>"
    given: list[Any] = [
        {"role": "user", "content": [{"type": "input_text", "text": text}]}
        for text in (environment, way.first)
    ]
    if told:
        given += [call, {"type": "function_call_output", "call_id": "call_1", "output": told}]
    inside = {"type": "function", "name": f"bank{name}", "parameters": {}}
    tools = [{"type": "namespace", "name": namespace, "tools": [inside]}]
    said = {"type": "message", "content": [{"type": "output_text", "text": "Done."}]}
    answer = {"id": "r", "object": "response", "status": "completed", "model": "tiny"}
    body = {"model": "local/tiny", "input": given, "tools": tools}
    return body, {**answer, "output": [call if asks else said]}


def _messages(way: Way, asks: Any, told: str) -> tuple[Any, Any]:
    call = {"type": "tool_use", "id": "call_1", "name": way.name, "input": asks}
    first = [
        {"type": "text", "text": "<system-reminder>\nCommits end so.\n</system-reminder>\n"},
        {"type": "text", "text": way.first},
    ]
    messages: list[Any] = [{"role": "user", "content": first}]
    if told:
        result = {"type": "tool_result", "tool_use_id": "call_1", "content": told}
        messages += [
            {"role": "assistant", "content": [call]},
            {"role": "user", "content": [result]},
        ]
    said = call if asks else {"type": "text", "text": "Done."}
    answer = {"id": "m", "type": "message", "role": "assistant", "model": "tiny"}
    tools = [{"name": way.name, "input_schema": {"type": "object"}}]
    body = {"model": "local/tiny", "max_tokens": 100, "messages": messages, "tools": tools}
    return body, {**answer, "content": [said], "stop_reason": "end_turn"}


_SHAPES: dict[str, Any] = {
    "/v1/chat/completions": _chat,
    "/v1/responses": _responses,
    "/v1/messages": _messages,
}


def act(gateway: Running, way: Way, arguments: Mapping[str, Any]) -> Any:
    params = {"name": "bank__balance", "arguments": arguments, "_meta": way.meta}
    status, answer = gateway.post("tools/call", params)
    assert status == 200, answer
    return answer["result"]


@pytest.mark.parametrize("name", WAYS)
def test_an_agent_thinks_and_acts_in_one_run(
    gateway: Running, upstream: ModelServer, name: str
) -> None:
    way = WAYS[name]
    gateway.agent_token()  # a session of its own
    think(gateway, upstream, way, RESERVE, "")
    assert not act(gateway, way, RESERVE).get("isError")
    refused = act(gateway, way, RESERVE)
    assert refused["_meta"]["bailiwick/code"] == "denied_by_rule"
    think(gateway, upstream, way, None, way.told)
    newest = gateway.cli("calls", "--limit", "4")["calls"]
    assert len({call["run"] for call in newest}) == 1
    story = gateway.cli("run", "show", newest[0]["run"])
    assert story["run"]["instruction"] == "Tell me the balance."
    assert story["run"]["supplier"] == "agent"
    steps = {step["id"]: step for step in story["steps"]}
    last, again, once, first = (steps[call["id"]] for call in newest)
    assert (once["said_and_did"], once["asked_by"]) == ("matched", first["id"])
    assert again["said_and_did"] == "unasked"
    assert [each["match"] for each in last["model"]["retold"]] == ["matched"]


@pytest.mark.parametrize("name", ["goose", "claude"])
def test_what_an_agent_changes_on_the_way_is_seen(
    gateway: Running, upstream: ModelServer, name: str
) -> None:
    way = WAYS[name]
    gateway.agent_token()
    think(gateway, upstream, way, RESERVE, "")
    refused = act(gateway, way, {"account": "operations"})
    assert refused["_meta"]["bailiwick/code"] == "denied_by_rule"
    think(gateway, upstream, way, None, way.told)
    last, once, _ = gateway.cli("calls", "--limit", "3")["calls"]
    story = gateway.cli("run", "show", last["run"])
    steps = {step["id"]: step for step in story["steps"]}
    assert steps[once["id"]]["said_and_did"] == "altered"
    assert steps[once["id"]]["differences"] == ["account"]
    assert [each["match"] for each in steps[last["id"]]["model"]["retold"]] == ["altered"]
