"""The scripted model is one that the official SDKs take for a model."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, cast

import pytest
from anthropic import Anthropic
from openai import OpenAI

from tests.agents.model.endpoint import Model, scripted_model
from tests.agents.model.script import ENDLESS, LAST_WORD, SCRIPTED, SLOW, Step

SCRIPT = (Step("bank/balance", {"account": "reserve"}),)
SCHEMA = {"type": "object", "properties": {"account": {"type": "string"}}}
TOOL = "bank__balance"


@pytest.fixture
def model() -> Iterator[Model]:
    with scripted_model(SCRIPT) as model:
        yield model


def chat(model: Model, name: str, result: str) -> tuple[str, str, str]:
    """Id and arguments of the tool call, and the text, of one answer."""
    messages: list[Any] = [{"role": "user", "content": "Pay."}]
    if result:
        messages.append({"role": "tool", "tool_call_id": "call_1", "content": result})
    tools: Any = [{"type": "function", "function": {"name": TOOL, "parameters": SCHEMA}}]
    client = OpenAI(base_url=model.url, api_key="none", max_retries=0)
    with client.chat.completions.stream(model=name, messages=messages, tools=tools) as stream:
        message = stream.get_final_completion().choices[0].message
    for call in message.tool_calls or ():
        return call.id, call.function.arguments, message.content or ""
    return "", "", message.content or ""


def responses(model: Model, name: str, result: str) -> tuple[str, str, str]:
    items: list[Any] = [{"role": "user", "content": "Pay."}]
    if result:
        items.append({"type": "function_call_output", "call_id": "call_1", "output": result})
    tools: Any = [{"type": "function", "name": TOOL, "parameters": SCHEMA, "strict": False}]
    client = OpenAI(base_url=model.url, api_key="none", max_retries=0)
    with client.responses.stream(model=name, input=items, tools=tools) as stream:
        answer = stream.get_final_response()
    (item,) = cast("list[Any]", answer.output)
    if item.type == "function_call":
        return item.call_id, item.arguments, answer.output_text
    return "", "", answer.output_text


def messages(model: Model, name: str, result: str) -> tuple[str, str, str]:
    told: list[Any] = [{"role": "user", "content": "Pay."}]
    if result:
        block = {"type": "tool_result", "tool_use_id": "call_1", "content": result}
        told.append({"role": "user", "content": [block]})
    tools: Any = [{"name": TOOL, "input_schema": SCHEMA}]
    client = Anthropic(base_url=model.url.removesuffix("/v1"), api_key="none", max_retries=0)
    with client.messages.stream(model=name, max_tokens=9, messages=told, tools=tools) as stream:
        (block,) = cast("list[Any]", stream.get_final_message().content)
    if block.type == "tool_use":
        return block.id, json.dumps(block.input), ""
    return "", "", block.text


DIALECTS = pytest.mark.parametrize("ask", [chat, responses, messages])


@DIALECTS
def test_it_asks_for_the_scripts_tool_and_ends_with_the_last_result(ask: Any, model: Model) -> None:
    ident, arguments, text = ask(model, SCRIPTED, "")
    assert (ident, json.loads(arguments), text) == ("call_1", {"account": "reserve"}, "")
    assert ask(model, SCRIPTED, "much") == ("", "", LAST_WORD + "much")
    assert model.said().results == ["much"]
    assert model.said().offered == [TOOL]


@DIALECTS
def test_the_endless_one_asks_again_whatever_comes_back(ask: Any, model: Model) -> None:
    ident, arguments, _ = ask(model, ENDLESS, "much")
    assert (ident, json.loads(arguments)) == ("call_2", {"account": "reserve"})


def test_the_slow_one_goes_on_until_nobody_listens(model: Model) -> None:
    tools: Any = [{"name": TOOL, "input_schema": SCHEMA}]
    client = Anthropic(base_url=model.url.removesuffix("/v1"), api_key="none", max_retries=0)
    with client.messages.stream(
        model=SLOW, max_tokens=9, messages=[{"role": "user", "content": "Pay."}], tools=tools
    ) as stream:
        for number, text in enumerate(stream.text_stream):
            if number == 2:
                break
            assert text == "thinking, "
    assert model.begun.is_set()
    assert model.given_up.wait(10)
