"""Answers as servers of each dialect give them, streamed and not, and what each says."""

from __future__ import annotations

import json
from typing import Any

from bailiwick.protocols.llm.dialect import (
    AskedTool,
    Dialect,
    Reasoning,
    Said,
    Usage,
    Visibility,
)

FULL, SUMMARY, ENCRYPTED, OMITTED = Visibility
SEAL = "Eo8BCkYIChgCKkD" * 12
PAY = '{"to": "ben", "amount": 42}'


def chat(*deltas: dict[str, Any], finish: str = "stop", **last: Any) -> bytes:
    """A chat stream: each delta in a chunk, the reason it ended, what stands in the last chunk."""
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "qwen-3"}

    def chunk(delta: dict[str, Any], reason: str | None = None) -> dict[str, Any]:
        return {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}

    chunks = [chunk({"role": "assistant", "content": ""}), *map(chunk, deltas), chunk({}, finish)]
    if last:
        chunks.append({**head, "choices": [], **last})
    return lines(*chunks) + b"data: [DONE]\n\n"


def lines(*events: dict[str, Any]) -> bytes:
    return b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)


def typed(*events: dict[str, Any]) -> bytes:
    """Events that are named by their type, as in responses and messages."""
    return b"".join(
        f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in events
    )


def responses(*events: dict[str, Any]) -> bytes:
    return typed(*({**event, "sequence_number": n} for n, event in enumerate(events)))


def call_delta(index: int, **rest: Any) -> dict[str, Any]:
    return {"tool_calls": [{"index": index, **rest}]}


