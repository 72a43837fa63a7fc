"""The words a run begins with: instruction, purpose, labels and end user, checked and bounded.

Whoever says them, and wherever, they are held to this: people read them before they stamp.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from bailiwick.core.errors import TheirError
from bailiwick.core.values import show

MAX_INSTRUCTION_CHARS = 16_384
MAX_PURPOSE_CHARS = 500
MAX_END_USER_CHARS = 254
MAX_LABELS = 16
MAX_LABEL_CHARS = 64

_LABEL = re.compile(r"[a-z0-9]+(?:[._-][a-z0-9]+)*")
_RUN_ID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")


@dataclass(frozen=True, slots=True)
class RunWords:
    """What a run is told when it begins. Made by `run_words` only.

    Attributes:
        instruction: what to do, in the words given; "" for none.
        purpose: what it is for, in one line.
        labels: names, each once, in order.
        end_user: for whom; "" leaves it open.
    """

    instruction: str = ""
    purpose: str = ""
    labels: tuple[str, ...] = ()
    end_user: str = ""


NO_WORDS = RunWords()


def run_words(
    instruction: str = "", purpose: str = "", labels: Iterable[str] = (), end_user: str = ""
) -> RunWords:
    """The words of a run, checked.

    Raises:
        TheirError: `bad_run_words`: too long, too many, or not what a person could read.
    """
    return RunWords(
        _instruction(instruction),
        _line("purpose", purpose, MAX_PURPOSE_CHARS),
        _labels(labels),
        _line("end user", end_user, MAX_END_USER_CHARS),
    )


def is_run_id(text: str) -> bool:
    """Whether `text` is spelled like the id of a run: there is one spelling of each."""
    return _RUN_ID.fullmatch(text) is not None


def _instruction(text: str) -> str:
    lines = text.replace("\r\n", "\n").strip()
    if len(lines) > MAX_INSTRUCTION_CHARS:
        raise _bad(f"the instruction has more than {MAX_INSTRUCTION_CHARS} characters")
    for letter in lines:
        if (letter < " " and letter not in "\n\t") or letter == "\x7f" or _lone(letter):
            raise _bad(f"the instruction holds a character that is not text: {show(letter)}")
    return lines


def _line(what: str, text: str, most: int) -> str:
    line = text.strip()
    if len(line) > most:
        raise _bad(f"the {what} has more than {most} characters")
    if not line.isprintable():
        raise _bad(f"the {what} {show(line)} holds a line break or an invisible character")
    return line


def _labels(given: Iterable[str]) -> tuple[str, ...]:
    labels = tuple(sorted(set(given)))
    if len(labels) > MAX_LABELS:
        raise _bad(f"a run has at most {MAX_LABELS} labels")
    for label in labels:
        if len(label) > MAX_LABEL_CHARS or not _LABEL.fullmatch(label):
            raise _bad(
                f"{show(label)} is not a label: lower-case letters and digits, with single `-`, "
                "`_` or `.` between them"
            )
    return labels


def _lone(letter: str) -> bool:
    return 0xD800 <= ord(letter) <= 0xDFFF


def _bad(message: str) -> TheirError:
    return TheirError("bad_run_words", message)
