"""Finding words in a run's story. Pure but for the pages that are read."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from bailiwick.console.visible import visible
from bailiwick.core.canonical import Json
from bailiwick.ports.story import ClippedText, ClippedValue, ModelSaid, Step, Story, ToolAsked

MAX_WORDS_CHARS = 200
MAX_FOUND = 100
"""Steps told of one search; the rest is a page further on."""

MAX_SEARCHED = 2_000
"""Steps looked through for one page."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a search came to.

    Attributes:
        steps: those that hold the words, oldest first.
        searched: how many steps were looked through.
        following: the last of them, where more follow; else "".
    """

    steps: Sequence[Step]
    searched: int
    following: str


async def find(
    words: str, page: Callable[[str], Awaitable[Story]], after: str = ""
) -> tuple[Story, Found]:
    """The steps of a run that hold `words`, whatever their case.

    Args:
        page: reads a page of the story, the steps behind a call.
        after: the call behind which to begin.

    Returns:
        The first page that was read, for what it says of the run, and what was found.
    """
    first: Story | None = None
    steps: list[Step] = []
    searched = 0
    while True:
        story = await page(after)
        first = first or story
        for step in story.steps:
            searched += 1
            after = step.id
            if holds(step, words):
                steps.append(step)
            if len(steps) == MAX_FOUND or searched == MAX_SEARCHED:
                last = step is story.steps[-1] and not story.following
                return first, Found(tuple(steps), searched, "" if last else after)
        if not story.following:
            return first, Found(tuple(steps), searched, "")


def holds(step: Step, words: str) -> bool:
    """Whether a step says `words` somewhere."""
    wanted = words.casefold()
    return any(wanted in text.casefold() for text in texts(step))


def texts(step: Step) -> Iterator[str]:
    """All that a step says, piece by piece."""
    yield f"{step.upstream}/{step.name}"
    yield step.because
    yield step.ended_as
    yield from _value(step.arguments)
    yield from _value(step.result)
    if step.hold is not None:
        for stamp in step.hold.stamps:
            yield f"{stamp.person} {stamp.reason}"
    if step.model is not None:
        yield from _thought(step.model)


def _thought(model: ModelSaid) -> Iterator[str]:
    yield model.served
    yield model.error
    yield from (message.text.text for message in model.told)
    yield from (piece.text for piece in model.reasoning or ())
    yield from _text(model.text)
    yield from _asked(model.asked)
    yield from _asked(model.hosted)


def _asked(calls: Sequence[ToolAsked]) -> Iterator[str]:
    for call in calls:
        yield call.name
        yield call.arguments.text


def _text(text: ClippedText | None) -> Iterator[str]:
    if text is not None:
        yield text.text


def _value(value: ClippedValue | None) -> Iterator[str]:
    if value is not None:
        yield value.head
        yield from _scalars(value.value)


def _scalars(value: Json) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif value is not None:
        yield json.dumps(value, ensure_ascii=False, default=str)


def marked(text: str, words: str) -> Markup:
    """`text` as HTML, hiding nothing, with each place of `words` marked."""
    if not words:
        return visible(text)
    pieces: list[str] = []
    at = 0
    for match in re.finditer(re.escape(words), text, re.IGNORECASE):
        pieces += [visible(text[at : match.start()]), "<mark>", visible(match[0]), "</mark>"]
        at = match.end()
    return Markup("".join([*pieces, visible(text[at:])]))  # noqa: S704 - every part is escaped