CHAT_STREAMS: dict[str, tuple[bytes, Said]] = {
    "plain text, usage in the last chunk": (
        chat(
            {"content": "Paid"},
            {"content": " 42 €."},
            usage={
                "prompt_tokens": 9,
                "completion_tokens": 4,
                "total_tokens": 13,
                "prompt_tokens_details": {"cached_tokens": 2},
                "completion_tokens_details": {"reasoning_tokens": 1},
            },
        ),
        Said(
            model="qwen-3",
            id="chatcmpl-1",
            text="Paid 42 €.",
            usage=Usage(9, 2, 4, 1),
            finish="stop",
        ),
    ),
    "two tool calls, their arguments interleaved": (
        chat(
            call_delta(0, id="c1", type="function", function={"name": "pay", "arguments": ""}),
            call_delta(0, function={"arguments": PAY[:9]}),
            call_delta(1, id="c2", type="function", function={"name": "note", "arguments": "{"}),
            call_delta(0, function={"arguments": PAY[9:]}),
            call_delta(1, function={"arguments": "}"}),
            finish="tool_calls",
        ),
        Said(
            model="qwen-3",
            id="chatcmpl-1",
            tool_calls=(AskedTool("c1", "pay", PAY), AskedTool("c2", "note", "{}")),
            finish="tool_calls",
        ),
    ),
    "vLLM's reasoning": (
        chat({"reasoning": "Rent is "}, {"reasoning": "due."}, {"content": "Paid."}),
        Said(
            model="qwen-3",
            id="chatcmpl-1",
            text="Paid.",
            reasoning=(Reasoning(FULL, "Rent is due."),),
            finish="stop",
        ),
    ),
    "DeepSeek's reasoning_content and its own name for what was cached": (
        chat(
            {"content": None, "reasoning_content": "Rent is due."},
            {"content": "Paid.", "reasoning_content": None},
            usage={"prompt_tokens": 9, "completion_tokens": 4, "prompt_cache_hit_tokens": 8},
        ),
        Said(
            model="qwen-3",
            id="chatcmpl-1",
            text="Paid.",
            reasoning=(Reasoning(FULL, "Rent is due."),),
            usage=Usage(9, 8, 4),
            finish="stop",
        ),
    ),
    "the same reasoning under both names counts once": (
        chat({"reasoning": "Rent.", "reasoning_content": "Rent."}, {"content": "Paid."}),
        Said(
            model="qwen-3",
            id="chatcmpl-1",
            text="Paid.",
            reasoning=(Reasoning(FULL, "Rent."),),
            finish="stop",
        ),
    ),
    "OpenRouter's details, beside a text that says the same": (
        chat(
            {
                "reasoning": "Rent is due.",
                "reasoning_details": [{"type": "reasoning.summary", "summary": "Rent is due."}],
            },
            {"reasoning_details": [{"type": "reasoning.encrypted", "data": "gAAA"}]},
        ),
        Said(
            model="qwen-3",
            id="chatcmpl-1",
            reasoning=(Reasoning(SUMMARY, "Rent is due."), Reasoning(ENCRYPTED, "gAAA")),
            finish="stop",
        ),
    ),
    "thinking between tags in the text": (
        chat(
            {"content": "<thi"},
            {"content": "nk>\nRent is due.\n</th"},
            {"content": "ink>\n\nPaid."},
        ),
        Said(
            model="qwen-3",
            id="chatcmpl-1",
            text="Paid.",
            reasoning=(Reasoning(FULL, "Rent is due."),),
            finish="stop",
        ),
    ),
    "a refusal": (
        chat({"refusal": "I may not "}, {"refusal": "pay."}),
        Said(model="qwen-3", id="chatcmpl-1", text="I may not pay.", finish="stop"),
    ),
    "an error in the middle": (
        chat({"content": "Pa"})[: -len(b"data: [DONE]\n\n")]
        + lines({"error": {"message": "out of memory", "type": "server_error", "code": 500}}),
        Said(
            model="qwen-3",
            id="chatcmpl-1",
            text="Pa",
            finish="error",
            error="server_error: out of memory",
        ),
    ),
    "it breaks off": (
        lines({"id": "x", "model": "m", "choices": [{"index": 0, "delta": {"content": "Pa"}}]}),
        Said(model="m", id="x", text="Pa", finish="unfinished"),
    ),
    "something that is no JSON in the middle": (
        lines({"choices": [{"index": 0, "delta": {"content": "a"}}]})
        + b"data: {broken\n\n"
        + lines({"choices": [{"index": 0, "delta": {"content": "b"}, "finish_reason": "stop"}]}),
        Said(text="ab", finish="unreadable"),
    ),
    "comments, data over two lines, CRLF": (
        b': waiting\r\n\r\ndata: {"choices": [{"index": 0,\r\ndata: "delta": {"content": "a"},'
        b' "finish_reason": "stop"}]}\r\n\r\n: waiting\r\n\r\ndata: [DONE]\r\n\r\n',
        Said(text="a", finish="stop"),
    ),
}


