"""The plainest answers of the Chat Completions dialect, which nearly all are.

A type says all that they may hold of what `chat_answer` reads. One call of a decoder tells whether
a text is of it, in a fraction of the time that looking at each field takes.

INVARIANT: what is read here says exactly what `chat_answer` would read in it. Whatever a type does
not allow for is left to that: an error, a tool call, a refusal, a second choice, a count that is
none.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from bailiwick.protocols.llm import think
from bailiwick.protocols.llm.dialect import Reasoning, Said, Usage, Visibility
from bailiwick.protocols.llm.gathering import MAX_KEPT_CHARS, MAX_WORD_CHARS
from bailiwick.protocols.llm.hearer import NO_PIECE

_Tokens = Annotated[int, msgspec.Meta(ge=0)] | None
_Word = Annotated[str, msgspec.Meta(max_length=MAX_WORD_CHARS)]


class _Input(msgspec.Struct):
    cached_tokens: _Tokens = None
    cache_write_tokens: _Tokens = None


class _Output(msgspec.Struct):
    reasoning_tokens: _Tokens = None


_NO_INPUT, _NO_OUTPUT = _Input(), _Output()


class _Counts(msgspec.Struct):
    """What was used, where every count is one."""

    prompt_tokens: _Tokens = None
    completion_tokens: _Tokens = None
    prompt_cache_hit_tokens: _Tokens = None
    prompt_tokens_details: _Input | None = None
    completion_tokens_details: _Output | None = None

    def usage(self) -> Usage:
        """The same in words that all dialects share."""
        into = self.prompt_tokens_details or _NO_INPUT
        cached = into.cached_tokens
        return Usage(
            self.prompt_tokens,
            self.prompt_cache_hit_tokens if cached is None else cached,
            self.completion_tokens,
            (self.completion_tokens_details or _NO_OUTPUT).reasoning_tokens,
            into.cache_write_tokens,
        )


class _Spoken(msgspec.Struct):
    """A delta or a message that is text, reasoning or both, and nothing else."""

    content: str | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None
    reasoning_details: None = None
    refusal: None = None
    audio: None = None
    tool_calls: tuple[()] | None = None
    function_call: None = None


class _Arguments(msgspec.Struct):
    arguments: str
    name: None = None


class _Called(msgspec.Struct):
    """The next piece of the arguments of a tool call, which its number alone tells."""

    index: int
    function: _Arguments
    id: None = None


class _Calling(msgspec.Struct):
    """A delta that goes on with a tool call, and says nothing else."""

    tool_calls: tuple[_Called]
    content: Literal[""] | None = None
    reasoning: None = None
    reasoning_content: None = None
    reasoning_details: None = None
    refusal: None = None
    audio: None = None
    function_call: None = None


class _ChunkChoice(msgspec.Struct):
    """What the first choice goes on with, and perhaps why it ends with that."""

    delta: _Spoken
    index: Literal[0] = 0
    message: None = None
    finish_reason: _Word | None = None
    usage: None = None


class _Chunk(msgspec.Struct):
    """A chunk of text or reasoning, or of nothing but what was used so far."""

    choices: Annotated[list[_ChunkChoice], msgspec.Meta(max_length=1)]
    id: _Word | None = None
    model: _Word | None = None
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    error: None = None
    usage: _Counts | None = None
    x_groq: None = None


class _CallingChoice(msgspec.Struct):
    """The next piece of a tool call of the first choice, which does not end with it."""

    delta: _Calling
    index: Literal[0] = 0
    message: None = None
    finish_reason: None = None
    usage: None = None


class _CallingChunk(msgspec.Struct):
    """A chunk that says nothing but that, and perhaps what was used so far."""

    choices: tuple[_CallingChoice]
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    error: None = None
    usage: _Counts | None = None
    x_groq: None = None


class _WholeChoice(msgspec.Struct):
    """The only choice."""

    message: _Spoken
    index: Literal[0] = 0
    delta: None = None
    finish_reason: _Word | None = None
    usage: None = None


class _Whole(msgspec.Struct):
    """An answer that was not streamed."""

    choices: tuple[_WholeChoice]
    id: _Word
    model: _Word = ""
    object: Literal["chat.completion"] = "chat.completion"
    error: None = None
    usage: _Counts | None = None
    x_groq: None = None


decode_chunk = msgspec.json.Decoder(_Chunk).decode
"""A chunk of text or reasoning. Raises one of `hearer.NO_PIECE` if it is none."""

decode_arguments = msgspec.json.Decoder(_CallingChunk).decode
"""A chunk of a tool call that was begun before. Raises as `decode_chunk`."""

_decode_whole = msgspec.json.Decoder(_Whole).decode


def read_plain(body: bytes) -> Said | None:
    """What an answer said that was not streamed; None if it is none of the plainest."""
    try:
        answer = _decode_whole(body)
    except NO_PIECE:
        return None
    if not answer.id or len(body) > MAX_KEPT_CHARS:
        return None
    choice = answer.choices[0]
    spoken = choice.message
    thoughts = []
    if spoken.reasoning or spoken.reasoning_content:
        # Some send the same under both names.
        both = {spoken.reasoning or "": None, spoken.reasoning_content or "": None}
        thoughts.append(Reasoning(Visibility.FULL, "".join(both)))
    tagged, text = think.split(spoken.content or "")
    if tagged:
        thoughts.append(Reasoning(Visibility.FULL, tagged))
    return Said(
        answer.model,
        text,
        tuple(thoughts),
        usage=None if answer.usage is None else answer.usage.usage(),
        finish=choice.finish_reason or "",
        id=answer.id,
    )
