"""A run's story in a terminal.

What an agent, a model or a server wrote stands behind a bar, line by line: nothing that they write
can look like a line of ours. It is made `visible` before it is broken into lines.
"""

from __future__ import annotations

import json
import re
import textwrap
import time
from collections.abc import Iterator, Mapping

from bailiwick.cli import show
from bailiwick.cli.calls import listed, mapping
from bailiwick.core.canonical import Json, JsonObject

_NAME = re.compile(r"[!-~]{1,128}")
_MOST_NAME = 128
_BAR = "│ "
_INDENT = "     "
_SHORT_LINES = 1
_VALUE_LINES = 12
_LEAST_WIDTH = 24
_MATCHES = {
    "matched": ("green", "as the model asked in {by}"),
    "altered": ("red", "NOT as the model asked in {by}: {where} differ"),
    "unasked": ("red", "the model asked for NO such call"),
    "unknown": ("yellow", "whether the model asked for it is not known"),
}
_RETOLD = {
    "altered": "was told something ELSE than {call} returned",
    "unasked": "was told the result of a call that NO gateway saw",
    "shortened": "was told a part of what {call} returned",
}


class Teller:
    """Turns steps into lines.

    Args:
        width: of a line; 0 for no breaking.
        whole: reasoning and texts in full, not only how they begin.
    """

    def __init__(self, width: int, *, whole: bool = False) -> None:
        self._width = width
        self._whole = whole
        self._numbers: dict[str, int] = {}

    def step(self, step: JsonObject) -> Iterator[str]:
        """The lines of one step."""
        number = len(self._numbers) + 1
        self._numbers[show.word(step, "id")] = number
        yield ""
        yield self._head(number, step)
        model = step.get("model")
        if isinstance(model, Mapping):
            yield from self._thought(model)
        yield from self._said_and_did(step)
        yield from self._judged(step)
        if "arguments" in step:
            yield from self._value("with", step["arguments"])
            yield from self._value("failed" if step.get("failed") else "got", step["result"])
        yield from self._spans(step)
        erased = step.get("erased")
        if isinstance(erased, list) and erased:
            words = {"asked": "what was asked", "answered": "what came back"}
            gone = " and ".join(words.get(str(each), "") for each in erased)
            yield self._fact("erased", f"{gone}, with its person's key")

    def _head(self, number: int, step: JsonObject) -> str:
        at = time.strftime("%H:%M:%S", time.localtime(_int(step.get("at_ms")) / 1000))
        target = _plain(f"{show.word(step, 'upstream')}/{show.word(step, 'name')}")
        what = "thinks with" if isinstance(step.get("model"), Mapping) else show.word(step, "kind")
        state = show.state(show.word(step, "state"))
        ended = show.word(step, "ended_as")
        because = f" ({show.visible(ended)})" if ended else ""
        number_text = show.styled(f"{number:>3}", "bold")
        return f"{number_text}  {at}  {what} {show.visible(target)}  {state}{because}"

    def _thought(self, model: JsonObject) -> Iterator[str]:
        yield self._fact("model", _model_words(model))
        for message in listed(model, "told"):
            yield from self._text("told", message.get("text"), f"{show.word(message, 'role')}: ")
        for result in listed(model, "retold"):
            words = _RETOLD.get(show.word(result, "match"))
            if words:
                yield self._fact("!", "it " + words.format(call=self._of(result, "call")), "red")
        yield from self._reasoning(model)
        yield from self._text("says", model.get("text"))
        for call in listed(model, "asked"):
            yield from self._asked("asks for", call)
        for call in listed(model, "hosted"):
            yield from self._asked("its server did", call)
        if model.get("error"):
            yield from self._text("error", {"text": model["error"]})
        if model.get("cut"):
            yield self._fact("cut", "more was said than is kept")

    def _reasoning(self, model: JsonObject) -> Iterator[str]:
        pieces = model.get("reasoning")
        counts = mapping(model, "counts")
        if pieces is None and counts:
            told = ", ".join(f"{count} {name}" for name, count in counts.items())
            yield self._fact("reasons", f"{told}; the text was erased")
        for piece in listed(model, "reasoning"):
            seen = show.word(piece, "visibility")
            words = {
                "encrypted": "only the model's maker can read it",
                "omitted": "it was not sent",
            }.get(seen)
            if words:
                yield self._fact("reasons", f"({seen}: {words})")
            else:
                yield from self._text(f"reasons ({seen})", piece)

    def _asked(self, name: str, call: JsonObject) -> Iterator[str]:
        made = call.get("calls")
        calls = made if isinstance(made, list) else []
        where = ", ".join(self._of({"call": each}, "call") for each in calls)
        lead = f"{name} ({where})" if where else name
        yield from self._text(lead, call.get("arguments"), f"{show.word(call, 'name')} ")

    def _said_and_did(self, step: JsonObject) -> Iterator[str]:
        style, words = _MATCHES.get(show.word(step, "said_and_did"), ("", ""))
        if words:
            paths = step.get("differences")
            where = ", ".join(_plain(str(p)) for p in paths) if isinstance(paths, list) else ""
            text = words.format(by=self._of(step, "asked_by"), where=where or "arguments")
            yield self._fact("asked", text, style)

    def _judged(self, step: JsonObject) -> Iterator[str]:
        decision = show.word(step, "decision")
        rules = step.get("rules")
        by = ", ".join(str(each) for each in rules) if isinstance(rules, list) else ""
        because = show.word(step, "because")
        if decision == "allow" and not self._whole:
            yield self._fact("allowed", f"by {by}" if by else because)
        else:
            code = show.word(step, "code")
            yield self._fact(decision, f"{code}: {because}" + (f" [{by}]" if by else ""))
        hold = step.get("hold")
        if not isinstance(hold, Mapping):
            return
        waited = hold.get("waited_ms")
        long = "and still waits" if waited is None else f"{_int(waited) / 1000:.1f} s"
        whom = show.word(hold, "role") or "any person"
        yield self._fact("waited", f"{long} for {show.word(hold, 'count')} × {whom}")
        for stamp in listed(hold, "stamps"):
            reason = show.word(stamp, "reason")
            text = (
                f"{show.word(stamp, 'decision')} by {show.word(stamp, 'person')}"
                f" ({show.word(stamp, 'method')})" + (f": {reason}" if reason else "")
            )
            yield self._fact("stamp", text)

    def _spans(self, step: JsonObject) -> Iterator[str]:
        """What the agent's own telemetry says: its word, and nobody has checked it."""
        names = ", ".join(_plain(show.word(span, "name")) for span in listed(step, "spans"))
        if names:
            yield from self._block("the agent itself tells of", names, len(names), _SHORT_LINES)

    def _of(self, row: JsonObject, key: str) -> str:
        """A call by its number here, or by its id."""
        ident = show.word(row, key)
        number = self._numbers.get(ident)
        return f"step {number}" if number else ident or "a call that is not known"

    # --- lines -----------------------------------------------------------------------------------

    def _fact(self, name: str, text: str, style: str = "") -> str:
        line = show.visible(text)
        width = self._width - len(_INDENT) - len(name) - 2
        if self._width and len(line) > max(width, _LEAST_WIDTH):
            pad = _INDENT + " " * len(name) + _BAR
            line = f"\n{pad}".join(_wrapped(line, max(width, _LEAST_WIDTH)))
        shown = "\n".join(show.styled(part, style) if style else part for part in line.split("\n"))
        return f"{_INDENT}{show.styled(show.visible(name), 'dim')}  {shown}"

    def _text(self, name: str, clipped: Json, lead: str = "") -> Iterator[str]:
        """Somebody else's text: how it begins, or all that there is of it."""
        if not isinstance(clipped, Mapping):
            return
        text = lead + show.word(clipped, "text")
        chars = len(lead) + _int(clipped.get("chars"))
        if text:
            yield from self._block(name, text, chars, 0 if self._whole else _SHORT_LINES)

    def _value(self, name: str, clipped: Json) -> Iterator[str]:
        if not isinstance(clipped, Mapping):
            return
        head = show.word(clipped, "head")
        text = head or show.pretty(clipped.get("value"))
        chars = _int(clipped.get("bytes")) if head else len(text)
        yield from self._block(name, text, chars, 0 if self._whole else _VALUE_LINES)

    def _block(self, name: str, text: str, chars: int, most: int) -> Iterator[str]:
        lines = self._lines(text)
        shown = lines[:most] if most else lines
        left = len(lines) - len(shown)
        more = ""
        if left or chars > len(text):
            more = f" ({chars:,} characters)"
        yield f"{_INDENT}{show.styled(show.visible(name), 'dim')}{more}"
        for line in shown:
            yield f"{_INDENT}{_BAR}{line}"

    def _lines(self, text: str) -> list[str]:
        width = max(self._width - len(_INDENT) - len(_BAR), _LEAST_WIDTH) if self._width else 0
        lines: list[str] = []
        for line in show.visible(text, keep_lines=True).strip("\n").split("\n"):
            lines += _wrapped(line, width) if width else [line]
        return lines


