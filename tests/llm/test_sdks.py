"""The official SDKs, unchanged, with the gateway as their address."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import anthropic
import openai
import pydantic
import pytest

from tests.app.running import Running
from tests.llm.conftest import KEY
from tests.llm.model_server import (
    CHAT,
    MESSAGE,
    RESPONSE,
    SECONDS,
    TOOL_CALL,
    Answer,
    ModelServer,
    chat_chunk,
    named_event,
)

HELLO = [{"role": "user", "content": "hello"}]
ADD = {
    "type": "function",
    "function": {"name": "add", "parameters": {"type": "object", "properties": {}}},
}


@pytest.fixture
def client(gateway: Running) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(
        base_url=f"{gateway.url}/v1", api_key=gateway.token, timeout=SECONDS
    ) as found:
        yield found


@pytest.fixture
def claude(gateway: Running) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=gateway.url, api_key=gateway.token, timeout=SECONDS) as found:
        yield found


def test_a_chat_answer_comes_back_with_fields_nobody_knows(
    client: Any, upstream: ModelServer
) -> None:
    extra = {"a_field_of_tomorrow": [1, {"x": None}]}
    answer = client.chat.completions.create(
        model="local/tiny", messages=HELLO, temperature=0.5, extra_body=extra
    )
    assert answer.choices[0].message.content == "hello"
    assert answer.model_extra == {"vendor_field": {"kept": True}}
    assert upstream.last.body == {
        "messages": HELLO,
        "model": "tiny",
        "temperature": 0.5,
        **extra,
    }
    assert upstream.last.headers["authorization"] == f"Bearer {KEY}"


def test_a_bare_name_that_one_server_serves_is_enough(client: Any, upstream: ModelServer) -> None:
    client.chat.completions.create(model="tiny", messages=HELLO)
    assert upstream.last.body["model"] == "tiny"


def test_a_chat_stream_is_passed_on_as_it_comes(client: Any, upstream: ModelServer) -> None:
    events = [chat_chunk({"content": "first"}), chat_chunk({"content": "second"}, "stop")]
    upstream.answers.append(Answer(events=[*events, b"data: [DONE]\n\n"], wait_before=1))
    stream = client.chat.completions.create(model="local/tiny", messages=HELLO, stream=True)
    pieces = iter(stream)
    assert next(pieces).choices[0].delta.content == "first"
    assert not upstream.go.is_set()  # the rest has not been sent, and the first piece is here
    upstream.go.set()
    assert [piece.choices[0].delta.content for piece in pieces] == ["second"]


def test_tool_calls_reach_the_agent_whole(client: Any, upstream: ModelServer) -> None:
    choice = {
        "index": 0,
        "finish_reason": "tool_calls",
        "message": {"role": "assistant", "content": None, "tool_calls": [TOOL_CALL]},
    }
    upstream.answers.append(Answer(body=json.dumps({**CHAT, "choices": [choice]}).encode()))
    answer = client.chat.completions.create(
        model="local/tiny", messages=HELLO, tools=[ADD], tool_choice="required"
    )
    (call,) = answer.choices[0].message.tool_calls
    assert call.type == "function"
    assert json.loads(call.function.arguments) == {"a": 2, "b": 40}


class Sum(pydantic.BaseModel):
    """What a program wants of a model, in Python's own words."""

    sum: int


def test_answers_are_parsed_into_what_the_program_declared(
    client: Any, claude: Any, upstream: ModelServer
) -> None:
    text = '{"sum": 42}'
    chat = {**CHAT["choices"][0], "message": {"role": "assistant", "content": text}}  # type: ignore[index]
    item = {
        **RESPONSE["output"][0],
        "content": [{"type": "output_text", "text": text, "annotations": []}],
    }
    for answer in (
        {**CHAT, "choices": [chat]},
        {**RESPONSE, "output": [item]},
        {**MESSAGE, "content": [{"type": "text", "text": text}]},
    ):
        upstream.answers.append(Answer(body=json.dumps(answer).encode()))
    one = client.chat.completions.parse(model="tiny", messages=HELLO, response_format=Sum)
    assert one.choices[0].message.parsed == Sum(sum=42)
    assert upstream.last.body["response_format"]["json_schema"]["strict"] is True
    two = client.responses.parse(model="tiny", input="hello", text_format=Sum)
    assert two.output_parsed == Sum(sum=42)
    assert upstream.last.body["text"]["format"]["type"] == "json_schema"
    three = claude.messages.parse(model="tiny", max_tokens=9, messages=HELLO, output_format=Sum)
    assert three.parsed_output == Sum(sum=42)
    assert upstream.last.body["output_config"]["format"]["type"] == "json_schema"


def test_responses_plain_and_streamed(client: Any) -> None:
    answer = client.responses.create(model="local/tiny", input="hello")
    assert answer.output_text == "hello"
    with client.responses.stream(model="local/tiny", input="hello") as stream:
        kinds = [event.type for event in stream]
    assert kinds[-1] == "response.completed"


def test_embeddings(client: Any, upstream: ModelServer) -> None:
    found = client.embeddings.create(model="local/tiny", input="x", encoding_format="float")
    assert found.data[0].embedding == [0.5, 0.25]


