"""What a mandate may ask of model calls, in every dialect, and the ways around it that are none."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.app.running import Running, running
from tests.llm.model_server import Answer, ModelServer, serving
from tests.llm.test_attacks import ask

CHAT, RESPONSES, MESSAGES = "/v1/chat/completions", "/v1/responses", "/v1/messages"
HELLO = [{"role": "user", "content": "hello"}]

DECLARED = """
people: {{ada: {{name: Ada}}, ben: {{name: Ben, roles: [reviewer]}}}}
agents: {{clerk: {{owner: ada}}}}
models:
  one: {{url: {url}, dialects: [chat, messages, responses]}}
  two: {{url: {url}, dialects: [chat, messages, responses]}}
aliases:
  steady: {{models: [one/steady, two/steady], breaker: {{failures: 1000}}}}
  guarded: {{models: [one/free, two/guarded], breaker: {{failures: 1000}}}}
  open: {{models: [one/aliased], breaker: {{failures: 1000}}}}
mandates:
  think:
    from: ada
    to: clerk
    allow:
      - {{model: one/short, only: {{model_call: {{max_output: 100}}}}, other_arguments: allow}}
      - model: one/tools
        only: {{model_call: {{tools: [read, "bank__*"], hosted_tools: [web_search]}}}}
        other_arguments: allow
      - model: one/cool
        when: {{temperature: {{at_most: 1, optional: true}}}}
        other_arguments: allow
      - model: one/shaped
        when:
          response_format.type: {{one_of: [json_schema]}}
          response_format: {{any: true}}
        other_arguments: allow
      - {{model: one/aliased, only: {{model_call: {{asked_as: open}}}}, other_arguments: allow}}
      - {{models: [one/steady, two/steady], only: {{model_call: {{substitute: false}}}},
         other_arguments: allow}}
      - {{models: [one/free, two/guarded, one/denies], other_arguments: allow}}
    deny:
      - {{model: one/denies, only: {{model_call: {{any_tool: [shell, mcp]}}}}}}
    stamp:
      - {{model: two/guarded, role: reviewer, only: {{model_call: {{substitute: true}}}}}}