def _wrapped(line: str, width: int) -> list[str]:
    if len(line) <= width:
        return [line]
    return textwrap.wrap(
        line, width, drop_whitespace=False, replace_whitespace=False, break_on_hyphens=False
    )


def _model_words(model: JsonObject) -> str:
    usage = mapping(model, "usage")
    tokens = [f"{_int(count):,} {name}" for name, count in usage.items()]
    money = [f"{currency} {amount}" for currency, amount in mapping(model, "cost").items()]
    asked, served = show.word(model, "asked_as"), show.word(model, "served")
    finish = show.word(model, "finish")
    stood_in = ""
    if model.get("substitute"):
        stood_in = f"; it stood in for {show.word(model, 'in_place_of') or 'another'}"
    parts = [
        f"asked for as {_plain(asked)}{stood_in}" if asked else "",
        f"{_plain(served)} served" if served else "",
        "tokens: " + ", ".join(tokens) if tokens else "",
        *money,
        _plain(finish) if finish else "",
    ]
    return ", ".join(part for part in parts if part)


def _plain(text: str) -> str:
    """A name that others chose, so that it can be told from our words around it."""
    return text if _NAME.fullmatch(text) else json.dumps(text[:_MOST_NAME], ensure_ascii=False)


def _int(value: Json, otherwise: int = 0) -> int:
    return value if isinstance(value, int) else otherwise
