"""Conditions on argument values: typed, pure, explainable."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Condition:
    """Placeholder shape: replaced by the closed union of condition kinds."""

    path: tuple[str, ...]
