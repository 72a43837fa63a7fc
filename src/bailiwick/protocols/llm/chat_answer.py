"""Answers of the Chat Completions dialect, streamed and not, and what servers add to them."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from bailiwick.core.canonical import Json, JsonObject
from bailiwick.protocols.llm import think
from bailiwick.protocols.llm.asked import objects
from bailiwick.protocols.llm.chat_plain import decode_arguments, decode_chunk
from bailiwick.protocols.llm.dialect import Reasoning, Said, Usage, Visibility
from bailiwick.protocols.llm.frame import Frame, Sink, find_frame, slot_of
from bailiwick.protocols.llm.gathering import (
    Room,
    Text,
    Thoughts,
    ToolCall,
    as_text,
    error_text,
    longer,
    mapping,
    number_of,
    tokens,
    word,
)
from bailiwick.protocols.llm.hearer import NO_PIECE

_DETAILS = {
    "reasoning.text": (Visibility.FULL, "text"),
    "reasoning.summary": (Visibility.SUMMARY, "summary"),
    "reasoning.encrypted": (Visibility.ENCRYPTED, "data"),
}
"""OpenRouter's `reasoning_details`: type → what of it is seen, and where it stands."""

_SLOT = slot_of("content", "reasoning", "reasoning_content", "arguments")
"""Where the text of a piece may stand."""