def test_messages_plain_streamed_and_counted(claude: Any, upstream: ModelServer) -> None:
    said = claude.messages.create(model="local/tiny", max_tokens=9, messages=HELLO)
    assert said.content[0].text == "hello"
    assert upstream.last.headers["anthropic-version"] == claude.default_headers["anthropic-version"]
    assert upstream.last.headers["authorization"] == f"Bearer {KEY}"
    assert "x-api-key" not in upstream.last.headers
    with claude.messages.stream(model="local/tiny", max_tokens=9, messages=HELLO) as stream:
        assert stream.get_final_text() == "hello"
    counted = claude.messages.count_tokens(model="local/tiny", messages=HELLO)
    assert counted.input_tokens == 7


def test_the_models_an_agent_may_use_are_listed_for_both_sdks(client: Any, claude: Any) -> None:
    mine = {"local/tiny", "local/big/one", "local/twin", "hosted/twin"}
    assert {each.id for each in client.models.list()} == mine
    assert {each.id for each in claude.models.list()} == mine
    assert client.models.retrieve("local/tiny").id == "local/tiny"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("local/other")


def test_a_refusal_is_the_sdk_s_own_error_and_is_not_tried_again(
    client: Any, claude: Any, upstream: ModelServer
) -> None:
    with pytest.raises(openai.PermissionDeniedError) as refused:
        client.chat.completions.create(model="local/tiny", messages=HELLO, temperature=1.5)
    assert refused.value.code == "argument_refused"
    assert "temperature" in refused.value.message
    with pytest.raises(anthropic.PermissionDeniedError) as denied:
        claude.messages.create(model="local/big/secret", max_tokens=9, messages=HELLO)
    assert "not for this" in denied.value.message
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(model="nobody-has-this", messages=HELLO)
    with pytest.raises(openai.AuthenticationError):
        client.with_options(api_key="nonsense").chat.completions.create(
            model="local/tiny", messages=HELLO
        )
    assert upstream.sent == []


def test_an_exhausted_limit_is_a_refusal_like_any_other(client: Any) -> None:
    client.chat.completions.create(model="local/big/counted", messages=HELLO)
    with pytest.raises(openai.PermissionDeniedError) as refused:
        client.chat.completions.create(model="local/big/counted", messages=HELLO)
    assert refused.value.code == "limit_exceeded"


def test_errors_of_the_server_reach_the_sdk_with_its_headers(
    client: Any, upstream: ModelServer
) -> None:
    error = {"error": {"message": "slow down", "type": "rate_limit_error", "code": "rate"}}
    headers = {"x-request-id": "req_9", "x-ratelimit-remaining-requests": "0", "Set-Cookie": "a=b"}
    upstream.answers.append(Answer(429, json.dumps(error).encode(), headers))
    with pytest.raises(openai.RateLimitError) as refused:
        client.with_options(max_retries=0).chat.completions.create(
            model="local/tiny", messages=HELLO
        )
    assert refused.value.request_id == "req_9"
    passed = refused.value.response.headers
    assert passed["x-ratelimit-remaining-requests"] == "0"
    assert "set-cookie" not in passed
    assert passed["bailiwick-served-by"] == "local/tiny"


def test_leaving_a_stream_ends_the_server_s_work(
    client: Any, upstream: ModelServer, gateway: Running
) -> None:
    events = [chat_chunk({"content": "first"}), chat_chunk({"content": "never"})]
    upstream.answers.append(Answer(events=events, wait_before=1))
    stream = client.chat.completions.create(model="local/tiny", messages=HELLO, stream=True)
    assert next(iter(stream)).choices[0].delta.content == "first"
    stream.close()
    assert upstream.gone.wait(SECONDS)


def test_a_held_stream_shows_life_and_goes_on_once_stamped(
    client: Any, upstream: ModelServer, gateway: Running
) -> None:
    stream = client.chat.completions.create(model="local/big/stamped", messages=HELLO, stream=True)
    # The response has begun: the SDK holds an open stream while the call waits for a person.
    assert upstream.sent == []
    (hold,) = gateway.cli("holds", person="ben")["holds"]
    gateway.cli("stamp", hold["id"], "--approve", person="ben")
    said = "".join(piece.choices[0].delta.content or "" for piece in stream if piece.choices)
    assert said == "hello"
    assert upstream.last.body["model"] == "big/stamped"


def test_a_stream_that_breaks_off_is_an_error_and_not_an_end(
    client: Any, claude: Any, upstream: ModelServer
) -> None:
    upstream.answers.append(Answer(events=[chat_chunk({"content": "half"})], cut=True))
    with pytest.raises(openai.APIError, match="closed the connection"):
        list(client.chat.completions.create(model="local/tiny", messages=HELLO, stream=True))
    start = named_event({"type": "ping"})
    upstream.answers.append(Answer(events=[start], cut=True))
    with pytest.raises(anthropic.APIStatusError, match="closed the connection"):
        list(claude.messages.create(model="tiny", max_tokens=9, messages=HELLO, stream=True))