RESPONSE = {
    "id": "resp_1",
    "object": "response",
    "created_at": 1,
    "model": "gpt-x",
    "parallel_tool_calls": True,
    "tool_choice": "auto",
    "tools": [],
}
RESPONSE_USAGE = {
    "input_tokens": 20,
    "input_tokens_details": {"cached_tokens": 5, "cache_write_tokens": 0},
    "output_tokens": 30,
    "output_tokens_details": {"reasoning_tokens": 12},
    "total_tokens": 50,
}
REASONING_ITEM = {
    "type": "reasoning",
    "id": "rs_1",
    "summary": [
        {"type": "summary_text", "text": "Rent is due."},
        {"type": "summary_text", "text": "Ben gets it."},
    ],
    "encrypted_content": "gAAAAsealed",
}
CALL_ITEM = {
    "type": "function_call",
    "id": "fc_1",
    "call_id": "call_1",
    "name": "pay",
    "arguments": PAY,
    "status": "completed",
}
MESSAGE_ITEM = {
    "type": "message",
    "id": "msg_1",
    "role": "assistant",
    "status": "completed",
    "content": [{"type": "output_text", "text": "Paid 42 €.", "annotations": []}],
}
WHOLE_RESPONSE = {
    **RESPONSE,
    "status": "completed",
    "output": [REASONING_ITEM, CALL_ITEM, MESSAGE_ITEM],
    "usage": RESPONSE_USAGE,
}
RESPONSE_SAID = Said(
    model="gpt-x",
    id="resp_1",
    text="Paid 42 €.",
    reasoning=(
        Reasoning(SUMMARY, "Rent is due.\n\nBen gets it."),
        Reasoning(ENCRYPTED, "gAAAAsealed"),
    ),
    tool_calls=(AskedTool("call_1", "pay", PAY),),
    usage=Usage(20, 5, 30, 12, 0),
    finish="completed",
)
SUMMARY_DELTA = {
    "type": "response.reasoning_summary_text.delta",
    "item_id": "rs_1",
    "output_index": 0,
}
_ADDED_PART = {"type": "output_text", "text": "", "annotations": []}
RESPONSE_EVENTS: tuple[dict[str, Any], ...] = (
    {"type": "response.created", "response": {**RESPONSE, "status": "in_progress", "output": []}},
    {
        "type": "response.output_item.added",
        "output_index": 0,
        "item": {"type": "reasoning", "id": "rs_1", "summary": []},
    },
    {
        "type": "response.reasoning_summary_part.added",
        "item_id": "rs_1",
        "output_index": 0,
        "summary_index": 0,
        "part": {"type": "summary_text", "text": ""},
    },
    {**SUMMARY_DELTA, "summary_index": 0, "delta": "Rent "},
    {**SUMMARY_DELTA, "summary_index": 0, "delta": "is due."},
    {**SUMMARY_DELTA, "summary_index": 1, "delta": "Ben gets it."},
    {"type": "response.output_item.done", "output_index": 0, "item": REASONING_ITEM},
    {
        "type": "response.output_item.added",
        "output_index": 1,
        "item": {**CALL_ITEM, "arguments": "", "status": "in_progress"},
    },
    {
        "type": "response.function_call_arguments.delta",
        "item_id": "fc_1",
        "output_index": 1,
        "delta": PAY[:7],
    },
    {
        "type": "response.function_call_arguments.delta",
        "item_id": "fc_1",
        "output_index": 1,
        "delta": PAY[7:],
    },
    {
        "type": "response.function_call_arguments.done",
        "item_id": "fc_1",
        "output_index": 1,
        "name": "pay",
        "arguments": PAY,
    },
    {"type": "response.output_item.done", "output_index": 1, "item": CALL_ITEM},
    {
        "type": "response.output_item.added",
        "output_index": 2,
        "item": {**MESSAGE_ITEM, "content": [], "status": "in_progress"},
    },
    {
        "type": "response.content_part.added",
        "item_id": "msg_1",
        "output_index": 2,
        "content_index": 0,
        "part": _ADDED_PART,
    },
    {
        "type": "response.output_text.delta",
        "item_id": "msg_1",
        "output_index": 2,
        "content_index": 0,
        "logprobs": [],
        "delta": "Paid ",
    },
    {
        "type": "response.output_text.delta",
        "item_id": "msg_1",
        "output_index": 2,
        "content_index": 0,
        "logprobs": [],
        "delta": "42 €.",
    },
    {
        "type": "response.output_text.done",
        "item_id": "msg_1",
        "output_index": 2,
        "content_index": 0,
        "logprobs": [],
        "text": "Paid 42 €.",
    },
    {"type": "response.output_item.done", "output_index": 2, "item": MESSAGE_ITEM},
    {"type": "response.completed", "response": WHOLE_RESPONSE},
)
RESPONSES_STREAMS: dict[str, tuple[bytes, Said]] = {
    "reasoning, a call and text": (responses(*RESPONSE_EVENTS), RESPONSE_SAID),
    "the completed response lists no output": (
        responses(
            *RESPONSE_EVENTS[:-1],
            {"type": "response.completed", "response": {**WHOLE_RESPONSE, "output": []}},
        ),
        RESPONSE_SAID,
    ),
    "it breaks off in the middle of a call": (
        responses(*RESPONSE_EVENTS[:9]),
        Said(
            model="gpt-x",
            id="resp_1",
            reasoning=RESPONSE_SAID.reasoning,
            tool_calls=(AskedTool("call_1", "pay", PAY[:7]),),
            finish="unfinished",
        ),
    ),
    "open reasoning, as vLLM streams it": (
        responses(
            RESPONSE_EVENTS[0],
            RESPONSE_EVENTS[1],
            {
                "type": "response.reasoning_text.delta",
                "output_index": 0,
                "content_index": 0,
                "delta": "Rent is ",
            },
            {
                "type": "response.reasoning_text.delta",
                "output_index": 0,
                "content_index": 0,
                "delta": "due.",
            },
        ),
        Said(
            model="gpt-x",
            id="resp_1",
            reasoning=(Reasoning(FULL, "Rent is due."),),
            finish="unfinished",
        ),
    ),
    "it is cut at its bound": (
        responses(
            RESPONSE_EVENTS[0],
            {
                "type": "response.incomplete",
                "response": {
                    **RESPONSE,
                    "status": "incomplete",
                    "incomplete_details": {"reason": "max_output_tokens"},
                    "output": [{"type": "reasoning", "id": "rs_1", "summary": []}],
                    "usage": RESPONSE_USAGE,
                },
            },
        ),
        Said(
            model="gpt-x",
            id="resp_1",
            reasoning=(Reasoning(OMITTED, ""),),
            usage=Usage(20, 5, 30, 12, 0),
            finish="max_output_tokens",
        ),
    ),
    "it fails": (
        responses(
            RESPONSE_EVENTS[0],
            {
                "type": "response.failed",
                "response": {
                    **RESPONSE,
                    "status": "failed",
                    "output": [],
                    "error": {"code": "server_error", "message": "out of memory"},
                },
            },
        ),
        Said(model="gpt-x", id="resp_1", finish="error", error="server_error: out of memory"),
    ),
    "an error event": (
        responses(
            RESPONSE_EVENTS[0],
            {"type": "error", "code": "rate_limit_exceeded", "message": "slow down", "param": None},
        ),
        Said(model="gpt-x", id="resp_1", finish="error", error="rate_limit_exceeded: slow down"),
    ),
    "what the server did by itself, and a tool in a namespace": (
        responses(
            {
                "type": "response.completed",
                "response": {
                    **RESPONSE,
                    "status": "completed",
                    "output": [
                        {
                            "type": "mcp_call",
                            "id": "mcp_1",
                            "name": "wire",
                            "arguments": "{}",
                            "server_label": "bank",
                        },
                        {
                            "type": "web_search_call",
                            "id": "ws_1",
                            "action": {"type": "search", "query": "rent"},
                        },
                        {
                            "type": "function_call",
                            "call_id": "c",
                            "namespace": "mcp__bank__",
                            "name": "pay",
                            "arguments": "{}",
                        },
                        {
                            "type": "custom_tool_call",
                            "call_id": "d",
                            "name": "apply",
                            "input": "*** patch",
                        },
                        {"type": "local_shell_call", "call_id": "e", "action": {"command": ["ls"]}},
                    ],
                },
            },
        ),
        Said(
            model="gpt-x",
            id="resp_1",
            tool_calls=(
                AskedTool("c", "mcp__bank__pay", "{}"),
                AskedTool("d", "apply", "*** patch"),
                AskedTool("e", "local_shell", '{"command":["ls"]}'),
            ),
            hosted_calls=(
                AskedTool("mcp_1", "wire", "{}"),
                AskedTool("ws_1", "web_search", '{"type":"search","query":"rent"}'),
            ),
            finish="completed",
        ),
    ),
}


