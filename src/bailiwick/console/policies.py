"""Declared policies for reading. What is not understood here is shown as it is, never left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bailiwick.console.shapes import parsed
from bailiwick.console.wording import pretty
from bailiwick.ports import ObjectRow


@dataclass(frozen=True, slots=True)
class PolicyView:
    """One policy version. `notes`: what else it says, in words."""

    cedar: str
    because: str
    notes: Sequence[str]
    suspended: bool


def view_policy(row: ObjectRow) -> PolicyView:
    """Read a declared policy; a damaged one shows its document as it is."""
    document = parsed(row.document)
    spec = document.get("spec") if isinstance(document, Mapping) else None
    if not isinstance(spec, Mapping):
        return PolicyView(pretty(document), "", (), False)
    notes = ["what no policy permits is refused"] if spec.get("default") == "deny" else []
    known = ("cedar", "because", "default", "suspended")
    notes += [f"{name}: {pretty(value)}" for name, value in spec.items() if name not in known]
    suspended = spec.get("suspended") is True
    because = spec.get("because")
    return PolicyView(
        str(spec.get("cedar", "")), because if isinstance(because, str) else "", notes, suspended
    )
