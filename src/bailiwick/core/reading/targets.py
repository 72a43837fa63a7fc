"""What a rule is about, in words."""

from __future__ import annotations

from collections.abc import Iterable

from bailiwick.core.call import CallKind
from bailiwick.core.reading.quoting import one_of, quote
from bailiwick.core.target_pattern import TargetPattern

_NOUNS = {
    CallKind.TOOL: ("tool", "tools"),
    CallKind.RESOURCE: ("resource", "resources"),
    CallKind.PROMPT: ("prompt", "prompts"),
    CallKind.CLIENT: ("request of a server", "requests of a server"),
    CallKind.MODEL: ("model", "models"),
    CallKind.COMMAND: ("command", "commands"),
}


def targets(patterns: Iterable[TargetPattern]) -> str:
    """ "the tools `bank/pay` or `bank/transfer`, or the resource `files/notes`"."""
    by_kind: dict[CallKind, list[str]] = {}
    for pattern in patterns:
        by_kind.setdefault(pattern.kind, []).append(quote(str(pattern)))
    return ", or ".join(
        f"the {_NOUNS[kind][len(names) > 1]} {one_of(names)}" for kind, names in by_kind.items()
    )
