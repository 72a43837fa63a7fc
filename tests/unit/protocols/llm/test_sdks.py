"""The official SDKs as judges: they read what we read, and raise what we refuse."""

from __future__ import annotations

import json
from collections.abc import Callable

import anthropic
import httpx2
import openai
import pytest

from bailiwick.protocols.llm import answers
from bailiwick.protocols.llm.dialect import AskedTool, Dialect, Said, Visibility
from bailiwick.protocols.llm.refusals import refusal, stream_refusal
from tests.unit.protocols.llm.transcripts import (
    CHAT_STREAMS,
    MESSAGE,
    MESSAGES_STREAMS,
    RESPONSE_EVENTS,
    RESPONSES_STREAMS,
    chat,
    message,
    responses,
    typed,
)

CHAT, RESPONSES, MESSAGES, EMBEDDINGS = Dialect


def transport(status: int, body: bytes) -> httpx2.Client:
    """An HTTP client whose every request is answered so."""
    kind = "application/json" if body[:1] == b"{" else "text/event-stream"
    return httpx2.Client(
        transport=httpx2.MockTransport(
            lambda _: httpx2.Response(status, content=body, headers={"content-type": kind})
        )
    )


def openai_client(status: int, body: bytes) -> openai.OpenAI:
    return openai.OpenAI(
        api_key="k", base_url="http://b/v1", max_retries=0, http_client=transport(status, body)
    )


def anthropic_client(status: int, body: bytes) -> anthropic.Anthropic:
    return anthropic.Anthropic(
        api_key="k", base_url="http://b", max_retries=0, http_client=transport(status, body)
    )


def said(dialect: Dialect, stream: bytes) -> Said:
    reader = answers.reader(dialect)
    reader.feed(stream)
    return reader.said()


@pytest.mark.parametrize(
    "name",
    [
        "plain text, usage in the last chunk",
        "two tool calls, their arguments interleaved",
        "a refusal",
        "DeepSeek's reasoning_content and its own name for what was cached",
    ],
)
def test_openai_adds_up_a_chat_stream_as_we_do(name: str) -> None:
    stream, _ = CHAT_STREAMS[name]
    with openai_client(200, stream).chat.completions.stream(
        model="m", messages=[{"role": "user", "content": "Pay"}]
    ) as theirs:
        final = theirs.get_final_completion()
    ours = said(CHAT, stream)
    (choice,) = final.choices
    assert ours.text == (choice.message.content or choice.message.refusal or "")
    assert ours.tool_calls == tuple(
        AskedTool(call.id, call.function.name, call.function.arguments)
        for call in choice.message.tool_calls or ()
    )
    assert (ours.model, ours.id, ours.finish) == (final.model, final.id, choice.finish_reason)
    if final.usage is None:
        assert ours.usage is None
    else:
        assert ours.usage is not None
        assert ours.usage.input == final.usage.prompt_tokens
        assert ours.usage.output == final.usage.completion_tokens


@pytest.mark.parametrize("name", ["reasoning, a call and text"])
def test_openai_adds_up_a_response_stream_as_we_do(name: str) -> None:
    stream, _ = RESPONSES_STREAMS[name]
    with openai_client(200, stream).responses.stream(model="m", input="Pay") as theirs:
        final = theirs.get_final_response()
    ours = said(RESPONSES, stream)
    assert ours.text == final.output_text
    assert ours.tool_calls == tuple(
        AskedTool(item.call_id, item.name, item.arguments)
        for item in final.output
        if item.type == "function_call"
    )
    summaries = [item.summary for item in final.output if item.type == "reasoning"]
    assert [piece.text for piece in ours.reasoning if piece.visibility is Visibility.SUMMARY] == [
        "\n\n".join(part.text for part in summary) for summary in summaries
    ]
    assert ours.usage is not None
    assert final.usage is not None
    assert ours.usage.input == final.usage.input_tokens
    assert ours.usage.output == final.usage.output_tokens
    assert ours.usage.cached == final.usage.input_tokens_details.cached_tokens
    assert ours.usage.reasoning == final.usage.output_tokens_details.reasoning_tokens
    assert (ours.model, ours.id, ours.finish) == (final.model, final.id, final.status)