"""


@pytest.fixture(scope="module")
def upstream() -> Iterator[ModelServer]:
    with serving() as server:
        yield server


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, upstream: ModelServer) -> Iterator[Running]:
    folder: Path = tmp_path_factory.mktemp("gateway")
    declared = DECLARED.format(url=upstream.url)
    with running(folder, declared, "--hold-window", "1") as gateway:
        gateway.agent_token()
        yield gateway


@pytest.fixture(autouse=True)
def fresh(upstream: ModelServer) -> None:
    upstream.reset()


def body(path: str, model: str, **more: Any) -> dict[str, Any]:
    if path == RESPONSES:
        return {"model": model, "input": "hello", **more}
    return {"model": model, "messages": HELLO, **more}


def status(gateway: Running, path: str, model: str, **more: Any) -> int:
    return ask(gateway, body(path, model, **more), path)[0]


@pytest.mark.parametrize(
    ("path", "more", "allowed"),
    [
        (CHAT, {"max_tokens": 100}, True),
        (CHAT, {"max_completion_tokens": 100}, True),
        (RESPONSES, {"max_output_tokens": 100}, True),
        (MESSAGES, {"max_tokens": 100}, True),
        (CHAT, {}, False),
        (CHAT, {"max_tokens": 100, "max_completion_tokens": 9_000}, False),
        (CHAT, {"max_tokens": 100, "n": 3}, False),
        (CHAT, {"max_output_tokens": 100}, False),
        (RESPONSES, {"max_tokens": 100}, False),
        (MESSAGES, {"max_tokens": 100, "thinking": {"budget_tokens": 9_000}}, False),
        (MESSAGES, {"max_completion_tokens": 100}, False),
    ],
)
def test_a_bound_on_the_output_holds_in_every_dialect(
    gateway: Running, upstream: ModelServer, path: str, more: dict[str, Any], allowed: bool
) -> None:
    assert status(gateway, path, "one/short", **more) == (200 if allowed else 403)
    assert len(upstream.sent) == allowed


@pytest.mark.parametrize(
    ("path", "tools", "allowed"),
    [
        (CHAT, [{"type": "function", "function": {"name": "read"}}], True),
        (CHAT, [{"type": "function", "function": {"name": "bank__pay"}}], True),
        (CHAT, [{"type": "web_search"}], True),
        (CHAT, [{"type": "function", "function": {"name": "write"}}], False),
        (CHAT, [{"type": "mcp"}], False),
        (CHAT, [{"type": "read"}], False),
        (RESPONSES, [{"type": "function", "name": "read"}], True),
        (RESPONSES, [{"type": "namespace", "name": "bank", "tools": [{"name": "pay"}]}], True),
        (RESPONSES, [{"type": "namespace", "name": "tank", "tools": [{"name": "pay"}]}], False),
        (RESPONSES, [{"type": "function", "name": "write"}], False),
        (RESPONSES, [{"type": "mcp", "server_url": "https://elsewhere.test"}], False),
        (MESSAGES, [{"name": "read", "input_schema": {}}], True),
        (MESSAGES, [{"name": "write", "input_schema": {}}], False),
        (MESSAGES, [{"type": "code_execution_20260101", "name": "read"}], False),
    ],
)
def test_bounds_on_offered_tools_hold_in_every_dialect(
    gateway: Running, path: str, tools: list[dict[str, Any]], allowed: bool
) -> None:
    assert status(gateway, path, "one/tools", tools=tools) == (200 if allowed else 403)


@pytest.mark.parametrize(
    ("path", "more"),
    [
        (CHAT, {"functions": [{"name": "write"}]}),
        (CHAT, {"web_search_options": {}, "tools": [{"type": "mcp"}]}),
        (MESSAGES, {"mcp_servers": [{"url": "https://elsewhere.test"}]}),
        (RESPONSES, {"input": [{"type": "additional_tools", "tools": [{"type": "mcp"}]}]}),
    ],
)
def test_tools_cannot_be_offered_by_another_name(
    gateway: Running, upstream: ModelServer, path: str, more: dict[str, Any]
) -> None:
    assert status(gateway, path, "one/tools", **more) == 403
    assert not upstream.sent


@pytest.mark.parametrize("path", [CHAT, RESPONSES, MESSAGES])
def test_a_temperature_is_bounded_by_its_argument_in_every_dialect(
    gateway: Running, path: str
) -> None:
    assert status(gateway, path, "one/cool", temperature=0.5) == 200
    assert status(gateway, path, "one/cool", temperature=1.5) == 403
    assert status(gateway, path, "one/cool", temperature="1.5") == 403
    assert status(gateway, path, "one/cool", Temperature=1.5) in (400, 403)


def test_a_shape_of_the_answer_can_be_asked_for(gateway: Running) -> None:
    shaped = {"type": "json_schema", "json_schema": {"name": "x", "schema": {}}}
    assert status(gateway, CHAT, "one/shaped", response_format=shaped) == 200
    assert status(gateway, CHAT, "one/shaped", response_format={"type": "text"}) == 403
    assert status(gateway, CHAT, "one/shaped") == 403


@pytest.mark.parametrize(
    "tools",
    [
        [{"type": "function", "function": {"name": "shell"}}],
        [{"type": "function", "function": {"name": "Shell"}}],
        [{"type": "mcp"}],
    ],
)
def test_a_deny_rule_on_a_tool_is_not_led_around(gateway: Running, tools: list[Any]) -> None:
    assert status(gateway, CHAT, "one/denies") == 200
    assert status(gateway, CHAT, "one/denies", tools=tools) == 403


def test_a_model_that_may_only_be_asked_by_its_alias_cannot_be_named(
    gateway: Running, upstream: ModelServer
) -> None:
    assert status(gateway, CHAT, "open") == 200
    upstream.reset()
    assert status(gateway, CHAT, "one/aliased") == 403
    assert not upstream.sent


def test_a_mandate_can_forbid_substitution_and_the_first_failure_is_the_answer(
    gateway: Running, upstream: ModelServer
) -> None:
    upstream.answers.append(Answer(503, b'{"error": {"message": "overloaded"}}'))
    answered, headers, told = ask(gateway, body(CHAT, "steady"))
    assert answered == 503
    assert headers["bailiwick-served-by"] == "one/steady"
    assert b"overloaded" in told
    assert len(upstream.sent) == 1
    denied = gateway.cli("calls")["calls"][0]
    assert (denied["state"], denied["upstream"]) == ("denied", "two")
    assert denied["code"] == "not_in_these_circumstances"
    assert "only for itself, in no other's place" in denied["because"]
    explained = json.dumps(gateway.cli("explain", denied["id"], check=False))
    assert "in place of `one/steady overloaded`" in explained  # as recorded, compared again


def test_a_substitute_can_be_made_to_wait_for_a_person_and_the_stamp_says_for_what(
    gateway: Running, upstream: ModelServer
) -> None:
    assert status(gateway, CHAT, "two/guarded") == 200  # asked for itself, it needs none
    upstream.reset()
    upstream.answers.append(Answer(503, b'{"error": {"message": "overloaded"}}'))
    answered, _, told = ask(gateway, body(CHAT, "guarded"))
    assert answered == 409
    assert b"waiting for approval" in told
    (hold,) = gateway.cli("holds")["holds"]
    assert 'in_place_of: "one/free overloaded"' in json.dumps(hold).replace('\\"', '"')