MESSAGE: dict[str, Any] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-opus-x",
    "content": [],
    "stop_reason": None,
    "stop_sequence": None,
}


def message(*blocks: tuple[dict[str, Any], list[dict[str, Any]]], finish: str) -> bytes:
    """A message stream: each block with its deltas."""
    start = {
        "input_tokens": 12,
        "cache_creation_input_tokens": 100,
        "cache_read_input_tokens": 30,
        "output_tokens": 1,
    }
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": {**MESSAGE, "usage": start}},
        {"type": "ping"},
    ]
    for index, (block, deltas) in enumerate(blocks):
        events.append({"type": "content_block_start", "index": index, "content_block": block})
        events += [
            {"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas
        ]
        events.append({"type": "content_block_stop", "index": index})
    events += [
        {
            "type": "message_delta",
            "delta": {"stop_reason": finish, "stop_sequence": None},
            "usage": {"output_tokens": 40, "output_tokens_details": {"thinking_tokens": 11}},
        },
        {"type": "message_stop"},
    ]
    return typed(*events)


MESSAGE_USAGE = Usage(input=142, cached=30, output=40, reasoning=11, cache_written=100)
MESSAGES_STREAMS: dict[str, tuple[bytes, Said]] = {
    "thinking, text and a call": (
        message(
            (
                {"type": "thinking", "thinking": "", "signature": ""},
                [
                    {"type": "thinking_delta", "thinking": "Rent is "},
                    {"type": "thinking_delta", "thinking": "due."},
                    {"type": "signature_delta", "signature": SEAL},
                ],
            ),
            (
                {"type": "text", "text": ""},
                [
                    {"type": "text_delta", "text": "Paying "},
                    {"type": "text_delta", "text": "42 €."},
                ],
            ),
            (
                {"type": "tool_use", "id": "toolu_1", "name": "pay", "input": {}},
                [
                    {"type": "input_json_delta", "partial_json": ""},
                    {"type": "input_json_delta", "partial_json": PAY[:6]},
                    {"type": "input_json_delta", "partial_json": PAY[6:]},
                ],
            ),
            finish="tool_use",
        ),
        Said(
            model="claude-opus-x",
            id="msg_1",
            text="Paying 42 €.",
            reasoning=(Reasoning(SUMMARY, "Rent is due."),),
            tool_calls=(AskedTool("toolu_1", "pay", PAY),),
            usage=MESSAGE_USAGE,
            finish="tool_use",
        ),
    ),
    "thinking that is left out, and thinking that is sealed": (
        message(
            (
                {"type": "thinking", "thinking": "", "signature": ""},
                [{"type": "signature_delta", "signature": SEAL}],
            ),
            ({"type": "redacted_thinking", "data": "EmwKAhgB"}, []),
            ({"type": "text", "text": ""}, [{"type": "text_delta", "text": "Paid."}]),
            finish="end_turn",
        ),
        Said(
            model="claude-opus-x",
            id="msg_1",
            text="Paid.",
            reasoning=(Reasoning(OMITTED, ""), Reasoning(ENCRYPTED, "EmwKAhgB")),
            usage=MESSAGE_USAGE,
            finish="end_turn",
        ),
    ),
    "a call without arguments, and a search that the server ran": (
        message(
            (
                {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}},
                [{"type": "input_json_delta", "partial_json": '{"query": "rent"}'}],
            ),
            ({"type": "tool_use", "id": "toolu_1", "name": "list", "input": {}}, []),
            finish="tool_use",
        ),
        Said(
            model="claude-opus-x",
            id="msg_1",
            tool_calls=(AskedTool("toolu_1", "list", "{}"),),
            hosted_calls=(AskedTool("srvtoolu_1", "web_search", '{"query": "rent"}'),),
            usage=MESSAGE_USAGE,
            finish="tool_use",
        ),
    ),
    "an error in the middle": (
        typed(
            {"type": "message_start", "message": MESSAGE},
            {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}},
        ),
        Said(
            model="claude-opus-x",
            id="msg_1",
            finish="error",
            error="overloaded_error: Overloaded",
        ),
    ),
}

STREAMS = [
    *((Dialect.CHAT, name, *both) for name, both in CHAT_STREAMS.items()),
    *((Dialect.RESPONSES, name, *both) for name, both in RESPONSES_STREAMS.items()),
    *((Dialect.MESSAGES, name, *both) for name, both in MESSAGES_STREAMS.items()),
]
