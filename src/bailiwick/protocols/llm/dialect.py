"""What a model call asks and what a model said, in words that every dialect shares.

These are what is judged, counted, recorded and shown. What is sent on is the agent's own bytes.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Dialect(StrEnum):
    """A way to talk to a model. The value is the word used in declarations and records."""

    CHAT = "chat"
    RESPONSES = "responses"
    MESSAGES = "messages"
    EMBEDDINGS = "embeddings"


class Asking(msgspec.Struct, frozen=True):
    """What a request asks of a model, as far as it is judged and counted.

    Attributes:
        dialect: the dialect it is written in.
        model: the model's name as the agent wrote it; never empty.
        stream: whether the answer is to be streamed.
        tools: names of the tools that are offered to the model, in order, each once. A tool that
            the model's server brings along goes by its type: `web_search`, `mcp`.
        max_output: most tokens the answer may take, over all its choices; None when the request
            states no bound.
        input_bytes: size of the request as compact JSON. A token is at least one byte, so this
            bounds the tokens of what is text.
        text: that JSON, as it would be sent; b"" where nothing is sent.
        hosted: those of `tools` that the model's server may run itself, unseen by any gateway.
        unsized: kinds of input whose tokens `input_bytes` does not bound, each once: `image_url`,
            `previous_response_id`. Not empty means that nothing bounds the input.
        reports_usage: False when the answer will not say what it used unless told to.
        choices: how many answers are made, of which `max_output` bounds all together.
        dearer: what is asked for that costs more than the same tokens without it, each once:
            `service_tier: priority`.
    """

    dialect: Dialect
    model: str
    stream: bool
    tools: tuple[str, ...]
    max_output: int | None
    input_bytes: int
    text: bytes = b""
    hosted: tuple[str, ...] = ()
    unsized: tuple[str, ...] = ()
    reports_usage: bool = True
    choices: int = 1
    dearer: tuple[str, ...] = ()


class Usage(msgspec.Struct, frozen=True):
    """Tokens that a model's server says an answer took. None: it did not say.

    One meaning in every dialect: `cached` and `cache_written` are parts of `input`, `reasoning`
    is a part of `output`.
    """

    input: int | None = None
    cached: int | None = None
    output: int | None = None
    reasoning: int | None = None
    cache_written: int | None = None


class Visibility(StrEnum):
    """How much of a reasoning its text is."""

    FULL = "full"
    SUMMARY = "summary"
    ENCRYPTED = "encrypted"
    """The text is what only the model's maker can read."""
    OMITTED = "omitted"
    """There was reasoning, and none of it was sent."""


class Reasoning(msgspec.Struct, frozen=True):
    """One piece of reasoning, where it stood in the answer."""

    visibility: Visibility
    text: str


class AskedTool(msgspec.Struct, frozen=True):
    """One tool call that a model asked for. Nothing says that it was made.

    Attributes:
        id: the model's id of the call, by which its result is told; may be "".
        name: the tool's name as it was offered.
        arguments: as the model wrote them: JSON text mostly, and not always valid.
    """

    id: str
    name: str
    arguments: str


class Said(msgspec.Struct, frozen=True):
    """What a model answered.

    Attributes:
        model: what the answer says served it; may be "".
        text: what it said, without its reasoning; several choices are joined by a blank line.
        reasoning: in the order it came.
        tool_calls: in the order they were asked for.
        usage: None when the answer does not state it.
        finish: the dialect's own word for why it ended, or `unreadable` (not of this dialect),
            `unfinished` (it broke off), `error` (it ended in an error).
        id: the answer's id, or "".
        error: what the error said; "" without one.
        cut: more was said than is kept here.
        hosted_calls: what the model's server did by itself with tools of its own; no gateway saw
            it.
    """

    model: str = ""
    text: str = ""
    reasoning: tuple[Reasoning, ...] = ()
    tool_calls: tuple[AskedTool, ...] = ()
    usage: Usage | None = None
    finish: str = ""
    id: str = ""
    error: str = ""
    cut: bool = False
    hosted_calls: tuple[AskedTool, ...] = ()


def name_in(namespace: str, name: str) -> str:
    """One name for a tool in a namespace, as agents that know no namespaces write it.

    `mcp__bank` and `mcp__bank__` both give `mcp__bank__pay`; versions of one agent differ in it.
    """
    return f"{namespace.rstrip('_')}__{name}" if namespace else name


UNREADABLE = "unreadable"
UNFINISHED = "unfinished"
ERROR = "error"
