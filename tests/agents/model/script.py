"""What the scripted models decide: one tool call after another, then a last word. Pure.

They keep no state of their own. Like a real model they see the whole conversation each time, and
where they stand is how many tool results the agent has sent back so far.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

SCRIPTED = "scripted"
"""The model that follows the script."""

ENDLESS = "endless"
"""The model that asks for the script's first tool again, whatever comes back."""

ENDLESS_TOKENS = 10_000
"""What it says it read each time; an agent's tools alone are more bytes than that."""

SLOW = "slow"
"""The model that says `SLOW_WORD` for ever."""

BRIEF = "brief"
"""The model that says one word and asks for nothing."""

MODELS = (SCRIPTED, ENDLESS, SLOW, BRIEF)
LAST_WORD = "Done. The last answer was: "
SLOW_WORD = "thinking, "
BRIEF_WORD = "No invoice is open."
WORDS = {SLOW: SLOW_WORD, BRIEF: BRIEF_WORD}


@dataclass(frozen=True, slots=True)
class Step:
    """One tool call the model makes.

    Attributes:
        tool: `SERVER/TOOL`, as the mandate names it.
    """

    tool: str
    arguments: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Offered:
    """One tool the agent offers: its name, and the namespace around it where a dialect has one."""

    name: str
    namespace: str = ""


@dataclass(frozen=True, slots=True)
class Turn:
    """One request to the model, as far as the script cares.

    Attributes:
        offered: the tools the model may call.
        results: the text of every tool result so far, oldest first.
    """

    offered: Sequence[Offered]
    results: Sequence[str]


@dataclass(frozen=True, slots=True)
class CallTool:
    """The model's answer: call this tool."""

    id: str
    tool: Offered
    arguments: Mapping[str, str]
    input_tokens: int = 1


@dataclass(frozen=True, slots=True)
class Say:
    """The model's answer: text, and nothing more to do."""

    text: str
    input_tokens: int = 1


Answer = CallTool | Say


def answer(script: Sequence[Step], turn: Turn, model: str = SCRIPTED) -> Answer:
    """The next step of the script; words where there is none, or its tool is not offered."""
    if not turn.offered:
        return Say("A day at the office")  # an agent asks its model for a title without any tools
    if model in WORDS:
        return Say(WORDS[model])
    if model == SCRIPTED and len(turn.results) >= len(script):
        return Say(LAST_WORD + turn.results[-1])
    step = script[0 if model == ENDLESS else len(turn.results)]
    tool = find(turn.offered, step.tool)
    if tool is None:
        return Say(f"there is no tool for {step.tool}")
    took = ENDLESS_TOKENS if model == ENDLESS else 1
    return CallTool(f"call_{len(turn.results) + 1}", tool, step.arguments, took)


def find(offered: Sequence[Offered], tool: str) -> Offered | None:
    """The offered tool that is `SERVER/TOOL`, however the agent spells it; None unless just one."""
    ending = tool.replace("/", "__")
    found = [one for one in offered if one.name.endswith(ending)]
    return found[0] if len(found) == 1 else None