@pytest.mark.parametrize("name", [name for name in MESSAGES_STREAMS if "error" not in name])
def test_anthropic_adds_up_a_message_stream_as_we_do(name: str) -> None:
    stream, _ = MESSAGES_STREAMS[name]
    with anthropic_client(200, stream).messages.stream(
        model="m", max_tokens=100, messages=[{"role": "user", "content": "Pay"}]
    ) as theirs:
        final = theirs.get_final_message()
    ours = said(MESSAGES, stream)
    assert ours.text == "".join(block.text for block in final.content if block.type == "text")
    assert [(call.id, call.name, json.loads(call.arguments)) for call in ours.tool_calls] == [
        (block.id, block.name, block.input) for block in final.content if block.type == "tool_use"
    ]
    assert [piece.text for piece in ours.reasoning] == [
        block.thinking if block.type == "thinking" else block.data
        for block in final.content
        if block.type in ("thinking", "redacted_thinking")
    ]
    usage = final.usage
    assert ours.usage is not None
    assert ours.usage.output == usage.output_tokens
    assert (ours.usage.cached, ours.usage.cache_written) == (
        usage.cache_read_input_tokens,
        usage.cache_creation_input_tokens,
    )
    assert (ours.model, ours.id, ours.finish) == (final.model, final.id, final.stop_reason)


def test_both_read_what_was_not_streamed_as_we_do() -> None:
    body = {
        **MESSAGE,
        "content": [
            {"type": "text", "text": "Paying."},
            {"type": "tool_use", "id": "t", "name": "pay", "input": {"to": "ben"}},
        ],
        "stop_reason": "tool_use",
        "usage": {"input_tokens": 3, "output_tokens": 4},
    }
    raw = json.dumps(body).encode()
    final = anthropic_client(200, raw).messages.create(
        model="m", max_tokens=9, messages=[{"role": "user", "content": "Pay"}]
    )
    ours = answers.read_answer(MESSAGES, raw)
    assert (ours.id, ours.finish) == (final.id, final.stop_reason)
    assert json.loads(ours.tool_calls[0].arguments) == {"to": "ben"}
    assert ours.usage is not None
    assert ours.usage.input == final.usage.input_tokens


OPENAI_ERRORS = [
    (400, openai.BadRequestError),
    (401, openai.AuthenticationError),
    (403, openai.PermissionDeniedError),
    (404, openai.NotFoundError),
    (409, openai.ConflictError),
    (413, openai.APIStatusError),
    (422, openai.UnprocessableEntityError),
    (429, openai.RateLimitError),
    (500, openai.InternalServerError),
    (503, openai.InternalServerError),
]


@pytest.mark.parametrize("dialect", [CHAT, RESPONSES, EMBEDDINGS])
@pytest.mark.parametrize(("status", "expected"), OPENAI_ERRORS)
def test_openai_raises_its_own_error_for_a_refusal(
    dialect: Dialect, status: int, expected: type[openai.APIStatusError]
) -> None:
    client = openai_client(status, refusal(dialect, status, "limit_reached", "Out of tokens"))
    ask: dict[Dialect, Callable[[], object]] = {
        CHAT: lambda: client.chat.completions.create(model="m", messages=[]),
        RESPONSES: lambda: client.responses.create(model="m", input="Pay"),
        EMBEDDINGS: lambda: client.embeddings.create(model="m", input="Pay"),
    }
    with pytest.raises(expected) as raised:
        ask[dialect]()
    assert raised.value.status_code == status
    assert raised.value.code == "limit_reached"
    assert "Out of tokens" in raised.value.message
    assert raised.value.type


