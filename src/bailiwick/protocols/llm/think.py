"""Reasoning that stands in the answer's text, between tags.

Servers without a parser for a model's reasoning pass its tags on. Two forms are taken for
reasoning: the answer begins with an opening tag, or (where the chat template had already opened
it) a closing tag stands at the end of a line. A tag in the middle of a sentence is text: a
model may well speak about tags.
"""

from __future__ import annotations

import re

_BEGINS = re.compile(r"\s*(?:<(think|thinking|reasoning)>|(\[THINK\]))")
_CLOSES = re.compile(r"</think>[ \t]*(?:\r?\n|\Z)")


def split(text: str) -> tuple[str, str]:
    """`text` as (reasoning, answer); reasoning is "" when there is none. O(len(text)).

    Reasoning that was not closed goes to the end.
    """
    opened = _BEGINS.match(text)
    if opened:
        close = f"</{opened[1]}>" if opened[1] else "[/THINK]"
        reasoning, _, answer = text[opened.end() :].partition(close)
        return reasoning.strip(), answer.lstrip("\r\n")
    closed = _CLOSES.search(text)
    if closed:
        return text[: closed.start()].strip(), text[closed.end() :].lstrip("\r\n")
    return "", text
