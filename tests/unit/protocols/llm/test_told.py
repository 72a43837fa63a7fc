"""What requests repeat: calls asked for, and results as the agent tells them."""

from __future__ import annotations

import pytest
from hypothesis import given

from bailiwick.core.canonical import Json, JsonObject
from bailiwick.protocols.llm.dialect import AskedTool, Dialect
from bailiwick.protocols.llm.told import History, Told, read_history, read_told
from tests.unit.protocols.llm.test_requests import BODY

CHAT, RESPONSES, MESSAGES, EMBEDDINGS = Dialect
ASKED = (AskedTool("c1", "pay", '{"to":"ben"}'),)


@pytest.mark.parametrize(
    ("dialect", "body"),
    [
        (
            CHAT,
            {
                "messages": [
                    {"role": "user", "content": "Pay"},
                    {
                        "role": "assistant",
                        "tool_calls": [
                            {"id": "c1", "function": {"name": "pay", "arguments": '{"to":"ben"}'}}
                        ],
                    },
                    {"role": "tool", "tool_call_id": "c1", "content": "paid\n42"},
                ]
            },
        ),
        (
            CHAT,
            {
                "messages": [
                    {
                        "role": "assistant",
                        "tool_calls": [
                            {"id": "c1", "custom": {"name": "pay", "input": '{"to":"ben"}'}}
                        ],
                    },
                    {
                        "role": "tool",
                        "tool_call_id": "c1",
                        "content": [
                            {"type": "text", "text": "paid"},
                            {"type": "text", "text": "42"},
                        ],
                    },
                ]
            },
        ),
        (
            RESPONSES,
            {
                "input": [
                    {
                        "type": "function_call",
                        "call_id": "c1",
                        "name": "pay",
                        "arguments": '{"to":"ben"}',
                    },
                    {"type": "function_call_output", "call_id": "c1", "output": "paid\n42"},
                ]
            },
        ),
        (
            MESSAGES,
            {
                "messages": [
                    {
                        "role": "assistant",
                        "content": [
                            {"type": "tool_use", "id": "c1", "name": "pay", "input": {"to": "ben"}}
                        ],
                    },
                    {
                        "role": "user",
                        "content": [
                            {"type": "tool_result", "tool_use_id": "c1", "content": "paid\n42"}
                        ],
                    },
                ]
            },
        ),
    ],
)
def test_calls_and_results_are_found(dialect: Dialect, body: JsonObject) -> None:
    assert read_history(dialect, body) == History(ASKED, (Told("c1", "paid\n42"),))


def test_more_than_text_is_not_told_completely() -> None:
    block: JsonObject = {
        "type": "tool_result",
        "tool_use_id": "c1",
        "content": [{"type": "text", "text": "paid"}, {"type": "image", "source": {}}],
        "is_error": True,
    }
    history = read_history(MESSAGES, {"messages": [{"role": "user", "content": [block]}]})
    assert history.told == (Told("c1", "paid", complete=False, error=True),)


def test_a_result_that_is_no_text_is_told_as_json() -> None:
    body: JsonObject = {
        "input": [{"type": "local_shell_call_output", "call_id": "c", "output": {"code": 0}}]
    }
    assert read_history(RESPONSES, body).told == (Told("c", '{"code":0}'),)


def test_an_embedding_tells_nothing() -> None:
    assert read_history(EMBEDDINGS, {"input": "a"}) == History((), ())


@given(body=BODY)
def test_no_request_breaks_it(body: dict[str, Json]) -> None:
    for dialect in Dialect:
        history = read_history(dialect, body)
        assert all(isinstance(told.text, str) for told in history.told)


@given(BODY)
def test_the_results_alone_are_those_of_the_history(body: JsonObject) -> None:
    for dialect in Dialect:
        assert tuple(read_told(dialect, body)) == read_history(dialect, body).told
