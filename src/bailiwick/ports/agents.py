"""Agents as people see them: what each was given, and when it was last heard of."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class GivenMandate:
    """A mandate that an agent has.

    Attributes:
        state: its own; `expired` once its time is over.
        stopped_by: `NAME@VERSION` of the first mandate above it that lets nothing through; "" for
            none.
    """

    name: str
    version: int
    state: str
    stopped_by: str = ""


@dataclass(frozen=True, slots=True)
class LastCall:
    """The newest recorded call of an agent.

    Attributes:
        token: id of the token it was made with; `test-listener` where none is asked for.
    """

    id: str
    at_ms: int
    run: str
    mandate: str
    token: str


@dataclass(frozen=True, slots=True)
class AgentRow:
    """A declared agent, what it was given, and when it was last heard of."""

    name: str
    owner: str
    description: str
    mandates: tuple[GivenMandate, ...]
    last_call: LastCall | None