class ChatHearer:
    """Adds up `chat.completion.chunk` objects, or reads one `chat.completion`."""

    framed = True

    __slots__ = (
        *("_asked", "_calling", "_choices", "_error", "_id", "_model", "_named", "_room"),
        *("_usage", "_usage_of"),
    )

    def __init__(self, room: Room | None = None) -> None:
        self._room = room or Room()
        self._asked = False
        self._calling = False  # a tool call has begun
        self._choices: dict[int, _Choice] = {}
        self._model = ""
        self._id = ""
        self._named = False  # both are known
        self._error = ""
        self._usage: Usage | None = None
        self._usage_of = 0

    def take(self, data: JsonObject) -> None:
        """Take one chunk; a `message` in place of its `delta` is read like one."""
        self._take(data, "delta", "message")

    def take_whole(self, body: JsonObject) -> None:
        """As `take`, of an answer that was not streamed: there a `message` goes before a `delta`,
        as whoever reads it looks for."""
        self._take(body, "message", "delta")

    def _take(self, data: JsonObject, first: str, second: str) -> None:
        error = data.get("error")
        if error or data.get("object") == "error":
            # What stands beside it is read all the same: not every agent looks for errors.
            self._error = error_text(error or dict(data))
        if not self._named:
            self._name(word(data.get("model")), word(data.get("id")))
        choices = objects(data.get("choices"))
        if "usage" in data:
            self._take_usage(data["usage"], len(choices))
        if "x_groq" in data:
            self._take_usage(mapping(data["x_groq"]).get("usage"), len(choices))
        goes_on = False
        for choice in choices:
            goes_on = self._take_choice(choice, first, second) or goes_on
        # Whatever does not go on with a tool call ends it for some agents, such as goose.
        self._asked = self._asked or (self._calling and not goes_on)
        self._calling = self._calling or goes_on

    def take_pieces(self, texts: Iterator[bytes]) -> bytes | None:
        """See `hearer.Hearer.take_pieces`."""
        choice = self._choices.get(0)
        if self._calling:
            if choice is None or not self._named:
                return next(texts, None)
            return self._take_arguments(choice, texts)
        said: list[str] = []
        thought: list[str] = []
        text = None
        try:
            for text in texts:
                chunk = decode_chunk(text)
                if not self._named:
                    self._name(chunk.model or "", chunk.id or "")
                choices = chunk.choices
                if chunk.usage is not None:
                    self._usage, self._usage_of = chunk.usage.usage(), len(choices)
                if not choices:
                    continue
                if choice is None:
                    choice = self._choice(0)
                    if choice is None:
                        continue
                delta = choices[0].delta
                if delta.content:
                    said.append(delta.content)
                if delta.reasoning:
                    thought.append(delta.reasoning)
                if delta.reasoning_content and delta.reasoning_content != delta.reasoning:
                    thought.append(delta.reasoning_content)
                if choices[0].finish_reason:
                    choice.finish = choices[0].finish_reason
            text = None
        except NO_PIECE:
            pass
        if choice is not None:
            if said:
                choice.text.add_all(said)
            if thought:
                choice.thoughts.add_all(Visibility.FULL, thought)
        return text

    def frame(self, head: bytes, event: bytes) -> Frame | None:
        """See `hearer.Hearer.frame`."""
        # Before it is known who answers, each piece may still say so.
        return find_frame(head, event, _SLOT, self._spoken) if self._named else None

    def _spoken(self, event: bytes) -> tuple[Sink, str] | None:
        choice = self._choices.get(0)
        try:
            chunk = decode_chunk(event)
        except NO_PIECE:
            return None if choice is None else _called(choice, event)
        if choice is None or chunk.usage is not None or not chunk.choices:
            return None
        first = chunk.choices[0]
        said, new, old = first.delta.content, first.delta.reasoning, first.delta.reasoning_content
        thought = new or old
        if first.finish_reason or (said and thought) or (new and old):
            return None
        if thought:
            return choice.thoughts.text(Visibility.FULL), thought
        return (choice.text, said) if said else None

    @property
    def room(self) -> Room:
        """Where its texts are kept."""
        return self._room

    @property
    def counted(self) -> int | None:
        """Tokens of output so far, by the server's own count."""
        return None if self._usage is None else self._usage.output

    def said(self) -> Said:
        """All choices, in the order of their numbers."""
        choices = [self._choices[index] for index in sorted(self._choices)]
        split = [choice.said() for choice in choices]
        return Said(
            model=self._model,
            text="\n\n".join(text for text, _ in split if text),
            reasoning=tuple(piece for _, reasoning in split for piece in reasoning),
            tool_calls=tuple(call.said() for choice in choices for call in choice.calls),
            usage=self._used(),
            finish=next((choice.finish for choice in choices if choice.finish), ""),
            id=self._id,
            error=self._error,
            cut=self._room.cut,
        )

    @property
    def asked(self) -> bool:
        """See `hearer.Hearer.asked`."""
        return self._asked or self._room.full

    def _name(self, model: str, ident: str) -> None:
        """Take who answers and what the answer is called, as soon as either is told."""
        self._model = self._model or model
        self._id = self._id or ident
        self._named = bool(self._model and self._id)

    def _choice(self, index: int) -> _Choice | None:
        """The choice of this number; None for a new one there is no room for."""
        choice = self._choices.get(index)
        if choice is None and self._room.takes_part():
            choice = self._choices[index] = _Choice(self._room)
        return choice

    def _take_choice(self, data: JsonObject, first: str, second: str) -> bool:
        """Take one choice; whether it begins or goes on with a tool call."""
        # One without a number is the first: agents that take the first do not look at it.
        index = number_of(data.get("index")) or 0
        choice = self._choice(index)
        if choice is None:
            return False
        goes_on = choice.take(mapping(data.get(first) or data.get(second)))
        if data.get("finish_reason"):
            choice.finish = word(data["finish_reason"])
            self._asked = self._asked or self._calling or goes_on
        if choice.asked:
            self._asked = True
        if "usage" in data:  # Moonshot puts it here
            self._take_usage(data["usage"], 1)
        return goes_on

    def _take_arguments(self, choice: _Choice, texts: Iterator[bytes]) -> bytes | None:
        """As `take_pieces`, behind the begin of a tool call: there mostly stands more of it."""
        text = None
        try:
            for text in texts:
                chunk = decode_arguments(text)
                piece = chunk.choices[0].delta.tool_calls[0]
                call = choice.numbered.get(piece.index)
                if call is None:
                    return text
                arguments = piece.function.arguments
                if arguments and call.add_all([arguments]):
                    self._asked = True
                if chunk.usage is not None:
                    self._usage, self._usage_of = chunk.usage.usage(), 1
            return None
        except NO_PIECE:
            return text

    def _take_usage(self, counts: Json, choices: int) -> None:
        """Take what was used, as it is told beside so many choices."""
        # Some servers count along with every chunk: the last total stands.
        if not isinstance(counts, dict):
            return
        self._usage_of = choices
        into = mapping(counts.get("prompt_tokens_details"))
        out = mapping(counts.get("completion_tokens_details"))
        cached = tokens(into, "cached_tokens")
        self._usage = Usage(
            input=tokens(counts, "prompt_tokens"),
            cached=tokens(counts, "prompt_cache_hit_tokens") if cached is None else cached,
            output=tokens(counts, "completion_tokens"),
            reasoning=tokens(out, "reasoning_tokens"),
            cache_written=tokens(into, "cache_write_tokens"),
        )

    def _used(self) -> Usage | None:
        # Servers count along for each choice by itself, and an agent may ask for no total (SGLang:
        # `continuous_usage_stats`). What some of several answers took is not what all of them did.
        if self._usage is not None and 0 < self._usage_of < len(self._choices):
            return replace(self._usage, output=None, reasoning=None)
        return self._usage


