"""What a person asked for, as the first model call of a run tells it. Pure, and bounded.

Agents put words of their own around it, and contents of files that anybody may have written. So
only one thing is taken: the first part of a message in the user's name that does not begin with
one of the frames below, up to where one begins in it. What a frame holds is never looked at.

| agent | what stands before or behind |
|---|---|
| Claude Code | parts that begin with `<system-reminder>`, some with the text of `CLAUDE.md` |
| Codex | messages that begin with `<environment_context>` or `# AGENTS.md instructions` |
| goose | `<turn-context>` behind it |
| goose, opencode | a first call that asks for a title: what was asked for stands in it, marked |
"""

from __future__ import annotations

from collections.abc import Iterator

from bailiwick.core.canonical import Json, JsonObject
from bailiwick.protocols.llm.asked import objects
from bailiwick.protocols.llm.dialect import Dialect
from bailiwick.protocols.llm.gathering import word

_FRAMES = (
    "<system-reminder>",
    "<environment_context>",
    "<user_instructions>",
    "<turn-context>",
    "<info-msg>",
    "<permissions",
    "<command-",
    "<local-command",
    "<INSTRUCTIONS>",
    "# AGENTS.md instructions",
    "Called the ",
    "Generate a title for this conversation:",
)
"""How words of an agent's own begin."""

_TITLE_BEGINS = "---BEGIN USER MESSAGES---\n"
_TITLE_ENDS = "\n---END USER MESSAGES---\n\nGenerate a short title"
_TEXT = frozenset({"text", "input_text"})


def first_words(dialect: Dialect, body: JsonObject, most_chars: int) -> str:
    """What a person asked for; "" when that cannot be told, or is longer than `most_chars`.

    Nothing is cut off: half of a value would be another value.
    """
    for text in _parts(dialect, body):
        found = _of_title(text) or _plain(text)
        if found:
            return found if len(found) <= most_chars else ""
    return ""


def _of_title(text: str) -> str:
    start = text.find(_TITLE_BEGINS)
    end = text.find(_TITLE_ENDS, start)
    return text[start + len(_TITLE_BEGINS) : end].strip() if 0 <= start < end else ""


def _plain(text: str) -> str:
    """A text up to the first frame in it."""
    if text.lstrip().startswith(_FRAMES):
        return ""
    starts = [at for frame in _FRAMES if frame[0] == "<" and (at := text.find(frame)) >= 0]
    return text[: min(starts, default=len(text))].strip()


def _parts(dialect: Dialect, body: JsonObject) -> Iterator[str]:
    """The parts of the messages in the user's name, up to the first that is in another's."""
    given = body.get("input") if dialect is Dialect.RESPONSES else body.get("messages")
    if isinstance(given, str):
        yield given
        return
    for message in objects(given):
        role = message.get("role")
        if role in ("system", "developer"):
            continue
        if role != "user":
            return
        yield from _texts(message.get("content"))


def _texts(content: Json) -> Iterator[str]:
    if isinstance(content, str):
        yield content
        return
    for part in objects(content):
        text = part.get("text")
        if word(part.get("type")) not in _TEXT or not isinstance(text, str):
            return
        yield text
