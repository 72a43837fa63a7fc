"""What each dialect's own SDKs expect of a provider: the same list in Python and in Node.js."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.app.running import Running
from tests.llm.conftest import KEY
from tests.llm.model_server import (
    CHAT,
    CHAT_EVENTS,
    MESSAGE,
    MESSAGE_EVENTS,
    RESPONSE,
    RESPONSE_EVENTS,
    SECONDS,
    TOOL_CALL,
    Answer,
    ModelServer,
)
from tests.llm.sdks.calls import Going, SdkError, Sdks
from tests.llm.sdks.every import LANGUAGES, sdks_of

HELLO = [{"role": "user", "content": "hello"}]
SCHEMA = {
    "type": "object",
    "properties": {"sum": {"type": "integer"}},
    "required": ["sum"],
    "additionalProperties": False,
}
PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5E"
    "rkJggg=="
)
CHAT_CALL = ("openai", "chat.completions.create", {"model": "local/tiny", "messages": HELLO})
RESPONSES_CALL = ("openai", "responses.create", {"model": "local/tiny", "input": "hello"})
MESSAGES_CALL = (
    "anthropic",
    "messages.create",
    {"model": "local/tiny", "max_tokens": 99, "messages": HELLO},
)
CALLS = pytest.mark.parametrize(
    "made", [CHAT_CALL, RESPONSES_CALL, MESSAGES_CALL], ids=["chat", "responses", "messages"]
)
Made = tuple[str, str, dict[str, Any]]


@pytest.fixture(scope="module", params=LANGUAGES)
def every(request: pytest.FixtureRequest) -> Iterator[Sdks]:
    with sdks_of(request.param) as found:
        yield found


@pytest.fixture
def sdks(every: Sdks, gateway: Running) -> Sdks:
    every.point(gateway.url, gateway.token)
    return every


def begin(sdks: Sdks, made: Made, retries: int = 2, token: str | None = None, **more: Any) -> Going:
    sdk, name, body = made
    call = sdks.openai if sdk == "openai" else sdks.anthropic
    return call(name, {**body, **more}, retries=retries, token=token)


def raised(going: Going) -> SdkError:
    with pytest.raises(SdkError) as found:
        going.result()
    return found.value


def said(answer: dict[str, Any]) -> str:
    """The text of a whole answer of any dialect."""
    if "choices" in answer:
        return str(answer["choices"][0]["message"]["content"])
    return "".join(
        part["text"]
        for item in answer.get("output", [answer])
        for part in item["content"]
        if part["type"] in ("text", "output_text")
    )


@CALLS
def test_a_plain_answer(sdks: Sdks, upstream: ModelServer, made: Made) -> None:
    going = begin(sdks, made)
    assert said(going.result()) == "hello"
    assert going.headers["bailiwick-served-by"] == "local/tiny"
    assert upstream.last.body == {**made[2], "model": "tiny"}
    assert upstream.last.headers["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize(
    ("made", "events"),
    [(CHAT_CALL, CHAT_EVENTS), (RESPONSES_CALL, RESPONSE_EVENTS), (MESSAGES_CALL, MESSAGE_EVENTS)],
    ids=["chat", "responses", "messages"],
)
def test_a_stream_arrives_as_it_is_sent_and_ends(
    sdks: Sdks, upstream: ModelServer, made: Made, events: list[bytes]
) -> None:
    upstream.answers.append(Answer(events=events, wait_before=2))
    pieces = begin(sdks, made, stream=True).pieces()
    first = next(pieces)
    assert not upstream.go.is_set()  # the server has not sent the rest
    upstream.go.set()
    told = [first, *pieces]
    sent = [json.loads(event.split(b"data: ")[1]) for event in events if b"[DONE]" not in event]
    assert [each.get("type") for each in told] == [each.get("type") for each in sent]


@pytest.mark.parametrize(
    "made",
    [
        ("openai", "chat.completions.stream", CHAT_CALL[2]),
        ("openai", "responses.stream", RESPONSES_CALL[2]),
        ("anthropic", "messages.stream", MESSAGES_CALL[2]),
    ],
    ids=["chat", "responses", "messages"],
)
def test_the_helpers_put_a_stream_together(sdks: Sdks, made: Made) -> None:
    assert said(begin(sdks, made).result()) == "hello"


@pytest.mark.parametrize(
    ("made", "tool", "answer"),
    [
        (
            CHAT_CALL,
            {"type": "function", "function": {"name": "add", "parameters": SCHEMA}},
            {
                **CHAT,
                "choices": [
                    {
                        "index": 0,
                        "finish_reason": "tool_calls",
                        "message": {
                            "role": "assistant",
                            "content": None,
                            "tool_calls": [TOOL_CALL],
                        },
                    }
                ],
            },
        ),
        (
            RESPONSES_CALL,
            {"type": "function", "name": "add", "parameters": SCHEMA, "strict": True},
            {
                **RESPONSE,
                "output": [
                    {
                        "type": "function_call",
                        "id": "fc_1",
                        "call_id": "call_1",
                        "status": "completed",
                        **TOOL_CALL["function"],  # type: ignore[dict-item]
                    }
                ],
            },
        ),
        (
            MESSAGES_CALL,
            {"name": "add", "input_schema": SCHEMA},
            {
                **MESSAGE,
                "stop_reason": "tool_use",
                "content": [
                    {"type": "tool_use", "id": "call_1", "name": "add", "input": {"a": 2, "b": 40}}
                ],
            },
        ),
    ],
    ids=["chat", "responses", "messages"],
)
def test_a_tool_is_offered_and_its_call_comes_back(
    sdks: Sdks, upstream: ModelServer, made: Made, tool: dict[str, Any], answer: dict[str, Any]
) -> None:
    upstream.answers.append(Answer(body=json.dumps(answer).encode()))
    found = begin(sdks, made, tools=[tool]).result()
    assert upstream.last.body["tools"] == [tool]
    call = (
        found["choices"][0]["message"]["tool_calls"][0]["function"]
        if "choices" in found
        else found.get("output", found.get("content"))[0]
    )
    arguments = call.get("input") or json.loads(call["arguments"])
    assert (call["name"], arguments) == ("add", {"a": 2, "b": 40})


@pytest.mark.parametrize(
    ("made", "field", "content"),
    [
        (
            CHAT_CALL,
            "messages",
            {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}},
        ),
        (
            RESPONSES_CALL,
            "input",
            {
                "type": "input_image",
                "image_url": f"data:image/png;base64,{PIXEL}",
                "detail": "low",
            },
        ),
        (
            MESSAGES_CALL,
            "messages",
            {
                "type": "image",
                "source": {"type": "base64", "media_type": "image/png", "data": PIXEL},
            },
        ),
    ],
    ids=["chat", "responses", "messages"],
)
def test_a_picture_reaches_the_server_as_it_was_given(
    sdks: Sdks, upstream: ModelServer, made: Made, field: str, content: dict[str, Any]
) -> None:
    shown: dict[str, Any] = {field: [{"role": "user", "content": [content]}]}
    begin(sdks, made, **shown).result()
    assert upstream.last.body == {**made[2], **shown, "model": "tiny"}


@pytest.mark.parametrize(
    ("made", "asked"),
    [
        (
            CHAT_CALL,
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "sum", "strict": True, "schema": SCHEMA},
                }
            },
        ),
        (
            RESPONSES_CALL,
            {
                "text": {
                    "format": {
                        "type": "json_schema",
                        "name": "sum",
                        "strict": True,
                        "schema": SCHEMA,
                    }
                }
            },
        ),
        (
            MESSAGES_CALL,
            {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}},
        ),
    ],
    ids=["chat", "responses", "messages"],
)
def test_a_schema_for_the_answer_reaches_the_server_whole(
    sdks: Sdks, upstream: ModelServer, made: Made, asked: dict[str, Any]
) -> None:
    begin(sdks, made, **asked).result()
    assert upstream.last.body == {**made[2], **asked, "model": "tiny"}


def test_embeddings_as_numbers_and_as_the_sdk_asks_by_itself(
    sdks: Sdks, upstream: ModelServer
) -> None:
    body = {"model": "local/tiny", "input": ["x", "y"]}
    plain = sdks.openai("embeddings.create", {**body, "encoding_format": "float"}).result()
    assert plain["data"][0]["embedding"] == [0.5, 0.25]
    # Left to itself, the SDK asks for base64 and unpacks it: two numbers of four bytes.
    packed = {**_EMBEDDED, "data": [{**_EMBEDDED["data"][0], "embedding": "AAAAPwAAgD4="}]}
    upstream.answers.append(Answer(body=json.dumps(packed).encode()))
    unpacked = sdks.openai("embeddings.create", body).result()
    assert upstream.last.body["encoding_format"] == "base64"
    assert list(unpacked["data"][0]["embedding"]) == [0.5, 0.25]


_EMBEDDED: dict[str, Any] = {
    "object": "list",
    "model": "tiny-0001",
    "data": [{"object": "embedding", "index": 0}],
    "usage": {"prompt_tokens": 7, "total_tokens": 7},
}


def test_both_read_the_list_of_models(sdks: Sdks) -> None:
    mine = {"local/tiny", "local/big/one", "local/twin", "hosted/twin"}
    assert {each["id"] for each in sdks.openai("models.list").pieces()} == mine
    assert {each["id"] for each in sdks.anthropic("models.list").pieces()} == mine
    assert sdks.openai("models.retrieve", "local/tiny").result()["id"] == "local/tiny"
    assert sdks.anthropic("models.retrieve", "local/tiny").result()["type"] == "model"
    assert raised(sdks.openai("models.retrieve", "local/nope")).family[0] == "NotFoundError"


def test_tokens_are_counted(sdks: Sdks, upstream: ModelServer) -> None:
    body = {"model": "local/tiny", "messages": HELLO}
    assert sdks.anthropic("messages.count_tokens", body).result()["input_tokens"] == 7
    assert upstream.last.path == "/v1/messages/count_tokens"


REFUSED = pytest.mark.parametrize(
    ("changes", "status", "kind", "code"),
    [
        ({"tools": "none"}, 400, "BadRequestError", "tools_not_list"),
        ({"model": "local/big/secret"}, 403, "PermissionDeniedError", "denied_by_rule"),
        ({"model": "nobody-has-this"}, 404, "NotFoundError", "model_unknown"),
        ({"model": "gone/model"}, 503, "InternalServerError", "upstream_down"),
    ],
    ids=["400", "403", "404", "503"],
)


@CALLS
@REFUSED
def test_a_refusal_of_ours_is_the_sdk_s_own_error_and_is_not_tried_again(
    sdks: Sdks,
    upstream: ModelServer,
    made: Made,
    changes: dict[str, Any],
    status: int,
    kind: str,
    code: str,
) -> None:
    error = raised(begin(sdks, made, **changes))
    assert kind in error.family
    assert error.status == status
    assert error.code == code if made[0] == "openai" else f"[{code}]" in error.message
    assert error.attempts == 1
    assert upstream.sent == []


@CALLS
def test_a_bad_token_is_an_authentication_error(
    sdks: Sdks, upstream: ModelServer, made: Made
) -> None:
    error = raised(begin(sdks, made, token="nonsense"))
    assert (error.family[0], error.status, error.attempts) == ("AuthenticationError", 401, 1)
    assert upstream.sent == []


@CALLS
def test_an_exhausted_limit_is_a_refusal_and_is_not_tried_again(
    sdks: Sdks, upstream: ModelServer, made: Made
) -> None:
    with contextlib.suppress(SdkError):  # whichever test comes first has the one call
        begin(sdks, made, model="local/big/counted", retries=0).result()
    upstream.reset()
    error = raised(begin(sdks, made, model="local/big/counted"))
    assert (error.family[0], error.status, error.attempts) == ("PermissionDeniedError", 403, 1)
    assert upstream.sent == []


@CALLS
@pytest.mark.parametrize(
    ("status", "kind", "repeated"),
    [
        (400, "BadRequestError", False),
        (404, "NotFoundError", False),
        (409, "ConflictError", True),
        (422, "UnprocessableEntityError", False),
        (429, "RateLimitError", True),
        (500, "InternalServerError", True),
        (529, "InternalServerError", True),
    ],
)
def test_an_error_of_the_server_is_raised_as_if_nobody_stood_between(
    sdks: Sdks, upstream: ModelServer, made: Made, status: int, kind: str, repeated: bool
) -> None:
    error = (
        {"type": "error", "error": {"type": "some_error", "message": "its own words"}}
        if made[0] == "anthropic"
        else {"error": {"message": "its own words", "type": "some_error", "code": "its_code"}}
    )
    headers = {
        "x-request-id": "req_1",
        "request-id": "req_1",
        "retry-after-ms": "1",
        "x-ratelimit-remaining-requests": "0",
        "anthropic-ratelimit-tokens-remaining": "0",
        "set-cookie": "a=b",
    }
    answer = Answer(status, json.dumps(error).encode(), headers)
    upstream.answers.extend([answer, answer])
    found = raised(begin(sdks, made, retries=1))
    assert kind in found.family
    assert found.status == status
    assert "its own words" in found.message
    assert found.request_id == "req_1"
    assert found.headers is not None
    assert found.headers["x-ratelimit-remaining-requests"] == "0"
    assert found.headers["anthropic-ratelimit-tokens-remaining"] == "0"
    assert "set-cookie" not in found.headers
    # What the SDK repeats is the SDK's affair; nothing of it is repeated by us.
    assert found.attempts == len(upstream.sent) == (2 if repeated else 1)


@CALLS
def test_what_a_server_says_of_its_limits_comes_with_its_answer(
    sdks: Sdks, upstream: ModelServer, made: Made
) -> None:
    whole = {
        "chat.completions.create": CHAT,
        "responses.create": RESPONSE,
        "messages.create": MESSAGE,
    }[made[1]]
    headers = {
        "x-ratelimit-limit-tokens": "9000",
        "anthropic-ratelimit-requests-reset": "2026-11-22T10:00:00Z",
        "x-request-id": "req_2",
        "openai-organization": "the-operator",
    }
    upstream.answers.append(Answer(200, json.dumps(whole).encode(), headers))
    going = begin(sdks, made)
    assert said(going.result()) == "hello"
    assert going.headers["x-ratelimit-limit-tokens"] == "9000"
    assert going.headers["anthropic-ratelimit-requests-reset"] == "2026-11-22T10:00:00Z"
    assert going.headers["x-request-id"] == "req_2"
    assert "openai-organization" not in going.headers


@CALLS
def test_giving_up_a_stream_ends_the_server_s_work(
    sdks: Sdks, upstream: ModelServer, made: Made
) -> None:
    events = {
        "chat.completions.create": CHAT_EVENTS,
        "responses.create": RESPONSE_EVENTS,
        "messages.create": MESSAGE_EVENTS,
    }[made[1]]
    upstream.answers.append(Answer(events=events, wait_before=2))
    going = begin(sdks, made, stream=True)
    next(going.pieces())
    going.abort()
    assert upstream.gone.wait(SECONDS)


# Without asyncio a program cannot give up while it waits.
@pytest.mark.parametrize("every", ["asyncio", "node"], indirect=True)
@CALLS
def test_giving_up_before_the_answer_ends_the_server_s_work(
    sdks: Sdks, upstream: ModelServer, made: Made
) -> None:
    slow = Answer(events=[b"{}"], wait_before=0, headers={"Content-Type": "application/json"})
    upstream.answers.append(slow)
    going = begin(sdks, made, retries=0)
    assert upstream.started.wait(SECONDS)
    going.abort()
    assert upstream.gone.wait(SECONDS)