class _Choice:
    """One of the answers that were asked for."""

    __slots__ = ("_room", "asked", "calls", "finish", "numbered", "text", "thoughts")

    def __init__(self, room: Room) -> None:
        self._room = room
        self.text = Text(room)
        self.thoughts = Thoughts(room)
        self.calls: list[ToolCall] = []
        self.numbered: dict[int, ToolCall] = {}
        self.finish = ""
        self.asked = False

    def take(self, delta: JsonObject) -> bool:
        """Take one delta, or a whole message, which has the same names; whether it begins or goes
        on with a tool call."""
        content = delta.get("content")
        if type(content) is str:
            self.text.add(content)
        elif content is not None:
            self._take_parts(content)
        if content is not None and len(delta) == 1:
            return False  # most chunks are so
        self.text.add(delta.get("refusal"))
        self.text.add(mapping(delta.get("audio")).get("transcript"))
        self._take_reasoning(delta)
        calls = list(objects(delta.get("tool_calls")))
        for call in calls:
            self._take_call(call)
        legacy = delta.get("function_call")
        # llama-cpp-python says its one call under both names. Of two that differ, both count.
        again = len(calls) == len(self.calls) == 1 and calls[0].get("function") == legacy
        if isinstance(legacy, dict) and not again:
            self._take_call({"index": -1, "function": legacy})
        return bool(calls) or isinstance(legacy, dict)

    def said(self) -> tuple[str, list[Reasoning]]:
        """The answer, and the reasoning before it."""
        tagged, text = think.split(str(self.text))
        reasoning = list(self.thoughts.said())
        if tagged:
            reasoning.append(Reasoning(Visibility.FULL, tagged))
        return text, reasoning

    def _take_parts(self, content: Json) -> None:
        for part in objects(content):
            self.text.add(part.get("text"))
            thinking = part.get("thinking")  # Mistral's: text, or parts of text
            self.thoughts.add(Visibility.FULL, thinking)
            for piece in objects(thinking):
                self.thoughts.add(Visibility.FULL, piece.get("text"))

    def _take_reasoning(self, delta: JsonObject) -> None:
        detailed = False
        for detail in objects(delta.get("reasoning_details")):
            visibility, name = _DETAILS.get(word(detail.get("type")), (Visibility.FULL, "text"))
            self.thoughts.add(visibility, detail.get(name))
            detailed = detailed or bool(detail.get(name) and visibility != Visibility.ENCRYPTED)
        if detailed:
            return  # `reasoning` says the same again
        new, old = delta.get("reasoning"), delta.get("reasoning_content")
        self.thoughts.add(Visibility.FULL, new)
        if old != new:  # vLLM sent both names for a while, with one text
            self.thoughts.add(Visibility.FULL, old)

    def _take_call(self, data: JsonObject) -> None:
        call = self._call_of(data)
        if call is None:
            return
        function = mapping(data.get("function") or data.get("custom"))
        call.id = longer(call.id, data.get("id"))
        call.name = longer(call.name, function.get("name"))
        arguments = function.get("arguments", function.get("input"))
        if arguments is not None:
            text = as_text(arguments)
            call.arguments.add(text)
            if call.brackets.add(text):
                self.asked = True

    def _call_of(self, data: JsonObject) -> ToolCall | None:
        """The call that a piece belongs to: by number; by id where a server does not number."""
        index, identity = number_of(data.get("index")), word(data.get("id"))
        call = None
        if index is not None:
            call = self.numbered.get(index)
        elif not identity and self.calls:
            call = self.calls[-1]
            function = mapping(data.get("function"))
            if call.brackets.closed and function.get("name") and function.get("arguments"):
                call = None  # an answer in one piece needs neither numbers nor ids
        else:
            call = next((one for one in self.calls if identity and one.id == identity), None)
            # Some take whatever has no number for another call.
            self.asked = self.asked or call is not None
        # Some number every call 0 and tell them apart by id.
        if call is not None and identity and call.id and call.id != identity:
            call = None
        if call is None:
            if not self._room.takes_part():
                return None
            # A second call says that the first has ended, unless both are still coming.
            self.asked = self.asked or bool(self.calls)
            call = ToolCall(self._room)
            self.calls.append(call)
            if index is not None:
                self.numbered[index] = call
        return call


def _called(choice: _Choice, event: bytes) -> tuple[Sink, str] | None:
    """The piece of a tool call that an event says and the call, if it is no more than that."""
    try:
        chunk = decode_arguments(event)
    except NO_PIECE:
        return None
    piece = chunk.choices[0].delta.tool_calls[0]
    call, arguments = choice.numbered.get(piece.index), piece.function.arguments
    if call is None or not call.brackets.is_open or not arguments or chunk.usage is not None:
        return None
    return call, arguments
