"""The exact text a person sees before stamping. The stamp binds its SHA-256.

What you see is what you sign: the text is made once, from the judged call, kept with the hold and
shown untruncated. Characters that would not show, or would reorder what shows, are written out.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from bailiwick.core.call import Call
from bailiwick.core.canonical import Json
from bailiwick.core.texts.led import Leads, elsewhere
from bailiwick.core.verdict import Requirement

RENDERER = "bailiwick-rendering/1"

# Cc control, Cf format (bidi, zero width), Cs surrogate, Co private, Cn unassigned, Zl/Zp line and
# paragraph separators: none of them shows as what it is.
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
# Letters by category that nevertheless show nothing (Hangul fillers, Braille blank), and variation
# selectors, which ride along unseen.
_BLANK = frozenset(
    "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0\U0001d159"
)


@dataclass(frozen=True, slots=True)
class Asking:
    """Who asks, for the head of the text."""

    agent: str
    owner: str
    principal: str
    mandate: str
    purpose: str
    run: str
    thought: str = ""


def show_text(text: str) -> str:
    """`text` with every character that would not show written as ⟦U+XXXX⟧."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_show(char) for char in text)


def render(
    call: Call,
    asking: Asking,
    requirement: Requirement,
    because: str,
    expires_ms: int,
    origins: Sequence[str] = (),
) -> str:
    """The text for one held call; ends with a line feed. Pure.

    `origins`: a line for each value that nobody vouches for, with where it came from.
    """
    until = datetime.fromtimestamp(expires_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    lines = [
        f"{asking.agent} wants to use {call.target.kind.value} {show_text(str(call.target))}",
        "",
        *_arguments(call.arguments, 1),
        *(["", "and beside its arguments", *_arguments(call.beside, 1)] if call.beside else []),
        *_leads(call.leads),
        *_unvouched(origins),
        "",
        f"For: {asking.principal}, under mandate {asking.mandate}"
        + (f" ({show_text(asking.purpose)})" if asking.purpose else ""),
        f"Agent: {asking.agent}, answered for by {asking.owner}",
        f"Run: {asking.run}",
        *([f"Asked for by its model: {show_text(asking.thought)}"] if asking.thought else []),
        f"Held because: {show_text(because)}",
        f"Needs: {describe(requirement)}",
        f"Ends: {until}",
        f"Call digest: {call.digest}",
    ]
    return "\n".join(lines) + "\n"


def describe(requirement: Requirement) -> str:
    """`2 people with role treasurer, not ada`."""
    people = "1 person" if requirement.count == 1 else f"{requirement.count} different people"
    role = f" with role {requirement.role}" if requirement.role else ""
    excluded = f", not {', '.join(sorted(requirement.excluded))}" if requirement.excluded else ""
    return people + role + excluded


def shows_leads(rendering: str, leads: Leads) -> bool:
    """Whether a text that was shown says of these paths, and of no other, that they lead there."""
    # The head stands at the edge of a line, where nothing that an agent wrote can stand.
    _, found, rest = rendering.partition(f"\n{_LEADS}\n")
    shown = rest.partition("\n\n")[0].split("\n") if found else []
    return shown == _leads(leads)[2:]


_LEADS = "Paths that lead elsewhere"


def _leads(leads: Leads) -> list[str]:
    found = sorted(elsewhere(leads))
    if not found:
        return []
    lines = (
        f"  {_scalar(text)} leads to {_scalar(to) if to else '(unknown)'}" for text, to in found
    )
    return ["", _LEADS, *lines]


def _unvouched(origins: Sequence[str]) -> list[str]:
    if not origins:
        return []
    return [
        "",
        "Nobody vouches for",
        *(f"  {show_text(origin)}" for origin in origins),
        "An approval vouches for it, in this run.",
    ]


def _arguments(value: Json, depth: int) -> list[str]:
    pad = "  " * depth
    if isinstance(value, dict) and value:
        lines: list[str] = []
        for key, item in value.items():
            name = _name(key)
            if isinstance(item, dict | list) and item:
                lines += [f"{pad}{name}:", *_arguments(item, depth + 1)]
            else:
                lines.append(f"{pad}{name}: {_scalar(item)}")
        return lines
    if isinstance(value, list) and value:
        lines = []
        for number, item in enumerate(value, start=1):
            if isinstance(item, dict | list) and item:
                lines += [f"{pad}{number}.", *_arguments(item, depth + 1)]
            else:
                lines.append(f"{pad}{number}. {_scalar(item)}")
        return lines
    return [f"{pad}(no arguments)" if value == {} else f"{pad}{_scalar(value)}"]


def _name(key: str) -> str:
    # `amount: 5, memo` must not be taken for an argument and its value, nor blanks at the start
    # of a name for its place beneath another: what is no plain word stands in quotation marks.
    plain = key.replace("-", "_").replace(".", "_").replace("$", "_").isidentifier()
    return show_text(key if plain else json.dumps(key, ensure_ascii=False))


def _scalar(value: Json) -> str:
    # Text keeps its quotation marks: "5" and 5 are different things to pay.
    return show_text(json.dumps(value, ensure_ascii=False))


def _show(char: str) -> str:
    unseen = (
        unicodedata.category(char) in _UNSEEN
        or char in _BLANK
        or "\ufe00" <= char <= "\ufe0f"
        or "\U000e0100" <= char <= "\U000e01ef"
        or (char.isspace() and char != " ")
    )
    return f"⟦U+{ord(char):04X}⟧" if unseen else char