ANTHROPIC_ERRORS = [
    (400, anthropic.BadRequestError, "invalid_request_error"),
    (401, anthropic.AuthenticationError, "authentication_error"),
    (403, anthropic.PermissionDeniedError, "permission_error"),
    (404, anthropic.NotFoundError, "not_found_error"),
    (413, anthropic.RequestTooLargeError, "request_too_large"),
    (429, anthropic.RateLimitError, "rate_limit_error"),
    (500, anthropic.InternalServerError, "api_error"),
    (529, anthropic.OverloadedError, "overloaded_error"),
]


@pytest.mark.parametrize(("status", "expected", "kind"), ANTHROPIC_ERRORS)
def test_anthropic_raises_its_own_error_for_a_refusal(
    status: int, expected: type[anthropic.APIStatusError], kind: str
) -> None:
    client = anthropic_client(status, refusal(MESSAGES, status, "limit_reached", "Out of tokens"))
    with pytest.raises(expected) as raised:
        client.messages.create(model="m", max_tokens=9, messages=[{"role": "user", "content": "a"}])
    assert raised.value.status_code == status
    assert raised.value.type == kind
    assert "Out of tokens [limit_reached]" in raised.value.message


def test_openai_raises_in_the_middle_of_a_chat_stream() -> None:
    begun = chat({"content": "Pa"})[: -len(b"data: [DONE]\n\n")]
    stream = begun + stream_refusal(CHAT, 403, "limit_reached", "Out of tokens")
    with pytest.raises(openai.APIError, match="Out of tokens") as raised:
        list(
            openai_client(200, stream).chat.completions.create(model="m", messages=[], stream=True)
        )
    assert raised.value.code == "limit_reached"
    ours = said(CHAT, stream)
    assert (ours.finish, ours.error) == ("error", "limit_reached: Out of tokens")
    assert ours.text == "Pa"


def test_openai_raises_in_the_middle_of_a_response_stream() -> None:
    begun = responses(*RESPONSE_EVENTS[:3])
    stream = begun + stream_refusal(RESPONSES, 403, "limit_reached", "Out of tokens", 3)
    events = openai_client(200, stream).responses.create(model="m", input="Pay", stream=True)
    assert [next(events).type for _ in range(3)] == [event["type"] for event in RESPONSE_EVENTS[:3]]
    with pytest.raises(openai.APIError, match="Out of tokens") as raised:
        next(events)
    assert raised.value.code == "limit_reached"
    ours = said(RESPONSES, stream)
    assert (ours.finish, ours.error) == ("error", "limit_reached: Out of tokens")


def test_anthropic_raises_in_the_middle_of_a_message_stream() -> None:
    begun = typed({"type": "message_start", "message": {**MESSAGE, "usage": {}}})
    stream = begun + stream_refusal(MESSAGES, 403, "limit_reached", "Out of tokens")
    with pytest.raises(anthropic.APIStatusError, match="Out of tokens") as raised:
        list(
            anthropic_client(200, stream).messages.create(
                model="m",
                max_tokens=9,
                messages=[{"role": "user", "content": "Pay"}],
                stream=True,
            )
        )
    assert raised.value.type == "permission_error"
    ours = said(MESSAGES, stream)
    assert (ours.finish, ours.error) == (
        "error",
        "limit_reached: Out of tokens [limit_reached]",
    )


def test_a_text_with_line_ends_forges_no_event() -> None:
    text = 'no\n\ndata: {"choices": []}\n\n'
    for dialect in Dialect:
        assert stream_refusal(dialect, 403, "c", text).count(b"\n\n") == 1


def test_a_stream_that_was_refused_does_not_end_well() -> None:
    for dialect in Dialect:
        assert b"[DONE]" not in stream_refusal(dialect, 403, "c", "no")
    assert said(MESSAGES, message(finish="end_turn")).finish == "end_turn"
