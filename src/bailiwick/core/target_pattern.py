"""Which targets a rule is about."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from bailiwick.core.call import CallKind, Target
from bailiwick.core.texts.glob import Glob
from bailiwick.core.texts.paths import is_tricky_uri
from bailiwick.core.values import CANNOT_TELL, FAILS, HOLDS, Truth, fold

MAX_COMPARED_NAME = 8192
"""Longest name, in characters, that is looked at for being nearly what a pattern means: no server
has a longer one (`MAX_NAME_CHARS`, `MAX_PATH`), and an agent can make it up megabytes long."""


@dataclass(frozen=True, slots=True)
class TargetPattern:
    """Globs over `upstream` and `name`; case matters, `*` matches any run of characters."""

    kind: CallKind
    upstream: str
    name: str

    def __str__(self) -> str:
        return f"{self.upstream}/{self.name}"

    def covers(self, target: Target) -> Truth:
        """Whether `target` is meant: an allow rule needs HOLDS, the others anything but FAILS.

        CANNOT_TELL when it fits but for case and alike, and for a resource whose URI may name
        something else than its text says (`file:///work/../etc/passwd` fits `file:///work/*`).
        """
        if target.kind is not self.kind:
            return FAILS
        upstream, name = _glob(self.upstream), _glob(self.name)
        if upstream.matches(target.upstream):
            if self.kind is CallKind.RESOURCE and is_tricky_uri(target.name):
                exact = name.literal and name.matches(target.name)
                return HOLDS if exact else CANNOT_TELL
            if name.matches(target.name):
                return HOLDS
        elif not upstream.nearly_matches(fold(target.upstream)):
            return FAILS
        if len(target.name) > MAX_COMPARED_NAME:
            return CANNOT_TELL
        return CANNOT_TELL if name.nearly_matches(fold(target.name)) else FAILS


_glob = lru_cache(maxsize=4096)(Glob)


def covers(patterns: Iterable[TargetPattern], target: Target) -> Truth:
    """Whether one of the patterns means `target`."""
    result = FAILS
    for pattern in patterns:
        truth = pattern.covers(target)
        if truth is HOLDS:
            return HOLDS
        if truth is CANNOT_TELL:
            result = CANNOT_TELL
    return result
